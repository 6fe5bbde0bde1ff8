# SPDX-License-Identifier: Apache-2.0
"""The records of a pretraining run: what is known of them beforehand, and which of them each host reads."""

import functools
from pathlib import Path

import numpy as np
import pytest

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.flags import parse
from jaxbert.config.trainers import PretrainingFlags
from jaxbert.datasets.checks import check_all
from jaxbert.tasks.pretraining import MaskedRecords, open_records, targets
from tests.commands.tiny_pretraining import Corpus, training
from tests.commands.tiny_task import CONFIG

BATCH, HOSTS = 8, 2


def source(corpus: Corpus, kind: str, folder: Path) -> MaskedRecords:
    """Records with masks of their own, or with fresh ones."""
    patterns = corpus.masked if kind == "static" else corpus.whole
    flags = parse(PretrainingFlags, training(corpus, patterns, folder), {}).options
    model = Model(None, BertConfig(**CONFIG), flags.vocab_file, None)
    return open_records(flags, model, patterns)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_sizes_are_those_of_the_records(corpus: Corpus, kind: str, tmp_path: Path) -> None:
    """Tokens and masked positions found beforehand are those of the records as training gets them."""
    records = source(corpus, kind, tmp_path)
    features = records.read_masked(np.arange(len(records)))
    found = records.sizes(check_all)
    np.testing.assert_array_equal(found["lengths"], features["input_mask"].sum(axis=1))
    np.testing.assert_array_equal(found["predicted"], (features["masked_lm_weights"] > 0).sum(axis=1))


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_hosts_that_know_the_sizes_read_their_part_only(corpus: Corpus, kind: str, tmp_path: Path) -> None:
    """What hosts make of the records of their rows is together the batch of one that reads all records."""
    records = source(corpus, kind, tmp_path)
    known = records.sizes(check_all)
    shape = choose_shape(known["lengths"], BATCH, 8, HOSTS, known["predicted"])
    asked: list[int] = []

    def reads(numbers: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(len(numbers))
        return records.read(numbers)

    make = functools.partial(
        TrainingBatches, reads, len(records), BATCH, 1, shape, 0, targets(shape), draw=records.draw
    )
    alone = make()
    hosts = [
        make(**known, own_rows=lambda rows, host=host: np.split(np.arange(rows), HOSTS)[host]) for host in range(HOSTS)
    ]
    for step in range(2 * len(records) // BATCH):
        expected = alone.at(step)
        asked.clear()
        parts = [host.at(step) for host in hosts]
        assert sum(asked) == BATCH
        assert max(asked) < BATCH
        for name, array in expected.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], axis=2), array, err_msg=name)
