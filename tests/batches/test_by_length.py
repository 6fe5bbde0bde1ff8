# SPDX-License-Identifier: Apache-2.0
"""Sequences of any lengths in rows of a few lengths."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.batches.by_length import ROW_LENGTHS, batches_by_length, rows_by_length, sizes_of_parts

_COUNTS = st.lists(st.integers(2, 512), min_size=1, max_size=200).map(np.array)


@given(_COUNTS)
def test_each_sequence_is_in_one_row_that_it_fits(counts: np.ndarray) -> None:
    """Of a few lengths, none of them twice as long as the longest sequence of its rows."""
    seen: list[int] = []
    for row_length, rows in rows_by_length(counts, 512):
        assert row_length in ROW_LENGTHS
        assert max(counts[index] for row in rows for index in row) > (row_length // 2 if row_length > 64 else 0)
        for row in rows:
            assert row
            assert len(row) <= row_length // 4
            assert counts[row].sum() <= row_length
            seen += row
    assert sorted(seen) == list(range(len(counts)))


@given(_COUNTS, st.sampled_from([1, 3]))
def test_batches_hold_every_token_once(counts: np.ndarray, devices: int) -> None:
    """In shapes of which there are few: powers of two times the devices."""
    mask = np.arange(counts.max())[None] < counts[:, None]
    ids = np.where(mask, np.arange(mask.size).reshape(mask.shape) + 1, 0)
    features = {"input_ids": ids, "input_mask": mask.astype(np.int64), "segment_ids": ids * 0}
    found: list[int] = []
    for batch in batches_by_length(features, 1024, devices, lambda features, layout: {}, 512):
        rows, row_length = batch["input_ids"].shape
        assert (rows // devices).bit_count() == 1
        assert rows % devices == 0
        assert rows * row_length <= max(1024, row_length * devices)
        found += batch["input_ids"][batch["input_ids"] > 0].tolist()
        for row, slot in np.argwhere(batch["examples"] >= 0):
            start, number = batch["cls_positions"][row, slot], batch["examples"][row, slot]
            assert (
                batch["input_ids"][row, start : start + counts[number]].tolist() == ids[number][mask[number]].tolist()
            )
    assert sorted(found) == sorted(ids[mask].tolist())


@given(st.integers(1, 300), st.integers(1, 100), st.sampled_from([1, 3]))
def test_parts_hold_all_rows_and_little_else(rows: int, most: int, devices: int) -> None:
    """At most an eighth of the rows computed is empty, except what one row for each device cannot avoid."""
    sizes = sizes_of_parts(rows, most, devices)
    assert all((size // devices).bit_count() == 1 and size % devices == 0 for size in sizes)
    assert max(sizes) <= max(most, devices)
    assert sum(sizes) - sizes[-1] < rows <= sum(sizes)
    assert sum(sizes) - rows <= max(sum(sizes) / 8, devices - 1)


def test_short_sequences_fill_the_room_of_long_rows() -> None:
    """So that few positions are padding: less than a tenth for lengths like those of sentences and paragraphs."""
    chance = np.random.default_rng(0)
    counts = np.concatenate([chance.integers(5, 60, 800), chance.integers(100, 257, 200)])
    positions = sum(row_length * len(rows) for row_length, rows in rows_by_length(counts, 512))
    assert counts.sum() / positions > 0.9
