# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of SQuAD, number for number as `evaluate-v1.1.py` and `evaluate-v2.0.py` compute them.

Sums are taken in the order of those scripts, so that not even the last digit differs.
"""

import collections
import functools
import math
import operator
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jaxbert.errors import InputError
from jaxbert.examples.squad import Question

Scores = dict[str, float]
"""Question id -> score; 1 for a perfect answer."""

# What may be chosen by, first what is by default.
METRICS_V1 = ("f1", "exact_match")
METRICS_V2 = (
    *("f1", "exact", "HasAns_f1", "HasAns_exact", "NoAns_f1", "NoAns_exact"),
    *("best_f1", "best_exact", "pr_f1_ap", "pr_exact_ap", "pr_oracle_ap"),
)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def is_version_2(questions: Sequence[Question], path: str) -> bool:
    """Whether some question of the file says if it can be answered, or has no answer.

    Raises:
        InputError: there is nothing to score.
    """
    if not any(question.answers or question.is_impossible for question in questions):
        raise InputError(f"`{path}` holds no gold answers", "a test set cannot be scored")
    return any(question.is_impossible is not None or not question.answers for question in questions)


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words one blank apart."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact(gold: str, predicted: str) -> int:
    """1 where both texts are the same once normalized."""
    return int(normalize_answer(gold) == normalize_answer(predicted))


def f1(gold: str, predicted: str) -> float:
    """Harmonic mean of the shares of words that the two texts have in common; 0 where they have none."""
    gold_words, predicted_words = normalize_answer(gold).split(), normalize_answer(predicted).split()
    common = sum((collections.Counter(gold_words) & collections.Counter(predicted_words)).values())
    if common == 0:
        return 0
    precision, recall = common / len(predicted_words), common / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


def f1_or_nothing(gold: str, predicted: str) -> float:
    """As `f1`, but two texts without words agree: the F1 of version 2.0."""
    if normalize_answer(gold) and normalize_answer(predicted):
        return f1(gold, predicted)
    return exact(gold, predicted)


def score_v1(questions: Sequence[Question], predictions: Mapping[str, str]) -> dict[str, float]:
    """`exact_match` and `f1` in percent, as `evaluate-v1.1.py`; a question without prediction scores 0.

    Args:
        questions: at least one, each with an answer.
        predictions: question id -> answer.
    """
    golds = {question.id: [answer.text for answer in question.answers] for question in questions}
    exacts, f1s = (_best(golds, predictions, metric) for metric in (exact, f1))
    total = len(questions)
    return {"exact_match": 100.0 * _sum(exacts.values()) / total, "f1": 100.0 * _sum(f1s.values()) / total}


def score_v2(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    null_odds: Mapping[str, float] | None = None,
    na_prob_thresh: float = 1.0,
) -> dict[str, Any]:
    """What `evaluate-v2.0.py` prints, in its order; scores in percent.

    Args:
        questions: at least one; those without gold answers have none.
        predictions: question id -> answer, "" for none; one for each question.
        null_odds: question id -> how much speaks for no answer. With it come the best thresholds and, as with
            `--out-image-dir`, the average precisions of the precision-recall curves.
        na_prob_thresh: above it a question counts as not answered.
    """
    odds = dict.fromkeys(predictions, 0.0) if null_odds is None else null_odds
    has_answer, golds = _has_answer(questions), _golds_v2(questions)
    raw_exact, raw_f1 = (_best(golds, predictions, metric) for metric in (exact, f1_or_nothing))
    exacts, f1s = (_with_threshold(scores, odds, has_answer, na_prob_thresh) for scores in (raw_exact, raw_f1))
    result = _means(exacts, f1s, list(exacts))
    for prefix, wanted in (("HasAns", True), ("NoAns", False)):
        ids = [id_ for id_, has in has_answer.items() if has is wanted]
        if ids:
            result |= {f"{prefix}_{name}": value for name, value in _means(exacts, f1s, ids).items()}
    if null_odds is not None:
        for name, scores in (("exact", raw_exact), ("f1", raw_f1)):
            best, threshold = best_threshold(scores, predictions, null_odds, has_answer)
            result |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
        result |= _average_precisions(raw_exact, raw_f1, null_odds, has_answer)
    return result


def score_each(
    questions: Sequence[Question], predictions: Mapping[str, str], version_2: bool
) -> list[tuple[float, float]]:
    """Exact match and F1 of each question, 0 to 1: what `score_v1` and `score_v2` take the mean of, in percent."""
    golds = (
        _golds_v2(questions) if version_2 else {one.id: [answer.text for answer in one.answers] for one in questions}
    )
    exacts, f1s = (_best(golds, predictions, metric) for metric in (exact, f1_or_nothing if version_2 else f1))
    return [(exacts.get(one.id, 0.0), f1s.get(one.id, 0.0)) for one in questions]


def best_threshold(
    scores: Scores, predictions: Mapping[str, str], null_odds: Mapping[str, float], has_answer: Mapping[str, bool]
) -> tuple[float, float]:
    """The best mean score, in percent, that any threshold on the odds reaches, and that threshold.

    Args:
        scores: of each question, were it answered as predicted.
        predictions: question id -> answer.
        null_odds: question id -> odds; questions below or at the threshold are answered.
        has_answer: question id -> whether there is a gold answer.
    """
    best: float = sum(not has for has in has_answer.values())
    threshold = 0.0
    for odds, current in _answering_more(scores, predictions, null_odds, has_answer):
        if current > best:
            best, threshold = current, odds
    return 100.0 * best / len(scores), threshold


def dividing_threshold(
    questions: Sequence[Question], predictions: Mapping[str, str], null_odds: Mapping[str, float]
) -> float:
    """The threshold with the best F1, in the middle between the odds of questions that are answered and that are not.

    The official search gives the odds of the last question that is answered, which the next set of questions would
    just miss, 0 where answering nothing is best, whatever the odds, and stops between equal odds, as no threshold does.

    Args:
        questions: at least one.
        predictions: question id -> answer; one for each question.
        null_odds: question id -> odds; one for each question.
    """
    has_answer = _has_answer(questions)
    f1s = _best(_golds_v2(questions), predictions, f1_or_nothing)
    reached: dict[float, float] = {-math.inf: sum(not has for has in has_answer.values())}
    reached |= _answering_more(f1s, predictions, null_odds, has_answer)  # of equal odds the last: all are answered
    below = max(reached, key=reached.__getitem__)
    above = min((odds for odds in reached if odds > below), default=math.inf)
    if math.isinf(below) or math.isinf(above):
        return above - 1.0 if math.isinf(below) else below + 1.0
    middle = (below + above) / 2
    return middle if middle < above else below


def _answering_more(
    scores: Scores, predictions: Mapping[str, str], null_odds: Mapping[str, float], has_answer: Mapping[str, bool]
) -> Iterator[tuple[float, float]]:
    """Odds, ascending, and the sum of scores with questions answered up to that one."""
    current: float = sum(not has for has in has_answer.values())
    for id_ in _by_odds(scores, null_odds):
        current += scores[id_] if has_answer[id_] else -bool(predictions[id_])
        yield null_odds[id_], current


def _has_answer(questions: Sequence[Question]) -> dict[str, bool]:
    return {question.id: bool(question.answers) for question in questions}


def _golds_v2(questions: Sequence[Question]) -> dict[str, list[str]]:
    """The gold answers that have words, or no answer."""
    return {
        question.id: [answer.text for answer in question.answers if normalize_answer(answer.text)] or [""]
        for question in questions
    }


def _best(
    golds: Mapping[str, Sequence[str]], predictions: Mapping[str, str], metric: Callable[[str, str], float]
) -> Scores:
    """The best score over the gold answers of each question that has a prediction."""
    return {
        id_: max(metric(gold, predictions[id_]) for gold in texts) for id_, texts in golds.items() if id_ in predictions
    }


def _with_threshold(
    scores: Scores, odds: Mapping[str, float], has_answer: Mapping[str, bool], threshold: float
) -> Scores:
    """The scores when questions above the threshold are not answered."""
    return {id_: float(not has_answer[id_]) if odds[id_] > threshold else score for id_, score in scores.items()}


def _means(exacts: Scores, f1s: Scores, ids: Sequence[str]) -> dict[str, Any]:
    total = len(ids)
    return {
        "exact": 100.0 * _sum(exacts[id_] for id_ in ids) / total,
        "f1": 100.0 * _sum(f1s[id_] for id_ in ids) / total,
        "total": total,
    }


def _sum(scores: Iterable[float]) -> float:
    """Rounded at each addition, as the scripts' Python did; since 3.12 `sum` makes up for the rounding."""
    return functools.reduce(operator.add, scores, 0.0)


def _by_odds(scores: Scores, null_odds: Mapping[str, float]) -> list[str]:
    """The scored questions, first those most likely to have an answer; equal ones as they stand in `null_odds`."""
    return sorted((id_ for id_ in null_odds if id_ in scores), key=null_odds.__getitem__)


def _average_precisions(
    exacts: Scores, f1s: Scores, null_odds: Mapping[str, float], has_answer: Mapping[str, bool]
) -> dict[str, float]:
    """Average precision with the exact scores, with F1, and with perfect answers; nothing where no question has one."""
    positives = sum(has_answer.values())
    if not positives:
        return {}
    oracle = {id_: float(has) for id_, has in has_answer.items()}
    named = {"pr_exact_ap": exacts, "pr_f1_ap": f1s, "pr_oracle_ap": oracle}
    return {name: _average_precision(scores, null_odds, has_answer, positives) for name, scores in named.items()}


def _average_precision(
    scores: Scores, null_odds: Mapping[str, float], has_answer: Mapping[str, bool], positives: int
) -> float:
    """Area under the steps of precision over recall, in percent; equal odds make one step."""
    ids = _by_odds(scores, null_odds)
    true_positives, last_recall, area = 0.0, 0.0, 0.0
    for rank, id_ in enumerate(ids):
        if has_answer[id_]:
            true_positives += scores[id_]
        if rank == len(ids) - 1 or null_odds[id_] != null_odds[ids[rank + 1]]:
            recall = true_positives / positives
            area += true_positives / (rank + 1) * (recall - last_recall)
            last_recall = recall
    return 100.0 * area
