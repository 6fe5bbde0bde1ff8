# SPDX-License-Identifier: Apache-2.0
"""Rows of fields -> the examples of a classification or regression task.

`TextExample` and `TextDataset` are what all readers give; `Columns`, `Labels` and `read_examples` are how they read.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.examples.rows import Row

_LOG = logging.getLogger(__name__)


Label = str | tuple[str, ...] | float
LabelKind = Literal["classification", "multi_label", "regression"]
"""One class of an example, any number of classes, or a number."""


@dataclasses.dataclass(frozen=True, slots=True)
class TextExample:
    """One sentence or sentence pair.

    Attributes:
        text_a: the first text.
        text_b: the second text of a pair; None for single texts.
        label: name of the class, names of the classes where there may be several, or the number to predict; None where
            the file does not say (test sets).
        id: what tells the example apart in its file: a column of it, or the number of its row from 0.
    """

    text_a: str
    text_b: str | None = None
    label: Label | None = None
    id: str = ""

    def __reduce__(self) -> tuple[type["TextExample"], tuple[str, str | None, Label | None, str]]:
        """How it goes to another process: several times faster than what dataclasses do by themselves."""
        return TextExample, (self.text_a, self.text_b, self.label, self.id)


Split = Callable[[], Iterator[TextExample]]
"""Starts reading one set of examples from its first; reads the file as it goes."""


@dataclasses.dataclass(frozen=True)
class TextDataset:
    """The sets of one task, not yet read.

    Attributes:
        name: the task, as `processor_type` in the metadata says it.
        labels: class names in the order of their ids; empty for regression.
        train: the training set.
        dev: the set for evaluation while training.
        test: test sets by language; the only test set of a task in one language has the name "".
        is_multi_label: whether an example may have several labels, or none.
    """

    name: str
    labels: tuple[str, ...]
    train: Split | None
    dev: Split | None
    test: Mapping[str, Split]
    is_multi_label: bool = False

    @property
    def is_regression(self) -> bool:
        """Whether labels are numbers."""
        return not self.labels


@dataclasses.dataclass(frozen=True)
class Columns:
    """The layout of one file; columns count from 0, and -1 is the last.

    Attributes:
        text_a: column of the first text.
        text_b: column of the second text; None for single texts.
        label: column of the label; None where the file has none.
        id: column that tells the row apart; None: the number of the row, from 0.
        language: column that says the row's language; None where the whole file has one.
        has_header: whether the first line is no example.
    """

    text_a: int
    text_b: int | None = None
    label: int | None = None
    id: int | None = None
    language: int | None = None
    has_header: bool = True

    @property
    def needed(self) -> int:
        """The smallest number of columns in which all of these exist."""
        used = (self.text_a, self.text_b, self.label, self.id, self.language)
        return max(column + 1 if column >= 0 else -column for column in used if column is not None)


@dataclasses.dataclass(frozen=True)
class Labels:
    """How labels are read.

    Attributes:
        names: class names in the order of their ids; empty: labels are numbers.
        renamed: other spellings of a name that files hold.
        skipped: a label whose rows are left out.
        several: whether a text names any number of classes, with `|` between them.
    """

    names: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...] = ()
    skipped: str | None = None
    several: bool = False

    def parse(self, text: str) -> Label:
        """The class name or names, or the number, that `text` spells.

        Raises:
            InputError: an unknown class or none, or not a finite number; the message does not say where.
        """
        if not self.names:
            return _number(text)
        if self.several:
            return tuple(self._class(name) for name in split_labels(text))
        return self._class(text)

    def _class(self, text: str) -> str:
        if text in self.names:
            return text
        name = dict(self.renamed).get(text, text)
        if name in self.names:
            return name
        if not text.strip():
            raise InputError("the label is empty", "write a label there, or leave the row out")
        if near := [known for known in self.names if same_label(known) == same_label(text)]:
            raise InputError(
                f"the label `{text}` differs from `{near[0]}` only in blanks or case", "write it as the others"
            )
        raise InputError(
            f"unknown label `{text}`, expected one of {', '.join(f'`{known}`' for known in self.names[:20])}",
            "check that this is the file of this task and that the columns are right",
        )


def same_label(text: str) -> str:
    """The same for labels that differ in blanks or case only."""
    return " ".join(text.split()).casefold()


def split_labels(text: str) -> list[str]:
    """The names in a text of several, with `|` between them; none in an empty one."""
    return [name.strip() for name in text.split("|") if name.strip()]


def read_examples(
    path: str,
    rows: Iterable[Row],
    columns: Columns,
    labels: Labels,
    language: str = "",
    *,
    may_skip_rows: bool = False,
    may_lack_labels: bool = False,
    unit: str = "line",
) -> Iterator[TextExample]:
    """The examples in the rows of one file, in order.

    Args:
        path: the file, for messages.
        rows: line numbers and fields.
        columns: the layout.
        labels: how labels are read.
        language: only rows in this language; "" takes all.
        may_skip_rows: leave out rows with too few columns, as the official QQP reader does, and log how many.
        may_lack_labels: an empty label is none, as in test sets.
        unit: what is counted in the numbers of `rows`.

    Raises:
        InputError: no rows; a row with fewer or more columns than the first one; a label that cannot be read.
    """
    count = skipped = unlabelled = 0
    for line, fields in _rows_that_fit(path, rows, columns, may_skip_rows):
        if not fields:
            skipped += 1
        elif columns.label is not None and fields[columns.label] == labels.skipped:
            unlabelled += 1
        else:
            if not language or columns.language is None or fields[columns.language] == language:
                yield _example(fields, columns, labels, count, f"`{path}` {unit} {line}", may_lack_labels)
            count += 1
    if skipped:
        _LOG.warning("`%s`: %s with fewer than %d columns left out", path, counted(skipped, "row"), columns.needed)
    if unlabelled:
        _LOG.warning("`%s`: %s with the label `%s` left out", path, counted(unlabelled, "row"), labels.skipped)
    if not count:
        raise InputError(f"`{path}` holds no examples", "expected one example a line")


def _rows_that_fit(path: str, rows: Iterable[Row], columns: Columns, may_skip: bool) -> Iterator[Row]:
    """The rows after the header, with no fields for one that is to be skipped."""
    width = 0
    for line, fields in rows:
        if not width:
            width = len(fields)
            if width < columns.needed:
                raise _wrong_width(path, line, fields, f"at least {columns.needed}")
            if columns.has_header:
                continue
        if may_skip and len(fields) < columns.needed:
            yield line, []
        elif len(fields) != width and not may_skip:
            raise _wrong_width(path, line, fields, f"{width} as in the first line")
        else:
            yield line, fields


def _wrong_width(path: str, line: int, fields: Sequence[str], expected: str) -> InputError:
    return InputError(
        f"`{path}` line {line} has {counted(len(fields), 'column')}, expected {expected}: `{fields[0][:40]}`",
        "check for tabs or line breaks inside a text, and that this is the right file",
    )


def _example(
    fields: list[str], columns: Columns, labels: Labels, count: int, place: str, may_lack_labels: bool
) -> TextExample:
    label = None
    if columns.label is not None and (fields[columns.label].strip() or not may_lack_labels):
        try:
            label = labels.parse(fields[columns.label])
        except InputError as error:
            raise InputError(f"{place}: {error.message}", error.hint) from error
    return TextExample(
        fields[columns.text_a],
        None if columns.text_b is None else fields[columns.text_b],
        label,
        str(count) if columns.id is None else fields[columns.id],
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"the label `{text}` is not a number", "labels of regression are numbers such as 3.8")
    return value
