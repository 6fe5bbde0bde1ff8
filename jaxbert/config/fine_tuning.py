# SPDX-License-Identifier: Apache-2.0
"""The flags that the commands that fine-tune share."""

import dataclasses

from jaxbert.config.flags import flag
from jaxbert.config.training import TrainingFlags
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class FineTuningFlags(TrainingFlags):
    """What is done with a model: trained, evaluated, used, written for other programs."""

    mode: str = flag(
        "train_and_eval",
        "What to do.",
        choices=("train_and_eval", "train", "eval", "predict", "export_only"),
        group="What to do",
    )
    predict_checkpoint_path: str | None = flag(
        None, "Weights for --mode=predict, eval and export_only; default: the best ones in --model_dir, or the last."
    )
    model_export_path: str | None = flag(
        None,
        "A new folder for the trained model as a SavedModel, written after training or with --mode=export_only;"
        " `jaxbert export` knows more formats.",
    )

    @property
    def trains(self) -> bool:
        """Whether the mode trains."""
        return self.mode.startswith("train")

    @property
    def export_folder(self) -> str | None:
        """Where a SavedModel is written, if the mode writes one."""
        return self.model_export_path or None if self.trains or self.mode == "export_only" else None

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.mode == "export_only" and self.export_folder is None:
            raise InputError("`--mode=export_only` needs a place to export to", "give `--model_export_path`")
