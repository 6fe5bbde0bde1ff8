# SPDX-License-Identifier: Apache-2.0
"""From flags to examples: tables of one's own where some are given, otherwise a known task in a folder."""

import glob
import os
from collections.abc import Sequence

from jaxbert.config.data import TASKS, TextDataFlags, TextFlags
from jaxbert.errors import InputError
from jaxbert.examples.arrow import Role, is_pattern
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.table import ColumnNames, open_table, table_dataset
from jaxbert.examples.text_examples import LabelKind, TextDataset
from jaxbert.io import files

_ENDINGS = (".tsv", ".csv", ".parquet", ".arrow", ".json")
_TASKS_BY_NAME = {name.replace("-", ""): name for name in TASKS}  # `datasets` calls them sst2, stsb


def text_dataset(
    flags: TextFlags,
    folder: str | None,
    task_name: str | None,
    kind: LabelKind,
    classes: Sequence[str] = (),
) -> TextDataset:
    """The sets that the flags name; nothing is read yet but labels where only the training file tells them.

    Args:
        flags: tables of one's own and their columns; languages and variants of known tasks.
        folder: with the files of a known task as they were downloaded.
        task_name: which task that is; None: the name of the folder says it.
        kind: what the labels of tables are; known tasks decide for themselves.
        classes: those of a trained model, among which the labels of tables are found, see `table_dataset`; none: those
            that `flags.labels` gives, or those of the training file.

    Raises:
        InputError: nothing to read, a column or file that does not exist, a task or language that is not known.
    """
    if flags.train_file or flags.eval_file or flags.test_file:
        needed = {"text_a_column": flags.text_a_column}
        if flags.train_file or flags.eval_file:
            needed["label_column"] = flags.label_column
        if missing := [f"`--{name}`" for name, column in needed.items() if not column]:
            raise InputError(
                f"{' and '.join(missing)} must be given with files of your own",
                "a column is given by its name in the first line, or by its number from 0 where there is no header",
            )
        kind_flag = "--{}" if isinstance(flags, TextDataFlags) else "--fine_tuning_task_type={}"
        label, places = flags.label_column or "", tuple[str, ...]()
        if kind == "multi_label" and "," in label:  # a column for each class
            label, places = "", tuple(label.split(","))
            if not all(places):
                raise InputError(
                    f"`--label_column={flags.label_column}` names an empty column", "name a column a class"
                )
        elif "," in label:
            _refuse_several_columns(flags, label, kind_flag.format("multi_label"))
        return table_dataset(
            flags.train_file or "",
            flags.eval_file or "",
            flags.test_file or "",
            ColumnNames(flags.text_a_column or "", flags.text_b_column or "", label, flags.id_column or "", places),
            flags.labels.split(",") if flags.labels else (),
            kind,
            kind_flag,
            classes,
        )
    if not folder:
        raise InputError("there is nothing to read", "give the folder of a known task, or `--train_file=...`")
    own_name = os.path.basename(os.path.normpath(folder)).upper()
    name = task_name or _TASKS_BY_NAME.get(own_name.replace("-", ""), own_name)
    if name not in TASKS:
        raise InputError(
            f"the task in `{folder}` is not known",
            f"give `--task_name`, one of {', '.join(TASKS)}; for a task of your own `--train_file`, `--eval_file` and"
            " `--test_file` in place of `--data_dir`",
        )
    language = {"XNLI": flags.xnli_language, "PAWS-X": flags.pawsx_language}.get(name, "en")
    dataset = glue_dataset(find_task(name, flags.mnli_type), folder, language)
    if kind != "classification" and not (kind == "regression" and dataset.is_regression):
        raise InputError(f"the labels of {name} are known", "leave out the flag that says what labels are")
    return dataset


def _refuse_several_columns(flags: TextFlags, label: str, flag: str) -> None:
    """Raise InputError where the label column is not one, but one for each class."""
    path, columns = flags.train_file or flags.eval_file or flags.test_file or "", label.split(",")
    role: Role = "train" if flags.train_file else "eval" if flags.eval_file else "test"
    table = open_table(path, ColumnNames(flags.text_a_column or "", flags=tuple(columns)), role)
    if not table.has(label) and all(map(table.has, columns)):
        raise InputError(
            f"`--label_column={label}` names {len(columns)} columns of `{path}`",
            f"give `{flag}` where each says by 1 or 0 whether a text has this label; else name one",
        )


def source_files(*paths: str | None) -> list[str]:
    """The files that are read for these files, patterns and folders, to tell whether they have changed."""
    found: list[str] = []
    for path in filter(None, paths):
        if files.is_folder(path):
            inside = files.find(os.path.join(glob.escape(path), "**", "*"), recursive=True)
            found += [name for name in inside if name.endswith(_ENDINGS)]
        else:
            found += files.expand(path) if is_pattern(path) else [path]
    return found
