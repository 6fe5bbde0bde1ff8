# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: exactly Google's `FullTokenizer`, fast because the pieces of a word seen before are remembered."""

import itertools
from collections.abc import Callable

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

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text` as strings; those inside a word begin with "##"."""
        return [self.vocab.tokens[index] for index in self.ids(text)]

    def chunk_ids(self, chunk: str) -> list[int]:
        """Ids of the pieces of one chunk (see `normalize.chunks`)."""
        return [index for word in words(chunk, self.do_lower_case) for index in self.word_ids(word)]

    def word_ids(self, word: str) -> list[int]:
        """Ids of the pieces of one word (see `normalize.words`): the longest known piece first, then so on.

        A word longer than `max_chars_per_word`, or with a rest that no piece begins, is one `[UNK]`.
        """
        known = self.vocab.ids
        ids: list[int] = []
        start, length = 0, len(word)
        while start < length <= self.max_chars_per_word:
            prefix = "##" if start else ""
            end = next((end for end in range(length, start, -1) if prefix + word[start:end] in known), None)
            if end is None:
                return [self.vocab.unk]
            ids.append(known[prefix + word[start:end]])
            start = end
        return ids if length <= self.max_chars_per_word else [self.vocab.unk]


class _Memory(dict[str, list[int]]):
    """Chunk -> ids for the chunks seen before; a new one is tokenized on look-up."""

    def __init__(self, compute: Callable[[str], list[int]]) -> None:
        self.compute = compute

    def __missing__(self, chunk: str) -> list[int]:
        ids = self.compute(chunk)
        if len(chunk) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[chunk] = ids
        return ids
