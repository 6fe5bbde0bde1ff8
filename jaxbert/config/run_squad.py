# SPDX-License-Identifier: Apache-2.0
"""The flags of `run_squad`."""

import dataclasses

from jaxbert.config.fine_tuning import FineTuningFlags
from jaxbert.config.flags import flag
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class Flags(FineTuningFlags):
    """Fine-tuning on SQuAD 1.1 or 2.0, from records or straight from its JSON files; answers and their scores."""

    mode: str = flag(
        "train_and_eval",
        "What to do. train_and_eval predicts, and scores where --predict_file has answers; train_and_predict and"
        " predict only predict.",
        choices=("train_and_eval", "train_and_predict", "train", "eval", "predict", "export_only"),
        group="What to do",
    )
    train_data_path: str | None = flag(
        None, "Training records of create_finetuning_data, globs separated by commas.", group="Questions"
    )
    input_meta_data_path: str | None = flag(None, "The meta data file beside the records; it says how windows are cut.")
    train_file: str | None = flag(None, "SQuAD file to train on, in place of records.")
    predict_file: str | None = flag(None, "SQuAD files to answer, globs separated by commas; one file to score.")
    predict_batch_size: int = flag(8, "Windows predicted together, more of short ones in the same memory.", minimum=1)
    vocab_file: str | None = flag(
        None,
        "Vocabulary; default: `vocab.txt` in the folder of the checkpoint.",
        group="From text to tokens, where no meta data says it",
    )
    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text and drop accents; default: as the model says, or else unless the vocabulary has capitals.",
    )
    max_seq_length: int | None = flag(None, "Tokens in a window, special ones included; default: 384.", minimum=5)
    doc_stride: int | None = flag(
        None, "Tokens between the beginnings of the windows of a long context; default: 128.", minimum=1
    )
    max_query_length: int | None = flag(None, "Tokens of a question; longer ones are cut; default: 64.", minimum=1)
    version_2_with_negative: bool | None = flag(
        None, "SQuAD 2.0, where some questions have no answer; default: as the meta data says, or else false."
    )
    strict: bool = flag(False, "End at an answer that is not where the file says, instead of leaving its question out.")
    num_workers: int = flag(0, "Processes that make records at the same time; 0: one on each core.", minimum=0)
    n_best_size: int = flag(20, "Answers to keep of each question.", minimum=1, group="Answers")
    max_answer_length: int = flag(30, "Longest answer, in tokens.", minimum=1)
    null_score_diff_threshold: float | None = flag(
        None,
        "SQuAD 2.0: no answer where its score is above that of the best answer by more than this; default: what did"
        " best when the model was evaluated, or 0.",
    )

    @property
    def answers(self) -> bool:
        """Whether the mode predicts answers."""
        return self.mode not in ("train", "export_only")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.answers and self.predict_file is None:
            raise InputError(f"`--predict_file` must be given with `--mode={self.mode}`", "`--mode=train` only trains")
        if self.trains and bool(self.train_data_path) == bool(self.train_file):
            raise InputError(
                "give `--train_data_path` with `--input_meta_data_path`, or `--train_file` with a SQuAD file"
                + ("" if self.train_file else ": there is nothing to train on"),
                "both name training data" if self.train_file else "",
            )
        if self.train_data_path and self.input_meta_data_path is None and self.trains:
            raise InputError(
                "`--input_meta_data_path` must be given with `--train_data_path`",
                "it is the file that `create_finetuning_data` wrote to `--meta_data_file_path`",
            )
