# SPDX-License-Identifier: Apache-2.0
"""The GLUE tasks, XNLI and PAWS-X as one table: which files, which columns, which labels."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Mapping

from jaxbert.errors import InputError
from jaxbert.examples.arrow import ArrowTable, find_splits
from jaxbert.examples.rows import Row, tsv_rows, typed_rows
from jaxbert.examples.text_examples import Columns, Labels, Split, TextDataset, TextExample, read_examples
from jaxbert.io.files import is_file, is_folder

XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
PAWSX_LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")


@dataclasses.dataclass(frozen=True)
class Published:
    """How the library `datasets` has a task, as Parquet or Arrow.

    Attributes:
        folder: its name there, in lower case.
        texts: columns of the texts; that of the label is `label`, that of the row's number `idx`.
        classes: what it calls the classes, in the order of the task; empty where it calls them as the task does.
    """

    folder: str
    texts: tuple[str, ...] = ("sentence1", "sentence2")
    classes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the table. Files and columns are those of the official readers (`classifier_data_lib.py` up to 2.5).

    Attributes:
        name: value of `--classification_task_name`, and of `processor_type` in the metadata.
        train: layout of the training file, and of the evaluation file unless `dev` says otherwise.
        test: layout of the test file.
        labels: how labels are read, and their names in the order of their ids.
        published: how the library `datasets` has the task.
        files: the training, evaluation and test file; `{language}` is filled in.
        dev: layout of the evaluation file where it differs.
        variant: which of several evaluation sets; tasks with several have one row each.
        languages: what `{language}` or the language column can be; empty for tasks in one language.
        english_train_file: the training file in English, where its name differs from the others.
        may_skip_rows: whether rows with too few columns are left out.
    """

    name: str
    train: Columns
    test: Columns
    labels: Labels
    published: Published
    files: tuple[str, str, str] = ("train.tsv", "dev.tsv", "test.tsv")
    dev: Columns | None = None
    variant: str = ""
    languages: tuple[str, ...] = ()
    english_train_file: str = ""
    may_skip_rows: bool = False


_BINARY = Labels(("0", "1"))
_ENTAILMENT = Labels(("entailment", "not_entailment"))
# "contradictory" is the spelling of the translated MultiNLI; "-" marks pairs whose annotators did not agree.
_INFERENCE = Labels(
    ("contradiction", "entailment", "neutral"), renamed=(("contradictory", "contradiction"),), skipped="-"
)
_NUMBERS = Labels(())

_PREMISE = ("premise", "hypothesis")

_MNLI = Task(
    "MNLI",
    Columns(8, 9, -1),
    Columns(8, 9, id=0),
    _INFERENCE,
    Published("mnli", _PREMISE),
    files=("train.tsv", "dev_matched.tsv", "test_matched.tsv"),
    variant="matched",
)

TASKS: tuple[Task, ...] = (
    Task(
        "COLA",
        Columns(3, label=1, has_header=False),
        Columns(1, id=0),
        _BINARY,
        Published("cola", ("sentence",), ("unacceptable", "acceptable")),
    ),
    Task(
        "SST-2",
        Columns(0, label=1),
        Columns(1, id=0),
        _BINARY,
        Published("sst2", ("sentence",), ("negative", "positive")),
    ),
    Task(
        "MRPC",
        Columns(3, 4, 0),
        Columns(3, 4, id=0),
        _BINARY,
        Published("mrpc", classes=("not_equivalent", "equivalent")),
    ),
    Task("STS-B", Columns(7, 8, 9), Columns(7, 8, id=0), _NUMBERS, Published("stsb")),
    Task(
        "QQP",
        Columns(3, 4, 5),
        Columns(1, 2, id=0),
        _BINARY,
        Published("qqp", ("question1", "question2"), ("not_duplicate", "duplicate")),
        may_skip_rows=True,
    ),
    _MNLI,
    dataclasses.replace(
        _MNLI,
        files=("train.tsv", "dev_mismatched.tsv", "test_mismatched.tsv"),
        variant="mismatched",
    ),
    Task("QNLI", Columns(1, 2, -1), Columns(1, 2, id=0), _ENTAILMENT, Published("qnli", ("question", "sentence"))),
    Task("RTE", Columns(1, 2, 3), Columns(1, 2, id=0), _ENTAILMENT, Published("rte")),
    Task(
        "WNLI",
        Columns(1, 2, 3),
        Columns(1, 2, id=0),
        _BINARY,
        Published("wnli", classes=("not_entailment", "entailment")),
    ),
    # The diagnostic set is a test file only; train.tsv and dev.tsv in its folder are those of MNLI.
    Task("AX", Columns(8, 9, -1), Columns(1, 2, id=0), _INFERENCE, Published("ax", _PREMISE)),
    Task(
        "XNLI",
        Columns(0, 1, 2),
        Columns(6, 7, 1, language=0),
        _INFERENCE,
        Published("xnli", _PREMISE),
        files=("multinli/multinli.train.{language}.tsv", "xnli.dev.tsv", "xnli.test.tsv"),
        dev=Columns(6, 7, 1),
        languages=XNLI_LANGUAGES,
    ),
    Task(
        "PAWS-X",
        Columns(1, 2, 3),
        Columns(1, 2, 3),
        _BINARY,
        Published("paws-x"),
        files=("{language}/translated_train.tsv", "{language}/dev_2k.tsv", "{language}/test_2k.tsv"),
        languages=PAWSX_LANGUAGES,
        english_train_file="en/train.tsv",
    ),
)

TASK_NAMES = tuple(dict.fromkeys(task.name for task in TASKS))


def find_task(name: str, variant: str = "matched") -> Task:
    """The task called `name`, in any case; `variant` chooses among several evaluation sets (MNLI).

    Raises:
        InputError: there is no such task.
    """
    for task in TASKS:
        if task.name.lower() == name.lower() and task.variant in ("", variant):
            return task
    raise InputError(f"there is no task `{name}`", f"the tasks are {', '.join(TASK_NAMES)}")


def glue_dataset(task: Task, folder: str, language: str = "en") -> TextDataset:
    """The sets of `task` in `folder`.

    Args:
        task: a row of the table.
        folder: where its files lie, as downloaded: the original ones, or those of the library `datasets`.
        language: language of the training set, for tasks with several; "all" takes them all, one after the other.
            Evaluation is always on all languages, and every language has a test set of its own, as in the official
            readers.

    Raises:
        InputError: the task has no such language.
    """
    if task.languages and language not in (*task.languages, "all"):
        raise InputError(f"{task.name} has no language `{language}`", f"it has {', '.join(task.languages)}, and all")
    chosen = task.languages if language == "all" else (language,)
    every = task.languages or ("",)
    if not _has_original(task, folder, every) and (splits := _published_splits(task, folder, every)):
        return _published_dataset(task, splits, chosen if task.languages else every, every)
    return TextDataset(
        task.name,
        task.labels.names,
        train=functools.partial(_read_set, task, task.train, folder, task.files[0], chosen),
        dev=functools.partial(_read_set, task, task.dev or task.train, folder, task.files[1], every),
        test={one: functools.partial(_read_set, task, task.test, folder, task.files[2], (one,)) for one in every},
    )


def _read_set(
    task: Task, columns: Columns, folder: str, file: str, languages: tuple[str, ...]
) -> Iterator[TextExample]:
    """The examples of one set: of one file, or of the files of several languages, one after the other."""
    names: dict[str, str] = {}
    for language in languages:
        is_english_train = language == "en" and file == task.files[0] and task.english_train_file
        names[task.english_train_file if is_english_train else file.format(language=language)] = language
    for name, language in names.items():
        path = os.path.join(folder, name)
        rows = _checked_header(path, tsv_rows(path), task, columns)
        yield from read_examples(path, rows, columns, task.labels, language, may_skip_rows=task.may_skip_rows)


def _checked_header(path: str, rows: Iterator[Row], task: Task, columns: Columns) -> Iterator[Row]:
    """All rows. Raises InputError where the first one is an example in place of a header, or the other way round."""
    for line, fields in itertools.islice(rows, 1):
        place = columns.id if columns.label is None else columns.label
        if place is not None and len(fields) >= columns.needed:
            is_example = fields[place].isdecimal() if columns.label is None else _is_label(fields[place], task.labels)
            if is_example and columns.has_header:
                raise InputError(
                    f"`{path}` line {line} is an example, where {task.name} has the names of the columns:"
                    f" `{' '.join(fields)[:80]}`",
                    f"write a line of {len(fields)} names, with tabs between them, in front of it",
                )
            if not is_example and not columns.has_header:
                raise InputError(
                    f"`{path}` line {line}: `{fields[place]}` is no label of {task.name}, whose file has examples from"
                    " the first line on",
                    "if the line names the columns, take it away",
                )
        yield line, fields
    yield from rows


def _is_label(text: str, labels: Labels) -> bool:
    try:
        labels.parse(text)
    except InputError:
        return text == labels.skipped
    return True


_Splits = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Language ("" for the only one) -> name of each split -> its files."""


def _has_original(task: Task, folder: str, languages: tuple[str, ...]) -> bool:
    names = {name.format(language=language) for name in task.files for language in languages}
    return any(is_file(os.path.join(folder, name)) for name in names)


def _published_splits(task: Task, folder: str, languages: tuple[str, ...]) -> _Splits:
    """What there is of the library `datasets` in a folder, or in the one of the task below it."""
    for place in (os.path.join(folder, task.published.folder), folder):
        found = {language: find_splits(os.path.join(place, language)) for language in languages if is_folder(place)}
        if any(found.values()):
            return found
    return {}


def _published_dataset(task: Task, splits: _Splits, chosen: tuple[str, ...], every: tuple[str, ...]) -> TextDataset:
    """The sets in files of the library `datasets`, by the names that it gives to splits and columns."""
    names = {kind: (kind, f"{kind}_{task.variant}") for kind in ("train", "validation", "test")}
    found = {
        (kind, language): next((of_language[name] for name in names[kind] if name in of_language), ())
        for language, of_language in splits.items()
        for kind in names
    }

    def read(kind: str, languages: tuple[str, ...]) -> Split | None:
        parts = {language: found[kind, language] for language in languages}
        return functools.partial(_read_published, task, kind == "test", parts) if any(parts.values()) else None

    test = {language: split for language in every if (split := read("test", (language,)))}
    return TextDataset(task.name, task.labels.names, read("train", chosen), read("validation", every), test)


def _read_published(task: Task, is_test: bool, parts: Mapping[str, tuple[str, ...]]) -> Iterator[TextExample]:
    """The examples of one set; classes are found by their names, whatever their numbers are in the files."""
    published, columns = task.published, list(task.published.texts)
    has_label = not is_test or task.test.label is not None
    renamed = (*task.labels.renamed, *zip(published.classes, task.labels.names, strict=False))
    for language, paths in parts.items():
        if not paths:
            raise InputError(f"{task.name} has no files of the language `{language}`", "copy them, as those of others")
        table = ArrowTable(paths[0] if len(paths) == 1 else os.path.dirname(paths[0]), paths)
        names = columns + ["label"] * has_label + ["idx"] * (is_test and "idx" in table.columns)
        if has_label and _lacks_names(task, table):
            raise InputError(f"`{paths[0]}` has classes by number and does not name them", "write it with `datasets`")
        places = [names.index(name) if name in names else None for name in (*columns[1:2], "label", "idx")]
        text_b, label, id = places if len(columns) > 1 else (None, *places)
        yield from read_examples(
            table.path,
            typed_rows(table.path, "row", table.rows(names), names, "label"),
            Columns(0, text_b, label, id, has_header=False),
            dataclasses.replace(task.labels, renamed=renamed),
            may_lack_labels=is_test,
            unit="row",
        )


def _lacks_names(task: Task, table: ArrowTable) -> bool:
    """Whether labels are numbers where the task has names, and no names are given for them."""
    has_names = any(not name.isdecimal() for name in task.labels.names)
    return has_names and "int" in table.columns.get("label", "") and "label" not in table.class_names
