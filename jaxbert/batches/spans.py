# SPDX-License-Identifier: Apache-2.0
"""Where in rows the answers lie that are to be learnt."""

from collections.abc import Mapping

import numpy as np

from jaxbert.batches.rows import Arrays, Layout


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
