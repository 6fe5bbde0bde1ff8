# SPDX-License-Identifier: Apache-2.0
"""The flags of `create_finetuning_data`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag
from jaxbert.config.text_data import TASKS


@dataclasses.dataclass(frozen=True)
class Flags:
    """Records and meta data for fine-tuning, from the files of a task or from files of one's own."""

    fine_tuning_task_type: str = flag(
        "classification",
        "Whether labels are classes, numbers, or answers to questions; the known tasks decide for themselves.",
        choices=("classification", "regression", "squad"),
        group="What to make",
    )
    vocab_file: str = required_flag("Vocabulary of the checkpoint, one token a line.")
    do_lower_case: bool = flag(True, "Lower-case the text and drop accents; true for uncased vocabularies.")
    max_seq_length: int = flag(128, "Tokens in a record, [CLS] and [SEP] included; longer texts are cut.", minimum=4)
    input_data_dir: str | None = flag(
        None, "Folder with the files of the task as they were downloaded.", group="A known task"
    )
    classification_task_name: str = flag("MNLI", "Which task.", choices=TASKS)
    mnli_type: str = flag("matched", "Which evaluation and test set of MNLI.", choices=("matched", "mismatched"))
    xnli_language: str = flag("en", "Language of the XNLI training set; `all` for its 15 languages.")
    pawsx_language: str = flag("en", "Language of the PAWS-X training set; `all` for its 7 languages.")
    train_file: str | None = flag(
        None, "Training examples, instead of a known task: .tsv, .csv or .jsonl.", group="Data of your own"
    )
    eval_file: str | None = flag(None, "Examples for evaluation.")
    test_file: str | None = flag(None, "Examples to predict; they need no label.")
    text_a_column: str | None = flag(
        None, "Column of the (first) text: its name in the first line, or its number from 0 where there is no header."
    )
    text_b_column: str | None = flag(None, "Column of the second text of a pair.")
    label_column: str | None = flag(None, "Column of the label.")
    id_column: str | None = flag(None, "Column that tells the example apart.")
    labels: str | None = flag(
        None, "Class names in the order of their ids, separated by commas; default: those of the training file, sorted."
    )
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
    num_workers: int = flag(0, "Processes that work at the same time; 0 for one on each core.", minimum=0)
