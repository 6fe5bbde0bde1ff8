# SPDX-License-Identifier: Apache-2.0
"""Opening, listing and writing files, here or in a remote storage; what others ask of paths, they ask here.

Paths are joined and taken apart by `os.path`, which does it for `gs://bucket/folder/file` as for any other.
"""

import contextlib
import glob
import hashlib
import json
import mmap
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from jaxbert.errors import InputError
from jaxbert.io import storage
from jaxbert.io.storage import RemoteBytes, is_remote

# How files begin that are no text -> what they are, and what to do.
_NO_TEXT = {
    b"\x1f\x8b": ("compressed by gzip", "unpack it: `gunzip`"),
    b"BZh": ("compressed by bzip2", "unpack it: `bunzip2`"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it: `unxz`"),
    b"(\xb5/\xfd": ("compressed by zstd", "unpack it: `unzstd`"),
    b"PK\x03\x04": ("a ZIP archive, as spreadsheets are kept", "save the table as CSV, or unpack it: `unzip`"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet of old", "save the table as CSV"),
}


def open_input(path: str) -> BinaryIO:
    """Open `path` for reading bytes, more than once if need be.

    A path that is missing, cannot be read, or is a folder or a pipe is an `InputError`.
    """
    file = storage.open_input(path) if is_remote(path) else _opened(path)
    if not file.seekable():
        file.close()
        raise InputError(
            f"`{path}` is a pipe, which can be read only once", "write its content to a file, and give that"
        )
    return file


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}", "check the path and its permissions") from error


def read_bytes(path: str) -> bytes:
    """The whole content of `path`."""
    if is_remote(path):
        return bytes(RemoteBytes(path).read_all())
    with _opened(path) as file:
        return file.read()


def checksum(path: str) -> str:
    """SHA-256 of the content of `path`."""
    return hashlib.sha256(map_input(path)).hexdigest()


def map_input(path: str) -> memoryview:
    """The content of `path` as read-only memory; the system reads each part when it is first touched.

    Remote content is read at once; `view_input` reads only what is looked at.
    """
    if is_remote(path):
        return memoryview(RemoteBytes(path).read_all()).toreadonly()
    with open_input(path) as file:
        if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def view_input(path: str) -> memoryview | RemoteBytes:
    """The content of `path` to take slices of: mapped, or fetched slice by slice."""
    return RemoteBytes(path) if is_remote(path) else map_input(path)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """The path of a file on this machine with the content of `path`; a copy is removed afterwards."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        storage.fetch(path, copy)
        yield copy


def read_text(path: str) -> str:
    """The content of `path` as UTF-8 text, without a byte order mark; bad bytes are an `InputError`."""
    content = read_bytes(path)
    refuse_no_text(path, content[:16])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"`{path}` line {line} is not UTF-8: byte `0x{content[error.start]:02x}`",
            "convert the file, for example with `iconv -t utf-8`",
        ) from error


def refuse_no_text(path: str, beginning: bytes) -> None:
    """Raise InputError where a file begins, in at least 8 bytes, as files of a known kind that are no text."""
    for mark, (kind, hint) in _NO_TEXT.items():
        if beginning.startswith(mark):
            raise InputError(f"`{path}` is {kind}, expected text", hint)
    # Records and safetensors begin with a length of 8 bytes, the upper ones 0; text has no such character.
    if len(beginning) >= 8 and not any(beginning[4:8]) and any(beginning[:4]):
        raise InputError(
            f"`{path}` is binary, as TFRecords are, expected text", f"`jaxbert inspect {path}` says what it is"
        )


def read_json_object(path: str, expected: str) -> dict[str, Any]:
    """The JSON object in a file; `expected` says in messages what the file should be, for example "a config.json".

    Raises InputError where the file cannot be read, is no JSON (with the line), or holds anything but an object.
    """
    text, hint = read_text(path), f"expected {expected}"
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"`{path}` line {error.lineno} is not JSON: {error.msg}", hint) from error
    except RecursionError as error:
        raise InputError(f"`{path}` is not JSON: it is nested too deeply", hint) from error
    except ValueError as error:  # a number of more than 4300 digits
        raise InputError(f"`{path}` is not JSON: {error}", hint) from error
    if not isinstance(content, dict):
        raise InputError(f"`{path}` holds no JSON object", hint)
    return content


def expand(patterns: str) -> list[str]:
    """Paths for a comma-separated list of globs, each sorted; a pattern that matches nothing is an `InputError`."""
    paths: list[str] = []
    for pattern in patterns.split(","):
        matches = find(pattern.strip())
        if not matches:
            raise InputError(f"no file matches `{pattern}`", "check the path; several patterns are separated by commas")
        paths += matches
    return paths


def find(pattern: str, *, recursive: bool = False) -> list[str]:
    """Sorted paths that match one glob; with `recursive`, `**` stands for any folders."""
    return storage.matches(pattern) if is_remote(pattern) else sorted(glob.glob(pattern, recursive=recursive))


def exists(path: str) -> bool:
    """Whether there is a file or folder at `path`."""
    return storage.info(path) is not None if is_remote(path) else os.path.exists(path)


def is_file(path: str) -> bool:
    """Whether there is a file at `path`."""
    return _remote_kind(path) == "file" if is_remote(path) else os.path.isfile(path)


def is_folder(path: str) -> bool:
    """Whether there is a folder at `path`."""
    return _remote_kind(path) == "directory" if is_remote(path) else os.path.isdir(path)


def _remote_kind(path: str) -> str:
    found = storage.info(path)
    return "" if found is None else str(found["type"])


def names(folder: str) -> list[str]:
    """Sorted names of what is in a folder; none where there is no folder."""
    if not is_folder(folder):
        return []
    return storage.names(folder) if is_remote(folder) else sorted(os.listdir(folder))


def absolute(path: str) -> str:
    """The path from the root of its storage."""
    return path if is_remote(path) else os.path.abspath(path)


def version(path: str) -> tuple[int, str] | None:
    """Size of a file, and what changes whenever it is written; None where there is no such file."""
    if is_remote(path):
        found = storage.info(path)
        return None if found is None else (found["size"], storage.version(found))
    if not os.path.exists(path):
        return None
    stat = os.stat(path)
    return stat.st_size, str(stat.st_mtime_ns)


def remove(path: str) -> None:
    """Remove a file, or a folder with all that is in it."""
    if is_remote(path):
        storage.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def processes(workers: int, paths: Iterable[str]) -> int:
    """How many processes can work with these files: one alone sees `memory://`."""
    return 1 if any(path.startswith("memory://") for path in paths) else workers


def refuse_overwriting(outputs: Iterable[str | None], inputs: Iterable[str | None]) -> None:
    """Raise `InputError` where a file to write is one that is read, whatever its path is spelled like."""
    places = {_place(path) for path in inputs if path}
    if found := next((path for path in outputs if path and _place(path) in places), None):
        raise InputError(f"`{found}` is read, and would be written over", "write to another file, or another folder")


def _place(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Write `path` under a temporary name; on success it is synced and renamed, otherwise it leaves no trace.

    A remote file is written on this machine and sent when it is complete.
    """
    if is_remote(path):
        with storage.whole_file(path) as file:
            yield file
        return
    refuse_folder(path)
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
    if is_remote(path):
        with storage.whole_folder(path) as folder:
            yield folder
        return
    is_new = not os.path.isdir(path)
    temporary = os.path.join(path, f".{secrets.token_hex(4)}.tmp")
    try:
        os.makedirs(temporary)
    except OSError as error:
        raise InputError(f"cannot write into `{path}`: {error.strerror}", "choose another folder") from error
    ours = [temporary]
    try:
        yield temporary
        for name in sorted(os.listdir(temporary)):
            os.replace(os.path.join(temporary, name), moved := os.path.join(path, name))
            ours.append(moved)
        os.rmdir(temporary)
    except BaseException:
        for entry in ours:
            with contextlib.suppress(FileNotFoundError):
                remove(entry)
        if is_new:
            with contextlib.suppress(OSError):  # somebody else has put something there
                os.rmdir(path)
        raise


def refuse_folder(path: str) -> None:
    """Raise InputError where a file is to be written and a folder is."""
    if not is_remote(path) and os.path.isdir(path):
        raise InputError(f"`{path}` is a folder, expected the name of a file to write", f"give `{path}/NAME`")


def refuse_filled_folder(path: str) -> None:
    """Raise `InputError` where `path` is a folder with something in it, or no folder can be made there."""
    check_folder(path)
    if content := names(path):
        raise InputError(
            f"`{path}` is not empty: it holds `{content[0]}`", "choose another folder, or remove what is in it"
        )


def check_folder(path: str) -> None:
    """Raise `InputError` where nothing can be written into the folder `path`, which need not exist yet."""
    if is_remote(path):
        storage.check_folder(path)
        return
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
