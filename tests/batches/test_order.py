# SPDX-License-Identifier: Apache-2.0
"""The order of records is a permutation in each epoch and a function of seed and place alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.batches.order import records_at


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
def test_each_epoch_holds_each_record_once(size, seed, epoch):
    """Any whole epoch of any size and seed is a permutation of all records."""
    numbers = records_at(np.arange(epoch * size, (epoch + 1) * size), size, seed)
    assert sorted(numbers.tolist()) == list(range(size))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 2000), st.integers(0, 2**32 - 1), st.data())
def test_a_place_does_not_depend_on_what_is_asked_with_it(size, seed, data):
    """Asking for places one by one, in any order, gives what asking for all at once gives."""
    places = np.array(data.draw(st.lists(st.integers(0, 5 * size), min_size=1, max_size=20)))
    together = records_at(places, size, seed)
    assert [int(records_at(np.array([place]), size, seed)[0]) for place in places] == together.tolist()


def test_epochs_and_seeds_differ():
    """Another epoch or another seed is another order, and neighbours are spread over the whole set."""
    size = 1000
    first, second, third = records_at(np.arange(3 * size), size, 1).reshape(3, size)
    other = records_at(np.arange(size), size, 2)
    for one, two in ((first, second), (second, third), (first, other)):
        assert (one == two).sum() < 20  # 1 on average for random permutations
        assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(size)
    assert abs(np.corrcoef(first, np.arange(size))[0, 1]) < 5 / np.sqrt(size)
    assert abs(np.mean(np.abs(np.diff(first))) - size / 3) < size / 15  # mean distance of two random places: size / 3
