# SPDX-License-Identifier: Apache-2.0
"""Records -> the arrays of a batch: real tokens only, several sequences in a row.

Every array has the axes [B, S] (one value per position) or [B, N] (one value per place for a sequence in a row):
`input_ids`, `type_ids`, `positions`, `sequences` (number of the sequence in the batch from 1, 0 where none is) and
`cls_positions`, `label_ids`, `label_weights` (0 where no sequence is), `examples` (record number, -1 where none is).
"""

from collections.abc import Mapping, Sequence

import numpy as np

Arrays = dict[str, np.ndarray]


def lengths(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Real tokens per record [n] int64, from `input_mask` [n, S]."""
    counts: np.ndarray = np.count_nonzero(features["input_mask"], axis=1)
    return counts


def lay_out(
    features: Mapping[str, np.ndarray],
    examples: np.ndarray,
    packed: Sequence[Sequence[int]],
    sizes: tuple[int, int, int],
    first_sequence: int = 1,
) -> Arrays:
    """Copy the real tokens of `features` (arrays [n, S] and labels [n], any n) into rows.

    Args:
        features: as `example_proto.decode` returns them; masks may have holes, positions count from the record's start.
        examples: record numbers [n].
        packed: which of the n sequences lie in which row, as `packing.pack` gives it.
        sizes: (B, S, N).
        first_sequence: number of the first of the n sequences in the whole batch.
    """
    rows, length, places = sizes
    row_of, start_of, place_of = _places(packed, lengths(features))
    record, position = np.nonzero(features["input_mask"])
    used = np.array([index for row in packed for index in row], np.int64)
    laid = np.zeros(len(features["input_mask"]), bool)
    laid[used] = True
    record, position = record[laid[record]], position[laid[record]]
    rank = np.arange(len(record)) - np.searchsorted(record, record)
    tokens = (row_of[record], start_of[record] + rank)
    batch = {
        "input_ids": _scatter((rows, length), tokens, features["input_ids"][record, position]),
        "type_ids": _scatter((rows, length), tokens, features["segment_ids"][record, position]),
        "positions": _scatter((rows, length), tokens, position),
        "sequences": _scatter((rows, length), tokens, record + first_sequence),
    }
    slots = (row_of[used], place_of[used])
    label_ids = features["label_ids"][used]
    label_dtype = np.float32 if label_ids.dtype.kind == "f" else np.int32
    weights = features["weight"][used] if "weight" in features else np.ones(len(used))
    return batch | {
        "cls_positions": _scatter((rows, places), slots, start_of[used]),
        "label_ids": _scatter((rows, places), slots, label_ids, label_dtype),
        "label_weights": _scatter((rows, places), slots, weights, np.float32),
        "examples": _scatter((rows, places), slots, examples[used] + 1) - 1,
    }


def _places(packed: Sequence[Sequence[int]], sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first position and place in the row of each sequence [n]."""
    row_of, start_of, place_of = (np.zeros(len(sizes), np.int64) for _ in range(3))
    for row, indexes in enumerate(packed):
        start = 0
        for place, index in enumerate(indexes):
            row_of[index], start_of[index], place_of[index] = row, start, place
            start += int(sizes[index])
    return row_of, start_of, place_of


def _scatter(
    shape: tuple[int, int], at: tuple[np.ndarray, np.ndarray], values: np.ndarray, dtype: type = np.int32
) -> np.ndarray:
    array: np.ndarray = np.zeros(shape, dtype)
    array[at] = values
    return array
