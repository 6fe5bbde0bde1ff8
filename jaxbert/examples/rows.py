# SPDX-License-Identifier: Apache-2.0
"""Rows of TSV, CSV and JSON-lines files with the number of their line, read as a stream."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Literal

from jaxbert.console import say_once
from jaxbert.errors import InputError
from jaxbert.io.files import open_input, refuse_no_text

Row = tuple[int, list[str]]
Quotes = Literal["none", "characters", "spreadsheet"]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_LOOKED_AT = 20  # rows that must have as many fields where no name of a column says what separates them
_SEVERAL_HINT = (
    "where an example may have several labels give `--multi_label`, or of create_finetuning_data"
    " `--fine_tuning_task_type=multi_label`"
)
_LONGEST = 1 << 20  # characters of a record with line breaks inside of quotes
_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")
# Quotes as spreadsheets write them: around a whole field, and doubled inside.
_QUOTED = re.compile(r'"(?:[^"]++|"")*+"')
_RECORD = re.compile(r'(?:"(?:[^"]++|"")*+"|[^"\t]*+)(?:\t(?:"(?:[^"]++|"")*+"|[^"\t]*+))*+')


def is_json(path: str) -> bool:
    """Whether a file is called one of JSON lines."""
    return path.lower().endswith((".jsonl", ".json"))


def is_number(column: str) -> bool:
    """Whether a column is named by its number."""
    return re.fullmatch("-?[0-9]+", column) is not None


def tsv_rows(path: str) -> Iterator[Row]:
    """(line number from 1, fields) of each line that is not blank.

    Quotes are characters like any other, as in all official readers: GLUE has unbalanced ones. A byte order mark, CRLF
    and a missing newline at the end of the file are all right.

    Raises:
        InputError: the file cannot be read, is empty or is neither UTF-8 nor, by its mark, UTF-16.
    """
    blank = 0
    for number, line in text_lines(path):
        if text := line.rstrip("\r\n"):
            fields = text.split("\t")
            blank = _told(path, blank, fields)
            yield number, fields
        else:
            blank = blank or number


def csv_rows(path: str, separator: str = ",") -> Iterator[Row]:
    """(number of the last line, fields) of each record of a CSV file with the usual double quotes.

    Raises:
        InputError: as `tsv_rows`; and a quote that never ends, or a field above a million characters.
    """
    csv.field_size_limit(max(_LONGEST, csv.field_size_limit()))
    reader = csv.reader((line for _, line in text_lines(path)), strict=True, delimiter=separator)
    blank = 0
    try:
        for fields in reader:
            if fields:
                blank = _told(path, blank, fields)
                yield reader.line_num, fields
            else:
                blank = blank or reader.line_num
    except csv.Error as error:
        if "field limit" in str(error):
            raise InputError(
                f"`{path}` line {reader.line_num}: a field has more than {csv.field_size_limit():,} characters",
                "is a quote before it never closed? Texts of that length may stand in JSON lines",
            ) from error
        raise InputError(
            f"`{path}` line {reader.line_num}: {error}",
            'fields that hold commas or quotes are written "like ""this"""; without quoting use a .tsv file',
        ) from error


def _told(path: str, blank: int, fields: Sequence[str]) -> int:
    """0, after it was said that line `blank` before the row is left out, where it could be an empty text."""
    if blank and len(fields) == 1:
        say_once(f"`{path}` line {blank} is blank: blank lines are no examples, and are not counted")
    return 0


def json_rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each line of a JSON-lines file.

    Raises:
        InputError: as `tsv_rows`; and a line that is not a JSON object.
    """
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"`{path}` line {number} is not JSON: {error}", "write one object on each line") from error
        if not isinstance(row, dict):
            raise InputError(f"`{path}` line {number}: expected a JSON object", "write one object on each line")
        yield number, row


def typed_rows(
    path: str,
    unit: str,
    rows: Iterable[tuple[int, Sequence[Any]]],
    columns: Sequence[str],
    label: str = "",
    *,
    several: bool = False,
) -> Iterator[Row]:
    """Rows of typed values as the fields that a text file would have; where there is no value the field is empty.

    Args:
        path: the file, for messages.
        unit: what the numbers of its rows count.
        rows: their numbers and values.
        columns: their names.
        label: the one that with `several` may be a list of texts, which are joined by `|`.
        several: whether an example may have several labels.

    Raises:
        InputError: anything else that is neither text nor a number, NaN too.
    """
    for number, values in rows:
        fields = []
        for name, value in zip(columns, values, strict=True):
            if name == label and several:
                value = _joined(value)
            if value != value or isinstance(value, list | dict):
                found = json.dumps(value, default=str)[:100]
                raise InputError(
                    f"`{path}` {unit} {number}: expected text or a number at `{name}`, found `{found}`",
                    _SEVERAL_HINT if name == label and isinstance(value, list) and not several else "",
                )
            fields.append("" if value is None else value if isinstance(value, str) else json.dumps(value))
        yield number, fields


def _joined(value: Any) -> Any:
    """A list of names as one text, other values as they are."""
    is_list = isinstance(value, list) and all(isinstance(one, str) and "|" not in one for one in value)
    return "|".join(value) if is_list else value


def find_separator(path: str, names: Sequence[str], places: Sequence[int]) -> str:
    """What separates the fields of a CSV file: the one of `SEPARATORS` by which it has these columns.

    Args:
        path: the file.
        names: columns that the first line names.
        places: columns by number, where there are no names.

    Returns:
        The separator; where no one gives these columns, the one that gives the most.

    Raises:
        InputError: as `csv_rows`; or several would give columns with these numbers.
    """
    widths = {separator: _fitting_width(path, separator, names, places) for separator in SEPARATORS}
    fitting = [separator for separator, width in widths.items() if width > (0 if separator == "," else 1)]
    if len(fitting) > 1 and not names:
        raise InputError(
            f"`{path}`: its fields may be separated by {' or by '.join(SEPARATORS[one] for one in fitting)}",
            "write names of the columns in a first line, and give the columns by name",
        )
    return fitting[0] if fitting else widest_separator(path)


def widest_separator(path: str) -> str:
    """What separates most fields in the first record of a CSV file."""
    return max(SEPARATORS, key=lambda separator: len(_first_record(path, separator)))


def _fitting_width(path: str, separator: str, names: Sequence[str], places: Sequence[int]) -> int:
    """The number of fields in a row where they are separated so; 0 where that does not give the columns."""
    if names:
        first = _first_record(path, separator)
        return len(first) if set(names) <= set(first) else 0
    widths = set()
    try:
        for count, (_, fields) in enumerate(csv_rows(path, separator)):
            widths.add(len(fields))
            if count == _LOOKED_AT or len(widths) > 1:
                break
    except InputError:
        return 0
    width = max(widths, default=0)
    return width if len(widths) == 1 and all(-width <= place < width for place in places) else 0


def _first_record(path: str, separator: str) -> list[str]:
    try:
        return next(csv_rows(path, separator), (0, list[str]()))[1]
    except InputError:
        if separator == ",":
            raise
        return []


def quotes_of_tsv(path: str) -> Quotes:
    """How quotes are meant in a TSV file: as characters of the text, or as spreadsheets write them.

    They are those of a spreadsheet only where the whole file is written so, each quote around a whole field or doubled
    inside of one, each row with as many fields, and where besides either lines taken by themselves do not have as many
    fields each, or lines are not joined by it and some field has doubled quotes inside or all of the first row are in
    quotes. "none" is a file where it makes no difference.

    Raises:
        InputError: as `tsv_rows`.
    """
    by_line, by_record = set[int](), set[int]()
    is_literal = has_quotes = joins = doubles = wraps = False
    for record in _records(path):
        by_line.update(line.count("\t") for line in record.split("\n") if line)
        bare = record
        if '"' in record:
            has_quotes = has_quotes or record.startswith('"') or '\t"' in record
            if is_literal := not _RECORD.fullmatch(record):
                break
            bare = _QUOTED.sub("", record)
            joins = joins or "\n" in record or bare.count("\t") < record.count("\t")
            doubles = doubles or any('""' in field[1:-1] for field in _QUOTED.findall(record))
            wraps = wraps or (not by_record and not bare.strip("\t"))
        by_record.add(bare.count("\t"))
    if not is_literal and len(by_record) == 1 and (len(by_line) > 1 or (not joins and (doubles or wraps))):
        return "spreadsheet"
    return "characters" if has_quotes else "none"


def _records(path: str) -> Iterator[str]:
    """The lines of a file that are not blank, joined while a quote is open (up to a length that no record has)."""
    record = ""
    for _, line in text_lines(path):
        record += line
        if record.count('"') % 2 and len(record) < _LONGEST:
            continue
        if text := record.rstrip("\r\n"):
            yield text.replace("\r\n", "\n")
        record = ""
    if record:
        yield record


def text_lines(path: str) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of each line; lines end at LF only. Raises InputError as `tsv_rows`."""
    number = 0
    with open_input(path) as file:
        if (beginning := file.read(16))[:2] in _MARKS_16:
            say_once(f"`{path}` is UTF-16, by its mark")
            yield from _lines_of_16(path, file)
            return
        refuse_no_text(path, beginning)
        file.seek(0)
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


def _lines_of_16(path: str, file: BinaryIO) -> Iterator[tuple[int, str]]:
    number = 0
    file.seek(0)
    with io.TextIOWrapper(file, "utf-16", newline="\n") as lines:
        try:
            for number, line in enumerate(lines, 1):
                yield number, line
        except UnicodeError as error:
            raise InputError(
                f"`{path}` has the mark of UTF-16, but is not: {error} after line {number}", "save it as UTF-8"
            ) from error
    if not number:
        raise InputError(f"`{path}` is empty", "expected one example a line")
