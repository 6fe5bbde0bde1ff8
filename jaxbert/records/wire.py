# SPDX-License-Identifier: Apache-2.0
"""One `tf.train.Example` read field by field: the slow, general parser that takes every legal encoding.

Format: protobuf encoding, and `tensorflow/core/example/{example,feature}.proto`.
"""

import struct
from collections.abc import Iterator

import numpy as np

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "bytes", 2: "float32", 3: "int64"}  # field number in `Feature` -> what its list holds

Values = np.ndarray | list[bytes]


def parse_example(payload: bytes) -> dict[str, Values]:
    """All features of one record: int64 [k], float32 [k] or a list of byte strings.

    Raises:
        ValueError: the bytes are no `tf.train.Example`.
    """
    features: dict[str, Values] = {}
    for number, message in _fields(payload):
        if number == 1:
            for inner, entry in _fields(_bytes(message)):
                if inner == 1:
                    name, values = _entry(_bytes(entry))
                    features[name] = values
    return features


def _entry(entry: bytes) -> tuple[str, Values]:
    """Key and values of one map entry; the two may come in any order."""
    name, feature = "", b""
    for number, content in _fields(entry):
        if number == 1:
            name = _bytes(content).decode()
        elif number == 2:
            feature = _bytes(content)
    values: Values = np.zeros(0, np.int64)
    for number, content in _fields(feature):
        if number in _KINDS:
            values = _list(_bytes(content), _KINDS[number])
    return name, values


def _list(message: bytes, kind: str) -> Values:
    """The values of a BytesList, FloatList or Int64List, packed or one by one."""
    contents = [content for number, content in _fields(message) if number == 1]
    if kind == "bytes":
        return [_bytes(content) for content in contents]
    numbers: list[float] = []
    for content in contents:
        if kind == "float32":
            floats = struct.pack("<I", content) if isinstance(content, int) else content
            if len(floats) % 4:
                raise ValueError("a float does not end")
            numbers += struct.unpack(f"<{len(floats) // 4}f", floats)
        else:
            numbers += [content] if isinstance(content, int) else _varints(content)
    if kind == "int64":
        return np.array(numbers, np.uint64).view(np.int64)
    return np.array(numbers, np.float32)


def _varints(data: bytes) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(value)
    return values


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The unsigned number at `position`, at most 64 bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise ValueError("a number does not end")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, content) of each field of a message: bytes, or the number for numeric fields."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            number, position = _varint(data, position)
            yield tag >> 3, number
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind == _DELIMITED:
            size, position = _varint(data, position)
        elif not size:
            raise ValueError(f"wire type {kind} does not exist")
        content = data[position : position + size]
        position += size
        if len(content) < size:
            raise ValueError("a field does not end")
        yield tag >> 3, content if kind == _DELIMITED else int.from_bytes(content, "little")


def _bytes(content: int | bytes) -> bytes:
    if isinstance(content, int):
        raise ValueError("a number in the place of a message")
    return content
