# SPDX-License-Identifier: Apache-2.0
"""The flags of `inspect`."""

import dataclasses

from jaxbert.config.flags import argument, flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """What to look at, and what to compare it with."""

    path: str = argument(
        "A model in any format that is read (also by the name of a released one), an ONNX file, TFRecords, meta data, a"
        " vocabulary or a configuration."
    )
    bert_config_file: str | None = flag(None, "Compare the model with this configuration.")
    vocab_file: str | None = flag(None, "Compare the model with this vocabulary.")
