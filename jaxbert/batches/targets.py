# SPDX-License-Identifier: Apache-2.0
"""Where in rows stands what a task compares with: masked positions, spans of answers."""

from collections.abc import Mapping

import numpy as np

from jaxbert.batches.rows import Arrays, Layout, scatter


def pretraining_targets(features: Mapping[str, np.ndarray], layout: Layout, predictions: int) -> Arrays:
    """The targets of pretraining records; P = `predictions` is at least what any row has.

    Returns:
        `masked_lm_positions` (in the row), `masked_lm_ids` int32 and `masked_lm_weights` float32 [B, P], all 0 where
        nothing is predicted; where the records have them, `next_sentence_labels` int32 and `next_sentence_weights`
        float32 [B, N].
    """
    targets = _masked_lm(features, layout, predictions)
    if "next_sentence_labels" in features:
        labels = features["next_sentence_labels"]
        targets["next_sentence_labels"] = layout.per_sequence(labels)
        targets["next_sentence_weights"] = layout.per_sequence(np.ones(len(labels)), np.float32)
    return targets


def _masked_lm(features: Mapping[str, np.ndarray], layout: Layout, predictions: int) -> Arrays:
    is_laid = np.zeros(len(layout.row_of), bool)
    is_laid[layout.used] = True
    record, number = np.nonzero((features["masked_lm_weights"] > 0) & is_laid[:, None])
    by_row = np.argsort(layout.row_of[record], kind="stable")
    record, number = record[by_row], number[by_row]
    row = layout.row_of[record]
    at = (row, np.arange(len(row)) - np.searchsorted(row, row))
    rank = np.cumsum(features["input_mask"] != 0, axis=1) - 1  # of each token among the real ones of its record
    positions = layout.start_of[record] + rank[record, features["masked_lm_positions"][record, number]]
    shape = (layout.sizes[0], predictions)
    return {
        "masked_lm_positions": scatter(shape, at, positions),
        "masked_lm_ids": scatter(shape, at, features["masked_lm_ids"][record, number]),
        "masked_lm_weights": scatter(shape, at, features["masked_lm_weights"][record, number], np.float32),
    }


def span_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """The targets of SQuAD's training records.

    Returns:
        `start_positions` and `end_positions`, in the row, int32 [B, N]; `answer_weights` float32 [B, N], 1 for each
        window and 0 where none is.
    """
    rank = np.cumsum(features["input_mask"] != 0, axis=1) - 1  # of each token among the real ones of its record

    def in_row(positions: np.ndarray) -> np.ndarray:
        return layout.per_sequence(layout.start_of + np.take_along_axis(rank, positions[:, None], axis=1)[:, 0])

    return {
        "start_positions": in_row(features["start_positions"]),
        "end_positions": in_row(features["end_positions"]),
        "answer_weights": layout.per_sequence(np.ones(len(rank)), np.float32),
    }


def no_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """Nothing: of windows to predict only the tokens are known."""
    return {}
