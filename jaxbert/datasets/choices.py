# SPDX-License-Identifier: Apache-2.0
"""Questions with choices as tokens in memory; each choice is a sequence, read by number."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from jaxbert.console import say
from jaxbert.datasets.building import in_chunks
from jaxbert.datasets.in_memory import Sequences
from jaxbert.errors import InputError
from jaxbert.examples.choices import ChoiceQuestion
from jaxbert.features.choices import convert
from jaxbert.features.counts import TextCounts
from jaxbert.io.files import processes
from jaxbert.text.tokenizer import Rules, open_tokenizer

_CHUNK = 500  # questions; handed to a worker at once
_WORTH_WORKERS = 20_000  # questions; below, one core is done before others have helped much

_Part = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], TextCounts]


class ChoiceExamples:
    """The questions of one set.

    Attributes:
        lengths: tokens of each choice with its question [n], int64; the choices of a question are neighbours.
        firsts: for each of Q questions the number of its first choice, and n [Q + 1], int64.
        answers: the place of the right choice in each question [Q], int64; -1 where the file does not say.
        ids: what tells each question apart in its file.
        names: what the file calls each choice of each question.

    Raises:
        InputError: wrong data.
    """

    def __init__(
        self, questions: Iterable[ChoiceQuestion], vocab_file: str, rules: Rules, max_seq_length: int, workers: int
    ) -> None:
        self.ids, self.names = list[str](), list[tuple[str, ...]]()
        answers = list[int]()

        def noted() -> Iterator[ChoiceQuestion]:
            for one in questions:
                self.ids.append(one.id)
                self.names.append(one.names)
                answers.append(-1 if one.answer is None else one.answer)
                yield one

        make = functools.partial(_converter, vocab_file, rules, max_seq_length)
        found = list(in_chunks(noted(), make, processes(workers, [vocab_file]), _CHUNK, _WORTH_WORKERS))
        if not found:
            raise InputError("there are no questions", "give a file with at least one")
        parts, counts = zip(*found, strict=True)
        self._sequences = Sequences(*map(np.concatenate, zip(*parts, strict=True)))
        self.lengths = self._sequences.lengths
        self.firsts = np.cumsum([0, *map(len, self.names)])
        self.answers = np.array(answers, np.int64)
        for note in sum(counts, TextCounts()).notes("", max_seq_length, "choices with their question"):
            say(note)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def checksum(self) -> str:
        """Of all that is learnt from the questions."""
        found = hashlib.sha256()
        for array in (self._sequences.tokens, self._sequences.types, self.lengths, self.firsts, self.answers):
            found.update(array.tobytes())
        return found.hexdigest()

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the choices with these numbers [n]: ids, mask and segments [n, S], `is_answer` [n] 1 or 0."""
        right = self.firsts[:-1] + self.answers
        is_answer = right[np.searchsorted(self.firsts, numbers, side="right") - 1] == numbers
        return self._sequences.read(numbers) | {"is_answer": is_answer.astype(np.int64)}


def _converter(vocab_file: str, rules: Rules, max_seq_length: int) -> Callable[[list[ChoiceQuestion]], _Part]:
    """Questions -> their tokens, with one tokenizer that remembers words for them all."""
    tokenizer = open_tokenizer(vocab_file, rules)
    return lambda questions: convert(questions, tokenizer, max_seq_length)
