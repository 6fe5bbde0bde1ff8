# SPDX-License-Identifier: Apache-2.0
"""`run_squad` on what the official program wrote."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxbert.features.squad import QuestionFile
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.metadata import SquadMetaData
from tests.commands.conftest import Run
from tests.commands.tiny_task import flags


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


def assert_same_choices(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], is_padded: bool) -> None:
    """The same texts with the same logits, in an order that differs only where scores are the same to 2e-6.

    The original ranks padding too, which can take the place of a candidate: with padding it may lack a text of ours.
    """

    def score(choice: dict[str, Any]) -> float:
        return choice["start_logit"] + choice["end_logit"]

    found = {choice["text"]: choice for choice in ours}
    kept = [choice for choice in theirs if choice["text"] in found]
    scores = [score(choice) for choice in kept]
    np.testing.assert_allclose(scores, [score(found[choice["text"]]) for choice in kept], rtol=0, atol=2e-6)
    texts = {choice["text"] for choice in theirs}
    in_our_order = [score(choice) for choice in ours if choice["text"] in texts]
    np.testing.assert_allclose(in_our_order, scores, rtol=0, atol=2e-6)
    lost = [choice for choice in theirs if choice["text"] not in found]
    assert len(ours) - len(kept) == len(lost) <= (3 if is_padded else 0)
    lowest = min(score(choice) for choice in ours if choice["text"])
    assert all(score(choice) < lowest for choice in lost)
    if not lost:
        probabilities = [[choice["probability"] for choice in choices] for choices in (ours, theirs)]
        np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_official_answers(version: str, shared: Path, squad: Run, tmp_path: Path) -> None:
    """The official program's model gives the answers and n-best lists that it gave there, numbers within 1e-6."""
    official = shared / "official"
    run = official / "runs" / f"squadv{version}-2.3-mirrored"
    sources = flags(
        predict_file=official / "inputs" / "squad" / f"dev-v{version}.json",
        input_meta_data_path=official / "data" / "official-2.3" / f"squad_v{version}_meta_data",
        vocab_file=official / "inputs" / "vocab.txt",
        bert_config_file=official / "inputs" / "bert_config.json",
        predict_checkpoint_path=run,
        model_dir=tmp_path,
    )
    code, _, err = squad("--mode=predict", *sources)
    assert code == 0, err
    assert (tmp_path / "predictions.json").read_text() == (run / "predictions.json").read_text()
    ours, theirs = (read(path / "nbest_predictions.json") for path in (tmp_path, run))
    assert list(ours) == list(theirs)
    tokenizer = Tokenizer(read_vocab(str(official / "inputs" / "vocab.txt")))
    settings = SquadMetaData.read(str(official / "data" / "official-2.3" / f"squad_v{version}_meta_data")).settings
    for asked in QuestionFile(str(official / "inputs" / "squad" / f"dev-v{version}.json"), tokenizer, settings, True):
        is_padded = any(asked.offset + len(window) + 1 < settings.max_seq_length for window in asked.windows)
        assert_same_choices(ours[asked.question.id], theirs[asked.question.id], is_padded)
    if version == "2.0":
        ours, theirs = (read(path / "null_odds.json") for path in (tmp_path, run))
        assert ours == pytest.approx(theirs, abs=1e-6)
