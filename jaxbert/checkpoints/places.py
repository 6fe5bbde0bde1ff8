# SPDX-License-Identifier: Apache-2.0
"""From how a model is named (path, archive, released name, `https://tfhub.dev/...`, `hf://...`) to its place on disk.

Downloads are left to the clients of the two hubs, which keep what they download. Without a client or a network a model
may be put by hand where the message says.
"""

import functools
import importlib
import os
import re
from types import ModuleType

from jaxbert.checkpoints import archive
from jaxbert.checkpoints.released import RELEASED
from jaxbert.errors import InputError
from jaxbert.files import exists, is_file

_CACHE = "~/.cache/jaxbert/models"
_TFHUB = re.compile(r"^https?://(?:www\.)?tfhub\.dev/(tensorflow/(?:small_bert/)?bert_[\w-]+)/(\d+)/?$")
_HUGGINGFACE = re.compile(r"^hf://(\w[\w.-]*/\w[\w.-]*)$")
_FILES = ("*.json", "*.safetensors", "vocab.txt")  # of a repository at Hugging Face


def locate(name: str) -> str:
    """The local file or folder that `name` means; a path comes back as it is, an archive as the folder of its content.

    Raises InputError where a model with a known name is not here and cannot be fetched.
    """
    if name.endswith(archive.ENDINGS) and is_file(name):
        return archive.unpack(name, place_of("archives"))
    if exists(name):
        return name
    if module := _TFHUB.match(name):
        return _kept(f"{module[1]}/{module[2]}") or _from_kaggle(module[1], module[2])
    if repository := _HUGGINGFACE.match(name):
        return _kept(repository[1]) or _from_huggingface(repository[1])
    if name.startswith(("https://", "http://", "hf://")):
        raise InputError(
            f"`{name}` names no model that can be fetched",
            "expected `https://tfhub.dev/tensorflow/bert_.../1`, `hf://owner/name`, or a file or folder here",
        )
    return _released(name) if name in RELEASED else name


def place_of(name: str) -> str:
    """Where a model with this name is put by hand."""
    return os.path.join(os.path.expanduser(_CACHE), *name.split("/"))


def _kept(name: str) -> str | None:
    folder = place_of(name)
    return folder if os.path.isdir(folder) and os.listdir(folder) else None


def _released(name: str) -> str:
    model = RELEASED[name]
    if folder := _kept(name):
        inner = os.path.join(folder, model.folder)
        return inner if os.path.isdir(inner) else folder
    raise InputError(
        f"the released model `{name}` is not on this machine",
        f"download {model.archives[0]} and unpack it into {place_of(name)}",
    )


def kaggle_handle(module: str, version: str) -> str:
    """What Kaggle calls a version of a module of tfhub.dev: `tensorflow/bert/tensorFlow2/<variation>/<version>`.

    Variations are the old names in lower case with `-` for `_`; only those of the small models keep `bert-` in front.
    """
    variation = module.rsplit("/", 1)[1].lower().replace("_", "-")
    if "/small_bert/" not in module:
        variation = variation.removeprefix("bert-")
    return f"tensorflow/bert/tensorFlow2/{variation}/{version}"


@functools.cache
def _from_kaggle(module: str, version: str) -> str:
    handle = kaggle_handle(module, version)
    by_hand = f"download https://www.kaggle.com/models/{handle} and unpack it into {place_of(f'{module}/{version}')}"
    client = _client("kagglehub", by_hand)
    try:
        folder: str = client.model_download(handle)
    except Exception as error:  # it raises whatever its own libraries do
        raise _not_fetched(f"https://tfhub.dev/{module}/{version}", error, by_hand) from error
    return folder


@functools.cache
def _from_huggingface(repository: str) -> str:
    files = f"config.json, vocab.txt and *.safetensors of https://huggingface.co/{repository}"
    by_hand = f"download {files} into {place_of(repository)}"
    client = _client("huggingface_hub", by_hand)
    try:
        folder: str = client.snapshot_download(repository, allow_patterns=list(_FILES))
    except Exception as error:  # it raises whatever its own libraries do
        raise _not_fetched(f"hf://{repository}", error, by_hand) from error
    return folder


def _client(library: str, by_hand: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"fetching this model needs `{library}`", f"`pip install 'jaxbert[hub]'`, or {by_hand}"
        ) from error


def _not_fetched(name: str, error: Exception, by_hand: str) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"`{name}` cannot be fetched: {reason}", by_hand)
