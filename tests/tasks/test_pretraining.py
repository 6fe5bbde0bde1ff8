# SPDX-License-Identifier: Apache-2.0
"""What pretraining predicts lies in rows where its records lie."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.batches.packing import RowShape
from jaxbert.batches.rows import lay_out, pack_records
from jaxbert.tasks.pretraining import pretraining_targets

S, P, ROW = 12, 3, 24


def records(seed: int, size: int) -> dict[str, np.ndarray]:
    """Records whose masks have holes, with up to three weighted predictions on real tokens."""
    generator = np.random.default_rng(seed)
    mask = generator.random((size, S)) < 0.7
    mask[:, 0] = True
    positions = np.zeros((size, P), np.int64)
    counts = np.minimum(generator.integers(0, P + 1, size), mask.sum(1))
    for row in range(size):
        positions[row, : counts[row]] = np.sort(generator.choice(np.flatnonzero(mask[row]), counts[row], replace=False))
    return {
        "input_ids": generator.integers(0, 99, (size, S)),
        "input_mask": mask.astype(np.int64),
        "segment_ids": generator.integers(0, 2, (size, S)),
        "masked_lm_positions": positions,
        "masked_lm_ids": generator.integers(0, 99, (size, P)),
        "masked_lm_weights": np.where(np.arange(P) < counts[:, None], generator.uniform(0.5, 2, (size, P)), 0),
        "next_sentence_labels": generator.integers(0, 2, size),
    }


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_every_prediction_once_at_its_token(seed: int, size: int) -> None:
    """Sequence, position within it, label and weight of every prediction come out as they went in."""
    features, shape = records(seed, size), RowShape(ROW, (size,), 3, 5)
    batch = lay_out(
        features,
        np.arange(size),
        pack_records(features, shape),
        (size, ROW, 3),
        lambda features, layout: pretraining_targets(features, layout, shape.predictions),
    )
    row, slot = np.nonzero(batch["masked_lm_weights"])
    at = (row, batch["masked_lm_positions"][row, slot])
    found = zip(
        (batch["sequences"][at] - 1).tolist(),
        batch["positions"][at].tolist(),
        batch["masked_lm_ids"][row, slot].tolist(),
        batch["masked_lm_weights"][row, slot].tolist(),
        strict=True,
    )
    record, number = np.nonzero(features["masked_lm_weights"])
    columns = (features[f"masked_lm_{name}"][record, number] for name in ("positions", "ids", "weights"))
    positions, ids, weights = columns
    expected = zip(record.tolist(), positions.tolist(), ids.tolist(), weights.astype(np.float32).tolist(), strict=True)
    assert sorted(found) == sorted(expected)
    is_real = batch["examples"] >= 0
    np.testing.assert_array_equal(
        batch["next_sentence_labels"][is_real], features["next_sentence_labels"][batch["examples"][is_real]]
    )
    np.testing.assert_array_equal(batch["next_sentence_weights"], is_real.astype(np.float32))
