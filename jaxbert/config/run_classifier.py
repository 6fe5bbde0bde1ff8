# SPDX-License-Identifier: Apache-2.0
"""The flags of `run_classifier`."""

import dataclasses

from jaxbert.config.fine_tuning import FineTuningFlags
from jaxbert.config.flags import flag
from jaxbert.config.text_data import TextDataFlags
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class Flags(TextDataFlags, FineTuningFlags):
    """Fine-tuning a classifier or regressor, from records or straight from the files of a task."""

    train_data_path: str | None = flag(
        None, "Training records, globs separated by commas.", group="Records, as create_finetuning_data writes them"
    )
    eval_data_path: str | None = flag(None, "Records to evaluate on, or with --mode=predict to predict.")
    input_meta_data_path: str | None = flag(None, "The meta data file beside the records.")
    train_data_size: int | None = flag(None, "Train on only so many records, the first ones.", minimum=1)
    eval_batch_size: int = flag(32, "Examples evaluated together, more of short ones in the same memory.", minimum=1)
    num_eval_per_epoch: int = flag(1, "Evaluations in an epoch.", minimum=1)

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.has_text_data and (self.train_data_path or self.eval_data_path):
            raise InputError(
                "records and text data are both given",
                "give `--train_data_path` and `--eval_data_path`, or `--data_dir`, or `--train_file` and its like",
            )
        if not self.has_text_data and self.input_meta_data_path is None and self.trains:
            raise InputError(
                "there is no data: `--input_meta_data_path` is not given",
                "give it with `--train_data_path` and `--eval_data_path`, or `--data_dir` with the files of a task",
            )
