# SPDX-License-Identifier: Apache-2.0
"""Recognising model files that are not read, to say plainly what they are."""

import os

from jaxbert.errors import InputError
from jaxbert.files import is_file, is_folder, names, open_input

_HINT = (
    "give a TensorFlow checkpoint (the prefix of its `.index` file, for example `bert_model.ckpt`), a hub module, or a "
    "model folder of Hugging Face or jaxbert with safetensors files"
)
_CONVERT = (
    "weights in pickles may run any code when they are opened; convert them once where PyTorch is installed: "
    '`python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in'
    " torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"`"
)
# What a file of this name, in a folder or given itself, makes of it.
_NAMES = (
    ("pytorch_model.bin", "a PyTorch model of Hugging Face", _CONVERT),
    ("pytorch_model.bin.index.json", "a PyTorch model of Hugging Face in several files", _CONVERT),
    ("flax_model.msgpack", "a Flax model of Hugging Face", _HINT),
    ("tf_model.h5", "a Keras model of Hugging Face", _HINT),
    ("model.onnx", "an ONNX model", _HINT),
)
# How files of other kinds begin.
_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes weights", _HINT),
    (b"PK\x03\x04", "a zip archive, as PyTorch, Keras 3 and NumPy write weights", _HINT),
    (b"\x80\x02", "a pickle, as old PyTorch writes weights", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", "unpack it, or give it a name that ends in `.tar.gz`"),
)


def refuse_other_kinds(path: str) -> None:
    """Raise an InputError that says what `path` is, if it is a model of a kind that is known but not read."""
    kind = _kind_of_folder(path) if is_folder(path) else _kind_of_file(path)
    if kind:
        raise InputError(f"`{path}` is {kind[0]}, which is not read", kind[1])


def _kind_of_folder(path: str) -> tuple[str, str] | None:
    present = set(names(path))
    return next(((kind, hint) for name, kind, hint in _NAMES if name in present), None)


def _kind_of_file(path: str) -> tuple[str, str] | None:
    if not is_file(path):
        return None
    by_name = next(((kind, hint) for name, kind, hint in _NAMES if name == os.path.basename(path)), None)
    with open_input(path) as file:
        beginning = file.read(8)
    return by_name or next(((kind, hint) for start, kind, hint in _BEGINNINGS if beginning.startswith(start)), None)
