# SPDX-License-Identifier: Apache-2.0
"""Batches hold exactly the examples they should, whole, wherever they are laid."""

import itertools
import time

import numpy as np
import pytest

from jaxbert.batches.loader import Prefetched, TrainingBatches, evaluation_batches
from jaxbert.batches.order import records_at
from jaxbert.batches.packing import choose_shape
from jaxbert.tasks.classification import label_targets
from jaxbert.tasks.multiple_choice import choice_targets

SIZE, LENGTH = 50, 16
GENERATOR = np.random.default_rng(2)
LENGTHS = GENERATOR.integers(2, LENGTH + 1, SIZE)
FEATURES = {
    "input_ids": GENERATOR.integers(1, 99, (SIZE, LENGTH)),
    "input_mask": (np.arange(LENGTH)[None] < LENGTHS[:, None]).astype(np.int64),
    "segment_ids": GENERATOR.integers(0, 2, (SIZE, LENGTH)),
    "label_ids": GENERATOR.integers(0, 3, SIZE),
}


def read(numbers):
    """The features of these records."""
    return {name: array[numbers] for name, array in FEATURES.items()}


def examples_of(batch):
    """Example number -> (ids, types, positions, label, weight) as they lie in the rows of one part [B, ...]."""
    found = {}
    for row, place in zip(*np.nonzero(batch["examples"] >= 0), strict=True):
        start = batch["cls_positions"][row, place]
        here = batch["sequences"][row] == batch["sequences"][row, start]
        assert here[start:].nonzero()[0][-1] == here.sum() - 1  # one run of positions, from its [CLS] on
        values = [batch[name][row][here].tolist() for name in ("input_ids", "type_ids", "positions")]
        number = int(batch["examples"][row, place])
        assert number not in found
        found[number] = (*values, batch["label_ids"][row, place], batch["label_weights"][row, place])
    return found


def expected(number):
    """What `examples_of` finds for a record."""
    real = slice(0, LENGTHS[number])
    ids, types = FEATURES["input_ids"][number][real].tolist(), FEATURES["segment_ids"][number][real].tolist()
    return (ids, types, list(range(LENGTHS[number])), FEATURES["label_ids"][number], 1.0)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("micro_batches", [1, 4])
def test_a_training_batch_is_its_examples(micro_batches, lengths):
    """The batch of a step holds the examples of its places in the order, each whole and once."""
    shape = choose_shape(LENGTHS, 8 // micro_batches, multiple=8)
    batches = TrainingBatches(read, SIZE, 8, micro_batches, shape, seed=4, targets=label_targets, lengths=lengths)
    for step in (0, 5, 6, 100):
        places = np.arange(step * 8, step * 8 + 8)
        batch = {name: array[0] for name, array in batches.at(step).items()}
        assert all(array.shape[0] == micro_batches for array in batch.values())
        parts = [examples_of({name: array[k] for name, array in batch.items()}) for k in range(micro_batches)]
        found = {number: values for part in parts for number, values in part.items()}
        assert set(found) == set(records_at(places, SIZE, 4).tolist())
        assert all(values == expected(number) for number, values in found.items())
        assert batch["label_weights"].sum() == 8
        assert sorted(set(batch["sequences"].ravel())) in (list(range(9)), list(range(1, 9)))


def test_lengths_that_are_read_give_the_batches_of_known_ones():
    """Without lengths the same batches come out, and the records of a step are read together, once."""
    shape, asked = choose_shape(LENGTHS, 8, multiple=8), []

    def reads(numbers):
        asked.append(len(numbers))
        return read(numbers)

    known = TrainingBatches(read, SIZE, 8, 1, shape, 4, label_targets, lengths=LENGTHS)
    found = TrainingBatches(reads, SIZE, 8, 1, shape, 4, label_targets)
    steps = SIZE // 8
    for step in range(2 * steps):
        batch = found.at(step)
        for name, array in known.at(step).items():
            np.testing.assert_array_equal(batch[name], array, err_msg=f"{name} of step {step}")
    assert asked == [8] * 2 * steps


def test_sequence_numbers_do_not_depend_on_micro_batches():
    """An example has the same number in the batch for any number of micro-batches: its dropout stays the same."""
    numbers = []
    for micro_batches in (1, 2, 8):
        shape = choose_shape(LENGTHS, 8 // micro_batches, multiple=8)
        steps = TrainingBatches(read, SIZE, 8, micro_batches, shape, seed=4, targets=label_targets).at(3)
        batch = {name: array[0] for name, array in steps.items()}
        at = np.nonzero(batch["examples"] >= 0)
        starts = batch["cls_positions"][at]
        numbers.append(dict(zip(batch["examples"][at], batch["sequences"][at[0], at[1], starts], strict=True)))
    assert numbers[0] == numbers[1] == numbers[2]


def test_steps_together_are_the_steps_one_by_one():
    """Three steps asked for at once hold the examples, numbers and weights that each holds alone."""
    shape = choose_shape(LENGTHS, 4, multiple=8)
    batches = TrainingBatches(read, SIZE, 8, 2, shape, seed=4, targets=label_targets)
    together = batches.at(5, 3)
    for number in range(3):
        alone = batches.at(5 + number)
        for part in range(2):
            one, other = (
                {name: array[index, part] for name, array in arrays.items()}
                for arrays, index in ((together, number), (alone, 0))
            )
            assert examples_of(one) == examples_of(other)
            assert set(one["sequences"].ravel()) - {0} == set(other["sequences"].ravel()) - {0}


FIRSTS = np.array([0, 2, 7, 10, 13, 18, 22, 25, 28, 33, 36, 39, 42, 46, 50])  # groups of two to five records


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_a_group_is_whole_in_its_micro_batch(micro_batches):
    """A step holds whole groups; one that comes twice, where an epoch ends, counts as two."""
    size, batch_size = len(FIRSTS) - 1, 6
    shape = choose_shape(LENGTHS, batch_size // micro_batches, multiple=8, firsts=FIRSTS)
    is_first = np.isin(np.arange(SIZE), FIRSTS)

    def read_choices(numbers):
        return read(numbers) | {"is_answer": is_first[numbers]}

    batches = TrainingBatches(
        read_choices, size, batch_size, micro_batches, shape, 4, choice_targets, lengths=LENGTHS, firsts=FIRSTS
    )
    comes_twice = False
    for step in range(20):
        batch = {name: array[0] for name, array in batches.at(step).items()}
        drawn = records_at(np.arange(batch_size) + step * batch_size, size, 4).tolist()
        comes_twice |= len(set(drawn)) < batch_size
        per_part = batch_size // micro_batches
        for part in range(micro_batches):
            rows = {name: array[part] for name, array in batch.items()}
            real = rows["examples"] >= 0
            found = {}
            for question, number in zip(rows["questions"][real], rows["examples"][real], strict=True):
                found.setdefault(int(question), []).append(int(number))
            wanted = drawn[part * per_part : (part + 1) * per_part]
            assert sorted(map(sorted, found.values())) == sorted(
                [*range(FIRSTS[group], FIRSTS[group + 1])] for group in wanted
            )
            assert (rows["questions"][~real] == 0).all()
            assert (rows["answer_weights"] == np.where(real, is_first[rows["examples"]], 0)).all()
        assert batch["answer_weights"].sum() == batch_size
    assert comes_twice


@pytest.mark.parametrize("window", [7, 16, 1000])
def test_evaluation_reads_every_record_once(window):
    """All batches of an evaluation together hold every record once, in one shape."""
    shape = choose_shape(LENGTHS, 8, multiple=8)
    batches = list(evaluation_batches(read, SIZE, shape, window, label_targets))
    found = [number for batch in batches for number in examples_of(batch)]
    assert sorted(found) == list(range(SIZE))
    assert {batch["input_ids"].shape for batch in batches} == {(shape.rows[0], shape.row_length)}


def test_weights_and_float_labels_are_carried():
    """Sample weights and regression labels arrive with their examples."""

    def read_floats(numbers):
        return read(numbers) | {"label_ids": numbers.astype(np.float32) / 2, "weight": numbers.astype(np.float32)}

    shape = choose_shape(LENGTHS, 8, multiple=8)
    batch = TrainingBatches(read_floats, SIZE, 8, 1, shape, seed=4, targets=label_targets).at(0)
    real = batch["examples"] >= 0
    np.testing.assert_array_equal(batch["label_ids"][real], batch["examples"][real] / np.float32(2))
    np.testing.assert_array_equal(batch["label_weights"][real], batch["examples"][real])


def test_prefetching_keeps_order_and_passes_errors_on():
    """Items arrive in order, and an error in producing one arrives at its place."""

    def items():
        yield from range(5)
        raise KeyError("six")

    taken = []
    with pytest.raises(KeyError, match="six"):
        taken.extend(iter(Prefetched(items(), depth=2)))
    prefetched = iter(Prefetched(items(), depth=2))
    assert list(itertools.islice(prefetched, 5)) == [0, 1, 2, 3, 4]


def test_prefetching_runs_ahead_and_can_be_closed():
    """The thread produces a few items unasked, no more, and stops when closed."""
    made = []
    prefetched = Prefetched((made.append(number) or number for number in range(1000)), depth=3)
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    prefetched.close()
    assert 4 <= len(made) <= 8


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("hosts", [2, 3])
def test_hosts_make_their_rows_of_the_same_batch(hosts, lengths):
    """The rows of all hosts together are the batch of one; where lengths are known each reads its own records only."""
    shape = choose_shape(LENGTHS, 4, multiple=8, devices=hosts)
    read_by = [set() for _ in range(hosts)]

    def rows_of(host):
        return lambda rows: np.split(np.arange(rows), hosts)[host]

    def batch_of(host):
        def reads(numbers):
            read_by[host].update(numbers.tolist())
            return read(numbers)

        own = {} if host is None else {"own_rows": rows_of(host)}
        source = read if host is None else reads
        batches = TrainingBatches(source, SIZE, 8, 2, shape, 4, label_targets, lengths=lengths, **own)
        return batches.at(3, 2)

    whole, parts = batch_of(None), [batch_of(host) for host in range(hosts)]
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], axis=2), array, err_msg=name)
    numbers = set(whole["examples"][whole["examples"] >= 0].tolist())
    if lengths is None:
        assert read_by == [numbers] * hosts
    else:
        assert set().union(*read_by) == numbers
        assert sum(map(len, read_by)) < 1.5 * len(numbers)  # a record may come twice, in two steps
