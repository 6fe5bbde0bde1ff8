# SPDX-License-Identifier: Apache-2.0
"""Batches from record files: read, decoded and packed by a background thread that stays ahead of the device."""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from jaxbert.batches.order import records_at
from jaxbert.batches.packing import RowShape
from jaxbert.batches.rows import Arrays, Targets, lay_out, pack_records, pack_sizes, record_sizes

Read = Callable[[np.ndarray], Arrays]
"""Record numbers [n] -> their decoded features, arrays [n, ...]."""

Draw = Callable[[Arrays, np.ndarray, np.ndarray], Arrays]
"""(features of n records, record numbers [n], epochs [n]) -> features with what is drawn anew in each epoch."""

Chunk = tuple[np.ndarray, Arrays]
"""Record numbers [n] and the features of those records, arrays [n, ...]."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class _Step:
    """The examples of a step.

    Attributes:
        numbers: of the records [n].
        lengths: tokens of each [n].
        predicted: positions of each that are predicted [n].
        features: indexes -> features of the records, [n, ...] each; only those at the ascending indexes need be right.
        parts: which of them are in each micro-batch.
    """

    numbers: np.ndarray
    lengths: np.ndarray
    predicted: np.ndarray
    features: Read
    parts: Sequence[slice]


@dataclasses.dataclass(frozen=True)
class TrainingBatches:
    """The batches of any steps, by their numbers alone.

    Attributes:
        read: gives records by number.
        size: number of records to train on: the first `size`.
        batch_size: examples in a step, over all micro-batches.
        micro_batches: K, parts of a batch computed one after the other; it divides `batch_size`.
        shape: sizes of the rows of one micro-batch.
        seed: of the order of records.
        targets: what the loss compares with.
        draw: what of the features is made anew in each epoch, if anything.
        lengths: [size] tokens of each record, where they are known; otherwise each host reads all records of a step.
        predicted: [size] the most positions of each record that are predicted, where that is known; 0 by default.
        own_rows: number of rows -> which of them this host makes, all by default; where `lengths` are known it reads
            the records in these rows only.
        firsts: [size + 1] where an example is not one record but a group of neighbouring ones, as the choices of a
            question are: the number of its first record, and of the one behind the last. An example is whole in a
            micro-batch, in whatever rows; `lengths` must be known, and the feature `groups` numbers the examples of a
            step from 1.
    """

    read: Read
    size: int
    batch_size: int
    micro_batches: int
    shape: RowShape
    seed: int
    targets: Targets
    draw: Draw | None = None
    lengths: np.ndarray | None = None
    predicted: np.ndarray | None = None
    own_rows: Callable[[int], np.ndarray] = np.arange
    firsts: np.ndarray | None = None

    def at(self, step: int, count: int = 1) -> Arrays:
        """Arrays [T, K, B, ...] of the T = `count` steps from `step` on, each of exactly `batch_size` examples.

        Of the B rows only this host's are made; which sequence lies in which row is the same for any number of hosts.
        """
        steps = [self._step(number) for number in range(step, step + count)]
        packed = [pack_sizes(one.lengths[of], one.predicted[of], self.shape) for one in steps for of in one.parts]
        own = self.own_rows(self.shape.rows_for(max(map(len, packed)))).tolist()
        sizes = (len(own), self.shape.row_length, self.shape.slots)
        laid = []
        for number, one in enumerate(steps):
            parts = one.parts
            of_step = packed[number * len(parts) : (number + 1) * len(parts)]
            here = [[rows[row] if row < len(rows) else [] for row in own] for rows in of_step]
            indexes = [of.start + index for of, rows in zip(parts, here, strict=True) for row in rows for index in row]
            features = one.features(np.sort(np.array(indexes, np.int64)))
            for of, rows in zip(parts, here, strict=True):
                of_part = {name: array[of] for name, array in features.items()}
                laid.append(lay_out(of_part, one.numbers[of], rows, sizes, self.targets, of.start + 1))
        stacked = {name: np.stack([arrays[name] for arrays in laid]) for name in laid[0]}
        return {name: array.reshape(count, self.micro_batches, *array.shape[1:]) for name, array in stacked.items()}

    def _step(self, step: int) -> _Step:
        if self.lengths is None:
            return self._step_read(step)
        if self.firsts is None:
            return self._step_known(step, self.lengths)
        return self._step_grouped(step, self.lengths, self.firsts)

    def _step_known(self, step: int, lengths: np.ndarray) -> _Step:
        indices = self._indices(step)
        numbers = records_at(indices, self.size, self.seed)
        predicted = np.zeros_like(numbers) if self.predicted is None else self.predicted[numbers]

        def features(used: np.ndarray) -> Arrays:
            return _spread(self._read(indices[used]), used, len(indices))

        return _Step(numbers, lengths[numbers], predicted, features, self._parts)

    def _step_grouped(self, step: int, lengths: np.ndarray, firsts: np.ndarray) -> _Step:
        groups = records_at(self._indices(step), self.size, self.seed)
        counts = firsts[groups + 1] - firsts[groups]
        starts = np.cumsum([0, *counts])
        of_step = np.repeat(np.arange(len(groups)), counts)
        numbers = np.arange(len(of_step)) + (firsts[groups] - starts[:-1])[of_step]
        parts = [slice(starts[part.start], starts[part.stop]) for part in self._parts]

        def features(used: np.ndarray) -> Arrays:
            return _spread(self.read(numbers[used]), used, len(numbers)) | {"groups": of_step + 1}

        return _Step(numbers, lengths[numbers], np.zeros_like(numbers), features, parts)

    @property
    def _parts(self) -> list[slice]:
        """Which examples are in each micro-batch."""
        part = self.batch_size // self.micro_batches
        return [slice(first, first + part) for first in range(0, self.batch_size, part)]

    def _step_read(self, step: int) -> _Step:
        indices = self._indices(step)
        features = self._read(indices)
        numbers = records_at(indices, self.size, self.seed)
        return _Step(numbers, *record_sizes(features), lambda _: features, self._parts)

    def _indices(self, step: int) -> np.ndarray:
        """Of the examples of a step, in the order of training [batch_size]."""
        return np.arange(step * self.batch_size, (step + 1) * self.batch_size)

    def _read(self, indices: np.ndarray) -> Arrays:
        """Features of the records at these indices [n] of training, with what is drawn for them."""
        numbers = records_at(indices, self.size, self.seed)
        features = self.read(numbers)
        return features if self.draw is None else self.draw(features, numbers, indices // self.size)


def _spread(features: Arrays, indexes: np.ndarray, size: int) -> Arrays:
    """Features [n, ...] at n ascending indexes below `size`, zero elsewhere."""
    if len(indexes) == size:
        return features
    spread = {name: np.zeros((size, *array.shape[1:]), array.dtype) for name, array in features.items()}
    for name, array in features.items():
        spread[name][indexes] = array
    return spread


def evaluation_batches(read: Read, size: int, shape: RowShape, window: int, targets: Targets) -> Iterator[Arrays]:
    """All records once, as `packed_batches` gives them; at least `window` records are packed together."""
    parts = (np.arange(first, min(first + window, size)) for first in range(0, size, window))
    return packed_batches(((numbers, read(numbers)) for numbers in parts), shape, targets)


def packed_batches(chunks: Iterable[Chunk], shape: RowShape, targets: Targets) -> Iterator[Arrays]:
    """All records once, arrays [B, ...] of the usual row count; only the last batch has rows to spare.

    The records of a chunk are packed together; those in rows that fill no whole batch are packed again with the next.
    """
    rows = shape.rows[0]
    waiting: Chunk | None = None
    for chunk in chunks:
        numbers, features = _joined(waiting, chunk) if waiting else chunk
        packed = pack_records(features, shape)
        whole = len(packed) // rows * rows
        yield from _laid(numbers, features, packed[:whole], shape, targets)
        left = [index for indexes in packed[whole:] for index in indexes]
        waiting = (numbers[left], {name: array[left] for name, array in features.items()}) if left else None
    if waiting:
        yield from _laid(*waiting, pack_records(waiting[1], shape), shape, targets)


def _joined(first: Chunk, second: Chunk) -> Chunk:
    features = {name: np.concatenate([array, second[1][name]]) for name, array in first[1].items()}
    return np.concatenate([first[0], second[0]]), features


def _laid(
    numbers: np.ndarray, features: Arrays, packed: list[list[int]], shape: RowShape, targets: Targets
) -> Iterator[Arrays]:
    """The packed rows in batches."""
    sizes = (shape.rows[0], shape.row_length, shape.slots)
    for first in range(0, len(packed), sizes[0]):
        yield lay_out(features, numbers, packed[first : first + sizes[0]], sizes, targets)


@dataclasses.dataclass(frozen=True)
class _End:
    """Stands in the queue behind the last item; `error` is what ended the items early, if anything."""

    error: BaseException | None = None


class Prefetched(Generic[T]):
    """An iterator over `items` that a daemon thread keeps `depth` items ahead; errors of the thread arrive in order.

    `waited` is the time in seconds that the consumer spent waiting, the first item not counted.
    """

    def __init__(self, items: Iterable[T], depth: int = 4) -> None:
        self.waited = 0.0
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._closed = threading.Event()
        self._taken = 0
        self._thread = threading.Thread(target=self._fill, args=(items,), daemon=True, name="jaxbert-loader")
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        """Yield the items; raises what producing them raised."""
        while True:
            started = time.perf_counter()
            item = self._queue.get()
            self.waited += time.perf_counter() - started if self._taken else 0.0
            self._taken += 1
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stop the thread; items not taken are dropped."""
        self._closed.set()
        while self._thread.is_alive():
            with_items = not self._queue.empty()
            if with_items:
                self._queue.get_nowait()
            self._thread.join(timeout=0.01)

    def _fill(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:
            self._put(_End(error))

    def _put(self, entry: T | _End) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
