# SPDX-License-Identifier: Apache-2.0
"""Flags of the commands that read a whole model and write it in another form."""

import dataclasses

from jaxbert.config.flags import flag, required_flag


@dataclasses.dataclass(frozen=True)
class WholeModelFlags:
    """From where and where to."""

    init_checkpoint: str = required_flag("The model to read: whatever the trainers take as `--init_checkpoint`.")
    output_dir: str = required_flag("The folder to write, new or empty.")
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    vocab_file: str | None = flag(None, "The vocabulary to go with it; default: the one in the checkpoint's folder.")
    do_lower_case: bool | None = flag(
        None, "Whether its text is lower-cased; default: as the model says, or unless the vocabulary has capitals."
    )
