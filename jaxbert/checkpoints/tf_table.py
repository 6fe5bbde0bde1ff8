# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's sorted table of keys and values (the index of a checkpoint): LevelDB's format, read and written.

Source: doc/table_format.md of LevelDB and its table/*.cc; TensorFlow's copy is tensorflow/core/lib/io/table*.cc. A file
is a chain of blocks: data blocks, an empty metadata block, an index block whose values say where the data blocks are,
and a footer of 48 bytes with the offset and size of the last two and a magic number. Behind each block stand a byte for
its compression and four for its checksum.

In a block a key is stored without the bytes that it shares with the key before it. Each entry is three varints (how
many bytes are shared, how many are not, the size of the value), then the bytes that are not shared, then the value:

    a/kernel -> X   00 08 01  a / k e r n e l  X     nothing is shared; 8 bytes of key, 1 of value
    a/keys -> YZ    04 02 02  y s  Y Z               `a/ke` is shared
    b/bias ->       00 06 00  b / b i a s            nothing is shared, the value is empty
    00 00 00 00     where the keys are that are stored in full; every 16th is, and searching begins at one of them
    01 00 00 00     how many of these there are
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from jaxbert.errors import InputError
from jaxbert.io.files import map_input, whole_file
from jaxbert.io.protobuf import write_varint
from jaxbert.tfrecord.files import masked_crc

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # compression and checksum after each block
_SNAPPY = 1  # the other known compression byte is 0: none
_BLOCK_BYTES = 1 << 18  # a block of this size is closed, as in TensorFlow; OpenVINO misreads all but the first
_RESTART_INTERVAL = 16  # every 16th key of a block is stored in full
_LARGEST_EXPANSION = 64  # keys that share prefixes may take this many times the file; real ones take 2 to 5 times
_SNAPPY_EXPANSION = 64  # one element of two or more bytes copies at most 64


def read_table(path: str) -> dict[bytes, bytes]:
    """All keys and values of the table at `path`, in order, every checksum verified.

    Raises InputError where the file is cut or damaged.
    """
    try:
        return _read_entries(map_input(path))
    except ValueError as error:
        raise InputError(
            f"`{path}` is not a whole index of a TensorFlow checkpoint: {error}", "copy or download the file again"
        ) from error


def _read_entries(content: memoryview) -> dict[bytes, bytes]:
    footer = bytes(content[-_FOOTER_BYTES:])
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise ValueError(f"its last {_FOOTER_BYTES} bytes are not the footer of a table")
    _, metadata_end = _read_handle(footer)
    _, index_end = _read_handle(footer, metadata_end)
    if any(footer[index_end : -len(_MAGIC)]):
        raise ValueError("its footer is damaged")
    _read_block(content, footer[:metadata_end])
    entries: dict[bytes, bytes] = {}
    previous, expanded = b"", 0
    for _, handle in _block_entries(_read_block(content, footer[metadata_end:])):
        for key, value in _block_entries(_read_block(content, handle)):
            expanded += len(key)
            if entries and key <= previous:
                raise ValueError(f"key {key!r} is out of order")
            if expanded > _LARGEST_EXPANSION * len(content):
                raise ValueError(f"its keys take more than {_LARGEST_EXPANSION} times the file")
            entries[key] = value
            previous = key
    return entries


def _read_handle(data: bytes, start: int = 0) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the handle ends."""
    offset, end = read_varint(data, start)
    size, end = read_varint(data, end)
    return (offset, size), end


def _read_block(content: memoryview, handle: bytes) -> bytes:
    (offset, size), _ = _read_handle(handle)
    if offset + size + _TRAILER_BYTES > len(content) - _FOOTER_BYTES:
        raise ValueError(f"the block at byte {offset} reaches past the end")
    stored = bytes(content[offset : offset + size + _TRAILER_BYTES])
    block, compression = stored[:size], stored[size]
    if masked_crc(stored[: size + 1]) != int.from_bytes(stored[size + 1 :], "little"):
        raise ValueError(f"the block at byte {offset} has a wrong checksum")
    if compression > _SNAPPY:
        raise ValueError(f"the block at byte {offset} is compressed in the unknown way {compression}")
    return decompress(block) if compression == _SNAPPY else block


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block, which are read from its start on: no search, so no use for the keys in full."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if len(block) < 4 or end < 0:
        raise ValueError("a block has more restarts than bytes")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        size, position = read_varint(block, position)
        value_start = position + unshared
        if shared > len(key) or value_start + size > end:
            raise ValueError(f"the entry after key {key!r} reaches past its block")
        key = key[:shared] + block[position:value_start]
        position = value_start + size
        yield key, block[value_start:position]


def write_table(path: str, entries: Mapping[bytes, bytes]) -> None:
    """Write `entries` as a table, sorted by key, uncompressed."""
    with whole_file(path) as file:
        index, block = _Block(1), _Block(_RESTART_INTERVAL)
        for number, (key, value) in enumerate(sorted(entries.items()), 1):
            block.add(key, value)
            if block.size() >= _BLOCK_BYTES or number == len(entries):
                index.add(key, block.write(file))  # last key of each data block -> its handle
                block = _Block(_RESTART_INTERVAL)
        footer = _Block(1).write(file) + index.write(file)
        file.write(footer.ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC)


class _Block:
    """Keys and values as one block; every key of number `restart_interval` * n is stored in full."""

    def __init__(self, restart_interval: int) -> None:
        self._interval, self._count, self._previous = restart_interval, 0, b""
        self._entries, self._restarts = bytearray(), [0]

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._count % self._interval:
            while shared < min(len(self._previous), len(key)) and self._previous[shared] == key[shared]:
                shared += 1
        elif self._count:
            self._restarts.append(len(self._entries))
        self._entries += write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value))
        self._entries += key[shared:] + value
        self._previous, self._count = key, self._count + 1

    def size(self) -> int:
        return len(self._entries) + 4 * len(self._restarts) + 4

    def write(self, file: BinaryIO) -> bytes:
        """Append it to the file; its handle."""
        handle = write_varint(file.tell()) + write_varint(self.size())
        restarts = (number.to_bytes(4, "little") for number in (*self._restarts, len(self._restarts)))
        block = bytes(self._entries) + b"".join(restarts) + b"\0"  # not compressed
        file.write(block + masked_crc(block).to_bytes(4, "little"))
        return handle


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """The varint at `start` (base 128, lowest digit first, the top bit set on all but the last) and where it ends.

    For example `ac 02`: 0x2c + 2 * 128 = 300. `ValueError` if it is cut, too long or has idle digits.
    """
    number = 0
    for index, byte in enumerate(data[start : start + 10]):
        number |= (byte & 0x7F) << (7 * index)
        if byte == 0 and index:
            break  # no writer adds idle digits: a damaged byte would go unnoticed
        if byte < 0x80:
            return number, start + index + 1
    raise ValueError(f"the number at byte {start} is cut or damaged")


def decompress(data: bytes) -> bytes:
    """The bytes of a block that Snappy compressed (format_description.txt of google/snappy); `ValueError` for damage.

    The length of the result stands first, as a varint. Then follow literals, which are copied from the data, and
    copies, which repeat some of the result so far. `06 08 a b c 0a 03 00`, for example: 6 bytes; a literal of
    (08 >> 2) + 1 = 3 bytes; a copy of (0a >> 2) + 1 = 3 bytes from 3 bytes back. The result is `abcabc`.
    """
    length, position = read_varint(data, 0)
    if length > _SNAPPY_EXPANSION * len(data):
        raise ValueError(f"a compressed block of {len(data)} bytes claims to hold {length}")
    decoded = bytearray()
    while position < len(data) and len(decoded) <= length:
        element = _copy if data[position] & 3 else _literal
        position = element(data, position, decoded)
    if len(decoded) != length:
        raise ValueError(f"a compressed block decodes to another length than its {length} bytes")
    return bytes(decoded)


def _literal(data: bytes, position: int, decoded: bytearray) -> int:
    """Append the bytes of the literal at `position`; where it ends."""
    size, position = data[position] >> 2, position + 1
    if size >= 60:  # the size itself follows, in 1 to 4 bytes
        width = size - 59
        size, position = int.from_bytes(data[position : position + width], "little"), position + width
    end = position + size + 1
    if end > len(data):
        raise ValueError("a compressed block is cut")
    decoded += data[position:end]
    return end


def _copy(data: bytes, position: int, decoded: bytearray) -> int:
    """Append what the copy at `position` repeats; where it ends."""
    tag, width = data[position], (1, 2, 4)[(data[position] & 3) - 1]
    offset, size = int.from_bytes(data[position + 1 : position + 1 + width], "little"), (tag >> 2) + 1
    if width == 1:  # three bits of the tag belong to the offset
        offset, size = offset | tag >> 5 << 8, (tag >> 2 & 7) + 4
    start = len(decoded) - offset
    if offset == 0 or start < 0 or position + width >= len(data):
        raise ValueError("a compressed block copies from before its start")
    for index in range(start, start + size):  # source and copy may overlap
        decoded.append(decoded[index])
    return position + 1 + width
