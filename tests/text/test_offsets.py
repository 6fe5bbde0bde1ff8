# SPDX-License-Identifier: Apache-2.0
"""From pieces back to characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.text.normalize import basic_tokens
from jaxbert.text.tokenizer import Tokenizer, word_origins
from jaxbert.text.vocab import make_vocab

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = Tokenizer(
    make_vocab([*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "ab", "##bc", "中", "国", "(", ")", "."])
)
AWKWARD = st.text(
    st.one_of(st.sampled_from("abcABC .()中国\u00a0\u200b\u0301\x0bÉéÅßİΣς한½ﬁ\t"), st.characters()), max_size=20
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("abc", ["ab", "c"]),
        ("A bc", ["A", "b", "c"]),
        ("Ébc(b)", ["É", "bc", "(", "b", ")"]),
        ("e\u0301b", ["e", "b"]),
        ("a\u200bb", ["a\u200bb"]),
        ("中国ab", ["中", "国", "ab"]),
        ("a\u00a0b", ["a", "b"]),
        ("aəb c", ["aəb", "c"]),
    ],
)
def test_parts(text: str, parts: list[str]) -> None:
    """Each piece is found where it stands, in spite of case, accents, invisible and unknown characters."""
    assert [text[begin:end] for begin, end in TOKENIZER.piece_spans(text)] == parts


@given(AWKWARD)
def test_as_many_as_pieces(text: str) -> None:
    """There is a span for every piece; spans are not empty, lie within the text and never go back."""
    spans = TOKENIZER.piece_spans(text)
    assert len(spans) == len(TOKENIZER.ids(text))
    assert all(0 <= begin < end <= len(text) for begin, end in spans)
    assert spans == sorted(spans)


@given(AWKWARD, st.booleans())
def test_origins_fit_the_words(text: str, do_lower_case: bool) -> None:
    """Character for character, a word comes from characters that become it."""
    tokens, origins = basic_tokens(text, do_lower_case), word_origins(text, do_lower_case)
    assert [len(origin) for origin in origins] == [len(token) for token in tokens]
    for token, origin in zip(tokens, origins, strict=True):
        for char, index in zip(token, origin, strict=True):
            source = text[index]
            shapes = unicodedata.normalize("NFD", source.lower()) if do_lower_case else source
            assert char in shapes or (char, source) == ("ς", "Σ")
