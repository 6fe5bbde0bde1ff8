# SPDX-License-Identifier: Apache-2.0
"""Packing keeps every sequence once and every row within its limits; the chosen shape holds every batch."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.batches.order import records_at
from jaxbert.batches.packing import RowShape, choose_shape, evaluation_shape, pack


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 32), min_size=1, max_size=60), st.integers(1, 8))
def test_every_sequence_once_within_limits(lengths, places):
    """Each sequence is in one row; no row holds more tokens or sequences than it may."""
    rows = pack(lengths, 32, places)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert max(sum(lengths[index] for index in row) for row in rows) <= 32
    assert max(map(len, rows)) <= places


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 32), min_size=1, max_size=60))
def test_at_most_one_row_is_less_than_half_full(lengths):
    """Best fit leaves no two rows that would fit into one."""
    fill = sorted(sum(lengths[index] for index in row) for row in pack(lengths, 32, len(lengths)))
    assert len(fill) < 2 or fill[0] + fill[1] > 32


def test_too_long_a_sequence_is_an_error():
    """A sequence longer than a row is never cut silently."""
    with pytest.raises(ValueError, match="33 tokens"):
        pack([3, 33], 32, 4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=200), st.integers(1, 16), st.sampled_from([1, 2, 4]))
def test_the_shape_holds_any_batch(lengths, batch_size, devices):
    """Even a batch of the longest sequences alone fits the largest row count, and row counts fit the devices."""
    shape = choose_shape(np.array(lengths), batch_size, multiple=8, devices=devices)
    worst = pack([max(lengths)] * batch_size, shape.row_length, shape.slots)
    assert shape.rows_for(len(worst)) >= len(worst)
    assert all(rows % devices == 0 for rows in shape.rows)
    assert list(shape.rows) == sorted(set(shape.rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 32), st.integers(0, 6)), min_size=1, max_size=60), st.integers(6, 10))
def test_predictions_are_within_their_limit_too(sizes, limit):
    """Each sequence is in one row; no row has more predicted positions than it may."""
    lengths, predicted = ([size[part] for size in sizes] for part in range(2))
    rows = pack(lengths, 32, len(sizes), predicted, limit)
    assert sorted(index for row in rows for index in row) == list(range(len(sizes)))
    assert max(sum(predicted[index] for index in row) for row in rows) <= limit
    with pytest.raises(ValueError, match="7 predictions"):
        pack([*lengths, 1], 32, 4, [*predicted, 7], 6)


def test_room_for_predictions_is_what_rows_need():
    """Rows of the chosen shape take the masks of 15 % of their tokens, hardly more, and pack as if without limit."""
    lengths = np.random.default_rng(0).integers(20, 129, 4000)
    predicted = np.maximum(1, np.round(lengths * 0.15).astype(int))
    shape = choose_shape(lengths, 64, multiple=8, predicted=predicted)
    assert shape.row_length * 0.15 <= shape.predictions <= shape.row_length * 0.15 + shape.slots
    unlimited = choose_shape(lengths, 64, multiple=8)
    assert (shape.rows, shape.row_length) == (unlimited.rows, unlimited.row_length)


def computed(shape, lengths, batch_size, together=1):
    """Positions computed for 100 batches as training draws them, `together` in one number of rows."""
    batches = lengths[records_at(np.arange(100 * batch_size), len(lengths), 0)].reshape(100, batch_size)
    needed = [len(pack(batch.tolist(), shape.row_length, shape.slots)) for batch in batches]
    rows = [shape.rows_for(max(needed[first : first + together])) for first in range(0, 100, together)]
    return sum(rows) * together * shape.row_length


def test_real_lengths_fill_the_rows():
    """For lengths like MRPC's 92 % of computed positions hold a token, with one usual number of rows under 90 %."""
    lengths = np.clip(np.random.default_rng(0).normal(53, 14, 3668).round(), 10, 103).astype(int)
    shape = choose_shape(lengths, 32, multiple=8)
    one = dataclasses.replace(shape, rows=shape.rows[-3:])
    assert len(shape.rows) > len(one.rows)
    tokens = lengths[records_at(np.arange(3200), 3668, 0)].sum()
    assert tokens / computed(shape, lengths, 32) > 0.92
    assert tokens / computed(one, lengths, 32) < 0.9


def test_a_number_of_rows_more_is_worth_compiling():
    """Where a second usual number would save less than 1 %, there is one, one for rare batches, and one for any."""
    lengths = np.random.default_rng(0).integers(40, 65, 4000)
    assert choose_shape(lengths, 32, multiple=8).rows == (16, 19, 32)
    assert choose_shape(np.full(1000, 16), 8, multiple=16).rows == (8,)


def test_batches_in_the_same_rows_have_rows_for_the_largest():
    """Where ten batches share a number of rows, that of the largest, what is chosen for that computes less."""
    lengths = np.clip(np.random.default_rng(0).normal(53, 14, 3668).round(), 10, 103).astype(int)
    alone, together = (choose_shape(lengths, 32, multiple=8, together=count) for count in (1, 10))
    assert computed(together, lengths, 32, 10) < computed(alone, lengths, 32, 10)


def test_rows_for_takes_the_smallest_that_holds():
    """The usual row count serves the usual batch, a larger one only when it must."""
    shape = RowShape(row_length=8, rows=(3, 5, 9), slots=2)
    assert [shape.rows_for(needed) for needed in (1, 3, 4, 5, 6, 9)] == [3, 3, 5, 5, 9, 9]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=200), st.integers(1, 300), st.sampled_from([1, 2, 4]))
def test_evaluation_computes_as_much_together_as_padding_would(lengths, batch_size, devices):
    """The rows fit the devices, and hold what `batch_size` of the longest sequences take, at most a quarter less."""
    shape = evaluation_shape(np.array(lengths), batch_size, multiple=8, devices=devices)
    (rows,), needed = shape.rows, len(pack(lengths, shape.row_length, shape.slots))
    asked = min(batch_size * max(lengths) // shape.row_length, needed)
    assert rows % devices == 0
    assert 0.75 * (asked - devices) < rows < max(asked, 1) + devices


def test_evaluation_fills_its_last_batch():
    """For lengths spread like MRPC's, 96 % of the positions computed hold a token, for sets of any size."""
    for size in (408, 512, 1725):
        lengths = np.clip(np.random.default_rng(0).normal(53, 14, size).round(), 10, 103).astype(int)
        shape = evaluation_shape(lengths, 32, multiple=8)
        batches = -(-len(pack(lengths.tolist(), shape.row_length, shape.slots)) // shape.rows[0])
        assert lengths.sum() / (batches * shape.rows[0] * shape.row_length) > 0.96
