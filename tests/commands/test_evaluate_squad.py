# SPDX-License-Identifier: Apache-2.0
"""evaluate_squad from the command line to the JSON it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.cli import main

V1 = [("a", ["cat"], None), ("b", ["dog"], None)]
V2 = [("a", ["cat"], False), ("b", [], True)]


def data_file(folder: Path, questions: list[tuple[str, list[str], bool | None]]) -> str:
    """A SQuAD file with these ids, answers and marks."""
    entries = []
    for id_, answers, is_impossible in questions:
        entry: dict[str, Any] = {"id": id_, "question": "?"}
        entry["answers"] = [{"text": text, "answer_start": 0} for text in answers]
        entries.append(entry if is_impossible is None else entry | {"is_impossible": is_impossible})
    path = folder / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "cat", "qas": entries}]}]}))
    return str(path)


def json_file(folder: Path, name: str, content: object) -> str:
    """Any other JSON file."""
    (folder / name).write_text(json.dumps(content))
    return str(folder / name)


def test_version_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard output; what is missing is said on standard error and scores 0."""
    predictions = json_file(tmp_path, "predictions.json", {"a": "the cat"})
    assert main(["evaluate_squad", data_file(tmp_path, V1), predictions]) == 0
    out, err = capsys.readouterr()
    assert out == '{"exact_match": 50.0, "f1": 50.0}\n'
    assert err == "note: 1 (b) of 2 questions have no prediction and score 0\n"


def test_version_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An indented object; with null odds the best thresholds and average precisions come too."""
    data, predictions = data_file(tmp_path, V2), json_file(tmp_path, "predictions.json", {"a": "cat", "b": "cat"})
    assert main(["evaluate_squad", data, predictions]) == 0
    out, err = capsys.readouterr()
    assert out.startswith('{\n  "exact": 50.0,\n  "f1": 50.0,\n  "total": 2,\n')
    assert err == ""
    odds = json_file(tmp_path, "odds.json", {"a": -3.5, "b": 2})
    assert main(["evaluate_squad", data, predictions, f"--null_odds={odds}", "--na_prob_thresh=9"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["exact"], scores["best_exact"], scores["best_exact_thresh"]) == (50.0, 100.0, -3.5)
    assert list(scores)[-3:] == ["pr_exact_ap", "pr_f1_ap", "pr_oracle_ap"]


@pytest.mark.parametrize(
    ("threshold", "scores", "said"),
    [("0.5", (50.0, 100.0, 0.0), "it changes nothing"), ("-1", (50.0, 0.0, 100.0), "no question counts as answered")],
)
def test_threshold_without_odds(
    threshold: str, scores: tuple[float, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without odds they are 0 for all, as in the official script, and what the threshold then does is said."""
    data, predictions = data_file(tmp_path, V2), json_file(tmp_path, "predictions.json", {"a": "cat", "b": "cat"})
    assert main(["evaluate_squad", data, predictions, f"--na_prob_thresh={threshold}"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["exact"], found["HasAns_exact"], found["NoAns_exact"]) == scores
    assert f"`--na_prob_thresh={threshold}` without `--null_odds`: all odds are 0" in err
    assert said in err


@pytest.mark.parametrize(
    ("questions", "predictions", "odds", "message"),
    [
        (V2, {"a": "cat"}, None, "lacks 1 (b) of 2 questions"),
        (V2, {"a": "cat", "b": ""}, {"a": 1}, "lacks 1 (b) of 2 questions"),
        (V1, {"a": "cat", "b": ""}, {"a": 1, "b": 1}, "is SQuAD 1.1"),
        (V1, {"other": "cat"}, None, "answers none of the 2 questions"),
        (V1, {"a": 1}, None, "the value of `a` is `1`, expected text"),
        (V2, {"a": "", "b": ""}, {"a": "1"}, 'the value of `a` is `"1"`, expected a number'),
        (V2, {"a": "", "b": ""}, {"a": 1, "b": float("nan")}, "the value of `b` is `NaN`, expected a number"),
        (V1, [], None, "holds no JSON object"),
        ([("a", [], None)], {"a": "cat"}, None, "holds no gold answers"),
    ],
)
def test_wrong_input(
    questions: Any, predictions: Any, odds: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be scored ends with a message, nothing on standard output, and code 2."""
    arguments = [data_file(tmp_path, questions), json_file(tmp_path, "predictions.json", predictions)]
    if odds is not None:
        arguments.append(f"--null_odds={json_file(tmp_path, 'odds.json', odds)}")
    assert main(["evaluate_squad", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_flags_of_version_2_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every question has an answer, they would change nothing; the hint names those that are given."""
    predictions = json_file(tmp_path, "predictions.json", {"a": "cat", "b": ""})
    assert main(["evaluate_squad", data_file(tmp_path, V1), predictions, "--na_prob_thresh=0.5"]) == 2
    assert "is SQuAD 1.1: every question has an answer\nhint: leave out `--na_prob_thresh`\n" in capsys.readouterr().err


def test_leaderboard(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the official script prints for a real submission."""
    folder = shared / "data/squad"
    predictions = str(folder / "leaderboard_predictions/bert-ensemble-v1.1.json")
    assert main(["evaluate_squad", str(folder / "dev-v1.1.json"), predictions]) == 0
    assert capsys.readouterr().out == '{"exact_match": 86.20624408703878, "f1": 92.19557978351145}\n'
