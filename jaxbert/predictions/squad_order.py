# SPDX-License-Identifier: Apache-2.0
"""Candidates of windows in any order -> predictions in the order of the questions."""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from jaxbert.features.squad import WindowedQuestion
from jaxbert.predictions.squad import Candidates, Prediction

_FIELDS = ("starts", "start_logits", "ends", "end_logits", "null_logits")

Found = tuple[np.ndarray, Mapping[str, np.ndarray]]
"""Numbers of windows [n], counted over all questions, and their candidates [n, ...] by the names of `Candidates`."""


def in_question_order(
    asked: "collections.deque[WindowedQuestion]",
    found: Iterable[Found],
    predict: Callable[[WindowedQuestion, Candidates], Prediction],
) -> Iterator[Prediction]:
    """Each question is answered as soon as it is the next one and the candidates of all its windows are there.

    Args:
        asked: the questions in order; each must be in it before candidates of its windows are found, and is taken out.
        found: each window once. Only those of questions that still wait are kept.
        predict: the answer to one question.
    """
    waiting: dict[int, list[np.ndarray]] = {}
    first = 0  # number of the first window of the next question
    for numbers, values in found:
        columns = [values[name] for name in _FIELDS]
        waiting |= zip(numbers.tolist(), map(list, zip(*columns, strict=True)), strict=True)
        while asked and all(window in waiting for window in range(first, first + len(asked[0].windows))):
            question = asked.popleft()
            yield predict(question, _taken(waiting, first, len(question.windows)))
            first += len(question.windows)
    while asked:  # contexts without a word have no windows
        yield predict(asked.popleft(), _taken(waiting, first, 0))


def _taken(waiting: dict[int, list[np.ndarray]], first: int, count: int) -> Candidates:
    """The candidates of some windows, which then wait no more."""
    if not count:
        none = np.zeros((0, 1))
        return Candidates(none, none, none, none, np.zeros((0, 2)))
    rows: Sequence[list[np.ndarray]] = [waiting.pop(window) for window in range(first, first + count)]
    return Candidates(*map(np.stack, zip(*rows, strict=True)))
