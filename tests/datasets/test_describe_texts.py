# SPDX-License-Identifier: Apache-2.0
"""`inspect` on a table of texts, before a model is trained on it."""

from pathlib import Path

import pytest

from jaxbert.cli import main
from jaxbert.datasets.describe_texts import describe_texts
from jaxbert.errors import InputError
from jaxbert.examples.table import ColumnNames
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import make_vocab

TRAIN = "a,b,label\nred blue,green,good\nred,,bad\nred blue,green,bad\n,x,good\nred blue,green,good\nx,y,odd\n"
EVAL = "a,b,label\nred,blue,bad\nred blue,green,bad\nx,y,new\n"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[str, str]:
    """The two tables."""
    paths = (tmp_path / "train.csv", tmp_path / "eval.csv")
    for path, content in zip(paths, (TRAIN, EVAL), strict=True):
        path.write_text(content)
    return str(paths[0]), str(paths[1])


def lines(path: str, eval_path: str | None, tokenizer: Tokenizer | None, limit: int = 5) -> list[tuple[str, str]]:
    """Name and text of each line on pairs of texts."""
    found = describe_texts(path, eval_path, ColumnNames("a", "b", "label"), tokenizer, limit)
    return [(line[:15].strip(), line[16:]) for line in found]


def test_pairs_are_counted(tables: tuple[str, str]) -> None:
    """Empty and short ones, labels, those that come again, and with another label; lengths in words."""
    assert lines(tables[0], None, None) == [
        ("texts", "6 examples, 2 empty, 1 of 1 or 2 characters"),
        ("labels", "`good` 3, `bad` 2, `odd` 1"),
        ("words", "1 to 3 an example, median 2, 95 % have up to 3"),
        ("duplicates", "2 examples have the texts of an earlier one, 1 of them with another label"),
    ]


def test_tokens_are_those_of_the_model(tables: tuple[str, str]) -> None:
    """With a vocabulary: special tokens included, a second [SEP] only where there is a second text; [UNK] is told."""
    vocab = make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "green", "y"])
    found = dict(lines(tables[0], None, Tokenizer(vocab, Rules(True))))
    # Sizes are 6, 3, 6, 4, 6, 5 of which two are [UNK].
    assert (
        found["tokens"]
        == "3 to 6 an example, median 6, 95 % have up to 6; 3 (50.0%) are longer than 5 and would be cut"
    )
    assert found["unknown"].startswith("6.7% of the tokens are [UNK]")


def test_texts_in_both_files(tables: tuple[str, str]) -> None:
    """Pairs count as in both where both texts are; a label that only the second file has is told."""
    found = lines(tables[0], tables[1], None)[4:]
    assert found[1] == ("texts", "3 examples, 1 of 1 or 2 characters")
    assert found[-2:] == [
        ("in both", "2 different texts are in both files, 2 with another label"),
        ("new classes", f"`new` are not in `{tables[0]}`"),
    ]


def test_labels_that_are_numbers_are_compared_as_such(tmp_path: Path) -> None:
    """Where one is not whole, 4 and 4.00 are the same, in one file and in both; whole ones alone name classes."""
    paths = [str(tmp_path / name) for name in ("train.csv", "eval.csv")]
    for path, labels in zip(paths, (("4", "4.0", "1.5"), ("4.00", "2.5", "3")), strict=True):
        Path(path).write_text("a,b,label\n" + "".join(f"x,y,{label}\n" for label in labels))
    found = lines(paths[0], paths[1], None)
    assert found[1] == ("labels", "numbers from 1.5 to 4: `--regression`")
    assert found[3] == ("duplicates", "2 examples have the texts of an earlier one, 1 of them with another label")
    assert found[-1] == ("in both", "1 different text is in both files")
    Path(paths[1]).write_text("a,b,label\nx,y,3\nz,z,four\n")
    assert ("labels", "numbers from 3 to 3, but `four`: `--regression`") in lines(paths[0], paths[1], None)
    Path(paths[0]).write_text("a,b,label\nx,y,1\nz,z,1.0\n")
    assert dict(lines(paths[0], None, None))["labels"] == "`1` 1, `1.0` 1"


def test_a_table_is_looked_at_by_itself(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The command finds columns with usual names; others have to be named, and must be there."""
    path = Path(tables[0]).with_name("usual.csv")
    path.write_text("sentence,label\nred,good\nred,bad\n")
    assert main(["inspect", str(path)]) == 0
    assert "duplicates      1 example has the texts of an earlier one, 1 of them" in capsys.readouterr().out
    assert main(["inspect", tables[0]]) == 0
    assert "texts  " not in capsys.readouterr().out
    assert main(["inspect", tables[0], "--text_a_column=a", f"--eval_file={tables[1]}"]) == 0
    assert "in both         3 different texts are in both files\n" in capsys.readouterr().out
    assert main(["inspect", tables[0], "--text_a_column=c"]) == 2
    assert main(["inspect", tables[0], f"--eval_file={tables[1]}"]) == 2
    assert "no column of" in capsys.readouterr().err


def test_no_rows(tmp_path: Path) -> None:
    """A table of a header alone is refused."""
    (tmp_path / "none.csv").write_text("a,b,label\n")
    with pytest.raises(InputError, match="holds no examples"):
        lines(str(tmp_path / "none.csv"), None, None)
