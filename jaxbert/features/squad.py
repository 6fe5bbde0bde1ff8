# SPDX-License-Identifier: Apache-2.0
"""Questions and contexts -> sliding windows of tokens with answer positions, as google-research's `run_squad.py`.

A word is what stands between white space in the context, a piece is a WordPiece token of a word. Pieces are numbered
within their context, positions within their window. With a question of two tokens:

    context        the   dog    ran   home
    words          0     1      2     3
    pieces         the   do ##g ran   home      numbers 0 to 4
    a window       [CLS] where to [SEP] ##g ran home [SEP]     positions 0 to 7; pieces 2 to 4 are at 4 to 6
"""

import bisect
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.squad import Answer, Paragraph, Question, check_version, read_squad
from jaxbert.features.counts import TextCounts
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import Vocab

FIRST_UNIQUE_ID = 1_000_000_000  # of the windows of a record file

_SCORED_HINT = (
    "SQuAD 2.0, where some questions have no answer, is scored with `--version_2_with_negative`, where the model was"
    " trained on it, too; any model answers it with `--mode=predict`"
)
_WORD = re.compile("[^ \t\r\n\u202f]+")


@dataclasses.dataclass(frozen=True)
class WindowSettings:
    """Sizes in tokens.

    Attributes:
        max_seq_length: S, special tokens included.
        doc_stride: pieces between the beginnings of neighbouring windows.
        max_query_length: longer questions are cut.
    """

    max_seq_length: int
    doc_stride: int
    max_query_length: int


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """A context in words and pieces.

    Attributes:
        text: as in the file.
        words: W words.
        word_starts: the character at which each word begins [W].
        first_pieces: the piece with which each word begins, then the number of pieces [W + 1]; a word of nothing but
            control characters has none.
        ids: id of each piece, int64 [T].
    """

    text: str
    words: list[str]
    word_starts: list[int]
    first_pieces: list[int]
    ids: np.ndarray

    def word_at(self, char: int) -> int:
        """The word to which a character belongs; white space belongs to the word before it."""
        return max(bisect.bisect_right(self.word_starts, char) - 1, 0)

    def word_of(self, piece: int) -> int:
        """The word of a piece."""
        return bisect.bisect_right(self.first_pieces, piece) - 1


@dataclasses.dataclass(frozen=True, slots=True)
class WindowedQuestion:
    """A question with the windows of its context.

    Attributes:
        question: as read.
        context: shared by all questions of the paragraph.
        ids: of the question, cut; int64 [Q].
        windows: the pieces in each window.
        answer: first and last piece of the answer to learn; None where there is none.
        is_cut: whether the question was longer.
    """

    question: Question
    context: Context
    ids: np.ndarray
    windows: list[range]
    answer: tuple[int, int] | None = None
    is_cut: bool = False

    @property
    def offset(self) -> int:
        """Position of the first piece in each window, after `[CLS]`, the question and `[SEP]`."""
        return len(self.ids) + 2


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """A training question left out because of its answer, and why."""

    id: str
    reason: str


def split_words(text: str) -> list[str]:
    """The words of `text`: what is between blanks, tabs, line ends and narrow no-break spaces (U+202F)."""
    return _WORD.findall(text)


def make_context(text: str, tokenizer: Tokenizer) -> Context:
    """Split `text` into words and their pieces."""
    words = split_words(text)
    if " ".join(words) == text:  # nearly always; then lengths say it all
        starts = list(itertools.accumulate([len(word) + 1 for word in words], initial=0))[:-1]
    else:
        starts = [match.start() for match in _WORD.finditer(text)]
    ids, lengths = tokenizer.batch_word_ids(words)
    return Context(text, words, starts, [0, *np.cumsum(lengths).tolist()], ids)


def ask(paragraph: Paragraph, tokenizer: Tokenizer, settings: WindowSettings) -> Iterator[WindowedQuestion]:
    """The questions of a paragraph with their windows; answers are not looked at.

    Raises:
        InputError: a question leaves no room for the context.
    """
    context = make_context(paragraph.context, tokenizer)
    ids, lengths = tokenizer.batch_ids([question.text for question in paragraph.questions])
    ends = np.cumsum(lengths).tolist()
    for question, begin, end in zip(paragraph.questions, [0, *ends], ends, strict=False):
        length = min(end - begin, settings.max_query_length)
        room = settings.max_seq_length - length - 3
        if room < 1:
            raise InputError(
                f"question `{question.id}` has {length} tokens: {settings.max_seq_length} leave no room for context",
                "raise `--max_seq_length`, or lower `--max_query_length`",
            )
        windows = make_windows(len(context.ids), room, settings.doc_stride)
        is_cut = length < end - begin
        yield WindowedQuestion(question, context, ids[begin : begin + length], windows, is_cut=is_cut)


def make_windows(pieces: int, room: int, doc_stride: int) -> list[range]:
    """Windows of at most `room` pieces, `doc_stride` apart, until one reaches the end; none for no pieces.

    12 pieces in windows of 5, 3 apart: 0 to 4, 3 to 7, 6 to 10, 9 to 11. Neighbours overlap by two pieces, so that an
    answer of up to three is whole in some window.
    """
    if pieces <= room:
        return [range(pieces)] if pieces else []
    step = min(room, doc_stride)
    last = -(-(pieces - room) // step) * step
    return [range(start, min(start + room, pieces)) for start in range(0, last + 1, step)]


def best_window(windows: Sequence[range], piece: int) -> int:
    """The window that shows most of what is around `piece` on its poorer side; the first of equal ones.

    A piece is in several windows, and an answer counts only in the window that is the best one for its first piece.
    The rule is that of `_check_is_max_context`: the smaller of left and right context, plus 0.01 a piece of the window,
    which lets a full window win against a shorter last one. In the example of `make_windows` piece 7 is in the second
    window (4 before it, 0 behind it) and in the third (1 before, 3 behind): the third is its best.
    """
    if len(windows) == 1:
        return 0
    step, room = windows[1].start, len(windows[0])
    first, last = max(0, (piece - room) // step + 1), min(piece // step, len(windows) - 1)

    def score(number: int) -> float:
        window = windows[number]
        return min(piece - window.start, window.stop - 1 - piece) + 0.01 * len(window)

    return max(range(first, last + 1), key=score)


def teach(paragraph: Paragraph, tokenizer: Tokenizer, settings: WindowSettings) -> Iterator[WindowedQuestion | Skipped]:
    """The questions of a paragraph with their windows and answers.

    Of several answers the first one is taken (Google's script takes no question with several).

    Raises:
        InputError: as `ask`.
    """
    for asked in ask(paragraph, tokenizer, settings):
        yield taught(asked, tokenizer)


def taught(asked: WindowedQuestion, tokenizer: Tokenizer) -> WindowedQuestion | Skipped:
    """The question with its first answer, if it has any; why it is left out where that is not in the context."""
    question = asked.question
    if question.is_impossible:
        return asked
    problem = "has no answer" if not question.answers else _problem(asked.context, question.answers[0])
    if problem:
        return Skipped(question.id, problem)
    return dataclasses.replace(asked, answer=answer_pieces(asked.context, question.answers[0], tokenizer))


def _problem(context: Context, answer: Answer) -> str:
    """Why an answer cannot be learnt; empty when it can.

    As in Google's script, the text must be found in the words at its offset, white space aside.
    """
    wanted = " ".join(answer.text.split())
    if not wanted:
        return "has an empty answer"
    end = answer.start + len(answer.text)
    if not 0 <= answer.start < end <= len(context.text):
        return f"has the answer `{wanted}` at {answer.start}, outside of its context of {len(context.text)} characters"
    words = context.words[context.word_at(answer.start) : context.word_at(end - 1) + 1]
    if wanted in " ".join(words):
        return ""
    return f"has the answer `{wanted}` at {answer.start}, where the context says `{context.text[answer.start : end]}`"


def answer_pieces(context: Context, answer: Answer, tokenizer: Tokenizer) -> tuple[int, int]:
    """First and last piece of an answer: of all its words, or of those pieces in them that are exactly the answer.

    The answer `1895` in the word `(1895-1943).` is one piece of six. Should it come twice, the first one counts.
    """
    first_word, last_word = context.word_at(answer.start), context.word_at(answer.start + len(answer.text) - 1)
    first, last = context.first_pieces[first_word], context.first_pieces[last_word + 1] - 1
    wanted = tokenizer.ids(answer.text)
    pieces = context.ids[first : last + 1].tolist()
    for start in range(len(pieces) - len(wanted) + 1):
        if wanted and pieces[start : start + len(wanted)] == wanted:
            return first + start, first + start + len(wanted) - 1
    return first, last


def window_arrays(
    questions: Sequence[WindowedQuestion], tokenizer: Tokenizer, max_seq_length: int
) -> dict[str, np.ndarray]:
    """`[CLS] question [SEP] window [SEP]` for each of the N windows of the questions, padded with zeros.

    Returns:
        `input_ids`, `input_mask` and `segment_ids` (1 from the first piece on where the tokenizer has segments), int64
        [N, S].
    """
    vocab = tokenizer.vocab
    count = sum(len(asked.windows) for asked in questions)
    ids = np.zeros((count, max_seq_length), np.int64)
    begins, ends = np.zeros((count, 1), np.int64), np.zeros((count, 1), np.int64)
    ids[:, 0] = vocab.cls
    row = 0
    for asked in questions:
        offset = asked.offset
        for window in asked.windows:
            end = offset + len(window)
            ids[row, 1 : offset - 1] = asked.ids
            ids[row, offset - 1] = ids[row, end] = vocab.sep
            ids[row, offset:end] = asked.context.ids[window.start : window.stop]
            begins[row], ends[row] = offset, end
            row += 1
    position = np.arange(max_seq_length)
    mask = position <= ends
    return {
        "input_ids": ids,
        "input_mask": mask.astype(np.int64),
        "segment_ids": (mask & (position >= begins) & tokenizer.rules.segments).astype(np.int64),
    }


def label_arrays(questions: Sequence[WindowedQuestion]) -> dict[str, np.ndarray]:
    """What is to be learnt from each of the N windows.

    Returns:
        `start_positions` and `end_positions`, both 0 where the window does not hold the whole answer, and
        `is_impossible`, 1 where the question has none in the whole context; int64 [N].
    """
    spans: list[tuple[int, int]] = []
    for asked in questions:
        for window in asked.windows:
            if asked.answer is None or asked.answer[0] < window.start or asked.answer[1] >= window.stop:
                spans.append((0, 0))
            else:
                shift = asked.offset - window.start
                spans.append((asked.answer[0] + shift, asked.answer[1] + shift))
    positions = np.array(spans, np.int64).reshape(-1, 2)
    impossible = [bool(asked.question.is_impossible) for asked in questions for _ in asked.windows]
    return {
        "start_positions": positions[:, 0],
        "end_positions": positions[:, 1],
        "is_impossible": np.array(impossible, np.int64),
    }


def text_counts(questions: Sequence[WindowedQuestion], vocab: Vocab) -> TextCounts:
    """Counts of the questions, cut ones as they are cut, and of their contexts, each counted once."""
    contexts = {id(asked.context): asked.context.ids for asked in questions}
    texts = [*contexts.values(), *(asked.ids for asked in questions)]
    return TextCounts(
        texts=len(questions),
        cut=sum(asked.is_cut for asked in questions),
        tokens=sum(map(len, texts)),
        unknown=sum(int(np.count_nonzero(ids == vocab.unk)) for ids in texts),
    )


class QuestionFile:
    """A file of questions; making it reads and checks all of it once, and keeps only numbers.

    Attributes:
        path: of the file.
        tokenizer: makes the windows.
        settings: how windows are cut.
        count: number of questions.
        lengths: tokens of each window, special ones included, int64 [n].
        has_answers: whether the file says what is right, so that predictions can be scored.
        checksum: of contexts, questions and answers, wherever the file is.
        text_counts: of questions and contexts.

    Raises:
        InputError: as `read_squad` and `ask`; no question at all; with `version_2_with_negative` false, a question
            that says it has no answer (None: answers do not matter).
    """

    def __init__(
        self, path: str, tokenizer: Tokenizer, settings: WindowSettings, version_2_with_negative: bool | None
    ) -> None:
        self.path, self.tokenizer, self.settings = path, tokenizer, settings
        self.count, self.has_answers, self.text_counts = 0, False, TextCounts()
        lengths: list[int] = []
        content = hashlib.sha256()
        paragraphs = read_squad(path)
        if version_2_with_negative is False:
            paragraphs = check_version(paragraphs, False, path, _SCORED_HINT)
        for paragraph in paragraphs:
            content.update(repr(paragraph).encode())
            questions = list(self._ask(paragraph))
            self.text_counts += text_counts(questions, tokenizer.vocab)
            for asked in questions:
                self.count += 1
                self.has_answers |= bool(asked.question.answers or asked.question.is_impossible)
                lengths += [asked.offset + len(window) + 1 for window in asked.windows]
        if not self.count:
            raise InputError(f"`{path}` holds no question", "give a SQuAD file, such as dev-v1.1.json")
        self.lengths = np.array(lengths, np.int64)
        self.checksum = content.hexdigest()

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
