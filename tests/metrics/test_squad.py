# SPDX-License-Identifier: Apache-2.0
"""SQuAD scores: definitions, and the figures of official scripts on real predictions."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.examples.squad import Answer, Question, read_squad
from jaxbert.metrics.squad import (
    best_threshold,
    dividing_threshold,
    exact,
    f1,
    f1_or_nothing,
    normalize_answer,
    score_v1,
    score_v2,
)


def question(id_: str, *texts: str) -> Question:
    """A question with these gold answers."""
    return Question(id_, "?", tuple(Answer(text, 0) for text in texts))


def load(shared: Path, version: str, name: str) -> tuple[list[Question], dict[str, str]]:
    """The questions of a development set, and real predictions for them."""
    paragraphs = read_squad(str(shared / f"data/squad/dev-v{version}.json"))
    predictions = json.loads((shared / f"data/squad/leaderboard_predictions/{name}.json").read_text())
    return [one for paragraph in paragraphs for one in paragraph.questions], predictions


@pytest.mark.parametrize(
    ("text", "normalized"),
    [("The Cat's  hat!", "cats hat"), ("a an the", ""), ("Theater an\n", "theater"), ("Ü–x", "ü–x"), ("the-a", "thea")],
)
def test_normalize(text: str, normalized: str) -> None:
    """Case, ASCII punctuation, articles and white space do not count; punctuation goes before articles do."""
    assert normalize_answer(text) == normalized


def test_exact_and_f1() -> None:
    """Words in common, counted as often as both have them."""
    assert exact("The cat.", "cat") == 1
    assert f1("cat dog dog", "dog cat bird") == pytest.approx(2 / 3)
    assert f1("cat", "dog") == f1("the", "a") == f1("the", "") == 0
    assert f1_or_nothing("", "the") == 1
    assert f1_or_nothing("", "cat") == f1_or_nothing("cat", "") == 0
    assert f1_or_nothing("cat dog", "cat") == f1("cat dog", "cat")


def test_version_1() -> None:
    """The best gold answer counts; a question without prediction scores 0."""
    questions = [question("a", "cat", "big dog"), question("b", "x")]
    assert score_v1(questions, {"a": "dog", "other": "x"}) == {"exact_match": 0.0, "f1": pytest.approx(100 / 3)}


def test_version_2() -> None:
    """Questions with and without answer, their means, and no means of a kind that is not there."""
    questions = [question("a", "cat dog"), question("b")]
    assert score_v2(questions, {"a": "cat", "b": ""}) == {
        "exact": 50.0,
        "f1": pytest.approx(100 * (2 / 3 + 1) / 2),
        "total": 2,
        "HasAns_exact": 0.0,
        "HasAns_f1": pytest.approx(200 / 3),
        "HasAns_total": 1,
        "NoAns_exact": 100.0,
        "NoAns_f1": 100.0,
        "NoAns_total": 1,
    }
    assert not [name for name in score_v2(questions[:1], {"a": "cat"}) if name.startswith("NoAns")]
    assert not [name for name in score_v2(questions[1:], {"b": ""}, {"b": 1.0}) if name.startswith(("HasAns", "pr_"))]


def test_threshold_of_the_scores() -> None:
    """Above the threshold a question counts as not answered, whatever was predicted."""
    questions, predictions = [question("a", "cat"), question("b")], {"a": "cat", "b": "cat"}
    assert score_v2(questions, predictions, {"a": 1.0, "b": 1.5})["exact"] == 100.0
    assert score_v2(questions, predictions, {"a": 1.5, "b": 1.5})["exact"] == 50.0
    assert score_v2(questions, predictions, {"a": 1.5, "b": 1.5}, na_prob_thresh=2.0)["exact"] == 50.0
    assert score_v2(questions, predictions, {"a": 1.5, "b": 2.5}, na_prob_thresh=2.0)["exact"] == 100.0


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(-3, 3)), min_size=1, max_size=12))
def test_best_threshold(rows: list[tuple[bool, bool, int]]) -> None:
    """With odds that are all different, the best threshold is the best of all that could be tried."""
    questions = [question(str(number), *(["cat"] if has else [])) for number, (has, _, _) in enumerate(rows)]
    predictions = {str(number): "cat" if answered else "" for number, (_, answered, _) in enumerate(rows)}
    odds = {str(number): odd + number / 100 for number, (_, _, odd) in enumerate(rows)}
    has = {one.id: bool(one.answers) for one in questions}
    scores = {one.id: float(has[one.id] == bool(predictions[one.id])) for one in questions}
    tried = [
        sum(scores[id_] if odds[id_] <= threshold else not has[id_] for id_ in scores)
        for threshold in (-99, *odds.values())
    ]
    best, threshold = best_threshold(scores, predictions, odds, has)
    assert best == pytest.approx(100 * max(tried) / len(rows))
    assert threshold in (0.0, *odds.values())


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["", "cat", "dog cat"]), st.integers(-2, 2) | st.floats(-2, 2)),
        min_size=1,
        max_size=12,
    )
)
def test_dividing_threshold(rows: list[tuple[bool, str, float]]) -> None:
    """No other threshold gives a better F1, equal odds or not, and it is none of the odds where it can be between."""
    questions = [question(str(number), *(["cat"] if has else [])) for number, (has, _, _) in enumerate(rows)]
    predictions = {str(number): text for number, (_, text, _) in enumerate(rows)}
    odds = {str(number): float(odd) for number, (_, _, odd) in enumerate(rows)}

    def score(threshold: float) -> float:
        reached: float = score_v2(questions, predictions, odds, threshold)["f1"]
        return reached

    threshold = dividing_threshold(questions, predictions, odds)
    assert score(threshold) == pytest.approx(max(map(score, (-math.inf, *odds.values()))))
    assert threshold not in odds.values() or math.nextafter(threshold, math.inf) in odds.values()


def test_average_precision() -> None:
    """The area under the steps of the curve; equal odds are one step."""
    questions, predictions = [question("a", "x"), question("b"), question("c", "x")], dict.fromkeys("abc", "x")
    scored = score_v2(questions, predictions, {"a": 0.1, "b": 0.2, "c": 0.3})
    assert scored["pr_oracle_ap"] == pytest.approx(100 * (1 / 2 + 2 / 3 / 2))
    scored = score_v2(questions, predictions, dict.fromkeys("abc", 0.1))
    assert scored["pr_oracle_ap"] == scored["pr_exact_ap"] == scored["pr_f1_ap"] == pytest.approx(100 * 2 / 3)


def test_leaderboard_v1(shared: Path) -> None:
    """The figures that evaluate-v1.1.py prints for a real submission, to the last digit."""
    questions, predictions = load(shared, "1.1", "bert-ensemble-v1.1")
    assert score_v1(questions, predictions) == {"exact_match": 86.20624408703878, "f1": 92.19557978351145}


def test_leaderboard_v2(shared: Path) -> None:
    """The figures that evaluate-v2.0.py prints for a real submission, to the last digit and in its order."""
    questions, predictions = load(shared, "2.0", "bert-single-v2.0")
    assert list(score_v2(questions, predictions).items()) == [
        ("exact", 78.74168280973637),
        ("f1", 81.77528052374723),
        ("total", 11873),
        ("HasAns_exact", 74.10593792172739),
        ("HasAns_f1", 80.181832938335),
        ("HasAns_total", 5928),
        ("NoAns_exact", 83.36417157275021),
        ("NoAns_f1", 83.36417157275021),
        ("NoAns_total", 5945),
    ]


def test_sums_are_rounded_at_each_addition():
    """The mean is that of plain additions on every Python, though the exact sum would end in another digit."""
    total = 0.0
    for _ in range(6):
        total += f1("x y", "x p q")
    assert total != math.fsum([f1("x y", "x p q")] * 6)
    found = score_v1([question(str(i), "x y") for i in range(6)], {str(i): "x p q" for i in range(6)})
    assert found["f1"] == 100.0 * total / 6
