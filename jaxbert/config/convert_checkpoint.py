# SPDX-License-Identifier: Apache-2.0
"""The flags of `convert_checkpoint`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """From where, to which format, and where to."""

    init_checkpoint: str = required_flag("The model to convert: whatever the trainers take as `--init_checkpoint`.")
    to: str = required_flag(
        "tf1: names of google-research/bert; tf2: for official code in TensorFlow 2, any version; huggingface: for"
        " `transformers`; jaxbert: a model folder as our trainers write it.",
        choices=("tf1", "tf2", "huggingface", "jaxbert"),
    )
    output_dir: str = required_flag("The folder to write, new or empty.")
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    vocab_file: str | None = flag(None, "The vocabulary to go with it; default: the one in the checkpoint's folder.")
    do_lower_case: bool | None = flag(
        None, "Whether its text is lower-cased; default: as the model says, or unless the vocabulary has capitals."
    )
