# SPDX-License-Identifier: Apache-2.0
"""Where the words of a text are: cut as BERT cuts, so that their tokens are those of the text."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxbert.text.normalize import word_places
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import Vocab

NOT_CUT_BY_LIBRARY = range(0x2B820, 0x2B920)  # tokenizers 0.23.3, findings/tokenizers_chinese_block.sh
LETTERS = string.ascii_letters + string.digits + string.punctuation + "éß中"
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{one}" for one in LETTERS))
VOCAB = Vocab(TOKENS, {token: number for number, token in enumerate(TOKENS)}, "vocab.txt")


@pytest.mark.parametrize("rules", [Rules(), Rules(lower_case=False), Rules(library=True)])
@given(text=st.text(st.one_of(st.sampled_from(LETTERS + " \t\n\u00a0\u2014\u0301\u0085\u200b"), st.characters())))
def test_tokens_of_the_words_are_those_of_the_text(rules: Rules, text: str) -> None:
    """For any text, whatever it holds: control characters, accents, Chinese, rare white space."""
    assume(not (rules.library and any(ord(char) in NOT_CUT_BY_LIBRARY for char in text)))
    tokenizer = Tokenizer(VOCAB, rules)
    places = word_places(text)
    assert [id_ for begin, end in places for id_ in tokenizer.ids(text[begin:end])] == tokenizer.ids(text)
    assert places == sorted(places)
    assert all(0 <= begin < end <= len(text) for begin, end in places)


def test_characters_that_the_library_does_not_cut() -> None:
    """The first 256 of a block of Chinese characters are words here, as for Google's code, and letters for it."""
    texts = ["a" + chr(char) for char in NOT_CUT_BY_LIBRARY]
    assert all(len(word_places(text)) == 2 for text in texts)
    assert [len(Tokenizer(VOCAB, Rules()).words(text)) for text in texts] == [2] * 256
    assert [len(Tokenizer(VOCAB, Rules(library=True)).words(text)) for text in texts] == [1] * 256


def test_words() -> None:
    """Punctuation and Chinese characters are words of their own; a mark belongs to its letter."""
    text = "Don't,  caf\u0065\u0301 中文!\n"
    assert [text[begin:end] for begin, end in word_places(text)] == [
        *("Don", "'", "t", ",", "cafe\u0301", "中", "文", "!")
    ]
