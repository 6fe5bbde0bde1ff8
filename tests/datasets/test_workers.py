# SPDX-License-Identifier: Apache-2.0
"""Work on several cores in order."""

import functools
from collections.abc import Callable, Iterator

import pytest

from jaxbert.datasets.workers import in_order


def make(factor: int) -> Callable[[int], int]:
    """The work: multiply; 13 is bad luck."""

    def multiply(number: int) -> int:
        if number == 13:
            raise ValueError("bad luck")
        return factor * number

    return multiply


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    """Every part has its result, in the order of the parts."""
    assert list(in_order(iter(range(12)), functools.partial(make, 3), workers)) == [3 * n for n in range(12)]


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_arrives(workers: int) -> None:
    """What goes wrong in a worker goes wrong for the caller, after the results before it."""
    found = []
    with pytest.raises(ValueError, match="bad luck"):
        found.extend(in_order(iter([13]), functools.partial(make, 3), workers))
    assert found == []


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 5)])
def test_parts_are_taken_as_needed(workers: int, ahead: int) -> None:
    """An endless stream of parts is read only a little ahead of the results."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield 1

    results = in_order(endless(), functools.partial(make, 3), workers)
    assert next(results) == 3
    assert taken == ahead
    results.close()
