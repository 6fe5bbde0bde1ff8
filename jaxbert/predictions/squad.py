# SPDX-License-Identifier: Apache-2.0
"""Candidates of windows -> answers, as google-research's `run_squad.py` chooses them, in the order of the questions.

The model gives each position of a window a start and an end logit. `predict` scores the spans of all windows of a
question and keeps the best ones; `AnswerTexts` finds their characters in the context; `in_question_order` puts windows
that come in any order, because they are packed by length, back into questions.
"""

import bisect
import collections
import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.features.squad import Context, WindowedQuestion, best_window, split_words
from jaxbert.text.normalize import has_cjk
from jaxbert.text.tokenizer import Tokenizer

_REMEMBERED = 1 << 14  # words
_NO_NULL_SCORE = 1_000_000.0  # odds of a question whose context has no window, as in the original


@dataclasses.dataclass(frozen=True)
class AnswerSettings:
    """How answers are chosen; defaults are those of the official flags.

    Attributes:
        n_best_size: answers kept for each question.
        max_answer_length: in pieces.
        version_2_with_negative: whether a question may have no answer.
        null_score_diff_threshold: a question has no answer where its null odds are above this.
    """

    n_best_size: int = 20
    max_answer_length: int = 30
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The K best start and end positions of each of N windows, best first, equal ones by position.

    Attributes:
        starts: positions in the window [N, K].
        start_logits: their logits [N, K].
        ends: as `starts`.
        end_logits: as `start_logits`.
        null_logits: start and end logit of `[CLS]` [N, 2].
    """

    starts: np.ndarray
    start_logits: np.ndarray
    ends: np.ndarray
    end_logits: np.ndarray
    null_logits: np.ndarray

    def __getitem__(self, windows: slice) -> "Candidates":
        """Those of some of the windows."""
        return Candidates(*(getattr(self, field.name)[windows] for field in dataclasses.fields(self)))


_NONE = np.zeros((0, 1))
NO_CANDIDATES = Candidates(_NONE, _NONE, _NONE, _NONE, np.zeros((0, 2)))
"""Of a context without a word, which has no windows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One entry of the n-best list; the text "" means no answer.

    Attributes:
        text: the characters of the context.
        probability: among the entries of the list.
        start_logit: of its first piece.
        end_logit: of its last piece.
        begin: its first character in the context; -1 for no answer.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    begin: int = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted for one question.

    Attributes:
        id: of the question.
        text: the answer; "" for none.
        best_text: the answer, were there certainly one.
        n_best: the choices, the most probable first (but the null answer last where it had to be added).
        null_odds: score of no answer minus score of the best answer; None for version 1.1.
    """

    id: str
    text: str
    best_text: str
    n_best: list[Choice]
    null_odds: float | None


class AnswerTexts:
    """Finds the characters of answers; what a word becomes when normalized is remembered.

    Pieces of a word do not say which characters they come from: `É` has become `e`, an unknown word `[UNK]`. Where an
    answer begins and ends with words it is these words. Otherwise its letters are looked for among those of its words,
    and if that fails, it is the words in full, or, in text without spaces, what lies between the two pieces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = tokenizer.vocab.tokens
        self._normalized = functools.lru_cache(_REMEMBERED)(lambda word: " ".join(tokenizer.words(word)))
        self._spans = functools.lru_cache(_REMEMBERED)(tokenizer.piece_spans)

    def span(self, context: Context, first: int, last: int) -> tuple[int, int]:
        """First character, and the one after the last, of the answer from piece `first` to piece `last`."""
        begin, end = context.word_of(first), context.word_of(last)
        if first > context.first_pieces[begin] or last + 1 < context.first_pieces[end + 1]:
            span = self._aligned(context, first, last, begin, end)
            if span is None and any(map(has_cjk, context.words[begin : end + 1])):
                span = self._between_pieces(context, first, last, begin, end)
            if span is not None:
                return span
        return context.word_starts[begin], context.word_starts[end] + len(context.words[end])

    def _aligned(self, context: Context, first: int, last: int, begin: int, end: int) -> tuple[int, int] | None:
        """Where the letters of the pieces stand in their words; None where letters and characters are not one to one.

        Should the same letters come twice in the words, the first ones count. For the pieces `steve smith`:

            words          (Steve  Smith,       12 characters without blanks, of which the first word has 6
            letters        ( steve smith ,      also 12: one to one
            wanted           steve smith        the letters 1 to 10, so characters 1 of `(Steve` and 4 of `Smith,`
        """
        words = context.words[begin : end + 1]
        ends = list(itertools.accumulate(map(len, words)))  # of each word, counted in characters of all words
        letters = " ".join(filter(None, map(self._normalized, words)))
        pieces = [self._tokens[id_] for id_ in context.ids[first : last + 1].tolist()]
        wanted = " ".join(pieces).replace(" ##", "").replace("##", "")
        start = letters.find(wanted)
        if start < 0 or len(letters) - letters.count(" ") != ends[-1]:
            return None
        chars = []
        for letter in (start, start + len(wanted) - 1):
            index = letter - letters.count(" ", 0, letter)
            word = bisect.bisect_right(ends, index)
            chars.append(context.word_starts[begin + word] + index - (ends[word] - len(words[word])))
        return chars[0], chars[1] + 1

    def _between_pieces(self, context: Context, first: int, last: int, begin: int, end: int) -> tuple[int, int]:
        """From the first character of the first piece to the last character of the last one."""
        start = self._spans(context.words[begin])[first - context.first_pieces[begin]][0]
        stop = self._spans(context.words[end])[last - context.first_pieces[end]][1]
        return context.word_starts[begin] + start, context.word_starts[end] + stop


@dataclasses.dataclass(frozen=True, slots=True)
class _Scored:
    """A choice before its probability is known."""

    text: str
    start_logit: float
    end_logit: float
    begin: int = -1


def predict(
    asked: WindowedQuestion, candidates: Candidates, settings: AnswerSettings, texts: AnswerTexts
) -> Prediction:
    """The answer to one question.

    Args:
        asked: with as many windows as there are in `candidates`.
        candidates: positions count from `[CLS]`; those outside of the context are passed over.
        settings: how answers are chosen.
        texts: of the tokenizer that made the windows.

    Raises:
        InputError: a logit is not a number.
    """
    if any(np.isnan(logits).any() for logits in (candidates.start_logits, candidates.end_logits)):
        raise InputError(
            f"the model's output for question `{asked.question.id}` is not a number", "its weights are bad"
        )
    null = None  # no answer, scored in the window that finds it least likely
    if settings.version_2_with_negative and len(candidates.null_logits):
        null = _Scored("", *min(candidates.null_logits.astype(np.float64).tolist(), key=sum))
    chosen = _choose(asked, candidates, settings, texts, null)
    best = next((choice for choice in chosen if choice.text), None)
    odds = None
    if settings.version_2_with_negative:
        odds = _NO_NULL_SCORE if null is None else null.start_logit + null.end_logit
        odds = odds if best is None else odds - best.start_logit - best.end_logit
    best_text = best.text if best else ""
    answered = odds is None or not odds > settings.null_score_diff_threshold
    probabilities = _softmax([choice.start_logit + choice.end_logit for choice in chosen])
    n_best = [
        Choice(choice.text, probability, choice.start_logit, choice.end_logit, choice.begin)
        for choice, probability in zip(chosen, probabilities, strict=True)
    ]
    return Prediction(asked.question.id, best_text if answered else "", best_text, n_best, odds)


def _choose(
    asked: WindowedQuestion, candidates: Candidates, settings: AnswerSettings, texts: AnswerTexts, null: _Scored | None
) -> list[_Scored]:
    """At most `n_best_size` answers with different texts, best first; the null answer is one of them or comes last."""
    chosen: list[_Scored] = []
    seen: set[str] = set()
    null_left = null
    for score, first, last, start_logit, end_logit in _spans(asked, candidates, settings.max_answer_length):
        if len(chosen) < settings.n_best_size and null_left and null_left.start_logit + null_left.end_logit > score:
            chosen.append(null_left)
            null_left = None
        if len(chosen) >= settings.n_best_size:
            break
        begin, end = texts.span(asked.context, first, last)
        text = asked.context.text[begin:end]
        is_simple = " " not in text and text.isprintable()
        words = text if is_simple else " ".join(split_words(text))  # the original compares texts with single blanks
        if words not in seen:
            seen.add(words)
            chosen.append(_Scored(text, start_logit, end_logit, begin))
    if null_left:
        chosen.append(null_left)
    return chosen or [_Scored("", 0.0, 0.0)]


def _spans(
    asked: WindowedQuestion, candidates: Candidates, max_answer_length: int
) -> Iterator[tuple[float, int, int, float, float]]:
    """Score, first and last piece, start and end logit of all spans allowed in any window, best first.

    The score of a span is its start logit plus its end logit. A piece stands in several windows and has other logits in
    each; a span counts in the window that is best for its first piece (see `best_window`) and must end in the same one.
    So of the windows 0 to 4 and 3 to 7 a span from piece 3 counts in the first (3 pieces before it, 1 behind), and can
    only reach piece 4. Equal scores come in the order of windows, then of starts, then of ends.
    """
    window_starts = np.array([window.start for window in asked.windows], np.int64)[:, None]
    stops = np.array([window.stop for window in asked.windows], np.int64)[:, None]
    firsts = candidates.starts - asked.offset + window_starts
    lasts = candidates.ends - asked.offset + window_starts
    may_start = (firsts >= window_starts) & (firsts < stops)
    if len(asked.windows) > 1:
        for row, column in np.argwhere(may_start).tolist():
            may_start[row, column] = best_window(asked.windows, int(firsts[row, column])) == row
    may_end = (lasts >= window_starts) & (lasts < stops)
    lengths = lasts[:, None, :] - firsts[:, :, None] + 1
    allowed = may_start[:, :, None] & may_end[:, None, :] & (lengths > 0) & (lengths <= max_answer_length)
    windows, rows, columns = np.nonzero(allowed)
    start_logits = candidates.start_logits[windows, rows].astype(np.float64)
    end_logits = candidates.end_logits[windows, columns].astype(np.float64)
    scores = start_logits + end_logits
    order = np.argsort(-scores, kind="stable")
    columns_of = (scores, firsts[windows, rows], lasts[windows, columns], start_logits, end_logits)
    return zip(*(values[order].tolist() for values in columns_of), strict=True)


def _softmax(scores: list[float]) -> list[float]:
    """Probabilities in double precision, in the order of the original's sums."""
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    total = functools.reduce(operator.add, powers)  # `sum` makes up for rounding since Python 3.12
    return [power / total for power in powers]


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
        columns = [values[field.name] for field in dataclasses.fields(Candidates)]
        waiting |= zip(numbers.tolist(), map(list, zip(*columns, strict=True)), strict=True)
        while asked and all(window in waiting for window in range(first, first + len(asked[0].windows))):
            question = asked.popleft()
            yield predict(question, _taken(waiting, first, len(question.windows)))
            first += len(question.windows)
    while asked:  # contexts without a word have no windows
        yield predict(asked.popleft(), _taken(waiting, first, 0))


def _taken(waiting: dict[int, list[np.ndarray]], first: int, count: int) -> Candidates:
    """The candidates of `count` windows, which then wait no more."""
    if not count:
        return NO_CANDIDATES
    rows: Sequence[list[np.ndarray]] = [waiting.pop(window) for window in range(first, first + count)]
    return Candidates(*map(np.stack, zip(*rows, strict=True)))
