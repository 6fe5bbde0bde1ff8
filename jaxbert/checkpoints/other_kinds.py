# SPDX-License-Identifier: Apache-2.0
"""Recognising model files that are not read, to say plainly what they are."""

import os

from jaxbert.errors import InputError
from jaxbert.files import open_input

# What a file of this name, in a folder or given itself, makes of it.
_NAMES = (
    ("saved_model.pb", "a TensorFlow SavedModel (a hub module)"),
    ("tfhub_module.pb", "a TensorFlow 1 hub module"),
    ("pytorch_model.bin", "a PyTorch model of Hugging Face"),
    ("flax_model.msgpack", "a Flax model of Hugging Face"),
    ("tf_model.h5", "a Keras model of Hugging Face"),
    ("model.safetensors.index.json", "a Hugging Face model in several files"),
)
# How files of other kinds begin.
_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes weights"),
    (b"PK\x03\x04", "a zip archive, as PyTorch, Keras 3 and NumPy write weights"),
    (b"\x80\x02", "a pickle, as old PyTorch writes weights"),
    (b"\x1f\x8b", "a gzip archive"),
)
_HINT = (
    "give a TensorFlow checkpoint (the prefix of its `.index` file, for example `bert_model.ckpt`) or a model folder "
    "written by jaxbert"
)


def refuse_other_kinds(path: str) -> None:
    """Raise an InputError that says what `path` is, if it is a model of a kind that is known but not read."""
    kind = _kind_of_folder(path) if os.path.isdir(path) else _kind_of_file(path)
    if kind:
        raise InputError(f"`{path}` is {kind}, which is not read", _HINT)


def _kind_of_folder(path: str) -> str | None:
    present = set(os.listdir(path))
    if {"model.safetensors", "config.json"} <= present and "bert_config.json" not in present:
        return "a Hugging Face model"
    return next((kind for name, kind in _NAMES if name in present), None)


def _kind_of_file(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    by_name = next((kind for name, kind in _NAMES if name == os.path.basename(path)), None)
    with open_input(path) as file:
        beginning = file.read(8)
    return by_name or next((kind for start, kind in _BEGINNINGS if beginning.startswith(start)), None)
