# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: exactly Google's `FullTokenizer`, fast because the pieces of a word seen before are remembered.

A text is cut into chunks at white space, a chunk into words (see `normalize`), and a word into WordPiece pieces, the
longest known one first: `unaffable` is `un ##aff ##able`. What a chunk becomes depends on it alone, so it is worked out
once. `piece_spans` goes back from pieces to the characters of the text.
"""

import array
from collections.abc import Callable, Sequence

import numpy as np

from jaxbert.text.normalize import basic_tokens, chunks, words
from jaxbert.text.vocab import Vocab

MAX_CHARS_PER_WORD = 200  # google-research/bert and tf-models-official 2.2; later official versions have 400
_MOST_REMEMBERED = 1 << 18  # about 50 MB; then the memory is emptied and fills again with what is frequent
_LONGEST_REMEMBERED = 64  # characters; longer chunks hardly come back
_FRAME = "a"  # a letter that no rule changes, to see what a character becomes between others


class Tokenizer:
    """Text to WordPiece ids.

    Special tokens written in the text are ordinary text: "[SEP]" becomes "[", "sep", "]".
    """

    def __init__(self, vocab: Vocab, do_lower_case: bool = True, max_chars_per_word: int = MAX_CHARS_PER_WORD) -> None:
        self.vocab = vocab
        self.do_lower_case = do_lower_case
        self.max_chars_per_word = max_chars_per_word
        self._remembered = _Memory(self._new)

    def ids(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without `[CLS]` and `[SEP]`."""
        return memoryview(self._packed(text)).cast("i").tolist()

    def batch_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`ids` of many texts: all of them one after the other (int32 [T]), and how many each text has (int64 [n])."""
        return _joined(list(map(self._packed, texts)))

    def batch_word_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """As `batch_ids`, faster for texts that come back, such as words: each is remembered in full."""
        return _joined(list(map(self._remembered.__getitem__, texts)))

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text` as strings; those inside a word begin with "##"."""
        return [self.vocab.tokens[index] for index in self.ids(text)]

    def chunk_ids(self, chunk: str) -> list[int]:
        """Ids of the pieces of one chunk (see `normalize.chunks`)."""
        word = chunk.lower() if self.do_lower_case else chunk
        if word.isascii() and word.isalnum():  # then the chunk is one word
            return self.word_ids(word)
        return [index for word in words(chunk, self.do_lower_case) for index in self.word_ids(word)]

    def word_ids(self, word: str) -> list[int]:
        """Ids of the pieces of one word (see `normalize.words`): the longest known piece first, then so on.

        A word longer than `max_chars_per_word`, or with a rest that no piece begins, is one `[UNK]`.
        """
        if len(word) > self.max_chars_per_word:
            return [self.vocab.unk]
        known = self.vocab.ids
        ids: list[int] = []
        rest, mark = word, 0  # the rest of the word with its mark "##", and the length of the mark
        while len(rest) > mark:
            for end in range(len(rest), mark, -1):
                if rest[:end] in known:
                    break
            else:
                return [self.vocab.unk]
            ids.append(known[rest[:end]])
            rest, mark = "##" + rest[end:], 2
        return ids

    def _packed(self, text: str) -> bytes:
        """The ids of `text` as int32 in memory: joining bytes is faster than joining lists."""
        return b"".join(map(self._remembered.__getitem__, chunks(text)))

    def _new(self, text: str) -> bytes:
        """As `_packed`, for a text that is not remembered: one chunk, or a word of several."""
        return array.array("i", self.chunk_ids(text)).tobytes() if chunks(text) == [text] else self._packed(text)


def _joined(packed: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """All ids, and how many each of the texts has."""
    lengths = np.fromiter(map(len, packed), np.int64, len(packed)) // np.int32().itemsize
    return np.frombuffer(b"".join(packed), np.int32), lengths


class _Memory(dict[str, bytes]):
    """Text -> its ids as int32 in memory, for the short texts seen before; a new one is tokenized on look-up."""

    def __init__(self, compute: Callable[[str], bytes]) -> None:
        self.compute = compute

    def __missing__(self, text: str) -> bytes:
        ids = self.compute(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = ids
        return ids


def piece_spans(text: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """First character, and the one after the last, of each piece of `text`, as many as `tokenizer.ids(text)`.

    `Ébc (b` with the pieces `e ##bc ( b` has (0, 1), (1, 3), (4, 5), (5, 6). Accents that were dropped belong to no
    piece. A character that becomes several letters (a Hangul syllable) can belong to several pieces.
    """
    spans: list[tuple[int, int]] = []
    tokens, origins = basic_tokens(text, tokenizer.do_lower_case), word_origins(text, tokenizer.do_lower_case)
    for token, origin in zip(tokens, origins, strict=True):
        ids = tokenizer.word_ids(token)
        begin = 0  # letters of the word before the piece
        for number, id_ in enumerate(ids):
            if len(ids) == 1:  # perhaps `[UNK]`, whose length says nothing
                end = len(origin)
            else:
                end = begin + len(tokenizer.vocab.tokens[id_].removeprefix("##" if number else ""))
            spans.append((origin[begin], origin[end - 1] + 1))
            begin = end
    return spans


def word_origins(text: str, do_lower_case: bool) -> list[list[int]]:
    """For each of the `basic_tokens` of `text`, the character of `text` that each of its letters comes from.

    Each character is normalized between two letters that stay as they are. What stands before the first cut belongs to
    the word so far, and each cut begins another word: `É` gives `aea`, so the letter `e`; a blank gives `a a`, a cut;
    `(` gives `a ( a`, a cut, the word `(`, and a cut.
    """
    words: list[list[int]] = [[]]
    for index, char in enumerate(text):
        first, *others = basic_tokens(f"{_FRAME}{char}{_FRAME}", do_lower_case)
        parts = [first.removeprefix(_FRAME), *others]
        parts[-1] = parts[-1].removesuffix(_FRAME)
        words[-1] += [index] * len(parts[0])
        words += [[index] * len(part) for part in parts[1:]]
    return [word for word in words if word]
