# SPDX-License-Identifier: Apache-2.0
"""Laying sequences into rows without padding between them, and choosing the few shapes a run is compiled for."""

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxbert.batches.order import records_at

SIMULATED_BATCHES = 200
# Attention works more in longer rows: measured on CPU, an eighth of all work at 128 positions (base shape).
ATTENTION_SHARE = 1 / 1024


@dataclasses.dataclass(frozen=True)
class RowShape:
    """The static sizes of a run's batches.

    Attributes:
        row_length: S, positions in a row.
        rows: B, ascending: the usual number of rows of a (micro-)batch, then larger ones for batches that need more;
            the last one holds any batch.
        places: N, the most sequences one row may hold.
    """

    row_length: int
    rows: tuple[int, ...]
    places: int

    def rows_for(self, needed: int) -> int:
        """The smallest compiled number of rows that holds `needed` rows."""
        return self.rows[bisect.bisect_left(self.rows, needed)]


def pack(lengths: Sequence[int], row_length: int, places: int) -> list[list[int]]:
    """Indexes of sequences, row by row: longest first, each into the fullest row with room (best fit decreasing).

    A row holds at most `row_length` tokens and `places` sequences. Lengths above `row_length` are a `ValueError`.
    """
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (free positions, row), ascending, only rows that may take more
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        at = bisect.bisect_left(free, (length, -1))
        if at == len(free):
            if length > row_length:
                raise ValueError(f"a sequence of {length} tokens in rows of {row_length}")
            room, row = row_length, len(rows)
            rows.append([])
        else:
            room, row = free.pop(at)
        rows[row].append(index)
        if len(rows[row]) < places:
            bisect.insort(free, (room - length, row))
    return rows


def choose_shape(lengths: np.ndarray, batch_size: int, seed: int, multiple: int, devices: int = 1) -> RowShape:
    """The shape that computes least for batches of these lengths [n], tried on real batches.

    Row lengths are multiples of `multiple` from the longest sequence to twice that, numbers of rows of `devices`.
    """
    places = np.arange(min(SIMULATED_BATCHES * batch_size, max(len(lengths), batch_size)))
    batches = lengths[records_at(places, len(lengths), seed)]
    batches = batches[: len(batches) // batch_size * batch_size].reshape(-1, batch_size).tolist()
    shortest = _rounded(int(lengths.max()), multiple)
    tried = [_shape_for(batches, length, devices) for length in range(shortest, 2 * shortest + 1, multiple)]
    return min(tried, key=lambda cost_and_shape: cost_and_shape[0])[1]


def _shape_for(batches: list[list[int]], row_length: int, devices: int) -> tuple[float, RowShape]:
    """Mean work per batch, in positions, and the shape, for one row length."""
    batch_size = len(batches[0])
    mean = sum(map(sum, batches)) / (len(batches) * batch_size)
    places = min(batch_size, int(2 * row_length / mean) + 1)
    needed = sorted(_rounded(len(pack(batch, row_length, places)), devices) for batch in batches)
    any_batch = _rounded(batch_size, devices)
    large = min(needed[-1] + devices, any_batch)

    def cost(rows: int) -> float:
        return rows + (large - rows) * (1 - bisect.bisect_right(needed, rows) / len(needed))

    usual = min(sorted(set(needed)), key=cost)
    work = cost(usual) * row_length * (1 + ATTENTION_SHARE * row_length)
    return work, RowShape(row_length, tuple(sorted({usual, large, any_batch})), places)


def _rounded(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
