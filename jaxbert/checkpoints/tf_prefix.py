# SPDX-License-Identifier: Apache-2.0
"""From what a user writes (prefix, one of its files, folder) to the prefix of a TensorFlow checkpoint."""

import glob
import os
import re

from jaxbert.errors import InputError
from jaxbert.files import find, is_file, is_folder, read_text

STATE_FILE = "checkpoint"  # names the newest checkpoint of its folder
_FILE_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_NEWEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


def find_prefix(path: str) -> str:
    """The prefix for which `<prefix>.index` exists.

    `path` may be that prefix, its `.index`, `.meta` or `.data-*` file, a prefix without the number that
    `tf.train.Checkpoint.save` appends (where only one number exists), or a folder: then the newest
    according to its `checkpoint` file, or else the only checkpoint in it. Raises InputError naming the candidates.
    """
    if is_folder(path):
        return _prefix_in_folder(path)
    prefix = _FILE_ENDING.sub("", path)
    if is_file(f"{prefix}.index"):
        return prefix
    numbered = _prefixes(f"{glob.escape(prefix)}-*.index")
    if len(numbered) == 1:
        return numbered[0]
    folder = os.path.dirname(prefix) or "."
    is_other = path == prefix and is_file(path)
    raise InputError(
        f"`{path}` is nothing that is known here"
        if is_other
        else f"there is no checkpoint `{path}`: expected the file `{prefix}.index`",
        _candidates(numbered or _prefixes(f"{glob.escape(folder)}/*.index"), folder),
    )


def _prefix_in_folder(folder: str) -> str:
    prefixes = _prefixes(f"{glob.escape(folder)}/*.index")
    state = os.path.join(folder, STATE_FILE)
    if is_file(state):
        return _newest(state, folder, prefixes)
    if len(prefixes) == 1:
        return prefixes[0]
    problem = (
        f"{len(prefixes)} checkpoints and no `checkpoint` file that names the newest" if prefixes else "no checkpoint"
    )
    raise InputError(f"folder `{folder}` holds {problem}", _candidates(prefixes, folder))


def _newest(state: str, folder: str, prefixes: list[str]) -> str:
    """The checkpoint named in a state file, always in its own folder: absolute paths are from where it was written."""
    named = _NEWEST.search(read_text(state))
    if named is None:
        raise InputError(f'`{state}` has no line `model_checkpoint_path: "..."`', _candidates(prefixes, folder))
    name = re.sub(r"\\(.)", r"\1", named[1])
    prefix = os.path.join(folder, os.path.basename(name))
    if not is_file(f"{prefix}.index"):
        raise InputError(
            f"`{state}` names `{name}`, but `{prefix}.index` does not exist", _candidates(prefixes, folder)
        )
    return prefix


def _prefixes(pattern: str) -> list[str]:
    return sorted(path.removesuffix(".index") for path in find(pattern))


def _candidates(prefixes: list[str], folder: str) -> str:
    if not prefixes:
        return f"`{folder}` holds no `.index` file: check the path, and that all files of the checkpoint are there"
    shown = ", ".join(f"`{prefix}`" for prefix in prefixes[:8])
    return f"give one of these: {shown}" + (f" (and {len(prefixes) - 8} more)" if len(prefixes) > 8 else "")
