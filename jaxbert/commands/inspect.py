# SPDX-License-Identifier: Apache-2.0
"""Say what a file or folder is: a model and all that is in it, records, metadata, tables, vocabularies, settings."""

import os
from collections.abc import Iterable

from jaxbert.checkpoints.describe import describe_configuration, describe_model, describe_released, describe_run
from jaxbert.checkpoints.model_folder import has_model
from jaxbert.config.models import InspectFlags
from jaxbert.datasets.describe import describe_data
from jaxbert.datasets.describe_tables import describe_splits
from jaxbert.errors import InputError
from jaxbert.export.onnx import MODEL_FILE
from jaxbert.io import files


def run(flags: InspectFlags) -> None:
    """Print what is at `path`, line by line."""
    for line in _describe(flags):
        print(line)


def _describe(flags: InspectFlags) -> Iterable[str]:
    path = flags.path
    if files.is_file(path):
        lines = describe_configuration(path) or describe_data(path) or _describe_onnx(path)
    elif files.is_file(onnx := os.path.join(path, MODEL_FILE)) and not has_model(path):
        lines = _describe_onnx(onnx)
    else:
        lines = describe_run(path) or describe_released(path) or describe_splits(path)
    return lines or describe_model(path, flags.bert_config_file, flags.vocab_file)


def _describe_onnx(path: str) -> list[str]:
    """The package `onnx` is optional: it is imported only for files that are nothing else."""
    try:
        from jaxbert.export.describe import describe_onnx
    except ImportError as error:
        if not path.endswith(".onnx"):
            return []
        raise InputError(f"reading `{path}` needs the package `onnx`: {error}", "pip install onnx") from error
    return describe_onnx(path)
