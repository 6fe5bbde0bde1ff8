# SPDX-License-Identifier: Apache-2.0
"""Packing sequences into rows without padding between them, and choosing the few shapes a run is compiled for.

Sequences of 5, 4, 3, 3 and 1 tokens in rows of 8: longest first, each goes into the fullest row that has room.

    row 0   5 5 5 5 5 3 3 3         first the 5; the first 3 fits there best
    row 1   4 4 4 4 3 3 3 1         4 + 5 is too long for row 0; the second 3 and the 1 fill row 1

Programs are compiled for fixed shapes, so all batches of a run have rows of one length, and one of at most five
numbers of rows. They are chosen on a sample of real batches: longer rows waste less at their ends and more in
attention; more rows hold any batch and leave some empty.
"""

import bisect
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from jaxbert.batches.order import records_at

SIMULATED_BATCHES = 200
MOST_USUAL = 3  # numbers of rows, besides those for batches of rare size
LEAST_GAIN = 0.01  # of all work, for which a program more is compiled
SAMPLE = 4096  # sequences that are tried for evaluation
# Attention works more in longer rows: measured on CPU, an eighth of all work at 128 positions (base shape).
ATTENTION_SHARE = 1 / 1024


@dataclasses.dataclass(frozen=True)
class RowShape:
    """The static sizes of a run's batches.

    Attributes:
        row_length: S, positions in a row.
        rows: B, ascending: the usual numbers of rows of a (micro-)batch, then larger ones for batches that need more;
            the last one holds any batch.
        slots: N, the most sequences one row may hold.
        predictions: P, the most positions one row may have that are predicted.
    """

    row_length: int
    rows: tuple[int, ...]
    slots: int
    predictions: int = 0

    def rows_for(self, needed: int) -> int:
        """The smallest compiled number of rows that holds `needed` rows."""
        return self.rows[bisect.bisect_left(self.rows, needed)]


def pack(
    lengths: Sequence[int], row_length: int, slots: int, predicted: Sequence[int] = (), predictions: int = 0
) -> list[list[int]]:
    """Indexes of sequences, row by row: longest first, each into the fullest row with room (best fit decreasing).

    A row holds at most `row_length` tokens, `slots` sequences and, where `predicted` says how many positions of each
    sequence are predicted, `predictions` of those. A sequence above a limit is a `ValueError`.
    """
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (free positions, row), ascending, only rows that may take more
    left: list[int] = []  # predictions that each row may still take
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length, count = lengths[index], predicted[index] if predicted else 0
        at = bisect.bisect_left(free, (length, -1))
        while at < len(free) and left[free[at][1]] < count:
            at += 1
        if at == len(free):
            if length > row_length or count > predictions:
                limits = f"{row_length} with {predictions} predictions"
                raise ValueError(f"a sequence of {length} tokens with {count} predictions in rows of {limits}")
            room, row = row_length, len(rows)
            rows.append([])
            left.append(predictions)
        else:
            room, row = free.pop(at)
        rows[row].append(index)
        left[row] -= count
        if len(rows[row]) < slots:
            bisect.insort(free, (room - length, row))
    return rows


def choose_shape(
    lengths: np.ndarray,
    batch_size: int,
    multiple: int,
    devices: int = 1,
    predicted: np.ndarray | None = None,
    firsts: np.ndarray | None = None,
    together: int = 1,
) -> RowShape:
    """The shape that computes least for batches of these lengths [n], tried on some drawn at random.

    It does not depend on a run's seed, so runs that differ in it share compiled programs. Row lengths are multiples of
    `multiple` from the longest sequence to twice that, numbers of rows of `devices`. Where `predicted` [n] says how
    many positions of each sequence are predicted, rows have room for as many as came together in any row that was
    tried. Where an example is a group of neighbouring sequences, `firsts` [examples + 1] says where each begins, see
    `TrainingBatches`. `together` batches that follow one another have one number of rows.
    """
    firsts = np.arange(len(lengths) + 1) if firsts is None else firsts
    size = len(firsts) - 1
    count = min(SIMULATED_BATCHES, max(size // batch_size, 1))
    examples = records_at(np.arange(count * batch_size), size, seed=0).reshape(count, batch_size)
    drawn = [np.concatenate([np.arange(firsts[n], firsts[n + 1]) for n in of_batch]) for of_batch in examples]
    batches = [lengths[sequences].tolist() for sequences in drawn]
    most = batch_size * int(np.diff(firsts).max())
    tried = [_shape_for(batches, most, together, row_length, devices) for row_length in _row_lengths(lengths, multiple)]
    shape = min(tried, key=_work)[1]
    if predicted is None:
        return shape
    packed = [pack(batch, shape.row_length, shape.slots) for batch in batches]
    of_rows = [predicted[batch[row]].sum() for batch, rows in zip(drawn, packed, strict=True) for row in rows]
    return dataclasses.replace(shape, predictions=int(max(*of_rows, predicted.max())))


def evaluation_shape(lengths: np.ndarray, batch_size: int, multiple: int, devices: int = 1) -> RowShape:
    """The shape that computes least when all sequences, of these lengths [n], are packed together.

    All batches have the same rows: the positions that `batch_size` of the longest sequences would take, or up to a
    quarter less so that the last batch is full. Larger products are faster ones, and memory is what padding would take.
    """
    sample = lengths[:: -(-len(lengths) // SAMPLE)].tolist()
    scale = len(lengths) / len(sample)
    positions = batch_size * int(lengths.max())

    def shape_for(row_length: int) -> tuple[float, RowShape]:
        slots = min(len(lengths), _slots(row_length, float(lengths.mean())))
        needed = math.ceil(len(pack(sample, row_length, slots)) * scale)
        most = min(max(positions // row_length // devices, 1) * devices, _rounded(needed, devices))
        fewest = _rounded(math.ceil(0.75 * most), devices)
        computed, rows = min((_rounded(needed, rows), rows) for rows in range(fewest, most + 1, devices))
        return computed * _cost(row_length), RowShape(row_length, (rows,), slots)

    return min(map(shape_for, _row_lengths(lengths, multiple)), key=_work)[1]


def _shape_for(
    batches: list[list[int]], most: int, together: int, row_length: int, devices: int
) -> tuple[float, RowShape]:
    """Mean work per batch of at most `most` sequences, in positions, and the shape, for one row length."""
    mean = sum(map(sum, batches)) / sum(map(len, batches))
    slots = min(most, _slots(row_length, mean))
    each = [_rounded(len(pack(batch, row_length, slots)), devices) for batch in batches]
    needed = [max(each[first : first + together]) for first in range(0, len(each), together)]
    any_batch = _rounded(most, devices)
    large = min(max(needed) + devices, any_batch)
    usual, computed = _usual_rows(np.array(needed), large)
    return computed * _cost(row_length), RowShape(row_length, tuple(sorted({*usual, large, any_batch})), slots)


def _usual_rows(needed: np.ndarray, large: int) -> tuple[list[int], float]:
    """The numbers of rows that save most where batches need so many [n], and the mean of the rows computed then."""
    usual: list[int] = []
    computed = np.full(len(needed), large)
    for _ in range(MOST_USUAL):
        tried = {rows: np.where(needed <= rows, np.minimum(computed, rows), computed) for rows in set(needed.tolist())}
        rows = min(sorted(tried), key=lambda rows: int(tried[rows].sum()))
        if usual and tried[rows].sum() > (1 - LEAST_GAIN) * computed.sum():
            break
        usual, computed = [*usual, rows], tried[rows]
    return usual, float(computed.mean())


def _work(work_and_shape: tuple[float, RowShape]) -> float:
    return work_and_shape[0]


def _row_lengths(lengths: np.ndarray, multiple: int) -> range:
    shortest = _rounded(int(lengths.max()), multiple)
    return range(shortest, 2 * shortest + 1, multiple)


def _slots(row_length: int, mean_length: float) -> int:
    return int(2 * row_length / mean_length) + 1


def _cost(row_length: int) -> float:
    """Work of a row: its positions, and what attention adds to each of them."""
    return row_length * (1 + ATTENTION_SHARE * row_length)


def _rounded(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
