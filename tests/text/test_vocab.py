# SPDX-License-Identifier: Apache-2.0
"""The vocabulary file."""

import json
from pathlib import Path

import pytest

from jaxbert.errors import InputError
from jaxbert.text.vocab import lower_cases, make_vocab, read_vocab

SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"


def test_id_is_line_number(tmp_path: Path) -> None:
    """The id of a token is the number of its line, whatever the line ends are; blank lines count."""
    path = tmp_path / "vocab.txt"
    path.write_bytes((SPECIAL + " the\r\n\n##s\t").encode())
    vocab = read_vocab(str(path))
    assert (vocab.unk, vocab.cls, vocab.sep, vocab.mask) == (1, 2, 3, 4)
    assert vocab.tokens[5:] == ("the", "", "##s")
    assert [vocab.ids[token] for token in ("the", "", "##s")] == [5, 6, 7]


def test_only_newline_ends_a_line(tmp_path: Path) -> None:
    """Characters that Python's splitlines takes for line ends stay inside a token."""
    path = tmp_path / "vocab.txt"
    path.write_text(SPECIAL + "a\u2028b\nc", encoding="utf-8", newline="")
    assert read_vocab(str(path)).tokens[5:] == ("a\u2028b", "c")


def test_last_duplicate_wins(tmp_path: Path) -> None:
    """A token on two lines has the id of the second, and both ids are that token."""
    path = tmp_path / "vocab.txt"
    path.write_text(SPECIAL + "twice\nonce\ntwice\n")
    vocab = read_vocab(str(path))
    assert vocab.ids["twice"] == 7
    assert vocab.tokens[5] == vocab.tokens[7] == "twice"
    assert len(vocab) == 8


def test_padding_token_may_have_another_name(tmp_path: Path) -> None:
    """A file without `[PAD]` is read: padding is id 0 by definition."""
    path = tmp_path / "vocab.txt"
    path.write_text("[unused0]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    assert read_vocab(str(path)).tokens[0] == "[unused0]"


@pytest.mark.parametrize("missing", ["[UNK]", "[CLS]", "[SEP]", "[MASK]"])
def test_special_tokens_must_exist(tmp_path: Path, missing: str) -> None:
    """Without a special token there is a message that names it and the file."""
    path = tmp_path / "vocab.txt"
    path.write_text(SPECIAL.replace(missing, "[other]"))
    with pytest.raises(InputError) as caught:
        read_vocab(str(path))
    assert f"`{missing}`" in caught.value.message
    assert str(path) in caught.value.message


def test_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused with the number of the line."""
    path = tmp_path / "vocab.txt"
    path.write_bytes(SPECIAL.encode() + b"caf\xe9\n")
    with pytest.raises(InputError, match="line 6 is not UTF-8"):
        read_vocab(str(path))


@pytest.mark.parametrize(
    ("name", "size"), [("uncased_en", 30522), ("cased_en", 28996), ("multi_cased", 119547), ("chinese", 21128)]
)
def test_released_vocabularies(shared: Path, name: str, size: int) -> None:
    """The released files have the sizes of their embedding tables."""
    assert len(read_vocab(str(shared / "data/vocab" / name / "vocab.txt"))) == size


UNCASED = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "<S>",
    *(f"word{number}" for number in range(200)),
    "##x",
    "1",
    ".",
]


def test_tokens_with_the_same_id_are_refused(tmp_path: Path) -> None:
    """A `vocab.txt` could hold only one of them, so that the other would be lost in a conversion."""
    path = tmp_path / "tokenizer.json"
    vocab = {token: number for number, token in enumerate(UNCASED)} | {"twin": 7}
    path.write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocab}}))
    with pytest.raises(InputError, match=f"`{UNCASED[7]}` and `twin` have the same id 7"):
        read_vocab(str(path))


@pytest.mark.parametrize(
    ("words", "is_cased"),
    [
        ([], False),
        (["COVID", "Brexit", "[X]", "##XY"], False),
        ([f"Word{number}" for number in range(40)], True),
        (["\u4e2d", "\u6587"] * 100, False),
        (["\u0915\u093f\u0902", "\u0939\u0948"] * 20, True),
        (["\uac00"] * 20, True),
        (["f\u00fcr", "\u00e9t\u00e9"] * 20, False),
    ],
    ids=[
        "uncased",
        "few capitals",
        "cased",
        "Chinese",
        "Hindi with vowel signs",
        "Korean syllables",
        "lower with accents",
    ],
)
def test_case_is_decided_by_share(words: list[str], is_cased: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A few capitalised words do not make a cased vocabulary; the decision is said, unless it is the user's."""
    vocab = make_vocab([*UNCASED, *words])
    assert vocab.is_cased == is_cased
    assert lower_cases(None, vocab) is not is_cased
    said = capsys.readouterr().err
    assert said.startswith("text keeps its case: " if is_cased else "text is lower-cased: ")
    assert lower_cases(is_cased, vocab) is is_cased
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["uncased_en", "cased_en", "multi_cased", "chinese"])
def test_case_of_released_vocabularies(shared: Path, name: str) -> None:
    """Those with "cased" in their name keep case, even with all free lines of the uncased one filled with names."""
    vocab = read_vocab(str(shared / "data/vocab" / name / "vocab.txt"))
    assert vocab.is_cased == (name in ("cased_en", "multi_cased"))
    filled = [f"Name{index}" if token.startswith("[unused") else token for index, token in enumerate(vocab.tokens)]
    assert make_vocab(filled).is_cased == vocab.is_cased
