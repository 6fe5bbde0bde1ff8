# SPDX-License-Identifier: Apache-2.0
"""Work on several cores in order; the folder of what was built."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jaxbert.datasets.building import in_chunks, in_order, records_folder


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


def make_sum() -> Callable[[list[int]], tuple[int, int]]:
    """The work: the process and the sum of a chunk."""
    return lambda numbers: (os.getpid(), sum(numbers))


@pytest.mark.parametrize(("workers", "count", "stays"), [(2, 9, True), (2, 10, False), (1, 10, True)])
def test_few_items_stay_in_this_process(workers: int, count: int, stays: bool) -> None:
    """Chunks come in order with the last one short; other processes are used from `fewest` items on."""
    found = list(in_chunks(iter(range(count)), make_sum, workers, 4, 10))
    assert [total for _, total in found] == [sum(range(count)[first : first + 4]) for first in range(0, count, 4)]
    assert all((process == os.getpid()) == stays for process, _ in found)


def test_folder_of_records(tmp_path: Path) -> None:
    """The same files and settings have one folder; other content or other settings have others."""
    source = tmp_path / "train.tsv"

    def folder(content: str, settings: object) -> str:
        source.write_text(content)
        os.utime(source, ns=(0, 0))
        return records_folder("records", [str(source), None], settings)

    assert folder("a", 1) == folder("a", 1)
    assert os.path.dirname(folder("a", 1)) == "records"
    assert len({folder("a", 1), folder("a", 2), folder("aa", 1)}) == 3
