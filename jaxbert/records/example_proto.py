# SPDX-License-Identifier: Apache-2.0
"""`tf.train.Example` messages to and from arrays, without TensorFlow."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.records.lockstep import decode_alike
from jaxbert.records.schema import Feature, Schema
from jaxbert.records.wire import parse_example

_LIST_TAG = {"float32": b"\x12", "int64": b"\x1a"}


def encode(arrays: Mapping[str, np.ndarray], schema: Schema) -> list[bytes]:
    """The records of n examples; what `decode` reads.

    Args:
        arrays: [n, S] or [n] by feature name; optional features may be absent.
        schema: names and types.
    """
    return [message(content) for content in entries(arrays, schema)]


def entries(arrays: Mapping[str, np.ndarray], schema: Schema) -> list[bytes]:
    """The features of n examples without the message around them; features may be added by putting more after them."""
    columns = [_entries(feature, arrays[feature.name]) for feature in schema if feature.name in arrays]
    return [b"".join(row) for row in zip(*columns, strict=True)]


def message(content: bytes) -> bytes:
    """The record that holds these `entries`."""
    return b"\n" + _varint(len(content)) + content


def decode(
    payloads: Sequence[bytes], schema: Schema, place: Callable[[int], str] = "record {}".format
) -> dict[str, np.ndarray]:
    """The features of n records: int64 or float32, [n, S] for lists and [n] for single numbers.

    Args:
        payloads: serialized messages.
        schema: what to read; other features are skipped.
        place: index in `payloads` -> where that record is from, for messages.

    Raises:
        InputError: a record is damaged, or lacks a feature, or has one of another type or length.
    """
    arrays, alike = decode_alike(payloads, schema)
    for index in np.flatnonzero(~alike).tolist():
        for name, values in _decode_one(payloads[index], schema, place(index)).items():
            arrays[name][index] = values
    return {feature.name: arrays[feature.name].reshape(feature.shape(len(payloads))) for feature in schema}


def _decode_one(payload: bytes, schema: Schema, place: str) -> dict[str, np.ndarray]:
    """The features of one record in any legal encoding."""
    try:
        found = parse_example(payload)
    except ValueError as error:
        raise InputError(f"{place} is no tf.train.Example: {error}", "was the file made by another program?") from error
    arrays = {}
    for feature in schema:
        name = next((name for name in (feature.name, *feature.aliases) if name in found), None)
        if name is None and feature.default is None:
            raise _misfit(place, feature, f"has no feature `{feature.name}`; it has {', '.join(sorted(found))}")
        values = feature.missing(1)[0] if name is None else found[name]
        if isinstance(values, list) or values.dtype != feature.dtype:
            kind = "bytes" if isinstance(values, list) else values.dtype
            raise _misfit(place, feature, f"has `{name}` of type {kind}")
        if len(values) != feature.count:
            raise _misfit(place, feature, f"has {len(values)} values in `{name}`")
        arrays[feature.name] = values
    return arrays


def _misfit(place: str, feature: Feature, what: str) -> InputError:
    return InputError(
        f"{place} {what}; expected {feature.count} x {feature.dtype}",
        "the records, the meta data and the kind of task must belong together: make the records again",
    )


def _entries(feature: Feature, values: np.ndarray) -> list[bytes]:
    """The map entry of one feature in each record: key and packed numbers."""
    rows = np.ascontiguousarray(values).reshape(len(values), feature.count)
    if feature.dtype == "float32":
        data, ends = rows.astype("<f4").tobytes(), np.arange(1, len(rows) + 1) * 4 * feature.count
    else:
        data, ends = _pack_integers(rows)
    stops = ends.tolist()
    return [
        _entry_start(feature.name, feature.dtype, stop - start) + data[start:stop]
        for start, stop in zip([0, *stops], stops, strict=False)
    ]


def _pack_integers(rows: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Varints of integers [n, k], and where the bytes of each row end [n]."""
    values = rows.astype(np.int64).view(np.uint64).ravel()  # negative numbers are written as 64-bit two's complement
    largest = int(values.max(initial=0))
    if largest < 128:
        return values.astype(np.uint8).tobytes(), np.arange(1, len(rows) + 1) * rows.shape[1]
    if largest < 1 << 32:
        values = values.astype(np.uint32)
    width = -(-largest.bit_length() // 7)
    septets = np.empty((len(values), width), np.uint8)
    used = np.ones((len(values), width), bool)
    for place in range(width):
        septets[:, place] = values & 127
        values = np.right_shift(values, 7)
        if place + 1 < width:
            more = values != 0
            used[:, place + 1] = more
            septets[:, place] |= more.view(np.uint8) << 7
    return septets[used].tobytes(), used.reshape(len(rows), -1).sum(axis=1).cumsum()


@functools.lru_cache(maxsize=1 << 12)
def _entry_start(name: str, dtype: str, size: int) -> bytes:
    """What comes before the `size` bytes of packed numbers in a map entry: all messages around them end with them."""
    start = b""
    for tag in (b"\n", _LIST_TAG[dtype], b"\x12"):
        start = tag + _varint(len(start) + size) + start
    start = b"\n" + _varint(len(name.encode())) + name.encode() + start
    return b"\n" + _varint(len(start) + size) + start


@functools.lru_cache(maxsize=1 << 12)
def _varint(value: int) -> bytes:
    """A length as protobuf writes it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
