# SPDX-License-Identifier: Apache-2.0
"""From what a user points at to the model there: its kind, recognised by looking, and what lies beside its weights."""

import os
from dataclasses import dataclass
from typing import Literal

from jaxbert.checkpoints import contents, huggingface_config
from jaxbert.checkpoints.contents import Contents
from jaxbert.checkpoints.model_folder import (
    CONFIG_FILE,
    OUR_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    models_of_run,
    read_object,
)
from jaxbert.checkpoints.other_kinds import refuse_other_kinds
from jaxbert.checkpoints.places import locate
from jaxbert.checkpoints.safetensors_contents import INDEX_ENDING, safetensors_contents
from jaxbert.checkpoints.tf_bundle import open_bundle
from jaxbert.checkpoints.tf_contents import tf_contents
from jaxbert.checkpoints.tf_prefix import find_prefix
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.files import is_file, is_folder, names

_HUGGINGFACE_CONFIG = "config.json"
_SAVED_MODEL = "saved_model.pb"
_SAFETENSORS = (OUR_FILE, f"model{INDEX_ENDING}")
_CASE_RULE = "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Source:
    """A model on disk.

    Attributes:
        kind: how its weights are stored; a SavedModel (hub module) holds a TensorFlow checkpoint.
        path: prefix of the checkpoint, the safetensors file, or the index of several.
        folder: where configuration and vocabulary are.
    """

    kind: Literal["checkpoint", "SavedModel", "safetensors"]
    path: str
    folder: str

    def beside(self, name: str) -> str | None:
        """The file `name` beside the weights, if it is there; a SavedModel keeps its vocabulary among its assets."""
        if name == VOCAB_FILE and self.kind == "SavedModel":
            return _asset(os.path.join(self.folder, "assets"))
        path = os.path.join(self.folder, name)
        return path if is_file(path) else None


def find_source(name: str) -> Source:
    """The model at a path, or with a name that `locate` knows.

    Raises InputError where there is none, or one of a kind that is not read.
    """
    path = locate(name)
    folder = path if is_folder(path) else os.path.dirname(path)
    if os.path.basename(path) == _SAVED_MODEL or is_file(os.path.join(path, _SAVED_MODEL)):
        return Source("SavedModel", find_prefix(os.path.join(folder, "variables", "variables")), folder)
    candidates = [os.path.join(path, file) for file in _SAFETENSORS] if is_folder(path) else [path]
    for file in candidates:
        if file.endswith((".safetensors", INDEX_ENDING)) and is_file(file):
            return Source("safetensors", file, folder)
    refuse_other_kinds(path)
    try:
        prefix = find_prefix(path)
    except InputError as error:
        if models := [f"`{os.path.join(path, name)}`" for name in models_of_run(path)]:
            raise InputError(
                f"`{path}` is the folder of a run", f"give a model in it: {' or '.join(models)}"
            ) from error
        raise
    return Source("checkpoint", prefix, os.path.dirname(prefix))


def read_contents(source: Source) -> Contents:
    """What is in the files of a model; no weight is read. Raises InputError where they are damaged."""
    if source.kind == "safetensors":
        architectures = read_object(source.beside(_HUGGINGFACE_CONFIG)).get("architectures")
        architecture = architectures[0] if isinstance(architectures, list) and architectures else None
        found = safetensors_contents(source.path, architecture)
    else:
        found = tf_contents(open_bundle(source.path))
    if scalar := next((name for name, shape in found.shapes.items() if not shape), None):
        raise InputError(f"the weight `{scalar}` in `{found.source}` is a single number", "give a checkpoint of BERT")
    return found


def read_config(source: Source) -> BertConfig | None:
    """The configuration beside the weights; that of a SavedModel, which has none, is what the weights show."""
    if path := source.beside(CONFIG_FILE):
        return bert_config.read(path)
    if source.kind == "safetensors" and (path := source.beside(_HUGGINGFACE_CONFIG)):
        try:
            return huggingface_config.from_huggingface(read_object(path))
        except InputError as error:
            raise InputError(f"`{path}`: {error.message}", error.hint) from error
    return contents.sizes(read_contents(source)) if source.kind == "SavedModel" else None


def read_case_rule(source: Source) -> bool | None:
    """Whether the model's text is lower-cased, where its files say so."""
    if source.kind == "SavedModel":
        bundle = open_bundle(source.path)
        return bool(bundle.read(_CASE_RULE).all()) if _CASE_RULE in bundle.entries else None
    rule = read_object(source.beside(TOKENIZER_FILE)).get("do_lower_case")
    return rule if isinstance(rule, bool) else None


def read_class_names(source: Source) -> tuple[str, ...]:
    """The names of a classifier's classes, where a Hugging Face folder says them."""
    return huggingface_config.class_names(read_object(source.beside(_HUGGINGFACE_CONFIG)))


def _asset(folder: str) -> str | None:
    """The vocabulary among a SavedModel's assets: `vocab.txt`, or the only file."""
    assets = names(folder)
    name = VOCAB_FILE if VOCAB_FILE in assets else assets[0] if len(assets) == 1 else None
    return os.path.join(folder, name) if name else None
