# SPDX-License-Identifier: Apache-2.0
"""Say what a file or folder is: a model and all that is in it, records, metadata, tables, vocabularies, settings."""

import os
from collections.abc import Iterable

from jaxbert.checkpoints import describe
from jaxbert.checkpoints.model_folder import has_model
from jaxbert.config.models import InspectFlags
from jaxbert.datasets.describe import describe_data
from jaxbert.datasets.describe_records import describe_examples
from jaxbert.datasets.describe_tables import describe_splits, usual_columns
from jaxbert.datasets.describe_texts import try_describe_texts
from jaxbert.errors import InputError
from jaxbert.examples.table import ColumnNames
from jaxbert.export.onnx import MODEL_FILE
from jaxbert.io import files
from jaxbert.tfrecord.files import is_records


def run(flags: InspectFlags) -> None:
    """Print what is at `path`, line by line."""
    for line in _describe(flags):
        print(line)


def _describe(flags: InspectFlags) -> Iterable[str]:
    path = flags.path
    if files.is_file(path):
        lines = describe.describe_configuration(path) or describe_data(path) or _describe_onnx(path)
        if is_records(path):
            lines = [*lines, *describe_examples(path, flags.eval_file, flags.input_meta_data_path)]
        elif any(line.startswith("use  ") for line in lines) or flags.text_a_column:
            lines = [*lines, *_describe_texts(flags, lines)]
    elif files.is_file(onnx := os.path.join(path, MODEL_FILE)) and not has_model(path):
        lines = _describe_onnx(onnx)
    else:
        lines = describe.describe_run(path) or describe.describe_released(path) or describe_splits(path)
    return lines or describe.describe_model(path, flags.bert_config_file, flags.vocab_file)


def _describe_texts(flags: InspectFlags, lines: Iterable[str]) -> Iterable[str]:
    """What is in the columns that the flags name; without flags in those with usual names, if they can be read."""
    names = usual_columns(lines)
    if flags.text_a_column:
        names = ColumnNames(flags.text_a_column, flags.text_b_column or "", flags.label_column or "")
    is_asked = bool(flags.text_a_column or flags.eval_file)
    tokenizer = describe.tokenizer_of(flags.init_checkpoint, flags.vocab_file)
    return try_describe_texts(flags.path, flags.eval_file, names, tokenizer, flags.max_seq_length, is_asked)


def _describe_onnx(path: str) -> list[str]:
    """The package `onnx` is optional: it is imported only for files that are nothing else."""
    try:
        from jaxbert.export.describe import describe_onnx
    except ImportError as error:
        if not path.endswith(".onnx"):
            return []
        raise InputError(f"reading `{path}` needs the package `onnx`: {error}", "pip install onnx") from error
    return describe_onnx(path)
