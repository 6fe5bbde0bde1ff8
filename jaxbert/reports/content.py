# SPDX-License-Identifier: Apache-2.0
"""What a report says of an evaluation, by the kind of task: parts of `report.json`, made of `figures`.

Every function gives values that JSON can hold. Examples are numbered from 0, in the order of their set.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxbert.examples.squad import Question
from jaxbert.examples.tag_schemes import Scheme
from jaxbert.metrics.squad import score_each
from jaxbert.metrics.tagging import Counts, count_entities, together
from jaxbert.reports import figures
from jaxbert.reports.figures import Array, Interval

Part = dict[str, Any]
Texts = Callable[[Array], Sequence[Sequence[str]]]
"""The texts of the examples with these numbers [n], as the model reads them; none where that is not known."""

MISTAKES = 20  # examples that are shown
_CONFUSED = 10  # pairs of classes
_WIDEST = 20  # classes of a confusion matrix that is shown whole
_POINTS = 1000  # of a scatter plot
_NONE = "no answer"
_MILLION = 1_000_000
_OFTEN = (  # name, above which share, and up to which
    ("none", -1.0, 0.0),
    ("up to 10", 0.0, 10.0),
    ("to 100", 10.0, 100.0),
    ("to 1,000", 100.0, 1000.0),
    ("to 10,000", 1000.0, 10_000.0),
    ("more", 10_000.0, _MILLION),
)
_ASKS = ("what", "which", "who", "whom", "whose", "when", "where", "why", "how", "other")
_WORDS = ("1", "2", "3 to 5", "6 to 10", "more than 10", _NONE)


def metrics(score: figures.Score, arrays: Sequence[Array], shown: Mapping[str, float] | None = None) -> Part:
    """Each metric with its interval, of how many examples, and how often they were drawn; only those `shown`."""
    times = figures.resamples(sum(array.size for array in arrays))
    found = figures.bootstrap(score, arrays, times)
    return {
        "examples": len(arrays[0]),
        "resamples": times,
        "metrics": {name: _plain(interval) for name, interval in found.items() if shown is None or name in shown},
    }


def exact(values: Mapping[str, float]) -> Part:
    """Metrics that have no interval."""
    return {"metrics": {name: _plain(Interval(value, value, value)) for name, value in values.items()}}


def classification(names: Sequence[str], labels: Array, probabilities: Array, texts: Texts) -> Part:
    """One class of each example: class names, label ids [n] and probabilities [n, C]."""
    predictions = probabilities.argmax(axis=1)
    confidences, right = probabilities.max(axis=1), predictions == labels
    classes = len(names)
    numbers = figures.surest(confidences, ~right, MISTAKES)
    of_label = probabilities[np.arange(len(labels)), labels]
    return {
        "classes": [
            _plain(one)
            for one in figures.of_classes(
                names, figures.one_hot(labels, classes), figures.one_hot(predictions, classes)
            )
        ],
        "confusion": _confusion(names, figures.confusion(labels, predictions, classes)),
        "calibration": _plain(figures.calibration(confidences, right)),
        "mistakes": [
            {
                "example": int(number),
                "label": names[labels[number]],
                "predicted": names[predictions[number]],
                "probability": float(confidences[number]),
                "probability_of_label": float(of_label[number]),
                "texts": list(of_example),
            }
            for number, of_example in zip(numbers, texts(numbers), strict=True)
        ],
    }


def _confusion(names: Sequence[str], counts: Array) -> Part:
    """The matrix where it is not too wide, and the pairs that are confused most often."""
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    pairs = [np.unravel_index(at, wrong.shape) for at in figures.surest(wrong.ravel(), wrong.ravel() > 0, _CONFUSED)]
    return {
        "matrix": counts.tolist() if len(names) <= _WIDEST else None,
        "most_often": [
            {"label": names[row], "predicted": names[column], "count": int(counts[row, column])}
            for row, column in pairs
        ],
    }


def choices(answers: Array, probabilities: Sequence[Array], texts: Texts) -> Part:
    """The right choice of each question, by its place from 0: places [n], and the probabilities of its choices."""
    most = max(map(len, probabilities))
    names = [f"choice {place}" for place in range(most)]
    padded = np.stack([np.pad(one, (0, most - len(one))) for one in probabilities])
    return classification(names, answers, padded, texts)


def several_labels(names: Sequence[str], labels: Array, probabilities: Array, thresholds: Array, texts: Texts) -> Part:
    """Any number of classes of each example: labels and probabilities [n, C], and the thresholds [C] that decide."""
    found = probabilities >= thresholds
    sureness = np.where(found, probabilities, 1 - probabilities)
    true = labels.astype(bool)
    at = figures.surest(sureness.ravel(), (found != true).ravel(), MISTAKES)
    numbers, classes = np.divmod(at, len(names))
    return {
        "classes": [
            {**_plain(one), "threshold": float(threshold)}
            for one, threshold in zip(figures.of_classes(names, true, found), thresholds, strict=True)
        ],
        "calibration": _plain(figures.calibration(sureness.ravel(), (found == true).ravel())),
        "mistakes": [
            {
                "example": int(number),
                "label": names[class_] if true[number, class_] else f"not {names[class_]}",
                "predicted": names[class_] if found[number, class_] else f"not {names[class_]}",
                "probability": float(sureness[number, class_]),
                "probability_of_label": float(1 - sureness[number, class_]),
                "texts": list(of_example),
            }
            for number, class_, of_example in zip(numbers, classes, texts(numbers), strict=True)
        ],
    }


def regression(labels: Array, predictions: Array, texts: Texts) -> Part:
    """A number of each example: labels and predictions [n]."""
    true, found = labels.astype(np.float64), predictions.astype(np.float64)
    residuals = found - true
    numbers = figures.surest(np.abs(residuals), residuals != 0, MISTAKES)
    shown = figures.spread(len(true), _POINTS)
    return {
        "residuals": {
            "mean": float(residuals.mean()),
            "deviation": float(residuals.std()),
            "mean_absolute": float(np.abs(residuals).mean()),
            "histogram": _plain(figures.histogram(residuals)),
            "points": {"labels": true[shown].tolist(), "predictions": found[shown].tolist()},
        },
        "mistakes": [
            {
                "example": int(number),
                "label": float(true[number]),
                "predicted": float(found[number]),
                "texts": list(of_example),
            }
            for number, of_example in zip(numbers, texts(numbers), strict=True)
        ],
    }


def masked_tokens(found: Mapping[str, Array], often: Array | None) -> Part:
    """Predictions of masked tokens by how often the token is, and how long its record.

    Args:
        found: of m masked tokens `ids`, `losses`, `right` (1 or 0) and `lengths` of their records, all [m], m >= 1.
        often: how often each token of the vocabulary is in the training data [V]; None where that is not known.
    """
    losses, right, sizes = found["losses"], found["right"], found["lengths"]
    bands = [
        (f"{one.low} to {one.high}", (sizes >= one.low) & (sizes <= one.high)) for one in figures.bands(sizes, losses)
    ]
    groups = [_losses_by("Loss by length", "tokens of the record", "", bands, losses, right)]
    if often is not None:
        share = _MILLION * often[found["ids"]] / often.sum()
        inside = [(name, (share > low) & (share <= high)) for name, low, high in _OFTEN]
        note = "How often the masked token is among a million tokens of the training data, by a sample of it."
        groups.insert(0, _losses_by("Loss by frequency", "times in a million", note, inside, losses, right))
    return {"groups": groups}


def _losses_by(
    title: str, by: str, note: str, groups: Sequence[tuple[str, Array]], losses: Array, right: Array
) -> Part:
    rows = [
        {"name": name, "count": int(own.sum()), "accuracy": float(right[own].mean()), "loss": float(losses[own].mean())}
        for name, own in groups
        if own.any()
    ]
    return {"title": title, "by": by, "note": note, "rows": rows}


def answers(
    questions: Sequence[Question], predictions: Mapping[str, str], probabilities: Mapping[str, float], version_2: bool
) -> Part:
    """Answers to questions of SQuAD, "" for none: by question id, with the probability of each."""
    scores = np.array(score_each(questions, predictions, version_2)).reshape(-1, 2)
    sure = np.array([probabilities.get(one.id, 0.0) for one in questions])
    wrong = figures.surest(sure, scores[:, 1] == 0, MISTAKES)
    note = "By the first of these words in the question."
    part: Part = {
        "groups": [
            _scores_by("Question words", "question word", note, [*map(_asks, questions)], _ASKS, scores),
            _scores_by("Answer lengths", "words of the answer", "", [*map(_words, questions)], _WORDS, scores),
        ],
        "calibration": _plain(figures.calibration(sure, scores[:, 0] == 1)),
        "mistakes": [
            {
                "example": questions[number].id,
                "label": questions[number].answers[0].text if questions[number].answers else _NONE,
                "predicted": predictions.get(questions[number].id) or _NONE,
                "probability": float(sure[number]),
                "texts": [questions[number].text],
            }
            for number in wrong
        ],
    }
    if version_2:
        names = ("an answer", _NONE)
        true = np.array([int(not one.answers) for one in questions])
        found = np.array([int(not predictions.get(one.id)) for one in questions])
        flags = (figures.one_hot(ids, len(names)) for ids in (true, found))
        part["classes"] = [_plain(one) for one in figures.of_classes(names, *flags)]
        part["confusion"] = _confusion(names, figures.confusion(true, found, len(names)))
    return part


def answer_metrics(
    questions: Sequence[Question], predictions: Mapping[str, str], results: Mapping[str, float], version_2: bool
) -> Part:
    """The results in their order; exact match and F1 of all questions with intervals."""
    scores = 100 * np.array(score_each(questions, predictions, version_2)).reshape(-1, 2)

    def means(exact: Array, f1: Array) -> dict[str, float]:
        return {"exact" if version_2 else "exact_match": float(exact.mean()), "f1": float(f1.mean())}

    part = metrics(means, (scores[:, 0], scores[:, 1]))
    part["metrics"] = exact(results)["metrics"] | part["metrics"]
    return part


def _asks(question: Question) -> str:
    words = re.findall(r"\w+", question.text.lower())
    return next((word for word in words if word in _ASKS), "other")


def _words(question: Question) -> str:
    if not question.answers:
        return _NONE
    count = len(question.answers[0].text.split())
    return next((name for name, most in zip(_WORDS, (1, 2, 5, 10), strict=False) if count <= most), "more than 10")


def _scores_by(title: str, by: str, note: str, groups: Sequence[str], names: Sequence[str], scores: Array) -> Part:
    """Exact match and F1 [n, 2] in percent by the group of each question [n], in the order of `names`."""
    places = {name: np.array([group == name for group in groups]) for name in names}
    rows = [
        {"name": name, "count": int(own.sum()), "exact": 100 * scores[own, 0].mean(), "f1": 100 * scores[own, 1].mean()}
        for name, own in places.items()
        if own.any()
    ]
    return {"title": title, "by": by, "note": note, "rows": rows}


def entities(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: Scheme, results: Mapping[str, float]
) -> Part:
    """Tags of each sentence: figures of each type of entity, and the results, those of all entities with intervals.

    Sentences are what is drawn anew, as their words are not independent.
    """
    types = count_entities(gold, predicted, scheme)
    each = [
        together(count_entities([one], [other], scheme).values()) for one, other in zip(gold, predicted, strict=True)
    ]

    def score(gold: Array, found: Array, right: Array) -> dict[str, float]:
        counts = Counts(int(gold.sum()), int(found.sum()), int(right.sum()))
        return {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}

    part = metrics(score, tuple(np.array([dataclasses.astuple(one) for one in each]).reshape(-1, 3).T))
    part["metrics"] = exact(results)["metrics"] | part["metrics"]
    classes = [
        figures.ClassFigures(name, one.gold, one.found, one.precision, one.recall, one.f1)
        for name, one in types.items()
    ]
    return {"results": part, "classes": [_plain(one) for one in classes]}


def lengths(tokens: Array, limit: int | None, scores: Array, score_name: str) -> Part:
    """Tokens of each example [n], at most `limit` where texts are cut, and its score [n], whose mean has this name."""
    return {"lengths": {**_plain(figures.lengths(tokens, limit, scores)), "score": score_name}}


def _plain(figure: Any) -> Part:
    return dataclasses.asdict(figure)
