# SPDX-License-Identifier: Apache-2.0
"""The GLUE tasks, XNLI and PAWS-X as one table: which files, which columns, which labels."""

import dataclasses
import functools
import os
from collections.abc import Iterator

from jaxbert.errors import InputError
from jaxbert.examples.rows import tsv_rows
from jaxbert.examples.text_examples import Columns, Labels, TextDataset, TextExample, read_examples

XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
PAWSX_LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the table. Files and columns are those of the official readers (`classifier_data_lib.py` up to 2.5).

    Attributes:
        name: value of `--classification_task_name`, and of `processor_type` in the metadata.
        train: layout of the training file, and of the evaluation file unless `dev` says otherwise.
        test: layout of the test file.
        labels: how labels are read, and their names in the order of their ids.
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

_MNLI = Task(
    "MNLI",
    Columns(8, 9, -1),
    Columns(8, 9, id=0),
    _INFERENCE,
    files=("train.tsv", "dev_matched.tsv", "test_matched.tsv"),
    variant="matched",
)

TASKS: tuple[Task, ...] = (
    Task("COLA", Columns(3, label=1, has_header=False), Columns(1, id=0), _BINARY),
    Task("SST-2", Columns(0, label=1), Columns(1, id=0), _BINARY),
    Task("MRPC", Columns(3, 4, 0), Columns(3, 4, id=0), _BINARY),
    Task("STS-B", Columns(7, 8, 9), Columns(7, 8, id=0), _NUMBERS),
    Task("QQP", Columns(3, 4, 5), Columns(1, 2, id=0), _BINARY, may_skip_rows=True),
    _MNLI,
    dataclasses.replace(
        _MNLI,
        files=("train.tsv", "dev_mismatched.tsv", "test_mismatched.tsv"),
        variant="mismatched",
    ),
    Task("QNLI", Columns(1, 2, -1), Columns(1, 2, id=0), _ENTAILMENT),
    Task("RTE", Columns(1, 2, 3), Columns(1, 2, id=0), _ENTAILMENT),
    Task("WNLI", Columns(1, 2, 3), Columns(1, 2, id=0), _BINARY),
    # The diagnostic set is a test file only; train.tsv and dev.tsv in its folder are those of MNLI.
    Task("AX", Columns(8, 9, -1), Columns(1, 2, id=0), _INFERENCE),
    Task(
        "XNLI",
        Columns(0, 1, 2),
        Columns(6, 7, 1, language=0),
        _INFERENCE,
        files=("multinli/multinli.train.{language}.tsv", "xnli.dev.tsv", "xnli.test.tsv"),
        dev=Columns(6, 7, 1),
        languages=XNLI_LANGUAGES,
    ),
    Task(
        "PAWS-X",
        Columns(1, 2, 3),
        Columns(1, 2, 3),
        _BINARY,
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
        folder: where its files lie, as downloaded.
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
        yield from read_examples(path, tsv_rows(path), columns, task.labels, language, task.may_skip_rows)
