# SPDX-License-Identifier: Apache-2.0
"""The flags that say which texts a task is made of and how they become tokens."""

import dataclasses

from jaxbert.config.flags import flag

TASKS = ("AX", "COLA", "MNLI", "MRPC", "PAWS-X", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI", "XNLI")


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """How texts become tokens, which part of a known task is meant, and tables of one's own."""

    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text and drop accents; default: as the model says, or else unless the vocabulary has capitals.",
        group="From text to tokens",
    )
    max_seq_length: int = flag(128, "Tokens in a record, [CLS] and [SEP] included; longer texts are cut.", minimum=4)
    num_workers: int = flag(0, "Processes that make records at the same time; 0: one on each core.", minimum=0)
    mnli_type: str = flag("matched", "Which evaluation and test set of MNLI.", choices=("matched", "mismatched"))
    xnli_language: str = flag("en", "Language of the XNLI training set; `all` for its 15 languages.")
    pawsx_language: str = flag("en", "Language of the PAWS-X training set; `all` for its 7 languages.")
    train_file: str | None = flag(
        None, "Training examples instead of a known task: .tsv, .csv or .jsonl.", group="Text data of your own"
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


@dataclasses.dataclass(frozen=True)
class TextDataFlags(TextFlags):
    """A known task in a folder, or tables of one's own, for a command that trains on them directly."""

    regression: bool = flag(False, "Labels are numbers.")
    data_dir: str | None = flag(
        None, "Folder with the files of a known task as they were downloaded.", group="Text data of a known task"
    )
    task_name: str | None = flag(None, "Which task; default: the name of the folder.", choices=TASKS)
    vocab_file: str | None = flag(None, "Vocabulary; default: `vocab.txt` in the folder of the checkpoint.")

    @property
    def has_text_data(self) -> bool:
        """Whether records are to be made from text."""
        return any((self.data_dir, self.train_file, self.eval_file, self.test_file))
