# SPDX-License-Identifier: Apache-2.0
"""What a table, a file of SQuAD or a folder of `datasets` is: columns, number of rows, and how to use it."""

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.examples.arrow import ArrowTable, find_splits, kind_of
from jaxbert.examples.rows import SEPARATORS, csv_rows, json_rows, quotes_of_tsv, tsv_rows, widest_separator
from jaxbert.examples.squad import read_squad
from jaxbert.examples.table import ColumnNames

_SHOWN = 60  # characters of a value
_NAME_END = 26  # where the name of a column ends in its line
_TEXTS = ("text", "sentence", "sentence1", "premise", "question1", "question", "review", "title")
_SECOND_TEXTS = ("sentence2", "hypothesis", "question2", "text_b")
_LABELS = ("label", "labels", "class", "category", "target", "topic", "sentiment", "stars", "score")


def describe_table(path: str) -> list[str]:
    """The lines for a table, told by its content where it is Parquet or Arrow, otherwise by its ending; else none."""
    if (kind := kind_of(path)) is not None:
        table = ArrowTable(path, (path,))
        return [*_describe_columns(f"{path}: {kind}", table), *_use(path, table.columns)]
    if path.lower().endswith(".csv"):
        separator = widest_separator(path)
        return _describe_text(path, f"CSV, separated by {SEPARATORS[separator]}", csv_rows(path, separator))
    if path.lower().endswith(".tsv"):
        is_quoted = quotes_of_tsv(path) == "spreadsheet"
        rows = csv_rows(path, "\t") if is_quoted else tsv_rows(path)
        return _describe_text(path, "TSV with the quotes of a spreadsheet" if is_quoted else "TSV", rows)
    return describe_json_lines(path) if path.lower().endswith(".jsonl") else []


def describe_json_lines(path: str) -> list[str]:
    """The lines for a file with an object a line; none where the first line is none."""
    try:
        first = next(json_rows(path), None)
    except InputError:
        return []
    if first is None:
        return []
    count = sum(1 for _ in json_rows(path))
    if count == 1 and (squad := describe_squad(path, first[1])):
        return squad
    keys = {name: f"{value!r:.{_SHOWN}}" for name, value in first[1].items()}
    return [f"{path}: JSON lines, {counted(count, 'row')}; the first one:", *_listed(keys), *_use(path, keys)]


def describe_squad(path: str, content: Mapping[str, Any]) -> list[str]:
    """The lines for a JSON file in the layout of SQuAD; none where it has another."""
    if not isinstance(content.get("data"), list):
        return []
    questions = [question for paragraph in read_squad(path) for question in paragraph.questions]
    impossible = sum(bool(question.is_impossible) for question in questions)
    answered = sum(bool(question.answers) for question in questions)
    return [
        f"{path}: SQuAD, {counted(len(questions), 'question')}, {answered:,} with answers, {impossible:,} that have"
        " none",
        *_use(path, ("context", "question")),
    ]


def describe_splits(folder: str) -> list[str]:
    """The lines for each split in a folder of `datasets`; none where there are none."""
    tables = {name: ArrowTable(folder, paths) for name, paths in find_splits(folder).items()}
    lines = [line for name, table in tables.items() for line in _describe_columns(f"{folder}: split {name}", table)]
    return [*lines, *_use(folder, next(iter(tables.values())).columns)] if tables else []


def _describe_columns(beginning: str, table: ArrowTable) -> Iterator[str]:
    classes = {name: f": {', '.join(names[:20])}" for name, names in table.class_names.items()}
    yield f"{beginning}, {counted(table.count(), 'row')}"
    yield from _listed({name: f"{kind}{classes.get(name, '')}" for name, kind in table.columns.items()})


def _describe_text(path: str, kind: str, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    beginning = [fields for _, fields in itertools.islice(rows, 2)]
    if not beginning:
        return [f"{path}: {kind}, without a row"]
    first, *others = beginning
    values = others[0] if others else [""] * len(first)
    columns = {name: f"{value!r:.{_SHOWN}}" for name, value in zip(first, values, strict=False)}
    count = len(others) + sum(1 for _ in rows)
    return [
        f"{path}: {kind}, {counted(count, 'row')} below the first one, which names the columns or is an example"
        " itself:",
        *_listed(columns),
        *_use(path, columns),
    ]


def _listed(columns: Mapping[str, str]) -> list[str]:
    return [f"{'  ' + name[:_SHOWN]:{_NAME_END}} {what}" for name, what in columns.items()]


def usual_columns(lines: Iterable[str]) -> ColumnNames | None:
    """The columns of a table, of which these are the lines, by their usual names; None where none is for texts."""
    columns = {line[2:_NAME_END].strip() for line in lines if line.startswith("  ")}
    if not columns.intersection(_TEXTS) or "context" in columns:
        return None
    return ColumnNames(_usual(_TEXTS, columns), _usual(_SECOND_TEXTS, columns), _usual(_LABELS, columns))


def _usual(known: Iterable[str], columns: Collection[str]) -> str:
    """The first of the known names that is a column; "" for none."""
    return next((name for name in known if name in columns), "")


def _use(path: str, columns: Collection[str]) -> Iterator[str]:
    """How to train with it, and how to ask a model about it."""
    if {"context", "question"} <= set(columns):
        yield f"use             jaxbert run_squad --train_file={path} or --predict_file={path}"
        return
    names = {
        "text_a_column": _usual(_TEXTS, columns) or "NAME",
        "text_b_column": _usual(_SECOND_TEXTS, columns),
        "label_column": _usual(_LABELS, columns) or "NAME",
    }
    given = [f"--{flag}={name}" for flag, name in names.items() if name]
    numbers = (
        "" if os.path.splitext(path)[1].lower() not in (".csv", ".tsv") else "; columns by number from 0 without names"
    )
    yield f"use             jaxbert run_classifier --train_file={path} {' '.join(given)}{numbers}"
    texts = " ".join(given[:-1])
    yield f"or              jaxbert predict --model=MODEL --input_file={path} {texts}; the same with embed"
