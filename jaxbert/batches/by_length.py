# SPDX-License-Identifier: Apache-2.0
"""Sequences of any lengths in rows of a few fixed lengths: for work that comes in calls, each of any size.

A long row costs more attention a token than a short one, so each sequence goes into the shortest rows that it fits,
and the room that is left in them is filled with shorter sequences. Numbers of rows are powers of two, and a number in
between is computed in parts: 27 rows as 16, 8 and 4. So a model that is called again and again is compiled for few
shapes, whatever it is given.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxbert.batches.packing import pack
from jaxbert.batches.rows import Arrays, Targets, lay_out, lengths

ROW_LENGTHS = (64, 128, 256, 512)
_SHORTEST = 4  # tokens of a sequence for which a row has slots enough


def batches_by_length(
    features: Mapping[str, np.ndarray], positions: int, devices: int, targets: Targets, last_position: int
) -> Iterator[Arrays]:
    """All of n sequences once, in batches of about so many positions at most; the longest come first.

    Args:
        features: ids, mask and segments [n, S].
        positions: B x S of a full batch.
        devices: what numbers of rows are multiples of.
        targets: what is needed besides the tokens.
        last_position: the longest row there is, at least as long as any sequence.
    """
    counts = lengths(features)
    for row_length, packed in rows_by_length(counts, last_position):
        first = 0
        for size in sizes_of_parts(len(packed), max(positions // row_length, 1), devices):
            rows = packed[first : first + size]
            first += size
            sizes = (size, row_length, row_length // _SHORTEST)
            numbers = np.array([index for row in rows for index in row], np.int64)
            order = iter(range(len(numbers)))
            own = [[next(order) for _ in row] for row in rows]
            used = int(counts[numbers].max())  # columns behind the longest are padding
            here = {
                name: array[numbers, :used] if array.ndim > 1 else array[numbers] for name, array in features.items()
            }
            yield lay_out(here, numbers, own, sizes, targets)


def rows_by_length(counts: np.ndarray, last_position: int) -> list[tuple[int, list[list[int]]]]:
    """For each length of rows, longest first, the sequences in each row, by their lengths `counts` [n]."""
    classes = [length for length in ROW_LENGTHS if length < last_position] + [last_position]
    left = sorted(range(len(counts)), key=lambda index: -counts[index])
    packed: list[tuple[int, list[list[int]]]] = []
    for shorter, row_length in reversed(list(zip([0, *classes], classes, strict=False))):
        own = [index for index in left if counts[index] > shorter]
        if own:
            left = left[len(own) :]
            rows = pack(counts[own].tolist(), row_length, row_length // _SHORTEST)
            named = [[own[index] for index in row] for row in rows]
            left = _filled(named, left, counts, row_length)
            packed.append((row_length, named))
    return packed


def _filled(rows: list[list[int]], left: Sequence[int], counts: np.ndarray, row_length: int) -> list[int]:
    """Put of the sequences `left`, longest first, what fits into the room of the rows; returns the others."""
    most_room = [(int(counts[row].sum()) - row_length, number) for number, row in enumerate(rows)]  # negative room
    heapq.heapify(most_room)
    others = []
    for index in left:
        while most_room and len(rows[most_room[0][1]]) == row_length // _SHORTEST:
            heapq.heappop(most_room)
        if not most_room or counts[index] > -most_room[0][0]:
            others.append(index)
            continue
        room, number = most_room[0]
        rows[number].append(index)
        heapq.heapreplace(most_room, (room + int(counts[index]), number))
    return others


def sizes_of_parts(rows: int, most: int, devices: int) -> list[int]:
    """Numbers of rows of the parts in which so many rows are computed, each a power of two times the devices.

    None is above `most` if the devices allow it. At most an eighth of all is empty, or one row less than the devices.
    """
    sizes: list[int] = []
    left = rows
    while left > 0:
        size = devices * next_power_of_two(-(-left // devices))
        while size > devices and (size > most or 8 * (size - left) > rows + size - left):
            size //= 2
        sizes.append(size)
        left -= size
    return sizes


def next_power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number from 1 on."""
    return 1 << (number - 1).bit_length()
