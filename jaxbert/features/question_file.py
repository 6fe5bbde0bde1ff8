# SPDX-License-Identifier: Apache-2.0
"""The questions of one SQuAD file with their windows, read from the file as often as they are asked for."""

from collections.abc import Iterator

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph, Question, check_version, read_squad
from jaxbert.features.squad import WindowedQuestion, WindowSettings, ask
from jaxbert.text.tokenizer import Tokenizer


class QuestionFile:
    """A file of questions; making it reads and checks all of it once, and keeps only numbers.

    Attributes:
        path: of the file.
        tokenizer: makes the windows.
        settings: how windows are cut.
        count: number of questions.
        lengths: tokens of each window, special ones included, int64 [n].
        has_answers: whether the file says what is right, so that predictions can be scored.

    Raises:
        InputError: as `read_squad` and `ask`; no question at all; a question that says it has no answer although
            `version_2_with_negative` is false.
    """

    def __init__(
        self, path: str, tokenizer: Tokenizer, settings: WindowSettings, version_2_with_negative: bool
    ) -> None:
        self.path, self.tokenizer, self.settings = path, tokenizer, settings
        self.count, self.has_answers = 0, False
        lengths: list[int] = []
        paragraphs = read_squad(path)
        for paragraph in paragraphs if version_2_with_negative else check_version(paragraphs, False, path):
            for asked in self._ask(paragraph):
                self.count += 1
                self.has_answers |= bool(asked.question.answers or asked.question.is_impossible)
                lengths += [asked.offset + len(window) + 1 for window in asked.windows]
        if not self.count:
            raise InputError(f"`{path}` holds no question", "give a SQuAD file, such as dev-v1.1.json")
        self.lengths = np.array(lengths, np.int64)

    def __iter__(self) -> Iterator[WindowedQuestion]:
        for paragraph in read_squad(self.path):
            yield from self._ask(paragraph)

    def _ask(self, paragraph: Paragraph) -> Iterator[WindowedQuestion]:
        try:
            yield from ask(paragraph, self.tokenizer, self.settings)
        except InputError as error:
            raise InputError(f"`{self.path}` {error.message}", error.hint) from error

    def questions(self) -> list[Question]:
        """All questions with their answers, as they are scored."""
        return [question for paragraph in read_squad(self.path) for question in paragraph.questions]
