# SPDX-License-Identifier: Apache-2.0
"""Data of one's own."""

from pathlib import Path

import pytest

from jaxbert.errors import InputError
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.examples.text_examples import Split, TextExample

NAMES = ColumnNames("review", label="stars", id="key")


def read(split: Split | None) -> list[TextExample]:
    """All examples of a set."""
    assert split is not None
    return list(split())


FILES = {
    "tsv": 'key\tstars\treview\nx\tgood\tI "like it\ny\tbad\tNo\n',
    "csv": 'key,stars,review\nx,good,"I ""like it"\ny,bad,No\n',
    "jsonl": '{"review": "I \\"like it", "stars": "good", "key": "x"}\n{"key": "y", "stars": "bad", "review": "No"}\n',
}


@pytest.mark.parametrize("ending", FILES)
def test_formats(tmp_path: Path, ending: str) -> None:
    """The same table in three formats gives the same examples and the same labels, sorted."""
    path = tmp_path / f"reviews.{ending}"
    path.write_text(FILES[ending])
    dataset = table_dataset(str(path), "", "", NAMES)
    assert dataset.name == "reviews"
    assert dataset.labels == ("bad", "good")
    assert read(dataset.train) == [TextExample('I "like it', None, "good", "x"), TextExample("No", None, "bad", "y")]
    assert dataset.dev is None
    assert not dataset.test


def test_columns_by_number(tmp_path: Path) -> None:
    """Columns given by number mean a file without header; -1 is the last column."""
    path = tmp_path / "pairs.tsv"
    path.write_text("one\ttwo\t1\nthree\tfour\t0\n")
    dataset = table_dataset(str(path), str(path), "", ColumnNames("0", "1", "-1"))
    assert read(dataset.dev) == [TextExample("one", "two", "1", "0"), TextExample("three", "four", "0", "1")]


def test_given_labels_keep_their_order(tmp_path: Path) -> None:
    """Labels named by the user keep their order, and others are errors."""
    path = tmp_path / "reviews.tsv"
    path.write_text(FILES["tsv"])
    assert table_dataset(str(path), "", "", NAMES, ("good", "bad")).labels == ("good", "bad")
    with pytest.raises(InputError, match="line 3: unknown label `bad`"):
        read(table_dataset(str(path), "", "", NAMES, ("good", "worse")).train)


def test_numbers_as_labels(tmp_path: Path) -> None:
    """JSON numbers are class names as written, and numbers for regression."""
    path = tmp_path / "reviews.jsonl"
    path.write_text('{"review": "a", "stars": 10}\n{"review": "b", "stars": 2.5}\n')
    names = ColumnNames("review", label="stars")
    assert table_dataset(str(path), "", "", names).labels == ("10", "2.5")
    regression = table_dataset(str(path), "", "", names, kind="regression")
    assert regression.is_regression
    assert [example.label for example in read(regression.train)] == [10.0, 2.5]


def test_test_file_needs_no_label(tmp_path: Path) -> None:
    """A test file without the label column is read; with it, labels are kept."""
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    train.write_text(FILES["tsv"])
    test.write_text("review\tkey\nHm\tz\n")
    assert read(table_dataset(str(train), "", str(test), NAMES).test[""]) == [TextExample("Hm", None, None, "z")]
    test.write_text(FILES["tsv"])
    assert read(table_dataset(str(train), "", str(test), NAMES).test[""])[0].label == "good"


def test_unknown_column(tmp_path: Path) -> None:
    """A column that does not exist is an error that lists those that do."""
    path = tmp_path / "reviews.csv"
    path.write_text(FILES["csv"])
    dataset = table_dataset(str(path), "", "", ColumnNames("text", label="stars"))
    with pytest.raises(InputError, match=r"no column `text`.*`key`, `stars`, `review`"):
        read(dataset.train)


@pytest.mark.parametrize("row", ['{"stars": "1"}', '{"stars": "1", "review": null}', '{"stars": "1", "review": ["a"]}'])
def test_json_without_text(tmp_path: Path, row: str) -> None:
    """A JSON row that lacks a field, or has no text there, is an error with its line."""
    path = tmp_path / "reviews.jsonl"
    path.write_text('{"stars": "1", "review": "a"}\n' + row)
    with pytest.raises(InputError, match="line 2: expected text or a number at `review`"):
        read(table_dataset(str(path), "", "", ColumnNames("review", label="stars")).train)


def test_labels_must_be_known(tmp_path: Path) -> None:
    """Without a training file the class names must be given."""
    path = tmp_path / "reviews.tsv"
    path.write_text(FILES["tsv"])
    with pytest.raises(InputError, match="class names are not known"):
        table_dataset("", str(path), "", NAMES)
