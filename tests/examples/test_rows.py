# SPDX-License-Identifier: Apache-2.0
"""Rows of TSV, CSV and JSON-lines files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.rows import csv_rows, json_rows, tsv_rows

fields = st.lists(st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=("Cs",))), min_size=1)


@given(rows=st.lists(fields.filter(any), min_size=1), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_tsv_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, last: bool) -> None:
    """Any fields without tab and line end are read as they were written, with or without a newline at the end."""
    path = tmp_path_factory.getbasetemp() / "rows.tsv"
    path.write_bytes(("\ufeff" + end.join("\t".join(row) for row in rows) + end * last).encode())
    assert list(tsv_rows(str(path))) == list(enumerate(rows, 1))


def test_tsv_quotes_are_characters(tmp_path: Path) -> None:
    """Quotes, balanced or not, do not join fields or lines."""
    path = tmp_path / "rows.tsv"
    path.write_text('1\t"open\t2\nit "s\t""\t"\n')
    assert list(tsv_rows(str(path))) == [(1, ["1", '"open', "2"]), (2, ['it "s', '""', '"'])]


def test_tsv_blank_lines_are_skipped(tmp_path: Path) -> None:
    """Line numbers count blank lines; a line of empty fields is a row."""
    path = tmp_path / "rows.tsv"
    path.write_text("a\tb\n\n\t\n")
    assert list(tsv_rows(str(path))) == [(1, ["a", "b"]), (3, ["", ""])]


def test_csv_quotes_join(tmp_path: Path) -> None:
    """CSV fields may hold commas, quotes and line breaks."""
    path = tmp_path / "rows.csv"
    path.write_text('a,"b, ""c""\nd",e\n')
    assert list(csv_rows(str(path))) == [(2, ["a", 'b, "c"\nd', "e"])]


def test_csv_open_quote(tmp_path: Path) -> None:
    """A quote that never ends is an error with its line."""
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n"c,d\n')
    with pytest.raises(InputError, match="line 2"):
        list(csv_rows(str(path)))


@pytest.mark.parametrize("line", ["{", "[1]", '"text"'])
def test_json_must_be_objects(tmp_path: Path, line: str) -> None:
    """A line that is no JSON object is an error with its number."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n' + line)
    with pytest.raises(InputError, match="line 3"):
        list(json_rows(str(path)))


@pytest.mark.parametrize("reader", [tsv_rows, csv_rows, json_rows])
def test_wrong_files(tmp_path: Path, reader: Callable[[str], Iterator[object]]) -> None:
    """Missing and empty files and wrong encodings are refused by every reader; the latter with the line."""
    path = tmp_path / "rows"
    with pytest.raises(InputError, match="cannot read"):
        list(reader(str(path)))
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(reader(str(path)))
    path.write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    with pytest.raises(InputError, match="line 2 is not UTF-8: byte `0xe9`"):
        list(reader(str(path)))
