# SPDX-License-Identifier: Apache-2.0
"""The flags of `convert_checkpoint`."""

import dataclasses

from jaxbert.config.flags import required_flag
from jaxbert.config.whole_model import WholeModelFlags


@dataclasses.dataclass(frozen=True)
class Flags(WholeModelFlags):
    """A model in the format of another world."""

    to: str = required_flag(
        "tf1: names of google-research/bert; tf2: for official code in TensorFlow 2, any version; huggingface: for"
        " `transformers`; jaxbert: a model folder as our trainers write it.",
        choices=("tf1", "tf2", "huggingface", "jaxbert"),
    )
