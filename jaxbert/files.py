# SPDX-License-Identifier: Apache-2.0
"""Opening, listing and writing files; the one place that touches paths, so storage is decided here."""

import contextlib
import glob
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from typing import BinaryIO

from jaxbert.errors import InputError


def open_input(path: str) -> BinaryIO:
    """Open `path` for reading bytes; a missing, unreadable or folder path is an `InputError`."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}", "check the path and its permissions") from error


def read_bytes(path: str) -> bytes:
    """The whole content of `path`."""
    with open_input(path) as file:
        return file.read()


def map_input(path: str) -> memoryview:
    """The content of `path` as read-only memory; the system reads each part when it is first touched."""
    with open_input(path) as file:
        if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_text(path: str) -> str:
    """The content of `path` as UTF-8 text, without a byte order mark; bad bytes are an `InputError`."""
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"`{path}` line {line} is not UTF-8: byte `0x{content[error.start]:02x}`",
            "convert the file, for example with `iconv -t utf-8`",
        ) from error


def expand(patterns: str) -> list[str]:
    """Paths for a comma-separated list of globs, each sorted; a pattern that matches nothing is an `InputError`."""
    paths: list[str] = []
    for pattern in patterns.split(","):
        matches = sorted(glob.glob(pattern.strip()))
        if not matches:
            raise InputError(f"no file matches `{pattern}`", "check the path; several patterns are separated by commas")
        paths += matches
    return paths


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Write `path` under a temporary name; on success it is synced and renamed, otherwise it leaves no trace."""
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    try:
        os.makedirs(folder, exist_ok=True)
        file = open(temporary, "wb")  # noqa: SIM115 (closed by the `with` below)
    except OSError as error:
        raise InputError(
            f"cannot write `{path}`: {error.strerror}", "choose a folder that exists and may be written"
        ) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = path  # a full disk does not say which file it was
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """A folder to write files into, below `path`; on success its files move up to `path`, otherwise they are removed.

    Raises InputError where `path` holds anything already, or cannot be made.
    """
    refuse_filled_folder(path)
    is_new = not os.path.isdir(path)
    temporary = os.path.join(path, f".{secrets.token_hex(4)}.tmp")
    try:
        os.makedirs(temporary)
    except OSError as error:
        raise InputError(f"cannot write into `{path}`: {error.strerror}", "choose another folder") from error
    try:
        yield temporary
        for name in sorted(os.listdir(temporary)):
            os.replace(os.path.join(temporary, name), os.path.join(path, name))
        os.rmdir(temporary)
    except BaseException:
        _empty(path)
        if is_new:
            os.rmdir(path)
        raise


def _empty(folder: str) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def refuse_filled_folder(path: str) -> None:
    """Raise `InputError` where `path` is a folder with something in it, or no folder can be made there."""
    check_folder(path)
    if os.path.isdir(path) and (content := sorted(os.listdir(path))):
        raise InputError(
            f"`{path}` is not empty: it holds `{content[0]}`", "choose another folder, or remove what is in it"
        )


def check_folder(path: str) -> None:
    """Raise `InputError` where nothing can be written into the folder `path`, which need not exist yet."""
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise InputError(f"cannot write to `{path}`: `{existing}` is a file", "choose another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to `{path}`: no permission in `{existing}`", "choose another folder")


def write_text(path: str, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())
