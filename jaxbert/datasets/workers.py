# SPDX-License-Identifier: Apache-2.0
"""Work on several cores whose results come in the order of its parts, whatever the number of cores."""

import collections
import concurrent.futures
import itertools
import multiprocessing
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_order(
    parts: Iterator[Part], make: Callable[[], Callable[[Part], Result]], workers: int
) -> Generator[Result, None, None]:
    """The result of every part.

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


def chunks_in_order(
    items: Iterable[Part], size: int, make: Callable[[], Callable[[list[Part]], Result]], workers: int, worth: int
) -> Generator[Result, None, None]:
    """The result of every `size` items, see `in_order`; fewer than `worth` items are done by this process alone."""
    waiting = iter(items)
    head = list(itertools.islice(waiting, worth if workers > 1 else 0))
    rest = itertools.chain(head, waiting)
    chunks = iter(lambda: list(itertools.islice(rest, size)), [])
    yield from in_order(chunks, make, workers if workers > 1 and len(head) == worth else 1)


_do: Callable[[Any], Any]  # of a worker process, set once when it starts


def _start(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _do  # a worker's function has no other place to find its state
    _do = make()


def _work(part: Any) -> Any:
    return _do(part)
