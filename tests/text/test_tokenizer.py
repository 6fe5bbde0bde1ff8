# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: as the plain procedure, and from pieces back to characters."""

import json
import sys
import unicodedata
from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxbert.text import tokenizer as tokenizer_module
from jaxbert.text.normalize import basic_tokens
from jaxbert.text.tokenizer import Tokenizer, piece_spans, word_origins
from jaxbert.text.vocab import Vocab, make_vocab, read_vocab
from tests.text.plain_tokenizer import plain_tokens, plain_words

PIECES = "the run ##ning ##s e cafe un ##aff ##able 中 文 . , ! $ ' - [ ] cls sep й ##й σ ς ss ß a ##a A B ##B é"
WORDS = PIECES.split()
# Where rules and Python disagree on white space, where lower case depends on neighbours, marks, format characters,
# ideographs inside and outside the isolated blocks, punctuation beyond ASCII, private use.
AWKWARD = (
    "\x00\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\xad\u1680\u2003\u2028\u2029\u200b\u200d\u3000\ufeff\ufffd\ue000ΣσİßÉe\u0301ﬁ"
)
AWKWARD += "中文㐀\u9fff\uac00かタ豈\u2f00\U00020000\U0002b820\U0002ceaf\U0002f800\U00030000।、¿«–'$^`|~\u0e01\u0e34"

texts = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from(AWKWARD + " \t\r\n.,aA"), max_size=40),
    st.lists(st.sampled_from([*WORDS, "running", "unaffable", "[SEP]", "\x1c", "Runs,", *AWKWARD]), max_size=12).map(
        " ".join
    ),
)


@pytest.fixture(scope="module")
def vocab() -> Vocab:
    """Special tokens and a few words, some of them pieces."""
    return make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])


@pytest.mark.parametrize("lower", [True, False])
def test_every_code_point(vocab: Vocab, lower: bool) -> None:
    """Each assigned character (and some others), between letters, gives the words of the published rules."""
    codes = [code for code in range(sys.maxunicode + 1) if code % 97 == 0 or category(chr(code)) not in ("Cn", "Co")]
    for start in range(0, len(codes), 64):
        text = "B".join(map(chr, codes[start : start + 64]))
        assert basic_tokens(text, lower) == plain_words(text, lower), f"among the 64 from U+{codes[start]:04X}"


@settings(max_examples=300, deadline=None)
@given(texts, st.booleans())
@example("a\x0bb \x85c\u2028d", True)
@example("ΟΔΟΣ ΟΔΟΣ, Σ", True)
def test_equals_the_rules(vocab: Vocab, text: str, lower: bool) -> None:
    """Any text gives the pieces of the published rules, the second time as the first."""
    tokenizer = Tokenizer(vocab, lower)
    expected = plain_tokens(text, vocab.ids, lower)
    assert tokenizer.tokens(text) == expected
    assert tokenizer.tokens(text) == expected
    assert tokenizer.ids(text) == [vocab.ids[token] for token in expected]


@settings(max_examples=50, deadline=None)
@given(st.lists(texts, max_size=4))
def test_many_texts(vocab: Vocab, many: list[str]) -> None:
    """Texts tokenized together have the ids that each has alone."""
    tokenizer = Tokenizer(vocab)
    ids, lengths = tokenizer.batch_ids(many)
    assert len(lengths) == len(many)
    ends = lengths.cumsum()
    for text, start, end in zip(many, ends - lengths, ends, strict=True):
        assert ids[start:end].tolist() == tokenizer.ids(text)


def test_awkward_texts(vocab: Vocab) -> None:
    """The rules worth knowing, by example."""
    tokens = Tokenizer(vocab).tokens
    assert tokens("Running unaffable") == ["run", "##ning", "un", "##aff", "##able"]
    assert tokens("runningx") == ["[UNK]"]
    assert tokens("[CLS]") == ["[", "cls", "]"]
    assert tokens("Café CAFE\u0301") == ["cafe", "cafe"]
    assert tokens("th\x1ce") == ["the"]
    assert tokens("the\u2028the") == ["the", "the"]
    assert tokens("中文the") == ["中", "文", "the"]
    assert tokens("\u200b\ufffd") == []
    assert Tokenizer(vocab, do_lower_case=False).tokens("The é") == ["[UNK]", "é"]


def test_longest_word(vocab: Vocab) -> None:
    """A word of `max_chars_per_word` characters is cut into pieces, a longer one is unknown."""
    tokenizer = Tokenizer(vocab, max_chars_per_word=5)
    assert tokenizer.tokens("aaaaa aaaaaa") == ["a", "##a", "##a", "##a", "##a", "[UNK]"]
    assert Tokenizer(vocab).tokens("a" * 200) == ["a"] + ["##a"] * 199
    assert Tokenizer(vocab).tokens("a" * 201) == ["[UNK]"]


def test_memory_is_bounded(vocab: Vocab, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different words come, few are held, and all are tokenized right."""
    monkeypatch.setattr(tokenizer_module, "_MOST_REMEMBERED", 3)
    tokenizer = Tokenizer(vocab)
    for word in [*WORDS, *WORDS]:
        assert tokenizer.tokens(word) == plain_tokens(word, vocab.ids, True)
        assert len(tokenizer._remembered) <= 3
    tokenizer.ids("a" * 150)
    assert "a" * 150 not in tokenizer._remembered


@pytest.mark.parametrize("version", ["2.3", "2.20"])
def test_official_tokens(shared: Path, version: str) -> None:
    """The official tokenizer's words, pieces and ids of awkward texts."""
    vocab = read_vocab(str(shared / "official/inputs/vocab.txt"))
    cases = json.loads((shared / f"official/golden_text/tokenization_{version}.json").read_text())
    assert cases
    for case in cases:
        tokenizer = Tokenizer(vocab, case["lower"], max_chars_per_word=400)  # the limit of these versions
        assert basic_tokens(case["text"], case["lower"]) == case["basic"]
        assert tokenizer.tokens(case["text"]) == case["tokens"]
        assert tokenizer.ids(case["text"]) == case["ids"]


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTER_TOKENIZER = Tokenizer(
    make_vocab([*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "ab", "##bc", "中", "国", "(", ")", "."])
)
AWKWARD_TEXT = st.text(
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
    assert [text[begin:end] for begin, end in piece_spans(text, LETTER_TOKENIZER)] == parts


@given(AWKWARD_TEXT)
def test_as_many_as_pieces(text: str) -> None:
    """There is a span for every piece; spans are not empty, lie within the text and never go back."""
    spans = piece_spans(text, LETTER_TOKENIZER)
    assert len(spans) == len(LETTER_TOKENIZER.ids(text))
    assert all(0 <= begin < end <= len(text) for begin, end in spans)
    assert spans == sorted(spans)


@given(AWKWARD_TEXT, st.booleans())
def test_origins_fit_the_words(text: str, do_lower_case: bool) -> None:
    """Character for character, a word comes from characters that become it."""
    tokens, origins = basic_tokens(text, do_lower_case), word_origins(text, do_lower_case)
    assert [len(origin) for origin in origins] == [len(token) for token in tokens]
    for token, origin in zip(tokens, origins, strict=True):
        for char, index in zip(token, origin, strict=True):
            source = text[index]
            shapes = unicodedata.normalize("NFD", source.lower()) if do_lower_case else source
            assert char in shapes or (char, source) == ("ς", "Σ")
