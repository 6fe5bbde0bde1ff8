# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's sorted table of keys and values (the index of a checkpoint): LevelDB's format, read and written."""

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from jaxbert.errors import InputError
from jaxbert.io.files import map_input, whole_file
from jaxbert.tfrecord.files import masked_crc


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """The number at `place` and the place after it; `ValueError` if it is cut, too long or has idle digits."""
    number = 0
    for index, byte in enumerate(data[place : place + 10]):
        number |= (byte & 0x7F) << (7 * index)
        if byte == 0 and index:
            break  # no writer adds idle digits: a damaged byte would go unnoticed
        if byte < 0x80:
            return number, place + index + 1
    raise ValueError(f"the number at byte {place} is cut or damaged")


def write_varint(number: int) -> bytes:
    """`number` (not negative) in base 128, lowest digits first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_SNAPPY_EXPANSION = 64  # one element of two or more bytes copies at most 64


def decompress(data: bytes) -> bytes:
    """The decoded bytes of one block; `ValueError` where it is damaged."""
    length, place = read_varint(data, 0)
    if length > _SNAPPY_EXPANSION * len(data):
        raise ValueError(f"a compressed block of {len(data)} bytes claims to hold {length}")
    decoded = bytearray()
    while place < len(data) and len(decoded) <= length:
        element = _copy if data[place] & 3 else _literal
        place = element(data, place, decoded)
    if len(decoded) != length:
        raise ValueError(f"a compressed block decodes to another length than its {length} bytes")
    return bytes(decoded)


def _literal(data: bytes, place: int, decoded: bytearray) -> int:
    """Append the bytes that stand after the element at `place`; the place after them."""
    size, place = data[place] >> 2, place + 1
    if size >= 60:  # the size itself follows, in 1 to 4 bytes
        width = size - 59
        size, place = int.from_bytes(data[place : place + width], "little"), place + width
    end = place + size + 1
    if end > len(data):
        raise ValueError("a compressed block is cut")
    decoded += data[place:end]
    return end


def _copy(data: bytes, place: int, decoded: bytearray) -> int:
    """Append bytes decoded before, as the element at `place` says; the place after it."""
    tag, width = data[place], (1, 2, 4)[(data[place] & 3) - 1]
    offset, size = int.from_bytes(data[place + 1 : place + 1 + width], "little"), (tag >> 2) + 1
    if width == 1:
        offset, size = offset | tag >> 5 << 8, (tag >> 2 & 7) + 4
    start = len(decoded) - offset
    if offset == 0 or start < 0 or place + width >= len(data):
        raise ValueError("a compressed block copies from before its start")
    for index in range(start, start + size):  # source and copy may overlap
        decoded.append(decoded[index])
    return place + 1 + width


_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # compression and checksum after each block
_SNAPPY = 1  # the other known compression byte is 0: none
_BLOCK_BYTES = 4096  # a block is closed when it reaches this size
_RESTART_INTERVAL = 16  # every 16th key of a block is stored whole
_LARGEST_EXPANSION = 64  # keys that share prefixes may take this many times the file; real ones take 2 to 5 times


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
    entries: dict[bytes, bytes] = {}
    previous, expanded = b"", 0
    for handle in _data_block_handles(content):
        for key, value in _block_entries(_checked_block(content, handle)):
            expanded += len(key)
            if entries and key <= previous:
                raise ValueError(f"key {key!r} is out of order")
            if expanded > _LARGEST_EXPANSION * len(content):
                raise ValueError(f"its keys take more than {_LARGEST_EXPANSION} times the file")
            entries[key] = value
            previous = key
    return entries


def _data_block_handles(content: memoryview) -> Iterator[bytes]:
    footer = bytes(content[-_FOOTER_BYTES:])
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise ValueError(f"its last {_FOOTER_BYTES} bytes are not the footer of a table")
    _, meta_end = _handle(footer)
    _, index_end = _handle(footer, meta_end)
    if any(footer[index_end : -len(_MAGIC)]):
        raise ValueError("its footer is damaged")
    _checked_block(content, footer[:meta_end])
    for _, handle in _block_entries(_checked_block(content, footer[meta_end:])):
        yield handle


def _handle(data: bytes, place: int = 0) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the place after them."""
    offset, place = read_varint(data, place)
    size, place = read_varint(data, place)
    return (offset, size), place


def _checked_block(content: memoryview, handle: bytes) -> bytes:
    (offset, size), _ = _handle(handle)
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
    """Keys and values of a block; each key is stored as the bytes it does not share with the key before."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if len(block) < 4 or end < 0:
        raise ValueError("a block has more restarts than bytes")
    key, place = b"", 0
    while place < end:
        shared, place = read_varint(block, place)
        unshared, place = read_varint(block, place)
        size, place = read_varint(block, place)
        if shared > len(key) or place + unshared + size > end:
            raise ValueError(f"the entry after key {key!r} reaches past its block")
        key = key[:shared] + block[place : place + unshared]
        place += unshared + size
        yield key, block[place - size : place]


def write_table(path: str, entries: Mapping[bytes, bytes]) -> None:
    """Write `entries` as a table, sorted by key, uncompressed."""
    with whole_file(path) as file:
        places: list[tuple[bytes, bytes]] = []
        for pairs in _in_blocks(sorted(entries.items())):
            places.append((pairs[-1][0], _append(file, _block(pairs, _RESTART_INTERVAL))))
        footer = _append(file, _block([], 1)) + _append(file, _block(places, 1))
        file.write(footer.ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC)


def _in_blocks(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    block: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in pairs:
        block.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _block(pairs: list[tuple[bytes, bytes]], restart_interval: int) -> bytes:
    block, restarts, previous = bytearray(), [0], b""
    for index, (key, value) in enumerate(pairs):
        shared = 0
        if index % restart_interval:
            shared = _shared_prefix(previous, key)
        elif index:
            restarts.append(len(block))
        block += write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value))
        block += key[shared:] + value
        previous = key
    return bytes(block) + b"".join(number.to_bytes(4, "little") for number in (*restarts, len(restarts)))


def _shared_prefix(one: bytes, other: bytes) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length


def _append(file: BinaryIO, block: bytes) -> bytes:
    """Write a block with its compression byte and checksum; its offset and size as stored in the index."""
    handle = write_varint(file.tell()) + write_varint(len(block))
    file.write(block + b"\0" + masked_crc(block + b"\0").to_bytes(4, "little"))
    return handle
