# SPDX-License-Identifier: Apache-2.0
"""A small encoder and sequences to lay into rows."""

import numpy as np
import pytest

from jaxbert.batches.packing import pack
from jaxbert.batches.rows import Arrays, lay_out
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.weights import Tree, classifier_table, initialize
from jaxbert.tasks.classification import label_targets

SEQUENCES, LENGTH, PLACES, ROW_LENGTH = 7, 16, 4, 24


@pytest.fixture(scope="session")
def config() -> BertConfig:
    """Three layers, so that there are a first, an inner and a last one."""
    return BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
        type_vocab_size=2,
        initializer_range=0.3,
    )


@pytest.fixture(scope="session")
def weights(config: BertConfig) -> Tree:
    """Weights of a classifier with three labels, large enough that nothing is nearly linear."""
    return initialize(classifier_table(config, 3), seed=1, stddev=config.initializer_range)


@pytest.fixture(scope="session")
def features() -> dict[str, np.ndarray]:
    """Decoded records of different lengths; one has a hole in its mask."""
    generator = np.random.default_rng(5)
    lengths = np.array([16, 3, 9, 5, 12, 7, 2])
    mask = (np.arange(LENGTH)[None] < lengths[:, None]).astype(np.int64)
    mask[2, 4] = 0
    return {
        "input_ids": generator.integers(0, 40, (SEQUENCES, LENGTH)),
        "input_mask": mask,
        "segment_ids": generator.integers(0, 2, (SEQUENCES, LENGTH)),
        "label_ids": generator.integers(0, 3, SEQUENCES),
    }


def packed_batch(
    features: dict[str, np.ndarray], order: list[list[int]] | None = None, row_length: int = ROW_LENGTH
) -> Arrays:
    """All sequences in as few rows as they need, or in the given rows."""
    lengths = np.count_nonzero(features["input_mask"], axis=1).tolist()
    rows = pack(lengths, row_length, PLACES) if order is None else order
    return lay_out(features, np.arange(SEQUENCES), rows, (len(rows), row_length, PLACES), label_targets)


def alone_batch(features: dict[str, np.ndarray]) -> Arrays:
    """Each sequence in a row of its own, padded."""
    rows = [[index] for index in range(SEQUENCES)]
    return lay_out(features, np.arange(SEQUENCES), rows, (SEQUENCES, LENGTH, 1), label_targets)


def official_rows(golden: Arrays) -> Arrays:
    """Padded official inputs as a batch, each sequence in a row of its own."""
    mask = golden["input_mask"].astype(np.int32)
    rows = {
        "input_ids": golden["input_ids"].astype(np.int32),
        "type_ids": golden["type_ids"].astype(np.int32),
        "positions": np.broadcast_to(np.arange(mask.shape[1], dtype=np.int32), mask.shape),
        "sequences": mask,
        "cls_positions": np.zeros((len(mask), 1), np.int32),
    }
    if "masked_lm_positions" in golden:
        rows["masked_lm_positions"] = golden["masked_lm_positions"].astype(np.int32)
    return rows
