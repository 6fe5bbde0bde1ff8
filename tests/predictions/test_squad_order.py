# SPDX-License-Identifier: Apache-2.0
"""Answers come in the order of the questions, whatever the order of windows, and as soon as they can."""

import collections
import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.examples.squad import Question
from jaxbert.features.squad import Context, WindowedQuestion
from jaxbert.predictions.squad import Candidates, Found, Prediction, in_question_order


def questions(windows: list[int]) -> "collections.deque[WindowedQuestion]":
    """One question for each number of windows."""
    context = Context("", [], [], [0], np.zeros(0, np.int64))
    return collections.deque(
        WindowedQuestion(Question(str(number), ""), context, np.zeros(0, np.int64), [range(1)] * count)
        for number, count in enumerate(windows)
    )


def found(numbers: np.ndarray) -> Found:
    """Candidates that tell from which window they are."""
    column = numbers[:, None].astype(np.float64)
    values = {"starts": column, "start_logits": column, "ends": column, "end_logits": column}
    return numbers, {**values, "null_logits": np.repeat(column, 2, axis=1)}


def predict(asked: WindowedQuestion, candidates: Candidates) -> Prediction:
    """Which windows the candidates are from, as the text of the answer."""
    return Prediction(asked.question.id, str(candidates.starts[:, 0].astype(int).tolist()), "", [], None)


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5), st.integers(0, 10**6))
def test_each_question_gets_its_own_windows_in_order(windows: list[int], size: int, seed: int) -> None:
    """For windows in any order and batches of any size, each question gets its own, and questions stay in order."""
    numbers = np.random.default_rng(seed).permutation(sum(windows))
    batches = (found(numbers[first : first + size]) for first in range(0, len(numbers), size))
    predictions = list(in_question_order(questions(windows), batches, predict))
    ends = np.cumsum([0, *windows]).tolist()
    expected = [str(list(range(first, end))) for first, end in itertools.pairwise(ends)]
    assert [prediction.id for prediction in predictions] == [str(number) for number in range(len(windows))]
    assert [prediction.text for prediction in predictions] == expected


def test_answers_do_not_wait_for_later_questions() -> None:
    """A question is answered before windows of later ones are asked for, so few are ever kept."""
    taken: list[int] = []

    def one_by_one() -> Iterator[Found]:
        for number in range(6):
            taken.append(number)
            yield found(np.array([number]))

    answers = in_question_order(questions([1, 2, 3]), one_by_one(), predict)
    assert [next(answers).text, taken[-1]] == ["[0]", 0]
    assert [next(answers).text, taken[-1]] == ["[1, 2]", 2]
    assert [next(answers).text, taken[-1]] == ["[3, 4, 5]", 5]
