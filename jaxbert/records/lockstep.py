# SPDX-License-Identifier: Apache-2.0
"""Many `tf.train.Example` records read at once: NumPy steps through all of them side by side, one field at a time.

It takes records as TensorFlow and this program write them (key before value, packed numbers, features in any order) and
says which records are otherwise; `wire` reads those.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from jaxbert.records.schema import Feature, Schema

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
    length, position = _varint(buffer, start + 1)
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
    size, position = _varint(buffer, position + 1)
    after = position + size
    good &= (after <= end) & (buffer.take(position, mode="clip") == _KEY)
    key_size, key = _varint(buffer, position + 1)
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
    size, position = _varint(buffer, position + 1)
    good &= position + size == end
    kind = buffer.take(position, mode="clip")
    size, position = _varint(buffer, position + 1)
    good &= (position + size == end) & (buffer.take(position, mode="clip") == _LIST)
    size, position = _varint(buffer, position + 1)
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


def _varint(buffer: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
