# SPDX-License-Identifier: Apache-2.0
"""Rows of TSV, CSV and JSON-lines files; how they are written is found out."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.rows import SEPARATORS, csv_rows, find_separator, json_rows, quotes_of_tsv, tsv_rows, typed_rows

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


@pytest.mark.parametrize(("name", "reader"), [("a.tsv", tsv_rows), ("a.csv", csv_rows)])
def test_blank_lines_among_texts_are_told(
    name: str, reader: Callable[[str], Iterator[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A blank line may be meant as an empty text where a row is one text; at the end, or among columns, it is not."""
    for content, is_told in (("a\n\nb\n\nc\n", True), ("a\nb\n\n", False), ("a,\tx\n\nb,\ty\n", False)):
        path = tmp_path / f"{is_told}{len(content)}{name}"
        path.write_text(content)
        rows = [fields for _, fields in reader(str(path))]
        assert [fields[0].rstrip(",") for fields in rows] == [line[0] for line in content.splitlines() if line]
        told = f"`{path}` line 2 is blank: blank lines are no examples, and are not counted"
        assert (told in capsys.readouterr().err) == is_told


def test_long_fields(tmp_path: Path) -> None:
    """A text of a million characters is read; a longer one is refused with what may be wrong."""
    path = tmp_path / "long.csv"
    path.write_text(f"{'x' * (1 << 20)},a\n")
    assert [len(field) for _, fields in csv_rows(str(path)) for field in fields] == [1 << 20, 1]
    path.write_text(f"b,c\n{'x' * (1 << 20)}x,a\n")
    with pytest.raises(InputError, match="line 2: a field has more than 1,048,576 characters") as caught:
        list(csv_rows(str(path)))
    assert "JSON lines" in caught.value.hint


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


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_by_its_mark(encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each reader reads UTF-16 that begins with its mark, and that is said once."""
    texts = {
        tsv_rows: "a\tgr\u010a\r\n\u0d0a\tc",
        csv_rows: 'a,"gr\u010a\n"\r\n',
        json_rows: '{"a": "\u010a"}\n\n{"a": 1}',
    }
    for reader, text in texts.items():
        plain, wide = tmp_path / "plain", tmp_path / f"{reader.__name__}-wide"
        plain.write_bytes(text.encode())
        wide.write_bytes(("\ufeff" + text).encode(encoding))
        for _ in range(2):
            assert list(reader(str(wide))) == list(reader(str(plain)))
        assert capsys.readouterr().err == f"`{wide}` is UTF-16, by its mark\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea", "has the mark of UTF-16, but is not"),
        (b"\xff\xfe", "is empty"),
        (b"PK\3\4..", "is a ZIP archive"),
        (b"\x1f\x8b\x08", "is compressed by gzip"),
        (b"\x12" + bytes(7) + b"\x98\x01", "is binary, as TFRecords are"),
    ],
)
def test_what_is_no_text(content: bytes, message: str, tmp_path: Path) -> None:
    """A wrong mark, nothing but a mark, and the file of a spreadsheet are refused by name."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(csv_rows(str(tmp_path / "a.csv")))


cells = st.text(st.sampled_from("ab;,\t\"\n '"), max_size=5)


def write_cells(path: Path, rows: list[list[str]], separator: str) -> str:
    """The file as a spreadsheet writes it."""
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return str(path)


@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=4), separator=st.sampled_from([*SEPARATORS]))
def test_separators_are_found_by_names(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str
) -> None:
    """Whatever the cells hold, the names of the columns tell what separates them, and every cell is read as it was."""
    path = write_cells(tmp_path_factory.getbasetemp() / "cells.csv", [["text", "label"], *rows], separator)
    assert find_separator(path, ["text", "label"], []) == separator
    assert [fields for _, fields in csv_rows(path, separator)] == [["text", "label"], *rows]


def test_separators_by_number(tmp_path: Path) -> None:
    """Without names it is what gives each row as many fields; where that is not clear it is asked back."""
    path = tmp_path / "a.csv"
    path.write_text("Fine, really;1\nDull;0\n")
    assert find_separator(str(path), [], [0, 1]) == ";"
    path.write_text("Fine; really,1\nDull,0\n")
    assert find_separator(str(path), [], [0, -1]) == ","
    path.write_text("2,5;Fine\n3,0;Dull\n")
    with pytest.raises(InputError, match="may be separated by commas or by semicolons\nhint: write names"):
        find_separator(str(path), [], [0, 1])


@given(rows=st.lists(st.lists(st.text(st.sampled_from('ab" '), max_size=6), min_size=2, max_size=2), min_size=1))
def test_quotes_of_a_spreadsheet(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    """Of what a spreadsheet wrote, with a quote in some cell, each cell is read as it was."""
    path = write_cells(tmp_path_factory.getbasetemp() / "cells.tsv", [["text", "label"], ['"Yes"', "a"], *rows], "\t")
    assert quotes_of_tsv(path) == "spreadsheet"


tokens = st.lists(st.sampled_from(["a", '"', '"b', 'c"', '"d"', "it's"]), min_size=1, max_size=4).map(" ".join)


@given(rows=st.lists(st.lists(tokens, min_size=3, max_size=3), min_size=1))
def test_quotes_of_glue(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    """Texts in which quotes stand as they are in GLUE, whole or halved, are never taken for those of a spreadsheet."""
    path = tmp_path_factory.getbasetemp() / "tokens.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [["a", "b", "c"], *rows]))
    assert quotes_of_tsv(str(path)) != "spreadsheet"


def test_quotes_by_example(tmp_path: Path) -> None:
    """Cells of several lines or with tabs, and files all in quotes, are a spreadsheet's; those of R are not."""
    path = tmp_path / "a.tsv"
    for text, quotes in {
        'text\tlabel\n"one\ntwo"\tx\n': "spreadsheet",
        'text\tlabel\n"one\ttwo"\tx\n': "spreadsheet",
        '"text"\t"label"\n"one"\t"x"\n': "spreadsheet",
        'text\tlabel\n"one"\tx\n': "characters",
        'text\tlabel\n"one\tx\ntwo"\ty\n': "characters",
        '"text"\t"label"\n"a \\"b\\""\t"x"\n': "characters",
        "text\tlabel\none\tx\n": "none",
        'text\tlabel\n6" long\tx\n': "none",
    }.items():
        path.write_text(text)
        assert quotes_of_tsv(str(path)) == quotes, text


def test_typed_rows() -> None:
    """Values are the fields of a text file, empty where there is none; of several labels there may be a list."""
    rows = [(1, ["a", 2.5]), (2, [True, None]), (3, ["c", ["x", "y"]])]
    assert list(typed_rows("f", "row", rows, ["text", "label"], "label", several=True)) == [
        (1, ["a", "2.5"]),
        (2, ["true", ""]),
        (3, ["c", "x|y"]),
    ]
    with pytest.raises(InputError, match=r"`f` row 3: .* `label`, found `\[\"x\", \"y\"\]`\nhint: .*`--multi_label`"):
        list(typed_rows("f", "row", rows, ["text", "label"], "label"))
    with pytest.raises(InputError, match="`f` row 1: expected text or a number at `label`, found `NaN`"):
        list(typed_rows("f", "row", [(1, ["a", float("nan")])], ["text", "label"], "label"))
    assert list(typed_rows("f", "row", [(1, [None])], ["text"])) == [(1, [""])]
