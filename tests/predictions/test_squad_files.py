# SPDX-License-Identifier: Apache-2.0
"""The files of SQuAD predictions."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxbert.examples.squad import Question
from jaxbert.predictions.squad import Choice, Prediction
from jaxbert.predictions.squad_files import lacking, read_answers, read_null_odds, write_answers

CHOICES = [Choice('a "quoted" é\n', 0.75, 1.5, -1e-07), Choice("", 0.25, 0.0, 1e22)]


def predictions(count: int) -> Iterator[Prediction]:
    """Some predictions."""
    return (
        Prediction(f"é{number}", CHOICES[0].text, CHOICES[0].text, CHOICES, 0.1 * number) for number in range(count)
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_layout(count: int, tmp_path: Path) -> None:
    """Byte for byte what `json.dumps(..., indent=4)` and a line end would be."""
    assert write_answers(str(tmp_path), predictions(count), version_2_with_negative=True, prefix="dev-") == count
    n_best = {
        one.id: [
            {
                "text": choice.text,
                "probability": choice.probability,
                "start_logit": choice.start_logit,
                "end_logit": choice.end_logit,
            }
            for choice in one.n_best
        ]
        for one in predictions(count)
    }
    contents = {
        "dev-predictions.json": {one.id: one.text for one in predictions(count)},
        "dev-nbest_predictions.json": n_best,
        "dev-null_odds.json": {one.id: one.null_odds for one in predictions(count)},
    }
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        name: json.dumps(content, indent=4) + "\n" for name, content in contents.items()
    }


def test_version_1_has_no_odds(tmp_path: Path) -> None:
    """Null odds are written for version 2.0 only."""
    write_answers(str(tmp_path), predictions(1), version_2_with_negative=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nbest_predictions.json", "predictions.json"]


def test_answers_and_odds_are_read_back(tmp_path: Path) -> None:
    """What was written for the questions is there again; questions beyond them are counted, the first five named."""
    write_answers(str(tmp_path), predictions(3), version_2_with_negative=True)
    made = list(predictions(3))
    answers = read_answers(str(tmp_path / "predictions.json"))
    assert answers == {one.id: one.text for one in made}
    assert read_null_odds(str(tmp_path / "null_odds.json")) == {one.id: one.null_odds for one in made}
    questions = [Question(one.id, "") for one in made]
    assert lacking(answers, questions) == ""
    assert lacking(answers, [*questions, *(Question(name, "") for name in "abcdef")]) == "6 (a, b, c, d, e, ...)"


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    """When a prediction cannot be made, no half-written file stays."""

    def broken() -> Iterator[Prediction]:
        yield from predictions(2)
        raise ValueError("device lost")

    with pytest.raises(ValueError, match="device lost"):
        write_answers(str(tmp_path), broken(), version_2_with_negative=True)
    assert list(tmp_path.iterdir()) == []


def test_official_layout(shared: Path, tmp_path: Path) -> None:
    """The files of an official run, read and written again, are the same bytes."""
    folder = shared / "official/runs/squadv2.0-2.3-mirrored"
    contents = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("predictions", "null_odds")}
    n_best = json.loads((folder / "nbest_predictions.json").read_text())
    official = (
        Prediction(id_, text, text, [Choice(**entry) for entry in n_best[id_]], contents["null_odds"][id_])
        for id_, text in contents["predictions"].items()
    )
    write_answers(str(tmp_path), official, version_2_with_negative=True)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()
