# SPDX-License-Identifier: Apache-2.0
"""Data of one's own: any TSV, CSV or JSON-lines file, by saying which columns hold the texts and the label."""

import dataclasses
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxbert.errors import InputError
from jaxbert.examples.rows import Row, csv_rows, json_rows, tsv_rows
from jaxbert.examples.text_examples import Columns, Labels, TextDataset, TextExample, read_examples

_MOST_LABELS = 10_000
_JSON_ENDINGS = (".jsonl", ".json")


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """Which column is what, as the user says it.

    Each is a name from the header line (or a JSON key), or a number counting from 0, -1 being the last; files whose
    columns are given by number have no header line. "" stands for a column that does not exist.
    """

    text_a: str
    text_b: str = ""
    label: str = ""
    id: str = ""


def table_dataset(
    train_file: str,
    eval_file: str,
    test_file: str,
    names: ColumnNames,
    labels: Sequence[str] = (),
    is_regression: bool = False,
) -> TextDataset:
    """The sets in up to three files ("" for a set that does not exist).

    Args:
        train_file: training examples; labels are collected from it when `labels` is empty.
        eval_file: examples for evaluation.
        test_file: examples to predict; its label column may be missing.
        names: the columns.
        labels: class names in the order of their ids; none: those of the training file, sorted.
        is_regression: labels are numbers.

    Raises:
        InputError: a file or column does not exist, or there is no way to know the labels.
    """
    if not is_regression and not labels:
        labels = _collect_labels(train_file, names)
    known = Labels(tuple(labels))
    read = functools.partial(_read_table, names=names, labels=known)
    return TextDataset(
        os.path.splitext(os.path.basename(train_file or eval_file or test_file))[0],
        known.names,
        train=functools.partial(read, train_file) if train_file else None,
        dev=functools.partial(read, eval_file) if eval_file else None,
        test={"": functools.partial(read, test_file, is_test=True)} if test_file else {},
    )


def _read_table(path: str, names: ColumnNames, labels: Labels, is_test: bool = False) -> Iterator[TextExample]:
    if is_test and not _has_column(path, names.label):
        names = dataclasses.replace(names, label="")
    rows, columns = _rows_and_columns(path, names)
    yield from read_examples(path, rows, columns, labels)


def _collect_labels(path: str, names: ColumnNames) -> tuple[str, ...]:
    """The different labels of the file, sorted as text."""
    if not path:
        raise InputError("the class names are not known", "give them with `--labels`, or give a training file")
    rows, columns = _rows_and_columns(path, dataclasses.replace(names, text_a=names.label, text_b="", id=""))
    found: set[str] = set()
    for example in read_examples(path, rows, dataclasses.replace(columns, label=None), Labels(())):
        found.add(example.text_a)
        if len(found) > _MOST_LABELS:
            raise InputError(
                f"`{path}`: the label column `{names.label}` holds more than {_MOST_LABELS} different labels",
                "name another column, or use `--fine_tuning_task_type=regression`",
            )
    return tuple(sorted(found))


def _rows_and_columns(path: str, names: ColumnNames) -> tuple[Iterator[Row], Columns]:
    """The rows of a file and where in them the named columns are."""
    given = [name for name in dataclasses.astuple(names) if name]
    if path.endswith(_JSON_ENDINGS):
        rows = ((line, [_json_field(row, name, path, line) for name in given]) for line, row in json_rows(path))
        return rows, _columns(names, given.index, has_header=False)
    if all(_is_number(name) for name in given):
        return _fields(path), _columns(names, int, has_header=False)
    _, header = next(_fields(path))
    for name in given:
        if name not in header:
            raise InputError(
                f"`{path}` has no column `{name}`; its first line has {', '.join(f'`{known}`' for known in header)}",
                "name columns as the first line does; if it is no header, give all columns by number from 0",
            )
    return _fields(path), _columns(names, header.index, has_header=True)


def _columns(names: ColumnNames, index_of: Callable[[str], int], has_header: bool) -> Columns:
    text_b, label, id = (index_of(name) if name else None for name in (names.text_b, names.label, names.id))
    return Columns(index_of(names.text_a), text_b, label, id, has_header=has_header)


def _has_column(path: str, name: str) -> bool:
    """Whether the first row of the file has this column."""
    if not name or path.endswith(_JSON_ENDINGS):
        return bool(name) and name in next(json_rows(path))[1]
    _, first = next(_fields(path))
    return -len(first) <= int(name) < len(first) if _is_number(name) else name in first


def _fields(path: str) -> Iterator[Row]:
    return csv_rows(path) if path.endswith(".csv") else tsv_rows(path)


def _is_number(name: str) -> bool:
    return re.fullmatch("-?[0-9]+", name) is not None


def _json_field(row: dict[str, Any], name: str, path: str, line: int) -> str:
    value = row.get(name)
    if value is None or isinstance(value, list | dict):
        raise InputError(f"`{path}` line {line}: expected text or a number at `{name}`, found `{json.dumps(value)}`")
    return value if isinstance(value, str) else json.dumps(value)
