# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: exactly Google's `FullTokenizer`, fast because the pieces of a word seen before are remembered."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from jaxbert.text.normalize import chunks, words
from jaxbert.text.vocab import Vocab

MAX_CHARS_PER_WORD = 200  # google-research/bert and tf-models-official 2.2; later official versions have 400
_MOST_REMEMBERED = 1 << 18  # about 50 MB; then the memory is emptied and fills again with what is frequent
_LONGEST_REMEMBERED = 64  # characters; longer chunks hardly come back


class Tokenizer:
    """Text to WordPiece ids.

    Special tokens written in the text are ordinary text: "[SEP]" becomes "[", "sep", "]".
    """

    def __init__(self, vocab: Vocab, do_lower_case: bool = True, max_chars_per_word: int = MAX_CHARS_PER_WORD) -> None:
        self.vocab = vocab
        self.do_lower_case = do_lower_case
        self.max_chars_per_word = max_chars_per_word
        self._remembered = _Memory(self.chunk_ids)

    def ids(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without `[CLS]` and `[SEP]`."""
        return list(itertools.chain.from_iterable(map(self._remembered.__getitem__, chunks(text))))

    def batch_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`ids` of many texts: all of them one after the other (int64 [T]), and how many each text has (int64 [n])."""
        split = [chunks(text) for text in texts]
        pieces = list(map(self._remembered.__getitem__, itertools.chain.from_iterable(split)))
        ids = np.fromiter(itertools.chain.from_iterable(pieces), np.int64)
        ends = np.concatenate([[0], np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))])
        chunk_ends = np.cumsum(np.fromiter(map(len, split), np.int64, len(split)))
        return ids, np.diff(ends[chunk_ends], prepend=0)

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text` as strings; those inside a word begin with "##"."""
        return [self.vocab.tokens[index] for index in self.ids(text)]

    def chunk_ids(self, chunk: str) -> tuple[int, ...]:
        """Ids of the pieces of one chunk (see `normalize.chunks`)."""
        word = chunk.lower() if self.do_lower_case else chunk
        if word.isascii() and word.isalnum():  # then the chunk is one word
            return tuple(self.word_ids(word))
        return tuple([index for word in words(chunk, self.do_lower_case) for index in self.word_ids(word)])

    def word_ids(self, word: str) -> list[int]:
        """Ids of the pieces of one word (see `normalize.words`): the longest known piece first, then so on.

        A word longer than `max_chars_per_word`, or with a rest that no piece begins, is one `[UNK]`.
        """
        if len(word) > self.max_chars_per_word:
            return [self.vocab.unk]
        known = self.vocab.ids
        ids: list[int] = []
        rest = word
        while rest:
            piece = rest
            while piece not in known:
                piece = piece[:-1]
                if piece in ("", "##"):
                    return [self.vocab.unk]
            ids.append(known[piece])
            rest = rest[len(piece) :] and "##" + rest[len(piece) :]
        return ids


class _Memory(dict[str, tuple[int, ...]]):
    """Chunk -> ids for the chunks seen before; a new one is tokenized on look-up."""

    def __init__(self, compute: Callable[[str], tuple[int, ...]]) -> None:
        self.compute = compute

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        ids = self.compute(chunk)
        if len(chunk) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[chunk] = ids
        return ids
