# SPDX-License-Identifier: Apache-2.0
"""From the name of a model to files on this machine: fetched where it is known, unpacked where it is an archive."""

import functools
import gzip
import hashlib
import importlib
import os
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import PureWindowsPath
from typing import Any

from jaxbert.checkpoints.released import LICENSE, RELEASED
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.files import absolute, check_folder, exists, is_file, open_input, version

_CACHE = "~/.cache/jaxbert/models"
_ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
_TFHUB = re.compile(r"^https?://(?:www\.)?tfhub\.dev/(tensorflow/(?:small_bert/)?bert_[\w-]+)/(\d+)/?$")
_HUGGINGFACE = re.compile(r"^hf://(\w[\w.-]*/\w[\w.-]*)$")
_HUGGINGFACE_FILES = ("*.json", "*.safetensors", "*vocab.txt")
# Of a released model. Not the tokenizer's settings there: casing is that of the vocabulary, as in Google's archives.
_RELEASED_FILES = ("config.json", "model.safetensors", "vocab.txt")


def locate(name: str) -> str:
    """The local file or folder that `name` means; a path comes back as it is, an archive as the folder of its content.

    Models with known names are fetched where they are not here. Raises InputError where that cannot be done.
    """
    if name.endswith(_ARCHIVE_ENDINGS) and is_file(name):
        return unpack(name, cache_folder("archives"))
    if exists(name):
        return name
    if module := _TFHUB.match(name):
        return _kept(f"{module[1]}/{module[2]}") or _fetch_from_kaggle(module[1], module[2])
    if repository := _HUGGINGFACE.match(name):
        return _kept(repository[1]) or _fetch_from_huggingface(repository[1])
    if name.startswith(("https://", "http://", "hf://")):
        raise InputError(
            f"`{name}` names no model that can be fetched",
            "expected `https://tfhub.dev/tensorflow/bert_.../1`, `hf://owner/name`, or a file or folder here",
        )
    if name in RELEASED:
        return _kept(name, RELEASED[name].folder) or _fetch_released(name)
    return name


def cache_folder(name: str) -> str:
    """The folder in which a model with this name is found when it was put there by hand."""
    return os.path.join(os.path.expanduser(_CACHE), *name.split("/"))


def _kept(name: str, folder_of_archive: str = "") -> str | None:
    """What was put by hand into the folder for `name`, with or without the folder that is in its archive."""
    folder = cache_folder(name)
    if not os.path.isdir(folder) or not os.listdir(folder):
        return None
    inner = os.path.join(folder, folder_of_archive)
    return inner if folder_of_archive and os.path.isdir(inner) else folder


@functools.cache
def _fetch_released(name: str) -> str:
    """The folder with a released model from Hugging Face, where it is to be had there; the user is told before."""
    model = RELEASED[name]
    missing = f"the released model `{name}` is not on this machine"
    by_hand = f"download {model.archives[0]} and unpack it into {cache_folder(name)}"
    if model.repository is None:
        raise InputError(missing, by_hand)

    def fetch(client: Any) -> Any:
        say(
            f"fetching `{name}`, or taking it from the cache of huggingface_hub: {', '.join(_RELEASED_FILES)} of"
            f" https://huggingface.co/{model.repository}, revision {model.revision}; licence {LICENSE}"
        )
        return client.snapshot_download(model.repository, revision=model.revision, allow_patterns=list(_RELEASED_FILES))

    return _fetch(missing, "huggingface_hub", by_hand, fetch)


@functools.cache
def _fetch_from_huggingface(repository: str) -> str:
    files = f"{', '.join(_HUGGINGFACE_FILES)} of https://huggingface.co/{repository}"
    return _fetch(
        f"`hf://{repository}` is not on this machine",
        "huggingface_hub",
        f"download {files} into {cache_folder(repository)}",
        lambda client: client.snapshot_download(repository, allow_patterns=list(_HUGGINGFACE_FILES)),
    )


@functools.cache
def _fetch_from_kaggle(module: str, version: str) -> str:
    handle, folder = kaggle_handle(module, version), cache_folder(f"{module}/{version}")
    return _fetch(
        f"`https://tfhub.dev/{module}/{version}` is not on this machine",
        "kagglehub",
        f"download https://www.kaggle.com/models/{handle} and unpack it into {folder}",
        lambda client: client.model_download(handle),
    )


def kaggle_handle(module: str, version: str) -> str:
    """What Kaggle calls a version of a module of tfhub.dev: `tensorflow/bert/tensorFlow2/<variation>/<version>`.

    Variations are the old names in lower case with `-` for `_`; only those of the small models keep `bert-` in front.
    """
    variation = module.rsplit("/", 1)[1].lower().replace("_", "-")
    if "/small_bert/" not in module:
        variation = variation.removeprefix("bert-")
    return f"tensorflow/bert/tensorFlow2/{variation}/{version}"


def _fetch(missing: str, library: str, by_hand: str, fetch: Callable[[Any], Any]) -> str:
    """The folder that `fetch` gets from a client library; where it cannot, `missing`, why, and `by_hand` are said."""
    try:
        client = importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"{missing}, and fetching it needs `{library}`", f"`pip install {library}`, or {by_hand}"
        ) from error
    try:
        return str(fetch(client))
    except Exception as error:  # it raises whatever its own libraries do
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{missing} and cannot be fetched: {reason}", by_hand) from error


_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


def unpack(path: str, cache: str) -> str:
    """The folder below `cache` with the content of the archive at `path`; unpacked only if it is not there yet.

    A folder that is alone in the archive is gone into. Raises InputError where the archive is damaged, holds anything
    but files and folders, names a path outside of itself, or does not fit on the disk.
    """
    state = f"{absolute(path)} {version(path)}"
    folder = os.path.join(cache, hashlib.sha256(state.encode()).hexdigest()[:16])
    if not os.path.isdir(folder):
        check_folder(folder)
        partial = f"{folder}.{secrets.token_hex(4)}.partial"
        os.makedirs(partial)
        try:
            _unpack(path, partial)
            os.replace(partial, folder)
        except OSError:
            if not os.path.isdir(folder):  # which another process, or host, has unpacked meanwhile
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    content = os.listdir(folder)
    only = os.path.join(folder, content[0]) if len(content) == 1 else folder
    return only if os.path.isdir(only) else folder


def _unpack(path: str, folder: str) -> None:
    try:
        with open_input(path) as file, gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _check_member(member, folder)
                archive.extract(member, folder, filter="data")
            while stream.read(_CHUNK):
                pass  # the checksum of the archive comes last
    except _DAMAGE as error:
        raise InputError(f"archive `{path}` cannot be unpacked: {error}", "download it again") from error


def _check_member(member: tarfile.TarInfo, folder: str) -> None:
    """Refuse what the filter `data` lets pass or changes: links, absolute names, a name twice, more than fits."""
    name = PureWindowsPath(member.name)  # takes `\` and drives as they are meant there, and `/` too
    if name.anchor or ".." in name.parts:
        raise ValueError(f"its member `{member.name}` lies outside of it")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"its member `{member.name}` is neither a file nor a folder")
    if member.isreg() and os.path.lexists(os.path.join(folder, member.name)):
        raise ValueError(f"its member `{member.name}` exists twice")
    free = shutil.disk_usage(folder).free
    if member.size > free:
        raise ValueError(f"its member `{member.name}` has {member.size} bytes, the disk has {free} left")
