# SPDX-License-Identifier: Apache-2.0
"""The task that flags name: a known one in a folder, or tables of one's own."""

import os

from jaxbert.config.data import TASKS, TextFlags
from jaxbert.errors import InputError
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.examples.text_examples import TextDataset


def open_task(
    flags: TextFlags,
    folder: str | None,
    name: str | None = None,
    known_labels: tuple[str, ...] = (),
    regression: bool = False,
) -> TextDataset:
    """The sets of the task `name` in `folder`, or without a folder those of the tables that the flags name.

    Args:
        flags: files and columns of tables, and which part of a known task is meant.
        folder: with the files of a known task, as they were downloaded.
        name: of the task; by default the name of the folder.
        known_labels: class names of a table in the order of their ids, where `--labels` does not say them.
        regression: whether the labels of a table are numbers.

    Raises:
        InputError: an unknown task, files that are missing, columns that are not named.
    """
    if folder is not None:
        name = name or os.path.basename(os.path.normpath(folder)).upper()
        if name not in TASKS:
            raise InputError(f"the task in `{folder}` is not known", f"give `--task_name`, one of {', '.join(TASKS)}")
        language = {"XNLI": flags.xnli_language, "PAWS-X": flags.pawsx_language}.get(name, "")
        return glue_dataset(find_task(name, flags.mnli_type), folder, language)
    if flags.text_a_column is None:
        raise InputError(
            "`--text_a_column` must be given with files of your own",
            "a column is given by its name in the first line, or by its number from 0 where there is no header",
        )
    columns = ColumnNames(
        flags.text_a_column, flags.text_b_column or "", flags.label_column or "", flags.id_column or ""
    )
    labels = flags.labels.split(",") if flags.labels else known_labels
    tables = (flags.train_file or "", flags.eval_file or "", flags.test_file or "")
    return table_dataset(*tables, columns, labels, regression)
