# SPDX-License-Identifier: Apache-2.0
"""`tf.train.Example` messages to and from arrays, without TensorFlow."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from jaxbert.errors import InputError
from jaxbert.records.lockstep import decode_alike
from jaxbert.records.schema import Feature, Schema
from jaxbert.records.wire import parse_example

_LIST_TAG = {"float32": b"\x12", "int64": b"\x1a"}


class _Varints(dict[int, bytes]):
    """Number -> its bytes, remembered for the numbers that come back: token ids and lengths."""

    def __missing__(self, value: int) -> bytes:
        rest = value & 0xFFFFFFFFFFFFFFFF  # negative numbers are written as 64-bit two's complement
        encoded = bytearray()
        while rest > 127:
            encoded.append(rest & 127 | 128)
            rest >>= 7
        encoded.append(rest)
        if 0 <= value < 1 << 18:
            self[value] = bytes(encoded)
        return bytes(encoded)


_VARINTS = _Varints()


def encode(values: Mapping[str, Sequence[int] | Sequence[float]], schema: Schema) -> bytes:
    """One record.

    Args:
        values: the numbers of each feature by name; optional ones may be absent. Numbers below 128 are written fastest
            when given as `bytes`.
        schema: names and types.
    """
    entries = [_entry(feature, values[feature.name]) for feature in schema if feature.name in values]
    return _delimited(b"\n", b"".join(entries))


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


def _entry(feature: Feature, values: Sequence[int] | Sequence[float]) -> bytes:
    """One entry of the map: key and value."""
    is_float = feature.dtype == "float32"
    packed = struct.pack(f"<{len(values)}f", *values) if is_float else _pack_integers(cast(Sequence[int], values))
    numbers = _delimited(_LIST_TAG[feature.dtype], _delimited(b"\n", packed))
    return _delimited(b"\n", _delimited(b"\n", feature.name.encode()) + _delimited(b"\x12", numbers))


def _pack_integers(values: Sequence[int]) -> bytes:
    if isinstance(values, bytes) and values.isascii():
        return values
    return b"".join(map(_VARINTS.__getitem__, values))


def _delimited(tag: bytes, payload: bytes) -> bytes:
    """A length-delimited field."""
    return tag + _VARINTS[len(payload)] + payload
