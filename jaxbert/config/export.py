# SPDX-License-Identifier: Apache-2.0
"""The flags of `export`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag
from jaxbert.config.whole_model import WholeModelFlags


@dataclasses.dataclass(frozen=True)
class Flags(WholeModelFlags):
    """A model as other programs run it."""

    format: str = required_flag(
        "saved_model: for TensorFlow 2, as hub module and to be served; onnx: one file for onnxruntime and others;"
        " huggingface: for `transformers`.",
        choices=("saved_model", "onnx", "huggingface"),
    )
    model: str | None = flag(
        None,
        "What to export of it; default: with the head that it has, or the encoder alone.",
        choices=("encoder", "classifier", "squad", "pretrainer"),
    )
