# SPDX-License-Identifier: Apache-2.0
"""Write a model as other programs run it: SavedModel, ONNX or Hugging Face."""

from typing import cast

from jaxbert.config.models import ExportFlags
from jaxbert.export.model import ExportFormat, export_model
from jaxbert.export.network import Kind


def run(flags: ExportFlags) -> None:
    """Read the model, choose what of it is exported, and write it."""
    export_model(
        flags.init_checkpoint,
        cast(ExportFormat, flags.format),
        flags.output_dir,
        kind=cast(Kind | None, flags.model),
        optimize=flags.optimize,
        quantize=flags.quantize == "int8",
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
    )
