# SPDX-License-Identifier: Apache-2.0
"""Decoding of Snappy-compressed blocks, as some TensorFlow builds write them into the index of a checkpoint.

The format is that of google/snappy's format_description.txt: the decoded length, then literals and copies.
"""

from jaxbert.checkpoints.varint import read_varint

_LARGEST_EXPANSION = 64  # one element of two or more bytes copies at most 64


def decompress(data: bytes) -> bytes:
    """The decoded bytes of one block; `ValueError` where it is damaged."""
    length, place = read_varint(data, 0)
    if length > _LARGEST_EXPANSION * len(data):
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
