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
from jaxbert.examples.text_examples import (
    Columns,
    LabelKind,
    Labels,
    TextDataset,
    TextExample,
    read_examples,
    split_labels,
)

_MOST_LABELS = 10_000
_JSON_ENDINGS = (".jsonl", ".json")
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """Which column is what, as the user says it.

    Each is a name from the header line (or a JSON key), or a number counting from 0, -1 being the last; files whose
    columns are given by number have no header line. "" stands for a column that does not exist.

    Attributes:
        text_a: the first text.
        text_b: the second text.
        label: the label.
        id: what tells an example apart.
        flags: in place of `label`, a column for each class that says by 1 or 0 whether the example belongs to it.
    """

    text_a: str
    text_b: str = ""
    label: str = ""
    id: str = ""
    flags: tuple[str, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """All columns that there are."""
        return tuple(name for name in (self.text_a, self.text_b, self.label, self.id, *self.flags) if name)


def table_dataset(
    train_file: str,
    eval_file: str,
    test_file: str,
    names: ColumnNames,
    labels: Sequence[str] = (),
    kind: LabelKind = "classification",
) -> TextDataset:
    """The sets in up to three files ("" for a set that does not exist).

    Args:
        train_file: training examples; labels are collected from it when `labels` is empty.
        eval_file: examples for evaluation.
        test_file: examples to predict; its label column may be missing.
        names: the columns.
        labels: class names in the order of their ids; none: those of the training file, sorted, or the `names.flags`.
        kind: what labels are.

    Raises:
        InputError: a file or column does not exist, or there is no way to know the labels.
    """
    is_multi_label = kind == "multi_label"
    if kind != "regression" and not labels:
        labels = names.flags or _collect_labels(train_file, names, is_multi_label)
    if is_multi_label and (wrong := [label for label in labels if "|" in label]):
        raise InputError(f"the label `{wrong[0]}` holds `|`, which stands between labels", "rename it")
    if names.flags and len(labels) != len(names.flags):
        raise InputError(
            f"there are {len(names.flags)} columns of labels and {len(labels)} labels: {', '.join(labels)}",
            "give a column for each label in `--label_column`, in the order of `--labels`",
        )
    known = Labels(tuple(labels), several=is_multi_label)
    read = functools.partial(_read_table, names=names, labels=known)
    return TextDataset(
        os.path.splitext(os.path.basename(train_file or eval_file or test_file))[0],
        known.names,
        train=functools.partial(read, train_file) if train_file else None,
        dev=functools.partial(read, eval_file) if eval_file else None,
        test={"": functools.partial(read, test_file, is_test=True)} if test_file else {},
        is_multi_label=is_multi_label,
    )


def _read_table(path: str, names: ColumnNames, labels: Labels, is_test: bool = False) -> Iterator[TextExample]:
    if is_test and not all(_has_column(path, name) for name in names.flags or (names.label,)):
        names = dataclasses.replace(names, label="", flags=())
    rows, columns = _rows_and_columns(path, names, labels)
    yield from read_examples(path, rows, columns, labels)


def _collect_labels(path: str, names: ColumnNames, several: bool) -> tuple[str, ...]:
    """The different labels of the file, sorted as text."""
    if not path:
        raise InputError("the class names are not known", "give them with `--labels`, or give a training file")
    names = ColumnNames(names.label, label=names.label)
    rows, columns = _rows_and_columns(path, names, Labels((), several=several))
    found: set[str] = set()
    for example in read_examples(path, rows, dataclasses.replace(columns, label=None), Labels(())):
        found.update(split_labels(example.text_a) if several else [example.text_a])
        if len(found) > _MOST_LABELS:
            raise InputError(
                f"`{path}`: the label column `{names.label}` holds more than {_MOST_LABELS} different labels",
                "name another column, or use `--fine_tuning_task_type=regression`",
            )
    return tuple(sorted(found))


def _rows_and_columns(path: str, names: ColumnNames, labels: Labels) -> tuple[Iterator[Row], Columns]:
    """The rows of a file and where in them the named columns are."""
    given = names.given
    rows: Iterator[Row]
    index_of: Callable[[str], int]
    if path.endswith(_JSON_ENDINGS):
        lists = names.label if labels.several else ""
        rows = (
            (line, [_json_field(row, name, path, line, may_be_list=name == lists) for name in given])
            for line, row in json_rows(path)
        )
        index_of, has_header = given.index, False
    elif all(_is_number(name) for name in given):
        rows, index_of, has_header = _fields(path), int, False
    else:
        _, header = next(_fields(path))
        for name in given:
            if name not in header:
                listed = ", ".join(f"`{known}`" for known in header)
                raise InputError(
                    f"`{path}` has no column `{name}`; its first line has {listed}",
                    "name columns as the first line does; if it is no header, give all columns by number from 0",
                )
        rows, index_of, has_header = _fields(path), header.index, True
    text_b, label, id = (index_of(name) if name else None for name in (names.text_b, names.label, names.id))
    if names.flags:
        rows, label = _with_labels(path, rows, [index_of(name) for name in names.flags], labels.names, has_header), -1
    return rows, Columns(index_of(names.text_a), text_b, label, id, has_header=has_header)


def _with_labels(
    path: str, rows: Iterator[Row], places: Sequence[int], names: Sequence[str], has_header: bool
) -> Iterator[Row]:
    """Each row with one more field: the names of the classes in whose columns is a 1."""
    for number, (line, fields) in enumerate(rows):
        if has_header and number == 0:
            yield line, [*fields, "labels"]
            continue
        values = [fields[place].strip().lower() if place < len(fields) else "" for place in places]
        for value in values:
            if value not in (*_YES, *_NO):
                raise InputError(
                    f"`{path}` line {line}: the label `{value}` is neither 1 nor 0", "name a column for each class"
                )
        yield line, [*fields, "|".join(name for name, value in zip(names, values, strict=True) if value in _YES)]


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


def _json_field(row: dict[str, Any], name: str, path: str, line: int, *, may_be_list: bool = False) -> str:
    value = row.get(name)
    if may_be_list and isinstance(value, list) and all(isinstance(one, str) and "|" not in one for one in value):
        return "|".join(value)
    if value is None or isinstance(value, list | dict):
        raise InputError(f"`{path}` line {line}: expected text or a number at `{name}`, found `{json.dumps(value)}`")
    return value if isinstance(value, str) else json.dumps(value)
