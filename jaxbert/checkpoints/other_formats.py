# SPDX-License-Identifier: Apache-2.0
"""Models in formats that are not read: what they are, and what to do about it."""

import os

from jaxbert.errors import InputError
from jaxbert.io.files import is_file, is_folder, names, open_input, read_json_object

_HINT = (
    "give a TensorFlow checkpoint (the prefix of its `.index` file, for example `bert_model.ckpt`), a hub module, a "
    "preset of keras-hub, or a model folder of Hugging Face or jaxbert with safetensors files"
)
_CONVERT = (
    "weights in pickles may run any code when they are opened; convert them once where PyTorch is installed: "
    '`python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in'
    " torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"`"
)
# Files of other programs by their names, alone or in a folder; what they are, and what to do.
_NAMES = {
    "pytorch_model.bin": ("a PyTorch model of Hugging Face", _CONVERT),
    "pytorch_model.bin.index.json": ("a PyTorch model of Hugging Face in several files", _CONVERT),
    "flax_model.msgpack": ("a Flax model of Hugging Face", _HINT),
    "tf_model.h5": ("a Keras model of Hugging Face", _HINT),
    "model.onnx": ("an ONNX model", _HINT),
    "model.weights.json": ("a preset of keras-hub in several files", "save it in one: `max_shard_size=1000`"),
}
# And by their first bytes.
_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as Keras writes weights", _HINT),
    b"PK\x03\x04": ("a zip archive, as PyTorch, Keras 3 and NumPy write weights", _HINT),
    b"\x80\x02": ("a pickle, as old PyTorch writes weights", _CONVERT),
    b"\x1f\x8b": (
        "a gzip archive",
        "unpack it; if it is the archive of a hub module, give it a name that ends in `.tar.gz`",
    ),
    b"GGUF": ("a GGUF file, as llama.cpp writes weights", _HINT),
}
_POINTER = b"version https://git-lfs"
_ADAPTER = "adapter_config.json"


def refuse_pointer(path: str) -> None:
    """Raise InputError where the file at `path`, if there is one, only says where Git LFS keeps the file itself."""
    if not is_file(path):
        return
    with open_input(path) as file:
        beginning = file.read(len(_POINTER))
    if beginning == _POINTER:
        raise InputError(
            f"`{path}` is a pointer of Git LFS: the file itself was not downloaded",
            "`git lfs install` and `git lfs pull` in its folder, or download the file",
        )


def refuse_adapter(folder: str) -> None:
    """Raise InputError where `folder` holds a LoRA adapter, or another one of `peft`, with or without its model."""
    path = os.path.join(folder, _ADAPTER)
    if is_file(path):
        base = read_json_object(path, "what peft writes").get("base_model_name_or_path")
        raise InputError(
            f"`{folder}` holds an adapter (LoRA) for the model `{base}`, which is not read",
            "merge it into its model once with `merge_and_unload()` of `peft`, and give the folder that"
            " `save_pretrained` writes then",
        )


def refuse_other_formats(path: str) -> None:
    """Raise an InputError that says what `path` is, if it is a model in a format that is known but not read."""
    present = set(names(path)) if is_folder(path) else {os.path.basename(path)} if is_file(path) else set()
    found = next((format_ for name, format_ in _NAMES.items() if name in present), None)
    if found is None and is_file(path):
        with open_input(path) as file:
            beginning = file.read(8)
        found = next((format_ for start, format_ in _BEGINNINGS.items() if beginning.startswith(start)), None)
    if found:
        raise InputError(f"`{path}` is {found[0]}, which is not read", found[1])
