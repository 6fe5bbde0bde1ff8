# SPDX-License-Identifier: Apache-2.0
"""Windows of words: each word is answered once, at its first piece, where most of it is around."""

import random

import numpy as np
import pytest

from jaxbert.features.tagging import WordWindows, word_windows
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import Vocab

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b")


@pytest.fixture
def tokenizer() -> Tokenizer:
    """Words of a and b: a piece a letter."""
    return Tokenizer(Vocab(TOKENS, {token: number for number, token in enumerate(TOKENS)}, "vocab.txt"), Rules())


def windows_of(made: WordWindows) -> list[tuple[list[int], list[int]]]:
    """Ids and asked words of each window."""
    ends = np.cumsum(made.lengths).tolist()
    return [
        (made.ids[end - size : end].tolist(), made.words[end - size : end].tolist())
        for end, size in zip(ends, made.lengths.tolist(), strict=True)
    ]


def some_texts(chance: random.Random) -> list[list[str]]:
    """Texts of words of 1 to 4 letters."""
    return [
        ["".join(chance.choices("ab", k=chance.randint(1, 4))) for _ in range(chance.randint(0, 30))]
        for _ in range(chance.randint(1, 6))
    ]


def test_each_word_is_answered_once_at_its_first_piece(tokenizer: Tokenizer, chance: random.Random) -> None:
    """For any texts and lengths of windows; `[CLS]` and `[SEP]` stand around pieces that follow each other."""
    for _ in range(200):
        texts, longest = some_texts(chance), chance.randint(4, 24)
        made = word_windows(texts, tokenizer, longest)
        words = [word for text in texts for word in text]
        assert sorted(made.words[made.words > 0].tolist()) == list(range(1, len(words) + 1))
        pieces = [tokenizer.ids(" ".join(text)) for text in texts]
        for ids, asked in windows_of(made):
            assert len(ids) <= longest
            assert (ids[0], ids[-1], asked[0], asked[-1]) == (2, 3, 0, 0)
            assert any(ids[1:-1] == text[at : at + len(ids) - 2] for text in pieces for at in range(len(text)))
            for id_, word in zip(ids, asked, strict=True):
                assert not word or TOKENS[id_] == words[word - 1][0]
        assert made.counts.long == sum(len(text) > longest - 2 for text in pieces)
        assert made.counts.tokens == sum(map(len, pieces))


def test_a_word_is_answered_where_it_has_most_context(tokenizer: Tokenizer) -> None:
    """No other window has more on the poorer side of its first piece; half a window or less is never missing."""
    text = ["ab", "a", "bab", "b"] * 20
    room = 12
    made = word_windows([text], tokenizer, room + 2)
    starts = np.cumsum([0, *map(len, text)])
    for number, (ids, asked) in enumerate(windows_of(made)):
        first = min(starts[word - 1] - place + 1 for place, word in enumerate(asked) if word)  # of the window
        for place, word in enumerate(asked):
            if word:
                left, right = place - 1, len(ids) - 2 - place
                at_ends = starts[word - 1] < room // 4, starts[-1] - starts[word - 1] <= room // 4
                assert at_ends[0] or left >= room // 4 - 1, (number, first)
                assert at_ends[1] or right >= room // 4 - 1, (number, first)
    assert len(windows_of(made)) > 10


def test_a_word_without_pieces_is_unknown(tokenizer: Tokenizer) -> None:
    """Control characters alone: the word is answered, as `[UNK]`, and those around it stay what they are."""
    made = word_windows([["a", "\u200b", "ba"], [], ["\x00"]], tokenizer, 16)
    assert windows_of(made) == [([2, 5, 1, 6, 7, 3], [0, 1, 2, 3, 0, 0]), ([2, 1, 3], [0, 4, 0])]
    assert made.counts.unknown == 2
