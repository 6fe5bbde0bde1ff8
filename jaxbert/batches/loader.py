# SPDX-License-Identifier: Apache-2.0
"""Batches from record files: read, decoded and packed by a background thread that stays ahead of the device."""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np

from jaxbert.batches.order import records_at
from jaxbert.batches.packing import RowShape
from jaxbert.batches.rows import Arrays, Targets, lay_out, pack_records

Read = Callable[[np.ndarray], Arrays]
"""Record numbers [n] -> their decoded features, arrays [n, ...]."""

Draw = Callable[[Arrays, np.ndarray, np.ndarray], Arrays]
"""(features of n records, record numbers [n], epochs [n]) -> features with what is drawn anew in each epoch."""

T = TypeVar("T")


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
    """

    read: Read
    size: int
    batch_size: int
    micro_batches: int
    shape: RowShape
    seed: int
    targets: Targets
    draw: Draw | None = None

    def at(self, step: int, count: int = 1) -> Arrays:
        """Arrays [T, K, B, ...] of the T = `count` steps from `step` on, each of exactly `batch_size` examples."""
        places = np.arange(step * self.batch_size, (step + count) * self.batch_size)
        numbers = records_at(places, self.size, self.seed)
        features = self.read(numbers)
        if self.draw is not None:
            features = self.draw(features, numbers, places // self.size)
        part = self.batch_size // self.micro_batches
        firsts = range(0, len(numbers), part)
        parts = [{name: array[first : first + part] for name, array in features.items()} for first in firsts]
        packed = [pack_records(of_part, self.shape) for of_part in parts]
        sizes = (self.shape.rows_for(max(map(len, packed))), self.shape.row_length, self.shape.places)
        laid = [
            lay_out(of_part, numbers[first : first + part], rows, sizes, self.targets, first % self.batch_size + 1)
            for first, of_part, rows in zip(firsts, parts, packed, strict=True)
        ]
        leading = (count, self.micro_batches)
        stacked = {name: np.stack([arrays[name] for arrays in laid]) for name in laid[0]}
        return {name: array.reshape(*leading, *array.shape[1:]) for name, array in stacked.items()}


def evaluation_batches(read: Read, size: int, shape: RowShape, window: int, targets: Targets) -> Iterator[Arrays]:
    """All records once, arrays [B, ...] of the usual row count; only the last batch has rows to spare.

    At least `window` records are packed together; those in rows that fill no whole batch are packed again with the
    next.
    """
    rows = shape.rows[0]
    waiting = np.zeros(0, np.int64)
    for first in range(0, size, window):
        numbers = np.concatenate([waiting, np.arange(first, min(first + window, size))])
        features = read(numbers)
        packed = pack_records(features, shape)
        is_last = first + window >= size
        for row in range(0, len(packed), rows):
            group = packed[row : row + rows]
            if len(group) < rows and not is_last:
                waiting = numbers[[index for indexes in group for index in indexes]]
                break
            yield lay_out(features, numbers, group, (rows, shape.row_length, shape.places), targets)
        else:
            waiting = waiting[:0]


class Prefetched(Generic[T]):
    """An iterator over `items` that a daemon thread keeps `depth` items ahead; errors of the thread arrive in order.

    `waited` is the time in seconds that the consumer spent waiting, the first item not counted.
    """

    def __init__(self, items: Iterable[T], depth: int = 4) -> None:
        self.waited = 0.0
        self._queue: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
        self._closed = threading.Event()
        self._taken = 0
        self._thread = threading.Thread(target=self._fill, args=(items,), daemon=True, name="jaxbert-loader")
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        """Yield the items; raises what producing them raised."""
        while True:
            started = time.perf_counter()
            is_item, value = self._queue.get()
            self.waited += time.perf_counter() - started if self._taken else 0.0
            self._taken += 1
            if not is_item:
                if value is not None:
                    raise value  # type: ignore[misc]
                return
            yield value  # type: ignore[misc]

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
                if not self._put((True, item)):
                    return
            self._put((False, None))
        except BaseException as error:
            self._put((False, error))

    def _put(self, entry: tuple[bool, T | BaseException | None]) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
