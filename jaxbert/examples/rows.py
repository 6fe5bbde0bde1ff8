# SPDX-License-Identifier: Apache-2.0
"""Rows of TSV, CSV and JSON-lines files with the number of their line, read as a stream."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from jaxbert.errors import InputError
from jaxbert.io.files import open_input

Row = tuple[int, list[str]]


def tsv_rows(path: str) -> Iterator[Row]:
    """(line number from 1, fields) of each line that is not blank.

    Quotes are characters like any other, as in all official readers: GLUE has unbalanced ones. A byte order mark, CRLF
    and a missing newline at the end of the file are all right.

    Raises:
        InputError: the file cannot be read, is empty or is not UTF-8.
    """
    for number, line in _lines(path):
        text = line.rstrip("\r\n")
        if text:
            yield number, text.split("\t")


def csv_rows(path: str) -> Iterator[Row]:
    """(number of the last line, fields) of each record of a CSV file with the usual double quotes.

    Raises:
        InputError: as `tsv_rows`; and a quote that never ends, or a field above 131,072 characters.
    """
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(
            f"`{path}` line {reader.line_num}: {error}",
            'fields that hold commas or quotes are written "like ""this"""; without quoting use a .tsv file',
        ) from error


def json_rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each line of a JSON-lines file.

    Raises:
        InputError: as `tsv_rows`; and a line that is not a JSON object.
    """
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"`{path}` line {number} is not JSON: {error}", "write one object on each line") from error
        if not isinstance(row, dict):
            raise InputError(f"`{path}` line {number}: expected a JSON object", "write one object on each line")
        yield number, row


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of each line; lines end at LF only."""
    number = 0
    with open_input(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"`{path}` line {number} is not UTF-8: byte `0x{raw[error.start]:02x}`",
                    "convert the file, for example with `iconv -t utf-8`",
                ) from error
    if not number:
        raise InputError(f"`{path}` is empty", "expected one example a line")
