# SPDX-License-Identifier: Apache-2.0
"""Write a model in the format of another program: TensorFlow 1, TensorFlow 2, Hugging Face or our own."""

from typing import cast

from jaxbert.config.models import ConvertFlags
from jaxbert.export.model import CheckpointFormat, convert_model


def run(flags: ConvertFlags) -> None:
    """Read, check, write, and compare what was written with what was read."""
    convert_model(
        flags.init_checkpoint,
        cast(CheckpointFormat, flags.to),
        flags.output_dir,
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
    )
