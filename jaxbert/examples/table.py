# SPDX-License-Identifier: Apache-2.0
"""Data of one's own: any TSV, CSV, JSON-lines, Parquet or Arrow file, by saying which columns hold texts and label."""

import collections
import dataclasses
import functools
import itertools
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from jaxbert.console import say_once
from jaxbert.errors import InputError
from jaxbert.examples.arrow import ArrowTable, Role, is_arrow, open_arrow
from jaxbert.examples.class_names import keys, say_counted, spellings
from jaxbert.examples.rows import (
    SEPARATORS,
    Row,
    csv_rows,
    find_separator,
    is_json,
    is_number,
    json_rows,
    quotes_of_tsv,
    tsv_rows,
    typed_rows,
)
from jaxbert.examples.text_examples import (
    Columns,
    LabelKind,
    Labels,
    TextDataset,
    TextExample,
    read_examples,
    same_label,
    split_labels,
)

_MOST_LABELS = 10_000
_MOST_NUMBERS, _MOST_DECIMALS = 100, 20  # classes that are numbers; with more of them it is regression
_MOST_LISTED = 20  # labels in a hint
_ENOUGH = 10  # examples that every other class has where one that is seen once is asked back
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")
# What columns are called, numbers behind apart: a first line of nothing else is no example.
_HEADER_WORD = re.compile(
    "(text|sentence|premise|hypothesis|question|review|title|label|labels|class|category|target|score|sentiment|topic"
    "|gold_label|id|idx|index)_?[ab0-9]?",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class ColumnNames:
    """Which column is what, as the user says it.

    Each is a name from the header line (or a JSON key, or the column of a Parquet or Arrow file), or a number counting
    from 0, -1 being the last; text files whose columns are given by number have no header line. "" stands for a column
    that does not exist.

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
        names = (self.text_a, self.text_b, self.label, self.id, *self.flags)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that say what is right."""
        return self.flags or ((self.label,) if self.label else ())

    @property
    def unlabelled(self) -> "ColumnNames":
        """The same without the columns that say what is right."""
        return dataclasses.replace(self, label="", flags=())


class Chosen(NamedTuple):
    """Rows, and where in them the columns are that were asked for."""

    rows: Iterator[Row]
    index_of: Callable[[str], int]
    has_header: bool = False


class Table(Protocol):
    """A file of rows in any format, not yet read.

    Attributes:
        path: as the user gave it.
        unit: what the numbers of its rows count.
    """

    path: str
    unit: str

    def has(self, name: str) -> bool:
        """Whether there is such a column."""

    def choose(self, names: ColumnNames, *, several: bool) -> Chosen:
        """The rows with these columns; the label may be a list where there may be `several`.

        Raises InputError, at the latest with the first row, where a column does not exist.
        """

    def class_names(self, column: str) -> tuple[str, ...]:
        """The classes in their order, where the file says them."""


def is_table(path: str) -> bool:
    """Whether a file has columns: by its content where it is Parquet or Arrow, otherwise by its ending."""
    return path.lower().endswith((".csv", ".tsv")) or is_json(path) or is_arrow(path)


def open_table(path: str, names: ColumnNames, role: Role) -> Table:
    """The table at `path`, in the format that it has."""
    if is_json(path):
        return _JsonTable(path)
    if is_arrow(path):
        return _ColumnTable(open_arrow(path, role))
    return _TextTable(path, names)


def table_dataset(
    train_file: str,
    eval_file: str,
    test_file: str,
    names: ColumnNames,
    labels: Sequence[str] = (),
    kind: LabelKind = "classification",
    kind_flag: str = "--{}",
    classes: Sequence[str] = (),
) -> TextDataset:
    """The sets in up to three files ("" for a set that does not exist).

    Args:
        train_file: training examples; labels are collected from it when `labels` is empty.
        eval_file: examples for evaluation.
        test_file: examples to predict; its label column may be missing, or empty.
        names: the columns.
        labels: class names in the order of their ids; none: those that the training file says, or those in it, sorted,
            or the `names.flags`.
        kind: what labels are.
        kind_flag: the flag of the command that says it, with `{}` for the kind.
        classes: those of a trained model, in place of `labels`; labels to evaluate on are found among them by name, or
            by number where one side has no names, which is said; those of a test file are not read.

    Raises:
        InputError: a file or column does not exist, or there is no way to know the labels, or what is in their place
            looks like something else.
    """
    is_multi_label = kind == "multi_label"
    labels = classes or labels
    if classes and names.flags and not all(map(is_number, names.given)):
        names = dataclasses.replace(names, flags=_columns_of(classes, names.flags))
    if kind != "regression" and not labels:
        labels = names.flags or _collect_labels(train_file, names, is_multi_label, kind_flag)
    if is_multi_label and (wrong := [label for label in labels if "|" in label]):
        raise InputError(f"the label `{wrong[0]}` holds `|`, which stands between labels", "rename it")
    if twice := [label for label, count in collections.Counter(labels).items() if count > 1]:
        raise InputError(f"the label `{twice[0]}` is given twice", "give each class once in `--labels`")
    if names.flags and len(labels) != len(names.flags):
        raise InputError(
            f"there are {len(names.flags)} columns of labels and {len(labels)} labels: {', '.join(labels)}",
            "give a column for each label in `--label_column`, in the order of `--labels`",
        )
    known = Labels(tuple(labels), several=is_multi_label)
    read = functools.partial(_read_table, names=names, labels=known, are_of_model=bool(classes))
    first = train_file or eval_file or test_file
    return TextDataset(
        os.path.basename(os.path.normpath(first)),  # with its ending: no name of a task of GLUE
        known.names,
        train=functools.partial(read, train_file, "train") if train_file else None,
        dev=functools.partial(read, eval_file, "eval") if eval_file else None,
        test={"": functools.partial(read, test_file, "test")} if test_file else {},
        is_multi_label=is_multi_label,
    )


def _read_table(path: str, role: Role, names: ColumnNames, labels: Labels, are_of_model: bool) -> Iterator[TextExample]:
    table = open_table(path, names, role)
    is_test = role == "test"
    if is_test and (are_of_model or not all(map(table.has, names.labels))):
        names = names.unlabelled
    elif are_of_model and names.label:
        found = table.class_names(names.label) or sorted(filter(str.strip, _labels_in(table, names, labels.several)))
        renamed = spellings(labels.names, found)
        if renamed and not set(keys(found)) <= set(keys(labels.names)):
            say_counted([*renamed.values()], [*renamed])
        labels = dataclasses.replace(labels, renamed=tuple(renamed.items()))
    rows, columns = _rows_and_columns(table, names, labels)
    yield from read_examples(path, rows, columns, labels, may_lack_labels=is_test, unit=table.unit)


def _columns_of(classes: Sequence[str], flags: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of labels in the order of the classes, where they are called as these; else as they are given."""
    column_of = dict(zip(keys(flags), flags, strict=True))
    wanted = keys(classes)
    if column_of.keys() == set(wanted):
        return tuple(column_of[key] for key in wanted)
    if both := column_of.keys() & set(wanted):
        raise InputError(
            f"the model has the classes {', '.join(classes)}, the columns of labels are {', '.join(flags)}",
            f"name the column of each class in `--label_column`; `{column_of[min(both)]}` is one of them",
        )
    say_once(f"the columns {', '.join(flags)} are, in this order, the classes {', '.join(classes)} of the model")
    return flags


def _collect_labels(path: str, names: ColumnNames, several: bool, kind_flag: str) -> tuple[str, ...]:
    """The classes of the training file: those that it says, or else the different labels in it, sorted as text."""
    if not path:
        raise InputError("the class names are not known", "give them with `--labels`, or give a training file")
    table = open_table(path, names, "train")
    if said := table.class_names(names.label):
        return said
    found = _labels_in(table, names, several)
    empty = [label for label in found if not label.strip()]  # which are refused with their line where they are read
    for label in empty:
        del found[label]
    if not found:
        raise InputError(f"`{path}`: the label column `{names.label}` is empty", "name another column")
    if isinstance(table, _TextTable) and table.by_number:
        _refuse_header(found, f"`{path}`")
    if not several:
        _refuse_joined(found, f"`{path}`", kind_flag.format("multi_label"))
    _refuse_suspect(found, f"`{path}`", names.label, kind_flag.format("regression"))
    return tuple(sorted(found))


def _labels_in(table: Table, names: ColumnNames, several: bool) -> "collections.Counter[str]":
    """How often each label is there, in the order in which they come; no more than are believed to be labels."""
    names = ColumnNames(names.label, label=names.label)
    rows, columns = _rows_and_columns(table, names, Labels((), several=several))
    columns = dataclasses.replace(columns, label=None)
    found = collections.Counter[str]()
    for example in read_examples(table.path, rows, columns, Labels(()), unit=table.unit):
        found.update(split_labels(example.text_a) if several else [example.text_a])
        if len(found) > _MOST_LABELS:
            break
    return found


def _refuse_header(found: "collections.Counter[str]", place: str) -> None:
    """Raise InputError where the first label is likely the name of the column.

    It is seen once, and all others are not; or it is the only one that is no number.
    """
    first, *others = found
    if not (others and found[first] == 1 and _can_be_given(found)):
        return
    if min(found[label] for label in others) > 1 or _is_odd(first, others):
        raise InputError(
            f"{place}: the first line has the label `{first}`, which no other line has",
            "if it names the columns give them by these names, or take it away; if it is an example, give the classes:"
            f" {_as_flag(found)}",
        )


def _refuse_joined(found: Collection[str], place: str, multi_label: str) -> None:
    """Raise InputError where labels are likely several names with `|` between them: the same name is in two of them."""
    parts = collections.Counter(name for label in found for name in split_labels(label))
    joined = [label for label in found if "|" in label]
    if joined and any(parts[name] > 1 for label in joined for name in split_labels(label)):
        raise InputError(
            f"{place} has labels such as `{joined[0]}`, which looks like several with `|` between them",
            f"give `{multi_label}` where a text may have several"
            + (f"; if each is one class, give {_as_flag(found)}" if _can_be_given(found) else ""),
        )


def _is_odd(label: str, others: Sequence[str]) -> bool:
    """Whether all but this one are numbers."""
    return not _is_float(label) and all(map(_is_float, others))


def _can_be_given(found: Collection[str]) -> bool:
    """Whether `--labels` can name all labels: commas stand between them."""
    return not any("," in label for label in found)


def _as_flag(found: Collection[str]) -> str:
    """How all labels are given."""
    return f"`--labels={','.join(sorted(found))}`" if len(found) <= _MOST_LISTED else "all with `--labels`"


def _refuse_suspect(found: "collections.Counter[str]", place: str, column: str, regression: str) -> None:
    """Raise InputError where what was found in the label column (label -> how often) is surely or likely no class."""
    listed = _as_flag(found)
    can_be_given = _can_be_given(found)
    if _are_numbers(found):
        raise InputError(
            f"{place}: the label column `{column}` holds {len(found):,} different numbers",
            f"give `{regression}` to predict a number; if they are classes, give {listed}",
        )
    if len(found) > _MOST_LABELS:
        raise InputError(
            f"{place}: the label column `{column}` holds more than {_MOST_LABELS:,} different labels",
            "name another column",
        )
    spellings: dict[str, list[str]] = {}
    for label in found:
        spellings.setdefault(same_label(label), []).append(label)
    if same := next((labels for labels in spellings.values() if len(labels) > 1), None):
        named = " and ".join(f"`{label}` ({found[label]} times)" for label in same)
        raise InputError(
            f"{place}: the labels {named} differ only in blanks or case",
            "write them alike in the file" + f"; if they are different classes, give {listed}" * can_be_given,
        )
    once = [label for label, count in found.items() if count == 1]
    if can_be_given and 0 < len(once) < len(found) and all(count >= _ENOUGH for count in found.values() if count > 1):
        raise InputError(
            f"{place}: {', '.join(f'`{label}`' for label in once[:5])} is seen once as a label, all others at least"
            f" {_ENOUGH} times",
            f"mend or remove the row; if it is a class, give {listed}",
        )


def _are_numbers(found: "collections.Counter[str]") -> bool:
    """Whether there are so many different numbers that they are no classes."""
    if not all(map(_is_float, found)):
        return False
    numbers = [float(label.replace(",", ".")) for label in found]
    are_whole = all(math.isfinite(number) and number == int(number) for number in numbers)
    return len(numbers) >= (_MOST_NUMBERS if are_whole else _MOST_DECIMALS)


def _is_float(label: str) -> bool:
    try:
        float(label.replace(",", "."))
    except ValueError:
        return False
    return True


def _rows_and_columns(table: Table, names: ColumnNames, labels: Labels) -> tuple[Iterator[Row], Columns]:
    """The rows of a table and where in them the named columns are."""
    rows, index_of, has_header = table.choose(names, several=labels.several)
    text_b, label, id = (index_of(name) if name else None for name in (names.text_b, names.label, names.id))
    if names.flags:
        places = [index_of(name) for name in names.flags]
        rows, label = _with_labels(table, rows, places, labels.names, has_header), -1
    return rows, Columns(index_of(names.text_a), text_b, label, id, has_header=has_header)


def _with_labels(
    table: Table, rows: Iterator[Row], places: Sequence[int], names: Sequence[str], has_header: bool
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
                    f"`{table.path}` {table.unit} {line}: the label `{value}` is neither 1 nor 0",
                    "name a column for each class",
                )
        yield line, [*fields, "|".join(name for name, value in zip(names, values, strict=True) if value in _YES)]


class _TextTable:
    """TSV or CSV; what separates its fields, and what quotes mean, is found in it by the columns that it must have."""

    unit = "line"

    def __init__(self, path: str, names: ColumnNames) -> None:
        self.path, self._names = path, names
        self.by_number = all(map(is_number, names.given))

    def has(self, name: str) -> bool:
        first = self._first_row()
        return -len(first) <= int(name) < len(first) if self.by_number else name in first

    def choose(self, names: ColumnNames, *, several: bool) -> Chosen:
        first = self._first_row()
        listed = ", ".join(f"`{name}`" for name in first)
        if self.by_number:
            places = [int(name) for name in self._names.given]
            chosen = [first[place] for place in places if -len(first) <= place < len(first)]
            if chosen and all(_HEADER_WORD.fullmatch(field.strip()) for field in chosen):
                raise InputError(
                    f"`{self.path}`: the first line is no example, it names the columns {listed}",
                    "give the columns by these names",
                )
            return Chosen(self._fields(), int)
        for name in names.given:
            if first.count(name) != 1:
                problem = f"has several columns `{name}`" if name in first else f"has no column `{name}`"
                raise InputError(
                    f"`{self.path}` {problem}; its first line has {listed}",
                    "name columns as the first line does; if it is no header, give all columns by number from 0",
                )
        return Chosen(self._fields(), first.index, has_header=True)

    def class_names(self, column: str) -> tuple[str, ...]:
        return ()

    def _first_row(self) -> list[str]:
        for _, fields in self._fields():
            return fields
        raise InputError(f"`{self.path}` holds no examples", "expected one example a line")

    def _fields(self) -> Iterator[Row]:
        separator = self._separator
        return tsv_rows(self.path) if separator is None else csv_rows(self.path, separator)

    @functools.cached_property
    def _separator(self) -> str | None:
        """What separates fields that may be in quotes; None for tabs, with quotes as characters."""
        if self.path.lower().endswith(".csv"):
            needed = self._names.unlabelled.given
            places = [int(name) for name in needed] if self.by_number else []
            separator = find_separator(self.path, () if self.by_number else needed, places)
            if separator != ",":
                say_once(f"`{self.path}` is separated by {SEPARATORS[separator]}")
            return separator
        quotes = quotes_of_tsv(self.path)
        if quotes == "spreadsheet":
            say_once(f"`{self.path}` has quotes as spreadsheets write them: they are not part of the texts")
        elif quotes == "characters":
            say_once(f"`{self.path}`: quotes are part of the texts, as in GLUE")
        return "\t" if quotes == "spreadsheet" else None


class _JsonTable:
    """JSON lines."""

    unit = "line"

    def __init__(self, path: str) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        return any(name in row for _, row in itertools.islice(json_rows(self.path), 1))

    def choose(self, names: ColumnNames, *, several: bool) -> Chosen:
        return _typed(self, names, several, self._values(names))

    def class_names(self, column: str) -> tuple[str, ...]:
        return ()

    def _values(self, names: ColumnNames) -> Iterator[tuple[int, list[Any]]]:
        """Only a label may be missing."""
        for line, row in json_rows(self.path):
            if missing := next((name for name in names.given if name not in row and name != names.label), None):
                raise InputError(
                    f"`{self.path}` line {line} has no key `{missing}`; it has"
                    f" {', '.join(f'`{key}`' for key in row) or 'none'}",
                    "columns are the keys of the objects; a text that is missing is written as null",
                )
            yield line, [row.get(name) for name in names.given]


class _ColumnTable:
    """Parquet or Arrow."""

    unit = "row"

    def __init__(self, table: ArrowTable) -> None:
        self.path, self._table = table.path, table

    def has(self, name: str) -> bool:
        return name in self._table.columns

    def choose(self, names: ColumnNames, *, several: bool) -> Chosen:
        return _typed(self, names, several, self._table.rows(names.given))

    def class_names(self, column: str) -> tuple[str, ...]:
        return self._table.class_names.get(column, ())


def _typed(table: Table, names: ColumnNames, several: bool, rows: Iterator[tuple[int, list[Any]]]) -> Chosen:
    columns = names.given
    fields = typed_rows(table.path, table.unit, rows, columns, names.label, several=several)
    return Chosen(fields, columns.index)
