# SPDX-License-Identifier: Apache-2.0
"""Building record files: on several cores with the results in order, and the folder where a run keeps what it built."""

import collections
import concurrent.futures
import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from jaxbert.io import files

Item = TypeVar("Item")
Part = TypeVar("Part")
Result = TypeVar("Result")


def in_order(
    parts: Iterator[Part], make: Callable[[], Callable[[Part], Result]], workers: int
) -> Generator[Result, None, None]:
    """The result of every part, in the order of the parts whatever the number of workers.

    Args:
        parts: taken as they are needed, at most two a worker ahead, so that memory stays small.
        make: called once in each process; returns the function that does the work. Parts, results and `make` itself
            must be picklable.
        workers: processes to use; 1 uses this one.
    """
    if workers == 1:
        yield from map(make(), parts)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(make,)
    )
    under_way: collections.deque[concurrent.futures.Future[Any]] = collections.deque()
    try:
        for part in parts:
            under_way.append(pool.submit(_work, part))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        for future in under_way:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_do: Callable[[Any], Any]  # of a worker process, set once when it starts


def _start(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _do  # the function of a worker finds its state nowhere else
    _do = make()


def _work(part: Any) -> Any:
    return _do(part)


def in_chunks(
    items: Iterator[Item], make: Callable[[], Callable[[list[Item]], Result]], workers: int, chunk: int, fewest: int
) -> Generator[Result, None, None]:
    """`in_order` for `chunk` items at a time; with less than `fewest` items this process does it all.

    Starting a worker takes about a second: below some number of items one process is done before others have helped.
    """
    head = list(itertools.islice(items, fewest if workers > 1 else 0))
    all_items = itertools.chain(head, items)
    chunks = iter(lambda: list(itertools.islice(all_items, chunk)), [])
    return in_order(chunks, make, workers if len(head) == fewest else 1)


def records_folder(folder: str, sources: Iterable[str | None], settings: object) -> str:
    """A folder below `folder` for what comes of these files, in their present state, by these settings.

    The same files and settings give the same folder again, so that records are built once. `settings` must have a
    `repr` that says all of it.
    """
    states = [(files.absolute(path), files.version(path)) for path in sorted(filter(None, sources))]
    fingerprint = hashlib.sha256(repr((states, settings)).encode()).hexdigest()[:16]
    return os.path.join(folder, fingerprint)
