# SPDX-License-Identifier: Apache-2.0
"""tf.train.Example messages -> arrays and back.

A record is a map from names to lists of numbers or byte strings (tensorflow/core/example/example.proto). protobuf
reads it. It is written without protobuf, for all records at once: that is five times as fast (docs/log.md).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from jaxbert.errors import InputError
from jaxbert.io.protobuf import Field, declare, write_varint
from jaxbert.tfrecord.schema import Feature, Schema

# The map is declared as what it is in the bytes, a list of entries; where a key comes twice, the last one counts.
_MESSAGES: dict[str, tuple[Field, ...]] = {
    "BytesList": ((1, "value", "*bytes"),),
    "FloatList": ((1, "value", "*float"),),
    "Int64List": ((1, "value", "*int64"),),
    "Feature": ((1, "bytes", "|BytesList"), (2, "float32", "|FloatList"), (3, "int64", "|Int64List")),
    "Entry": ((1, "key", "string"), (2, "value", "Feature")),
    "Features": ((1, "feature", "*Entry"),),
    "Example": ((1, "features", "Features"),),
}
_Example: Any = declare("jaxbert.tfrecord", _MESSAGES, "proto3")["Example"]

Values = np.ndarray | list[bytes]


def parse_example(payload: bytes, record: str = "the record") -> dict[str, Values]:
    """All features of one record: int64 [k], float32 [k] or a list of byte strings.

    Raises:
        InputError: the bytes are no `tf.train.Example`; `record` says in the message where they are from.
    """
    features: dict[str, Values] = {}
    for name, value in _values(payload, lambda: record).items():
        kind = value.WhichOneof("kind") or "int64"  # a feature without a list is an empty one
        found = getattr(value, kind).value
        features[name] = list(found) if kind == "bytes" else np.array(found, kind)
    return features


def decode(
    payloads: Sequence[bytes], schema: Schema, locate: Callable[[int], str] = "record {}".format
) -> dict[str, np.ndarray]:
    """The features of n records: int64 or float32, [n, S] for lists and [n] for single numbers.

    An optional feature that is missing, or is there without a list of any kind, has its default, as in TensorFlow.

    Args:
        payloads: serialized messages.
        schema: what to read; other features are skipped.
        locate: index in `payloads` -> where that record is from, for messages.

    Raises:
        InputError: a record is damaged, or lacks a feature, or has one of another type or length.
    """
    arrays = {feature.name: feature.missing(len(payloads)) for feature in schema}
    for index, payload in enumerate(payloads):
        found = _values(payload, functools.partial(locate, index))
        for feature in schema:
            name = next((name for name in (feature.name, *feature.aliases) if name in found), None)
            numbers = () if name is None else getattr(found[name], feature.dtype).value
            if len(numbers) == feature.count:
                arrays[feature.name][index] = numbers
            elif feature.default is None or (name is not None and found[name].WhichOneof("kind")):
                raise InputError(
                    f"{locate(index)} {_misfit(feature, name, found)}; expected {feature.count} x {feature.dtype}",
                    "make all of them with the same flags; where metadata was written with them, give that to the"
                    " command; `jaxbert inspect` says what records hold",
                )
    return {feature.name: arrays[feature.name].reshape(feature.shape(len(payloads))) for feature in schema}


def _misfit(feature: Feature, name: str | None, found: Mapping[str, Any]) -> str:
    """What is wrong with a feature in a record; `name` is the one it has there."""
    if name is None:
        return f"has no feature `{feature.name}`; it has {', '.join(sorted(found))}"
    kind = found[name].WhichOneof("kind") or feature.dtype
    if kind != feature.dtype:
        return f"has `{name}` of type {kind}"
    return f"has {len(getattr(found[name], kind).value)} values in `{name}`"


def _values(payload: bytes, record: Callable[[], str]) -> dict[str, Any]:
    """The `Feature` message of each name."""
    try:
        return {entry.key: entry.value for entry in _Example.FromString(payload).features.feature}
    except DecodeError as error:
        raise InputError(
            f"{record()} is no tf.train.Example: its bytes cannot be parsed", "was the file made by another program?"
        ) from error


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
    return b"\n" + write_varint(len(content)) + content


def _entries(feature: Feature, values: np.ndarray) -> list[bytes]:
    """The map entry of one feature in each record: key and packed numbers."""
    rows = np.ascontiguousarray(values).reshape(len(values), feature.count)
    if feature.dtype == "float32":
        data, ends = rows.astype("<f4").tobytes(), np.arange(1, len(rows) + 1) * 4 * feature.count
    else:
        data, ends = _packed_integers(rows)
    stops = ends.tolist()
    return [
        _entry_start(feature.name, feature.dtype, stop - start) + data[start:stop]
        for start, stop in zip([0, *stops], stops, strict=False)
    ]


def _packed_integers(rows: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Varints (see `write_varint`) of integers [n, k], and where the bytes of each row end [n].

    Each number is cut into as many groups of seven bits as the largest one needs; of [5, 300] these are [5, 0] and
    [44, 2]. Groups that are followed by others get 128 more, and those above the last group of their number are left
    out: [5] and [172, 2].
    """
    values = rows.astype(np.int64).view(np.uint64).ravel()  # negative numbers are written as 64-bit two's complement
    largest = int(values.max(initial=0))
    if largest < 128:
        return values.astype(np.uint8).tobytes(), np.arange(1, len(rows) + 1) * rows.shape[1]
    if largest < 1 << 32:
        values = values.astype(np.uint32)
    width = -(-largest.bit_length() // 7)
    groups = np.empty((len(values), width), np.uint8)
    used = np.ones((len(values), width), bool)
    for number in range(width):
        groups[:, number] = values & 127
        values = np.right_shift(values, 7)
        if number + 1 < width:
            more = values != 0
            used[:, number + 1] = more
            groups[:, number] |= more.view(np.uint8) << 7
    return groups[used].tobytes(), used.reshape(len(rows), -1).sum(axis=1).cumsum()


_TAGS = {"float32": b"\x12", "int64": b"\x1a"}  # of the two lists in `Feature`: field 2 or 3, length-delimited


@functools.lru_cache(maxsize=1 << 12)
def _entry_start(name: str, dtype: str, size: int) -> bytes:
    """What comes before the `size` bytes of packed numbers in a map entry.

    The numbers end the list, which ends the `Feature`, which ends the entry, so that only tags and lengths come before
    them; b"\\n" is the tag of field 1, b"\\x12" that of field 2.
    """
    start = b""
    for tag in (b"\n", _TAGS[dtype], b"\x12"):  # `value` of the list, the list in `Feature`, `value` of the entry
        start = tag + write_varint(len(start) + size) + start
    start = b"\n" + write_varint(len(name.encode())) + name.encode() + start
    return b"\n" + write_varint(len(start) + size) + start
