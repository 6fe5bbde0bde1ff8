# SPDX-License-Identifier: Apache-2.0
"""Which examples are held out for evaluation."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.datasets.held_out import held_out, hold_out
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextDataset, TextExample


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=80), st.floats(0.01, 0.9), st.integers(0, 5))
def test_each_class_gives_its_share(labels: list[str], share: float, seed: int) -> None:
    """To one example; together it is the share of all, but that each class keeps an example to train on."""
    held = held_out(labels, share, seed)
    assert np.array_equal(held, held_out(labels, share, seed))
    counts, taken = collections.Counter(labels), collections.Counter(np.array(labels)[held].tolist())
    for name, count in counts.items():
        assert taken[name] < count
        assert abs(taken[name] - share * count) <= 1 or taken[name] == count - 1
    if all(count - 1 >= share * count + 1 for count in counts.values()):
        assert held.sum() == round(share * len(labels))


def test_the_seed_decides_which() -> None:
    """Two seeds hold out others; over many seeds each example comes about as often."""
    labels = ["a", "b"] * 20
    times = sum(held_out(labels, 0.2, seed).astype(int) for seed in range(500))
    assert times.sum() == 500 * 8
    assert 60 < times.min() <= times.max() < 145  # of 500 draws at 0.2: 100 and five deviations of 9


def test_numbers_and_several_labels() -> None:
    """Each tenth of the range of numbers gives its share, and so does each label by its rarest examples."""
    numbers = np.random.default_rng(0).normal(size=200).tolist()
    held = held_out(numbers, 0.1, 0)
    parts = np.sort(np.argsort(np.argsort(numbers))[held]) // 20
    assert parts.tolist() == [part for part in range(10) for _ in range(2)]
    several = [("often", "rare") if number % 10 == 0 else ("often",) if number % 2 else () for number in range(100)]
    held = held_out(several, 0.2, 0)
    taken = collections.Counter(np.array(["|".join(names) for names in several])[held].tolist())
    assert taken == {"often|rare": 2, "often": 10, "": 8}


def test_the_two_sets_are_the_training_set() -> None:
    """Every example is in one of them, in its order; the ids are those of the one for evaluation; none is refused."""
    examples = [TextExample(f"text {number}", None, "ab"[number % 2], f"id-{number}") for number in range(20)]
    dataset = TextDataset("own", ("a", "b"), lambda: iter(examples), None, {})
    split, ids = hold_out(dataset, 0.2, 3)
    assert split.train is not None
    assert split.dev is not None
    dev = list(split.dev())
    assert tuple(example.id for example in dev) == ids
    assert len(dev) == 4
    assert sorted([*split.train(), *dev], key=examples.index) == examples
    assert list(split.train()) == [example for example in examples if example.id not in ids]
    with pytest.raises(InputError, match=r"`--eval_share=0.01` of 20 examples is none"):
        hold_out(dataset, 0.01, 3)


def test_ids_that_come_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples that share an id could not be told apart by it: they are named by their numbers, which is said."""
    examples = [TextExample(f"text {number}", None, "ab"[number % 2], f"id {number // 2}") for number in range(20)]
    split, ids = hold_out(TextDataset("own", ("a", "b"), lambda: iter(examples), None, {}), 0.2, 3)
    assert split.dev is not None
    assert [examples[int(id_)] for id_ in ids] == list(split.dev())
    assert "several examples of `own` have the id `id 0`: examples are named by" in capsys.readouterr().err
