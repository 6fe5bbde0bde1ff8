# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: writing, reading in order, and reading any record by its number.

Format (tensorflow/core/lib/io/record_writer.h): length as uint64, masked crc32c of the length, payload, masked crc32c
of the payload; numbers are little-endian.

Records are read by number, which compression does not allow: a GZIP-compressed file, as the official scripts write and
read it, is unpacked when it is opened, into a temporary file that goes when the program ends.
"""

import array
import bisect
import functools
import gzip
import hashlib
import mmap
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import google_crc32c
import numpy as np

from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.files import open_input, view_input, whole_file
from jaxbert.io.storage import Range, RemoteBytes, read_ranges

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_GZIP = b"\x1f\x8b"


def masked_crc(data: bytes | np.ndarray) -> int:
    """The crc32c of `data`, rotated and shifted as TensorFlow does so that a crc of a crc is not trivial."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """One record as it stands in the file."""
    return b"".join((_header(len(payload)), payload, _CHECKSUM.pack(masked_crc(payload))))


@functools.lru_cache(maxsize=1 << 12)
def _header(length: int) -> bytes:
    """Length and its checksum; lengths come back often."""
    packed = _LENGTH.pack(length)
    return packed + _CHECKSUM.pack(masked_crc(packed))


def write_records(path: str, payloads: Iterable[bytes]) -> int:
    """Write a record for each payload, whole file or none; returns how many."""
    count = 0
    with whole_file(path) as file:
        for payload in payloads:
            file.write(frame(payload))
            count += 1
    return count


def is_records(path: str) -> bool:
    """Whether a file begins with a record, compressed or not."""
    with open_input(path) as file:
        beginning = file.read(_HEADER.size)
    if not beginning.startswith(_GZIP) or _is_header(beginning):
        return _is_header(beginning)
    with open_input(path) as packed, gzip.open(packed) as unpacked:
        try:
            return _is_header(unpacked.read(_HEADER.size))
        except (EOFError, OSError, zlib.error):
            return False


def stream(path: str) -> Iterator[bytes]:
    """The payloads of one file in order.

    Raises:
        InputError: as `TFRecords`, when the record in question is reached.
    """
    content = _content(path)
    for number, (start, length) in enumerate(_spans(content, path)):
        stored = content[start : start + length + _CHECKSUM.size]
        yield _payload(stored, length, functools.partial("`{}` record {} (byte {})".format, path, number, start))


class TFRecords:
    """Several files as one list of records; only where each record starts and its length are held in memory.

    Remote files are read once in order to find their records; then the records of each `read` are fetched together.
    Reading is safe from several threads at once.

    Attributes:
        paths: the files.
        checksums: path -> SHA-256 of the checksums of its payloads, in which any other payload shows.

    Raises:
        InputError: a file cannot be read, ends inside a record, or has a wrong length checksum; the
            message names file, record and byte.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        self._contents = [_content(path) for path in paths]
        self._is_remote = [isinstance(content, RemoteBytes) for content in self._contents]
        self._first: list[int] = []  # number of the first record of each file
        self.checksums: dict[str, str] = {}
        starts, lengths = array.array("q"), array.array("q")
        for path, content in zip(self.paths, self._contents, strict=True):
            self._first.append(len(starts))
            stored = hashlib.sha256()
            for start, length in _spans(content, path):
                starts.append(start)
                lengths.append(length)
                stored.update(content[start + length : start + length + _CHECKSUM.size])
            self.checksums[path] = stored.hexdigest()
        self._starts, self._lengths = starts, lengths

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, indices: np.ndarray) -> list[bytes]:
        """The payloads of the records with these numbers, in this order.

        Raises:
            InputError: the checksum of a payload is wrong.
        """
        numbers: list[int] = indices.tolist()
        if not any(self._is_remote):
            return [self._read(index, self._stored(index)) for index in numbers]
        remote = [index for index in numbers if self._is_remote[self._file(index)]]
        fetched = dict(zip(remote, read_ranges([self._range(index) for index in remote]), strict=True))
        return [self._read(index, fetched[index] if index in fetched else self._stored(index)) for index in numbers]

    def first_of_each_file(self) -> list[int]:
        """Numbers of the first records of the files that have any."""
        return sorted({first for first in self._first if first < len(self)})

    def locate(self, index: int) -> str:
        """File and number in the file of a record, for messages."""
        file = self._file(index)
        return f"`{self.paths[file]}` record {index - self._first[file]}"

    def _read(self, index: int, stored: memoryview | bytes) -> bytes:
        return _payload(stored, self._lengths[index], lambda: f"{self.locate(index)} (byte {self._starts[index]})")

    def _stored(self, index: int) -> memoryview | bytes:
        start = self._starts[index]
        return self._contents[self._file(index)][start : start + self._lengths[index] + _CHECKSUM.size]

    def _range(self, index: int) -> Range:
        start = self._starts[index]
        return Range(self.paths[self._file(index)], start, start + self._lengths[index] + _CHECKSUM.size)

    def _file(self, index: int) -> int:
        return bisect.bisect_right(self._first, index) - 1


def _content(path: str) -> memoryview | RemoteBytes:
    """The records of a file as they are framed, unpacked where it is compressed."""
    content = view_input(path)
    beginning = bytes(content[: _HEADER.size])
    return _unpacked(path) if beginning.startswith(_GZIP) and not _is_header(beginning) else content


def _is_header(beginning: bytes) -> bool:
    """Whether these bytes are the length of a record and the right checksum of it."""
    return len(beginning) == _HEADER.size and _HEADER.unpack(beginning)[1] == masked_crc(beginning[: _LENGTH.size])


def _unpacked(path: str) -> memoryview:
    """What is in a GZIP-compressed file, mapped from a temporary file that has no name any more.

    Raises:
        InputError: the file is damaged.
    """
    say(f"unpacking `{path}` into a temporary file in {tempfile.gettempdir()}")
    with tempfile.TemporaryFile() as file:
        try:
            with open_input(path) as packed, gzip.open(packed) as unpacked:
                shutil.copyfileobj(unpacked, file, 1 << 20)
            file.flush()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"`{path}` is GZIP-compressed and damaged: {error}",
                "copy the file again from where it came, or make it again",
            ) from error
        except OSError as error:
            error.filename = error.filename or tempfile.gettempdir()  # a full disk does not say which file it was
            raise
        if os.fstat(file.fileno()).st_size == 0:  # an empty file cannot be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _spans(content: memoryview | RemoteBytes, path: str) -> Iterator[tuple[int, int]]:
    """First byte and length of each payload, hopping from header to header."""
    position, size, number = 0, len(content), 0
    while position < size:
        if size - position < _HEADER.size:
            raise _truncated(path, number, position)
        length, crc = _HEADER.unpack(content[position : position + _HEADER.size])
        if crc != masked_crc(bytes(content[position : position + _LENGTH.size])):
            raise _no_record(path, number, position)
        start = position + _HEADER.size
        position = start + length + _CHECKSUM.size
        if position > size:
            raise _truncated(path, number, start)
        yield start, length
        number += 1


def _payload(stored: memoryview | bytes, length: int, locate: Callable[[], str]) -> bytes:
    """The payload of a record, checked by the checksum that is stored behind it."""
    payload = bytes(stored[:length])
    if _CHECKSUM.unpack_from(stored, length)[0] != masked_crc(payload):
        raise InputError(
            f"{locate()} has a wrong checksum: its content was changed after it was written",
            "copy the file again from where it came, or make it again",
        )
    return payload


def _truncated(path: str, number: int, position: int) -> InputError:
    return InputError(
        f"`{path}` ends inside record {number} (byte {position}): it was cut off",
        "copy the file again from where it came, or make it again",
    )


def _no_record(path: str, number: int, position: int) -> InputError:
    hint = "is this a TFRecord file?" if number == 0 else "copy the file again from where it came, or make it again"
    return InputError(f"`{path}` record {number} (byte {position}) has a wrong length checksum", hint)
