# SPDX-License-Identifier: Apache-2.0
"""The flags of `create_finetuning_data`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag
from jaxbert.config.text_data import TASKS, TextFlags


@dataclasses.dataclass(frozen=True)
class Flags(TextFlags):
    """Records and meta data for fine-tuning, from the files of a task or from files of one's own."""

    fine_tuning_task_type: str = flag(
        "classification",
        "Whether labels are classes, numbers, or answers to questions; the known tasks decide for themselves.",
        choices=("classification", "regression", "squad"),
        group="What to make",
    )
    vocab_file: str = required_flag("Vocabulary of the checkpoint, one token a line.")
    input_data_dir: str | None = flag(
        None, "Folder with the files of the task as they were downloaded.", group="A known task"
    )
    classification_task_name: str = flag("MNLI", "Which task.", choices=TASKS)
    squad_data_file: str | None = flag(None, "SQuAD file, version 1.1 or 2.0, to train on.", group="SQuAD")
    doc_stride: int = flag(128, "Tokens between the beginnings of the windows of a long context.", minimum=1)
    max_query_length: int = flag(64, "Tokens of a question; longer ones are cut.", minimum=1)
    version_2_with_negative: bool = flag(False, "SQuAD 2.0, where some questions have no answer.")
    strict: bool = flag(False, "End at an answer that is not where the file says, instead of leaving its question out.")
    train_data_output_path: str | None = flag(None, "Record file to write for training.", group="Output")
    eval_data_output_path: str | None = flag(None, "Record file to write for evaluation.")
    test_data_output_path: str | None = flag(
        None, "Record file to write for prediction; for tasks in several languages, `{}` stands for the language."
    )
    meta_data_file_path: str = required_flag("JSON file to write: sizes and labels, which the trainer reads.")
