# SPDX-License-Identifier: Apache-2.0
"""A share of the training examples held out for evaluation: as many of each class, which ones by the seed."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import Label, Split, TextDataset, TextExample
from jaxbert.features.splitmix import stream_key, words

_PARTS = 10  # of the range of numbers, each with as many examples
_USE = 1  # what the seed is used for here


def hold_out(dataset: TextDataset, share: float, seed: int) -> tuple[TextDataset, tuple[str, ...]]:
    """The data set with part of its training set as the one for evaluation, and the ids of those examples.

    Where examples share an id, which cannot tell what is held out, their numbers from 0 take the place of ids. All
    labels of the training set are read. Raises InputError where the share is not one example.
    """
    assert dataset.train is not None  # the mode trains
    labels, ids = zip(*((example.label, example.id) for example in dataset.train()), strict=True)
    held = held_out(labels, share, seed)
    if not held.any():
        raise InputError(f"`--eval_share={share}` of {len(held)} examples is none", "raise it, or give `--eval_file`")
    split = dataclasses.replace(dataset, train=_part(dataset.train, ~held), dev=_part(dataset.train, held))
    named = _different(ids, dataset.name)
    return split, tuple(named[number] for number in np.flatnonzero(held).tolist())


def held_out(labels: Sequence[Label | None], share: float, seed: int) -> np.ndarray:
    """Which of n examples are held out, bool [n].

    Classes give their share, rounded so that it comes to that of all, and keep at least one example. Numbers are cut
    into ten parts of the same size, which take the place of classes; of several labels the rarest one counts.
    """
    strata = _strata(labels)
    counts = np.bincount(strata)
    exact = share * counts
    taken = np.floor(exact).astype(np.int64)
    largest_rests = np.argsort(taken - exact, kind="stable")
    taken[largest_rests[: max(0, round(share * len(labels)) - int(taken.sum()))]] += 1
    taken = np.minimum(taken, counts - 1)
    order = np.lexsort((words(stream_key(seed, _USE), np.arange(len(labels))), strata))  # by class, then at random
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    held: np.ndarray = ranks < taken[strata]
    return held


def _different(ids: Sequence[str], source: str) -> list[str]:
    """The ids, each in one line; or numbers from 0 where an id comes twice, which is said."""
    of_one_line = [" ".join(id_.split()) for id_ in ids]
    twice = next((id_ for id_, count in collections.Counter(of_one_line).items() if count > 1), None)
    if twice is None:
        return of_one_line
    say(f"note: several examples of `{source}` have the id `{twice}`: examples are named by their numbers, from 0")
    return [str(number) for number in range(len(ids))]


def _strata(labels: Sequence[Label | None]) -> np.ndarray:
    """A number for each example, equal ones for those among which a share is held out, int64 [n]."""
    if isinstance(labels[0], float):
        return np.argsort(np.argsort(np.array(labels), kind="stable")) * _PARTS // len(labels)
    if isinstance(labels[0], tuple):
        several = [label for label in labels if isinstance(label, tuple)]
        counts = collections.Counter(name for names in several for name in names)
        labels = [min(names, key=lambda name: (counts[name], name), default="") for names in several]
    numbers: np.ndarray = np.unique(np.array(labels), return_inverse=True)[1]
    return numbers.reshape(-1)


def _part(split: Split, wanted: np.ndarray) -> Split:
    """The examples whose number is wanted, [n] bool."""

    def part() -> Iterator[TextExample]:
        return (example for example, is_wanted in zip(split(), wanted.tolist(), strict=True) if is_wanted)

    return part
