# SPDX-License-Identifier: Apache-2.0
"""Unpacking a model that was downloaded as `.tar.gz`, once, into a folder that only its own files can get into."""

import gzip
import hashlib
import os
import secrets
import shutil
import tarfile
import zlib
from typing import IO

from jaxbert.errors import InputError
from jaxbert.files import absolute, check_folder, open_input, version

ENDINGS = (".tar.gz", ".tgz")
_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


def unpack(path: str, cache: str) -> str:
    """The folder below `cache` with the content of the archive at `path`; unpacked only if it is not there yet.

    A folder that is alone in the archive is gone into. Raises InputError where the archive is damaged, holds anything
    but files and folders, names a place outside of itself, or does not fit on the disk.
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
    names = os.listdir(folder)
    only = os.path.join(folder, names[0]) if len(names) == 1 else folder
    return only if os.path.isdir(only) else folder


def _unpack(path: str, folder: str) -> None:
    try:
        with open_input(path) as file, gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _unpack_member(archive, member, folder)
            while stream.read(_CHUNK):
                pass  # the checksum of the archive comes last
    except _DAMAGE as error:
        raise InputError(f"archive `{path}` cannot be unpacked: {error}", "download it again") from error


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: str) -> None:
    parts = member.name.split("/")
    target = os.path.join(folder, *(part for part in parts if part not in ("", ".")))
    if member.name.startswith(("/", "\\")) or ".." in parts or "\\" in member.name or ":" in parts[0]:
        raise ValueError(f"its member `{member.name}` lies outside of it")
    if member.isdir():
        os.makedirs(target, exist_ok=True)
        return
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        raise ValueError(f"its member `{member.name}` is neither a file nor a folder")
    free = shutil.disk_usage(folder).free
    if member.size > free:
        raise ValueError(f"its member `{member.name}` has {member.size} bytes, the disk has {free} left")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    _write(content, target)


def _write(content: IO[bytes], target: str) -> None:
    with open(target, "xb") as file:
        shutil.copyfileobj(content, file, _CHUNK)
