# SPDX-License-Identifier: Apache-2.0
"""Records -> the arrays of a batch: real tokens only, several sequences in a row.

Arrays have the axes [B, S] (one value per position) or [B, N] (one value per slot for a sequence in a row):
`input_ids`, `type_ids`, `positions`, `sequences` (number of the sequence in the batch from 1, 0 where none is),
`cls_positions`, `examples` (record number, -1 where none is), and the targets of the task.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxbert.batches.packing import RowShape, pack

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the sequences of a batch lie; of n sequences only those in `used` do.

    Attributes:
        sizes: (B, S, N).
        used: [m] numbers, below n, of the sequences that lie in a row.
        row_of: [n] the row of each sequence.
        start_of: [n] its first position in the row.
        slot_of: [n] its slot: 0 for the first sequence of the row, then 1.
    """

    sizes: tuple[int, int, int]
    used: np.ndarray
    row_of: np.ndarray
    start_of: np.ndarray
    slot_of: np.ndarray

    def per_sequence(self, values: np.ndarray, dtype: type = np.int32) -> np.ndarray:
        """Values [n, ...] of the sequences in their slots [B, N, ...], 0 where none is."""
        used = self.used
        shape = (self.sizes[0], self.sizes[2], *values.shape[1:])
        return scatter(shape, (self.row_of[used], self.slot_of[used]), values[used], dtype)


Targets = Callable[[Mapping[str, np.ndarray], Layout], Arrays]
"""(features of n records, where they lie) -> what a task's loss compares with; names of weights end in `_weights`."""


def lengths(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Real tokens per record [n] int64, from `input_mask` [n, S]."""
    counts: np.ndarray = np.count_nonzero(features["input_mask"], axis=1)
    return counts


def record_sizes(features: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and predicted positions of each of n records, [n] int64."""
    tokens = lengths(features)
    if "masked_lm_weights" not in features:
        return tokens, np.zeros_like(tokens)
    return tokens, np.count_nonzero(features["masked_lm_weights"], axis=1)


def pack_sizes(lengths: np.ndarray, predicted: np.ndarray, shape: RowShape) -> list[list[int]]:
    """Which of n records of these sizes [n] lie in which row, as `pack` gives it."""
    return pack(lengths.tolist(), shape.row_length, shape.slots, predicted.tolist(), shape.predictions)


def pack_records(features: Mapping[str, np.ndarray], shape: RowShape) -> list[list[int]]:
    """The same for n records with these features."""
    return pack_sizes(*record_sizes(features), shape)


def lay_out(
    features: Mapping[str, np.ndarray],
    examples: np.ndarray,
    packed: Sequence[Sequence[int]],
    sizes: tuple[int, int, int],
    targets: Targets,
    first_sequence: int = 1,
) -> Arrays:
    """Copy the real tokens of `features` (arrays [n, S], any n) into rows.

    Args:
        features: as `example.decode` returns them; masks may have holes, positions count from the record's start.
        examples: record numbers [n].
        packed: which of the n sequences lie in which row, as `packing.pack` gives it.
        sizes: (B, S, N).
        targets: what besides the tokens the task needs.
        first_sequence: number of the first of the n sequences in the whole batch.
    """
    layout = _layout(packed, lengths(features), sizes)
    record, position = np.nonzero(features["input_mask"])
    laid = np.zeros(len(features["input_mask"]), bool)
    laid[layout.used] = True
    record, position = record[laid[record]], position[laid[record]]
    rank = np.arange(len(record)) - np.searchsorted(record, record)
    tokens = (layout.row_of[record], layout.start_of[record] + rank)
    return {
        "input_ids": scatter(sizes[:2], tokens, features["input_ids"][record, position]),
        "type_ids": scatter(sizes[:2], tokens, features["segment_ids"][record, position]),
        "positions": scatter(sizes[:2], tokens, position),
        "sequences": scatter(sizes[:2], tokens, record + first_sequence),
        "cls_positions": layout.per_sequence(layout.start_of),
        "examples": layout.per_sequence(examples + 1) - 1,
        **targets(features, layout),
    }


def scatter(
    shape: tuple[int, ...], at: tuple[np.ndarray, np.ndarray], values: np.ndarray, dtype: type = np.int32
) -> np.ndarray:
    """An array of this shape with `values` [m, ...] at the indexes `at`, 0 elsewhere."""
    array: np.ndarray = np.zeros(shape, dtype)
    array[at] = values
    return array


def _layout(packed: Sequence[Sequence[int]], lengths: np.ndarray, sizes: tuple[int, int, int]) -> Layout:
    row_of, start_of, slot_of = (np.zeros(len(lengths), np.int64) for _ in range(3))
    for row, indexes in enumerate(packed):
        start = 0
        for slot, index in enumerate(indexes):
            row_of[index], start_of[index], slot_of[index] = row, start, slot
            start += int(lengths[index])
    used = np.array([index for row in packed for index in row], np.int64)
    return Layout(sizes, used, row_of, start_of, slot_of)
