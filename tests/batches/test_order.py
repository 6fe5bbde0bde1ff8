# SPDX-License-Identifier: Apache-2.0
"""The order of records is a permutation in each epoch and a function of seed and place alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.batches.order import even_indices, group_indices, records_at


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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 20), st.integers(0, 99), st.integers(0, 3))
def test_even_steps_share_out_the_places_of_an_epoch(size, batch_size, seed, epoch):
    """The whole batches of any epoch have the places they would have in order, each once."""
    lengths = np.random.default_rng(seed).integers(1, 100, size)
    steps = max(1, size // batch_size)
    places = [even_indices(step, batch_size, lengths, seed) for step in range(epoch * steps, (epoch + 1) * steps)]
    assert all(len(of_step) == batch_size for of_step in places)
    first = epoch * steps * batch_size
    assert sorted(np.concatenate(places).tolist()) == list(range(first, first + steps * batch_size))


def test_even_steps_have_the_same_number_of_tokens():
    """Where steps drawn at random differ by hundreds of tokens, those of a group differ by tens; halves too."""
    lengths = np.clip(np.random.default_rng(0).normal(53, 13, 3668).round(), 10, 103).astype(int)
    steps = np.arange(14)  # the first group
    in_order = records_at(np.arange(14 * 32), 3668, 0).reshape(14, 32)
    even = records_at(np.stack([even_indices(step, 32, lengths, 0) for step in steps]), 3668, 0)
    assert sorted(even.ravel()) == sorted(in_order.ravel())
    assert np.ptp(lengths[in_order].sum(1)) > 200
    assert np.ptp(lengths[even].sum(1)) < 60
    assert np.ptp(lengths[even].reshape(28, 16).sum(1)) < 100


def test_even_steps_are_others_in_each_epoch():
    """Who shares a step with whom is drawn anew in each epoch, even where an epoch is a single group."""
    lengths = np.random.default_rng(0).integers(5, 100, 192)

    def together(epoch):
        steps = [records_at(even_indices(step, 16, lengths, 3), 192, 3) for step in range(12 * epoch, 12 * epoch + 12)]
        return {(one, other) for step in steps for one in step for other in step if one < other}

    expected = 12 * 16 * 15 / 2 * 15 / 191  # pairs of an epoch that chance would put together again
    assert len(together(0) & together(1)) < 1.5 * expected


def test_large_batches_change_places_among_few_steps():
    """A group has at most 4,096 examples, and at least one step, so that it can be held in memory."""
    for batch_size, steps in ((8, 16), (256, 16), (1024, 4), (4096, 1), (10000, 1)):
        assert len(group_indices(0, batch_size, 64 * batch_size)) == steps * batch_size
