# SPDX-License-Identifier: Apache-2.0
"""What reports say of an evaluation, on examples small enough to count by hand."""

import json

import numpy as np
import pytest

from jaxbert.examples.squad import Answer, Question
from jaxbert.metrics.squad import score_each, score_v1, score_v2
from jaxbert.reports import content
from jaxbert.reports.run import told


def texts(numbers: np.ndarray) -> list[list[str]]:
    """Texts that name their example."""
    return [[f"text {number}"] for number in numbers]


LABELS = np.array([0, 0, 1, 2, 2])
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.7, 0.2], [0.3, 0.1, 0.6], [0.95, 0.05, 0]])


def test_mistakes_are_the_surest_first() -> None:
    """Only wrong examples, by the probability of what was predicted, with label, prediction and text."""
    found = content.classification(["a", "b", "c"], LABELS, PROBABILITIES, texts)
    assert [(one["example"], one["label"], one["predicted"]) for one in found["mistakes"]] == [
        (4, "c", "a"),
        (1, "a", "b"),
    ]
    assert found["mistakes"][0]["probability"] == 0.95
    assert found["mistakes"][0]["probability_of_label"] == 0
    assert found["mistakes"][0]["texts"] == ["text 4"]
    assert found["confusion"]["matrix"] == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert {"label": "c", "predicted": "a", "count": 1} in found["confusion"]["most_often"]


def test_of_many_classes_only_pairs_are_shown() -> None:
    """With 30 classes there is no matrix; the pairs confused most often come first."""
    names = [str(number) for number in range(30)]
    labels, predictions = np.array([3, 3, 3, 7, 7, 1]), np.array([4, 4, 3, 8, 7, 1])
    found = content.classification(names, labels, np.eye(30)[predictions], texts)
    assert found["confusion"]["matrix"] is None
    assert [tuple(one.values()) for one in found["confusion"]["most_often"]] == [("3", "4", 2), ("7", "8", 1)]


def test_several_labels_count_each_decision() -> None:
    """The thresholds decide; a wrong decision names its class, present or absent, and how sure it was."""
    labels = np.array([[1, 0], [0, 1]])
    probabilities = np.array([[0.1, 0.35], [0.2, 0.6]])
    found = content.several_labels(["a", "b"], labels, probabilities, np.array([0.5, 0.3]), texts)
    assert [(one["example"], one["label"], one["predicted"], one["probability"]) for one in found["mistakes"]] == [
        (0, "a", "not a", 0.9),
        (0, "not b", "b", 0.35),
    ]
    assert [(one["support"], one["predicted"], one["threshold"]) for one in found["classes"]] == [
        (1, 0, 0.5),
        (1, 2, 0.3),
    ]


def test_residuals() -> None:
    """Predicted minus true: mean, deviation, mean distance; the furthest off comes first."""
    found = content.regression(np.array([1, 2, 3], np.float32), np.array([1, 4, 2], np.float32), texts)
    residuals = found["residuals"]
    assert residuals["mean"] == pytest.approx(1 / 3)
    assert residuals["mean_absolute"] == 1
    assert sum(residuals["histogram"]["counts"]) == 3
    assert [one["example"] for one in found["mistakes"]] == [1, 2]


QUESTIONS = [
    Question("1", "In what city?", (Answer("Paris", 0),), False),
    Question("2", "Who wrote it?", (Answer("the old man", 0), Answer("he", 1)), False),
    Question("3", "Name the river", (), True),
    Question("4", "Who sang?", (), True),
]
ANSWERS = {"1": "Paris", "2": "old woman", "3": "", "4": "Bob"}


def test_answers_by_question_word_length_and_none() -> None:
    """Questions are grouped by their first question word and the words of the first answer; those without one apart."""
    found = content.answers(QUESTIONS, ANSWERS, {"1": 0.9, "4": 0.8}, version_2=True)
    by_word, by_length = ({row["name"]: row for row in group["rows"]} for group in found["groups"])
    assert [*by_word] == ["what", "who", "other"]
    assert (by_word["who"]["count"], by_word["who"]["exact"]) == (2, 0)
    assert by_word["who"]["f1"] == pytest.approx(25)  # half of two words, and nothing
    assert [*by_length] == ["1", "3 to 5", "no answer"]
    assert by_length["no answer"]["exact"] == 50
    assert found["confusion"]["matrix"] == [[2, 0], [1, 1]]
    assert [(one["example"], one["label"], one["predicted"]) for one in found["mistakes"]] == [
        ("4", "no answer", "Bob")
    ]


def test_scores_of_questions_have_the_official_mean() -> None:
    """The mean over questions is, up to rounding, what the official scripts give, in both versions."""
    exact, f1 = 100 * np.mean(score_each(QUESTIONS, ANSWERS, version_2=True), axis=0)
    official = score_v2(QUESTIONS, ANSWERS)
    assert (exact, f1) == pytest.approx((official["exact"], official["f1"]))
    answered = [one for one in QUESTIONS if one.answers]
    exact, f1 = 100 * np.mean(score_each(answered, {"1": "paris"}, version_2=False), axis=0)
    official = score_v1(answered, {"1": "paris"})
    assert (exact, f1) == pytest.approx((official["exact_match"], official["f1"]))


def test_masked_tokens_by_frequency_and_length() -> None:
    """Every masked token is in one band of each table, with the mean loss of the band."""
    often = np.array([0, 1, 99_000, 901_000])
    found = content.masked_tokens(
        {
            "ids": np.array([0, 1, 2, 3, 3]),
            "losses": np.array([8.0, 6.0, 2.0, 1.0, 3.0]),
            "right": np.array([0, 0, 1, 1, 0]),
            "lengths": np.array([5, 5, 9, 9, 9]),
        },
        often,
    )
    by_frequency, by_length = (
        [(row["name"], row["count"], row["loss"]) for row in one["rows"]] for one in found["groups"]
    )
    assert by_frequency == [("none", 1, 8), ("up to 10", 1, 6), ("more", 3, 2)]
    assert by_length == [("5 to 5", 2, 7), ("9 to 9", 3, 2)]


def test_lines_for_the_terminal() -> None:
    """Metrics with their intervals, and the class that does worst with what it is taken for."""
    parts = content.classification(["a", "b", "c"], LABELS, PROBABILITIES, texts)
    results = content.metrics(lambda labels: {"accuracy": float(np.mean(labels < 2))}, (LABELS,))
    first, second = told({"results": results, **parts})
    assert first.startswith("results of 5 examples, 95 % intervals: accuracy 0.6000 (")
    assert second.startswith("lowest F1: 0.5000 of `a` (2 examples); most often `a` is taken for `b`: 1 time")
    json.dumps(parts, allow_nan=False)
