# SPDX-License-Identifier: Apache-2.0
"""Files that are not on this machine: `gs://`, `s3://` and `memory://` by fsspec; what fails is tried again.

Objects become visible when they are complete, so a file is written here first and then sent. Listings are never
remembered: other machines write too.
"""

import bisect
import contextlib
import io
import itertools
import logging
import math
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, TypeVar

from jaxbert.errors import InputError

SCHEMES = ("gs", "s3", "memory")
TIMEOUT_SECONDS = 60  # without an answer, or for a piece of a file
# How often something is tried, with pauses that double. Google's client by itself makes six attempts at what it is
# answered, but none where no answer comes.
ATTEMPTS = {"s3": 6, "gs": 2, "memory": 1}
PAUSE_SECONDS = 0.5
_FIRST_PIECE, _PIECE = 1 << 16, 1 << 24  # bytes asked for at once where a file is read in order, at first and later
_PIECES = 4  # asked for at a time where all of a file is read
_GAP = 1 << 16  # ranges of a file that are this near come in one answer

Result = TypeVar("Result")


class Range(NamedTuple):
    """The bytes of a file from `start` to the one before `end`."""

    path: str
    start: int
    end: int


def is_remote(path: str) -> bool:
    """Whether `path` lies in one of the storages that this file is about."""
    return "://" in path and scheme(path) in SCHEMES


def scheme(path: str) -> str:
    """The scheme of a remote path: `gs` for `gs://bucket/file`."""
    return path.partition("://")[0]


def info(path: str) -> dict[str, Any] | None:
    """What the storage says of a file or folder, None where there is none."""

    def ask(filesystem: Any) -> dict[str, Any] | None:
        with contextlib.suppress(FileNotFoundError):
            return dict(filesystem.info(path))
        return None

    return _try("read", path, ask)


def version(found: Mapping[str, Any]) -> str:
    """What changes whenever a file is written, of what `info` says of it."""
    return str(next((found[name] for name in ("ETag", "generation", "etag", "created") if name in found), ""))


def names(folder: str) -> list[str]:
    """Sorted names of what is in a folder."""
    found: list[str] = _try("list", folder, lambda filesystem: filesystem.ls(folder, detail=False))
    inside = (name.rstrip("/") for name in found)
    return sorted({os.path.basename(name) for name in inside} - {os.path.basename(folder.rstrip("/"))})


def matches(pattern: str) -> list[str]:
    """Sorted paths of the files and folders that match a glob."""
    found: list[str] = _try("list", pattern, lambda filesystem: filesystem.glob(pattern))
    return sorted(f"{scheme(pattern)}://{name.lstrip('/')}" for name in found)


class RemoteBytes:
    """The bytes of a file, of which slices are fetched when they are asked for, and what follows with them.

    The longer a file is read in order, the larger are the pieces that come at once.

    Raises InputError where there is no such file, and, after any read, where it is another one than in the beginning.
    """

    def __init__(self, path: str) -> None:
        self._path, found = path, info(path)
        if found is None or found["type"] != "file":
            raise InputError(f"cannot read `{path}`: no such file", "check the path and its permissions")
        self._size, self._version = int(found["size"]), version(found)
        self._piece, self._ahead = (0, b""), _FIRST_PIECE

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        first, piece = self._piece
        if not first <= start <= stop <= first + len(piece):
            is_next = first < start <= first + len(piece) + _PIECE
            self._ahead = min(2 * self._ahead, _PIECE) if is_next else _FIRST_PIECE
            first, end = start, min(self._size, max(stop, start + self._ahead))
            (piece,) = read_ranges([Range(self._path, first, end)])
            self._refuse_other()
            self._piece = first, piece
        return piece[start - first : stop - first]

    def read_all(self) -> bytearray:
        """All bytes, several pieces under way at once."""
        content = bytearray(self._size)
        starts = range(0, self._size, _PIECE)
        for row in (starts[index : index + _PIECES] for index in range(0, len(starts), _PIECES)):
            ranges = [Range(self._path, start, min(start + _PIECE, self._size)) for start in row]
            for range_, piece in zip(ranges, _fetch(ranges), strict=True):
                content[range_.start : range_.end] = piece
        self._refuse_other()
        return content

    def _refuse_other(self) -> None:
        """Refuse a file that was replaced since it was opened: parts of two files make none."""
        found = info(self._path)
        if found is None or (int(found["size"]), version(found)) != (self._size, self._version):
            raise InputError(
                f"`{self._path}` was replaced while it was read", "run again when nobody writes it any more"
            )


class _Reader(io.RawIOBase):
    """`RemoteBytes` as a file that is read in order."""

    def __init__(self, content: RemoteBytes) -> None:
        self._content, self._position = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._content)}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._content[self._position : self._position + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def open_input(path: str) -> BinaryIO:
    """The file as a stream for reading, in which one can seek."""
    return io.BufferedReader(_Reader(RemoteBytes(path)), 1 << 20)


def read_ranges(ranges: Sequence[Range]) -> list[bytes]:
    """The bytes of each range; those that lie close together come in one answer, the answers at the same time.

    (`fsspec.utils.merge_offset_ranges` does not serve: up to version 2026.1 at least, a range that lies inside of
    another cuts that one short.)
    """
    joined: list[Range] = []  # sorted by path and start
    for path, start, end in sorted(set(ranges)):
        if joined and joined[-1].path == path:
            _, first, last = joined[-1]
            if start - last <= _GAP and max(end, last) - first <= _PIECE:
                joined[-1] = Range(path, first, max(end, last))
                continue
        joined.append(Range(path, start, end))
    contents: list[bytes] = []
    for _, of_one_storage in itertools.groupby(joined, key=lambda range_: scheme(range_.path)):
        contents += _fetch(list(of_one_storage))
    results = []
    for path, start, end in ranges:
        index = bisect.bisect_right(joined, (path, start, math.inf)) - 1  # the last one that begins there or before
        first = joined[index].start
        results.append(contents[index][start - first : end - first])
    return results


def _fetch(ranges: Sequence[Range]) -> list[bytes]:
    paths, starts, ends = (list(part) for part in zip(*ranges, strict=True))

    def ask(filesystem: Any) -> list[bytes]:
        contents: list[bytes] = filesystem.cat_ranges(paths, starts, ends, on_error="raise")
        for (path, start, end), content in zip(ranges, contents, strict=True):
            if len(content) != end - start:
                raise OSError(f"{len(content)} bytes of `{path}` came from byte {start} on, expected {end - start}")
        return contents

    return _try("read", paths[0], ask)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Write a file here; on success it is sent to `path`."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
            yield file
        send(file.name, path)


@contextlib.contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """A folder here to write files into; on success they are sent below `path`, and all removed if one cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder
        try:
            send_all(folder, path)
        except BaseException:
            with contextlib.suppress(InputError, OSError):
                remove(path)
            raise


def check_folder(path: str) -> None:
    """Raise `InputError` where nothing can be written below `path`, by writing something and removing it."""
    found = info(path)
    if found is not None and found["type"] == "file":
        raise InputError(f"cannot write to `{path}`: it is a file", "choose another folder")
    trial = os.path.join(path, f".{secrets.token_hex(4)}.tmp")
    _try("write to", path, lambda filesystem: filesystem.pipe_file(trial, b""))
    remove(trial)


def send(local: str, path: str) -> None:
    """Make the file at `path` the same as one here."""
    _try("write", path, lambda filesystem: filesystem.put_file(local, path))


def send_all(folder: str, path: str) -> None:
    """Send all files in a folder here to the same paths below `path`, in the order of their names."""
    for parent, _, found in sorted(os.walk(folder)):
        for name in sorted(found):
            file = os.path.join(parent, name)
            send(file, os.path.join(path, os.path.relpath(file, folder)))


def fetch(path: str, local: str) -> None:
    """Make a file here that is the same as that at `path`."""
    content = RemoteBytes(path)
    with open(local, "wb") as file:
        for start in range(0, len(content), _PIECE):
            file.write(content[start : start + _PIECE])


def remove(path: str) -> None:
    """Remove a file, or a folder with what is in it; one that is gone is removed."""

    def ask(filesystem: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm(path, recursive=True)

    _try("remove", path, ask)


def _try(verb: str, path: str, ask: Callable[[Any], Result]) -> Result:
    """What `ask` gives for the storage of `path`, asked again where that may help.

    Raises:
        InputError: no such file, no permission.
        OSError: it failed each time.
    """
    filesystem = _filesystem(path)
    last = ATTEMPTS[scheme(path)] - 1
    for attempt in itertools.count():
        try:
            return ask(filesystem)
        except Exception as error:  # each library has exceptions of its own
            if isinstance(error, FileNotFoundError):
                raise InputError(f"cannot {verb} `{path}`: no such file or bucket", "check the path") from error
            if isinstance(error, PermissionError) or str(error).startswith("Forbidden"):  # so gcsfs says it
                raise InputError(
                    f"cannot {verb} `{path}`: permission denied",
                    "check the path, and that you are logged in to the storage",
                ) from error
            if attempt == last:
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                raise OSError(f"cannot {verb} `{path}`: {reason}") from error
        time.sleep(PAUSE_SECONDS * 2**attempt)
    raise AssertionError("the loop above does not end")


def _filesystem(path: str) -> Any:
    import fsspec  # takes a sixth of a second, which only those who need it pay

    once = {"total_max_attempts": 1}
    waits = {"connect_timeout": TIMEOUT_SECONDS, "read_timeout": TIMEOUT_SECONDS, "retries": once}
    settings: dict[str, dict[str, Any]] = {"gs": {"requests_timeout": TIMEOUT_SECONDS}, "s3": {"config_kwargs": waits}}
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it tells of attempts that the next one makes good
    try:
        filesystem = fsspec.filesystem(scheme(path), use_listings_cache=False, **settings.get(scheme(path), {}))
    except ImportError as error:
        raise InputError(f"`{path}` needs a library: {error}", "`pip install gcsfs s3fs`") from error
    if scheme(path) == "s3":
        filesystem.retries = 1
    return filesystem
