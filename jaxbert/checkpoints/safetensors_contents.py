# SPDX-License-Identifier: Apache-2.0
"""BERT's weights in safetensors files: under our own names, or Hugging Face's, in one file or several with an index."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxbert.checkpoints import huggingface_names, names
from jaxbert.checkpoints.contents import Contents, Tensor
from jaxbert.errors import InputError
from jaxbert.files import is_file, local_copy, read_text

INDEX_ENDING = ".safetensors.index.json"
_DAMAGE = (SafetensorError, OSError, TypeError, ValueError, KeyError, AttributeError)  # as damage shows itself
_OTHER_CLASSIFIERS = ("BertForTokenClassification", "BertForMultipleChoice")  # their `classifier` is another network


def safetensors_contents(path: str, architecture: str | None = None) -> Contents:
    """What is in the safetensors file at `path`, or in all those that an index at `path` names.

    `architecture` is the class of transformers that wrote them, if known. Raises InputError for damaged files.
    """
    indexed = _read_index(path) if path.endswith(INDEX_ENDING) else {}
    files = {file: _open(file) for file in dict.fromkeys(indexed.values() if indexed else [path])}
    tensors: dict[str, Tensor] = {}
    places: dict[str, str] = {}
    for file, opened in files.items():
        found = _tensors(file, opened)
        tensors |= found
        places |= dict.fromkeys(found, file)
    for key, file in indexed.items():
        if places.get(key) != file:
            raise InputError(f"`{path}` says that `{key}` is in `{file}`, where it is not", "download the model again")
    is_ours = names.WORD_EMBEDDINGS in tensors
    keys = {key: key for key in tensors if names.is_weight(key)} if is_ours else _keys(path, tensors, architecture)
    copies = {} if is_ours else {key: keys[name] for key, name in huggingface_names.TIED.items() if key in tensors}

    def read(name: str, key: str) -> np.ndarray:
        tensor = _read(places[key], files[places[key]], key)
        return tensor if is_ours else huggingface_names.in_tf1_shape(name, tensor)

    return Contents(
        source=path,
        layout="jaxbert safetensors" if is_ours else "Hugging Face safetensors",
        tensors=tensors,
        keys=keys,
        shapes={name: _tf1_shape(name, tensors[key].shape, is_ours) for name, key in keys.items()},
        attention_heads=None,
        read=read,
        copies={key: original for key, original in copies.items() if key != original},
    )


def _tf1_shape(name: str, shape: tuple[int, ...], is_ours: bool) -> tuple[int, ...]:
    return shape if is_ours or not name.endswith("/kernel") else shape[::-1]


def _keys(path: str, tensors: Mapping[str, Tensor], architecture: str | None) -> dict[str, str]:
    """TF1 name -> key of every weight under one of Hugging Face's names."""
    keys: dict[str, str] = {}
    for key in tensors:
        name = huggingface_names.tf1_name(key)
        if name is None or (name in names.CLASSIFIER and architecture in _OTHER_CLASSIFIERS):
            continue
        if name in keys:
            raise InputError(f"`{path}` holds the same weight as `{keys[name]}` and as `{key}`", "remove one of them")
        keys[name] = key
    for key, name in huggingface_names.TIED.items():
        if key in tensors:
            keys.setdefault(name, key)
    return keys


def _read_index(path: str) -> dict[str, str]:
    """Key -> path of its file, which lies in the same folder."""
    try:
        content = json.loads(read_text(path))
        places = content["weight_map"]
        if not isinstance(places, dict) or not places:
            raise ValueError("`weight_map` names no weights")
        for key, file in places.items():
            if not isinstance(file, str) or os.path.basename(file) != file or not file.endswith(".safetensors"):
                raise ValueError(f"`{key}` is said to be in `{file}`, which is no safetensors file of the same folder")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"`{path}` is not an index of safetensors files: {error}", "download the model again"
        ) from error
    return {key: os.path.join(os.path.dirname(path), file) for key, file in places.items()}


def _open(path: str) -> Any:
    if not is_file(path):
        raise InputError(f"`{path}` is missing", "download the model again")
    try:
        with local_copy(path) as here:
            return safe_open(here, framework="numpy")
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole safetensors file: {error}", "copy the file again") from error


def _tensors(path: str, opened: Any) -> dict[str, Tensor]:
    try:
        slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
        return {key: Tensor(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole safetensors file: {error}", "copy the file again") from error


def _read(path: str, opened: Any, key: str) -> np.ndarray:
    try:
        tensor: np.ndarray = opened.get_tensor(key)
        return tensor
    except _DAMAGE as error:
        raise InputError(f"tensor `{key}` of `{path}` cannot be read: {error}", "copy the file again") from error
