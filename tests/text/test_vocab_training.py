# SPDX-License-Identifier: Apache-2.0
"""Vocabularies from text."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxbert.cli import main
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import make_vocab, read_vocab
from jaxbert.text.vocab_training import special_tokens, train_vocab

TEXTS = ["The low lowest lower LOWER, new newest newer!", "Wide wider widest, caf\u00e9 \u4e2d\u6587."] * 20


def test_special_tokens_have_the_ids_of_released_models() -> None:
    """[PAD] is 0, and after 99 free places [UNK], [CLS], [SEP] and [MASK] are 100 to 103."""
    tokens = special_tokens(99)
    assert [tokens.index(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 100, 101, 102, 103]
    assert tokens[1:100] == [f"[unused{number}]" for number in range(1, 100)]
    assert special_tokens(0) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_own_text_needs_no_unk(do_lower_case: bool) -> None:
    """The text the vocabulary comes from has no [UNK], in training and use alike cut, and frequent words are pieces."""
    tokens = train_vocab(lambda: TEXTS, 90, do_lower_case=do_lower_case, num_unused=2)
    assert len(tokens) == len(set(tokens)) <= 90
    tokenizer = Tokenizer(make_vocab(tokens), Rules(do_lower_case))
    pieces = [piece for text in TEXTS for piece in tokenizer.tokens(text)]
    assert "[UNK]" not in pieces
    assert {"low", "\u4e2d", ","} <= set(pieces)
    assert ("LO" in "".join(tokens)) == (not do_lower_case)
    assert ("cafe" in "".join(pieces).replace("##", "")) == do_lower_case


def test_alphabet_is_limited() -> None:
    """The most frequent characters are kept; words with others are [UNK]."""
    tokens = train_vocab(lambda: ["aa ab ba", "z"], 30, num_unused=0, limit_alphabet=2)
    assert {"a", "b", "##a", "##b"} <= set(tokens)
    assert not any("z" in token for token in tokens)


def test_no_room_and_no_words() -> None:
    """A size below the characters, and texts without words, are errors."""
    with pytest.raises(InputError, match="no room for"):
        train_vocab(lambda: TEXTS, 20, num_unused=0)
    with pytest.raises(InputError, match="no words"):
        train_vocab(lambda: ["", " \u200b"], 100)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes a vocabulary that our reader takes, the same one in another process, and never its input."""
    (tmp_path / "text.txt").write_text("\n".join(TEXTS))
    flags = ["train_vocab", f"--input_file={tmp_path}/text.txt", "--vocab_size=300"]
    assert main([*flags, f"--output_file={tmp_path}/vocab.txt"]) == 0
    vocab = read_vocab(str(tmp_path / "vocab.txt"))
    assert f"{len(vocab)} tokens" in capsys.readouterr().out
    assert vocab.unk == 100
    assert main([*flags, f"--output_file={tmp_path}/./text.txt"]) == 2
    assert "is read, and would be written over" in capsys.readouterr().err
    assert (tmp_path / "text.txt").read_text() == "\n".join(TEXTS)
    again = [sys.executable, "-m", "jaxbert", *flags, f"--output_file={tmp_path}/again.txt"]
    subprocess.run(again, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "vocab.txt").read_bytes()
