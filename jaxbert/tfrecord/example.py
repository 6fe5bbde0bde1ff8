# SPDX-License-Identifier: Apache-2.0
"""tf.train.Example messages -> arrays and back."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from jaxbert.errors import InputError
from jaxbert.io.protobuf import Field, declare
from jaxbert.tfrecord.schema import Feature, Schema

Values = np.ndarray | list[bytes]

# tensorflow/core/example/feature.proto; a map is a list of entries.
_MESSAGES: dict[str, tuple[Field, ...]] = {
    "BytesList": ((1, "value", "*bytes"),),
    "FloatList": ((1, "value", "*float"),),
    "Int64List": ((1, "value", "*int64"),),
    "Feature": ((1, "bytes_list", "|BytesList"), (2, "float_list", "|FloatList"), (3, "int64_list", "|Int64List")),
    "Entry": ((1, "key", "string"), (2, "value", "Feature")),
    "Features": ((1, "feature", "*Entry"),),
    "Example": ((1, "features", "Features"),),
}
_Example: Any = declare("jaxbert.tfrecord", _MESSAGES, "proto3")["Example"]
_DTYPES = {"float_list": np.float32, "int64_list": np.int64}


def parse_example(payload: bytes) -> dict[str, Values]:
    """All features of one record that hold a list: int64 [k], float32 [k] or a list of byte strings.

    Of entries with the same key the last one counts; one without a list is no feature, as in TensorFlow.

    Raises:
        ValueError: the bytes are no `tf.train.Example`.
    """
    try:
        message = _Example.FromString(payload)
    except DecodeError as error:
        raise ValueError("it does not parse") from error
    features: dict[str, Values] = {}
    for entry in message.features.feature:
        if kind := entry.value.WhichOneof("kind"):
            values = getattr(entry.value, kind).value
            features[entry.key] = np.array(values, _DTYPES[kind]) if kind in _DTYPES else list(values)
    return features


_KEY, _VALUE, _LIST = 0x0A, 0x12, 0x0A  # tags: field 1 or 2, length-delimited
_KIND = {"float32": 0x12, "int64": 0x1A}  # tags of the two lists in `Feature`
_LONGEST_VARINT = 10


@dataclasses.dataclass(frozen=True)
class Spans:
    """Where the numbers of one feature lie: first byte and number of bytes in each record [n]; -1 where it is not."""

    start: np.ndarray
    length: np.ndarray


def decode_alike(payloads: Sequence[bytes], schema: Schema) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The features of n records.

    Returns:
        Arrays [n, count] by feature name, and which records they are right for (bool [n]).
    """
    buffer = np.frombuffer(b"".join((*payloads, bytes(16))), np.uint8)  # so that reading past the end reads zeros
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    spans, alike = _find(buffer, np.cumsum(sizes) - sizes, sizes, schema)
    arrays = {}
    for feature in schema:
        arrays[feature.name], good = _numbers(buffer, spans[feature.name], feature)
        alike &= good
    return arrays, alike


def _find(
    buffer: np.ndarray, start: np.ndarray, sizes: np.ndarray, schema: Schema
) -> tuple[dict[str, Spans], np.ndarray]:
    """Where each feature lies in each record, and which records could be read."""
    n = len(sizes)
    spans = {feature.name: Spans(np.full(n, -1), np.full(n, -1)) for feature in schema}
    known = {name.encode(): feature for feature in schema for name in (feature.name, *feature.aliases)}
    end = start + sizes
    alike = buffer.take(start, mode="clip") == _KEY
    length, position = _varints_at(buffer, start + 1)
    alike &= position + length == end
    while (rows := np.flatnonzero(alike & (position < end))).size:
        position[rows], alike[rows] = _step(buffer, position[rows], end[rows], rows, known, spans)
    return spans, alike


def _step(
    buffer: np.ndarray,
    position: np.ndarray,
    end: np.ndarray,
    rows: np.ndarray,
    known: dict[bytes, Feature],
    spans: dict[str, Spans],
) -> tuple[np.ndarray, np.ndarray]:
    """Read one map entry of each record in `rows`; returns the positions after it and whether it was as expected."""
    good = buffer.take(position, mode="clip") == _KEY
    size, position = _varints_at(buffer, position + 1)
    after = position + size
    good &= (after <= end) & (buffer.take(position, mode="clip") == _KEY)
    key_size, key = _varints_at(buffer, position + 1)
    good &= key + key_size <= after
    start, length, kind, packed = _packed_list(buffer, key + key_size, after)
    for name, same in _groups(buffer, key, key_size, np.flatnonzero(good)):
        feature = known.get(name)
        if feature is not None:
            good[same] &= packed[same] & (kind[same] == _KIND[feature.dtype])
            same = same[good[same]]  # elsewhere, start and length may be anything
            spans[feature.name].start[rows[same]] = start[same]
            spans[feature.name].length[rows[same]] = length[same]
    return after, good


def _packed_list(
    buffer: np.ndarray, position: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First byte, bytes and tag of the packed list in the value of a map entry, and whether there is just that."""
    good = buffer.take(position, mode="clip") == _VALUE
    size, position = _varints_at(buffer, position + 1)
    good &= position + size == end
    kind = buffer.take(position, mode="clip")
    size, position = _varints_at(buffer, position + 1)
    good &= (position + size == end) & (buffer.take(position, mode="clip") == _LIST)
    size, position = _varints_at(buffer, position + 1)
    return position, size, kind, good & (position + size == end)


def _groups(
    buffer: np.ndarray, start: np.ndarray, length: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[bytes, np.ndarray]]:
    """The different keys among `rows`, and the rows of each; nearly always one, as writers keep to an order."""
    while rows.size:
        first = rows[0]
        key = buffer[start[first] : start[first] + length[first]]
        same = length[rows] == len(key)
        same &= (buffer.take(start[rows, None] + np.arange(len(key)), mode="clip") == key).all(1)
        yield key.tobytes(), rows[same]
        rows = rows[~same]


def _varints_at(buffer: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths below 2**28 at each position, and the positions after them."""
    value = np.zeros(len(position), np.int64)
    more = np.ones(len(position), bool)
    for shift in range(0, 28, 7):
        byte = buffer.take(position, mode="clip").astype(np.int64)
        value += np.where(more, (byte & 127) << shift, 0)
        position = position + more
        more &= byte > 127
        if not more.any():
            break
    return value, position


def _numbers(buffer: np.ndarray, spans: Spans, feature: Feature) -> tuple[np.ndarray, np.ndarray]:
    """Values [n, count], and for which records there are that many; where the feature may miss, its default."""
    values = feature.missing(len(spans.start))
    good = (spans.start < 0) & (feature.default is not None)
    found = np.flatnonzero(spans.start >= 0)
    read = _floats if feature.dtype == "float32" else _integers
    numbers, fits = read(buffer, spans.start[found], spans.length[found], feature.count)
    values[found[fits]] = numbers
    good[found[fits]] = True
    return values, good


def _floats(buffer: np.ndarray, start: np.ndarray, length: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed floats of the records that have `count` of them, and which these are."""
    fits = length == 4 * count
    values: np.ndarray = buffer.take(start[fits, None] + np.arange(4 * count)).view("<f4")
    return values, fits


def _integers(buffer: np.ndarray, start: np.ndarray, length: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed varints of the records that have `count` of them, and which these are."""
    if (length == count).all():  # masks, segments, small labels: a byte each
        single = buffer.take(start[:, None] + np.arange(count))
        if (single < 128).all():
            return single, np.ones(len(start), bool)
    stop = np.cumsum(length)
    data = buffer.take(np.arange(length.sum()) + np.repeat(start - (stop - length), length))
    is_last = data < 128
    ends = np.concatenate([[0], np.cumsum(is_last)])  # varints that end before each byte
    fits = (ends[stop] - ends[stop - length] == count) & (ends[stop] - ends[np.maximum(stop - 1, 0)] == 1)
    kept = data if fits.all() else data[np.repeat(fits, length)]
    return _join(kept).reshape(-1, count), fits


def _join(data: np.ndarray) -> np.ndarray:
    """The numbers that these bytes spell, seven bits a byte, the lowest first."""
    last = np.flatnonzero(data < 128)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    size = last - first + 1
    values: np.ndarray = (data[first] & 127).astype(np.uint64)
    for place in range(1, min(size.max(initial=0), _LONGEST_VARINT)):
        longer = np.flatnonzero(size > place)
        values[longer] |= (data[first[longer] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    numbers: np.ndarray = values.view(np.int64)
    return numbers


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
