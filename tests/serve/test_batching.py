# SPDX-License-Identifier: Apache-2.0
"""The queue before a model: who is computed with whom, who is refused, dropped or answered."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.serve.batching import Idle, Queue
from jaxbert.serve.forms import Call, RequestError


class Gate:
    """Work that gives each item back in capitals once it may, and remembers its calls."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), threading.Semaphore(0)
        self.calls: list[list[str]] = []
        self.done: list[tuple[int, int, int]] = []

    def work(self, call: Call, options: tuple[tuple[str, Any], ...], items: list[str]) -> Sequence[str]:
        """Waits, and refuses what is called `wrong`."""
        self.calls.append(items)
        self.begun.release()
        assert self.open.wait(10)
        if "wrong" in items:
            raise InputError("`wrong` is wrong")
        return [item.upper() for item in items]

    def queue(self, most: int = 100, tokens: int = 100, threads: int = 1) -> Queue:
        """A queue whose work is at its first request, `first`, until the gate is opened."""
        queue = Queue(self.work, most, tokens, lambda *counts: self.done.append(counts), threads)
        queue.put("embed", (), ["first"], 1)
        assert self.begun.acquire(timeout=10)
        return queue


def answers(futures: "list[Future[Any]]") -> list[Any]:
    """Results, or the messages of errors."""
    wait(futures, 10)
    return [(future.exception() and str(future.exception())) or future.result() for future in futures]


def test_what_waits_is_computed_together_and_given_apart() -> None:
    """Requests that want the same share a call, in their order, and each gets its own results."""
    gate = Gate()
    queue = gate.queue()
    futures = [queue.put("embed", (), items, 1) for items in (["a", "b"], ["c"], ["d", "e", "f"])]
    other = queue.put("embed", (("normalize", True),), ["g"], 1)
    gate.open.set()
    assert answers([*futures, other]) == [["A", "B"], ["C"], ["D", "E", "F"], ["G"]]
    queue.close()
    assert gate.calls == [["first"], ["a", "b", "c", "d", "e", "f"], ["g"]]
    assert gate.done == [(1, 1, 1), (3, 6, 3), (1, 1, 1)]


def test_a_call_is_not_larger_than_it_may_be_but_for_one_large_request() -> None:
    """What does not fit waits for the next call, the oldest first."""
    gate = Gate()
    queue = gate.queue(tokens=10)
    futures = [queue.put("embed", (), [name], tokens) for name, tokens in (("a", 6), ("b", 5), ("c", 4), ("d", 99))]
    gate.open.set()
    assert answers(futures) == [["A"], ["B"], ["C"], ["D"]]
    queue.close()
    assert gate.calls == [["first"], ["a", "c"], ["b"], ["d"]]


def test_a_wrong_request_disturbs_nobody() -> None:
    """Of those computed together only the wrong one fails."""
    gate = Gate()
    queue = gate.queue()
    futures = [queue.put("embed", (), [name], 1) for name in ("a", "wrong", "b")]
    gate.open.set()
    assert answers(futures) == [["A"], "`wrong` is wrong", ["B"]]
    queue.close()


def test_what_is_given_up_is_not_computed_and_makes_room() -> None:
    """A cancelled request is dropped before work; beyond the bound requests are refused, and say when to come back."""
    gate = Gate()
    queue = gate.queue(most=3)
    given_up = queue.put("embed", (), ["a", "b"], 1)
    with pytest.raises(RequestError, match="2 texts wait already") as refused:
        queue.put("embed", (), ["c", "d"], 1)
    assert refused.value.status == 429
    assert given_up.cancel()
    taken = queue.put("embed", (), ["c", "d"], 1)
    gate.open.set()
    assert answers([taken]) == [["C", "D"]]
    queue.close()
    assert gate.calls == [["first"], ["c", "d"]]


def test_the_end_answers_what_was_taken() -> None:
    """`close` returns when all is answered, and nothing is taken after it."""
    gate = Gate()
    queue = gate.queue()
    taken = [queue.put("embed", (), [name], 1) for name in "abc"]
    closing = threading.Thread(target=queue.close)
    closing.start()
    gate.open.set()
    closing.join(10)
    assert [future.result(0) for future in taken] == [["A"], ["B"], ["C"]]
    with pytest.raises(RequestError, match="is ending") as refused:
        queue.put("embed", (), ["d"], 1)
    assert refused.value.status == 503


def eventually(found: Callable[[], bool]) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + 10
    while not found() and time.monotonic() < end:
        time.sleep(0.005)
    return found()


def test_idle_work_is_done_while_nobody_waits() -> None:
    """In turn, step by step, until all has ended or failed; a request to any of the models stops it meanwhile."""
    done: list[str] = []

    def steps(name: str, number: int, fails: bool) -> Iterator[None]:
        for _ in range(number):
            done.append(name)
            yield
        if fails:
            raise ValueError("cannot be prepared")

    gate, other = Gate(), Gate()
    queues = [gate.queue(), other.queue()]
    other.open.set()
    assert eventually(lambda: not queues[1].is_busy)
    idle = Idle([steps("a", 2, fails=True), steps("b", 4, fails=False)], queues)
    time.sleep(0.05)
    assert not done  # the first model still computes
    gate.open.set()
    assert eventually(lambda: len(done) == 6)
    assert done == ["a", "b", "a", "b", "b", "b"]
    for one in (idle, *queues):
        one.close()


def test_all_ends_after_one_step_of_idle_work() -> None:
    """Once it is stopped no other step is begun, and queues that are stopped end together."""
    begun, may_end = threading.Semaphore(0), threading.Event()

    def steps() -> Iterator[None]:
        while True:
            begun.release()
            assert may_end.wait(10)
            yield

    queue = Queue(lambda call, options, items: items, 100, 100, lambda *counts: None)
    idle = Idle([steps(), steps()], [queue])
    assert begun.acquire(timeout=10)
    idle.stop()
    queue.stop()
    with pytest.raises(RequestError, match="is ending"):
        queue.put("embed", (), ["a"], 1)
    may_end.set()
    idle.close()
    queue.close()
    assert not begun.acquire(timeout=0.05)


def test_two_calls_are_worked_at_together() -> None:
    """The second thread begins while the first is at its call; at the end both have answered all."""
    gate = Gate()
    queue = gate.queue(threads=2)
    futures = [queue.put("embed", (), [name], 1) for name in "abc"]
    assert gate.begun.acquire(timeout=10)
    gate.open.set()
    assert answers(futures) == [["A"], ["B"], ["C"]]
    queue.close()


def test_a_small_call_waits_for_company_while_a_larger_one_is_computed() -> None:
    """A free thread begins when as many items wait as the other one computes, so that calls are of about one size."""
    may_end = {"first": threading.Event(), "a": threading.Event(), "d": threading.Event()}
    begun = {name: threading.Event() for name in may_end}
    calls = []

    def work(call: Call, options: tuple[tuple[str, Any], ...], items: list[str]) -> Sequence[str]:
        calls.append(items)
        begun[items[0]].set()
        assert may_end[items[0]].wait(10)
        return items

    queue = Queue(work, 100, 100, lambda *counts: None, threads=2, gathering=60)
    first = queue.put("embed", (), ["first"], 1)
    assert begun["first"].wait(10)
    large = queue.put("embed", (), ["a", "b", "c"], 1)
    assert begun["a"].wait(10)
    may_end["first"].set()
    assert first.result(10) == ["first"]
    small = [queue.put("embed", (), [name], 1) for name in "def"]
    assert begun["d"].wait(10)
    may_end["d"].set()
    assert answers(small) == [["d"], ["e"], ["f"]]
    may_end["a"].set()
    assert large.result(10) == ["a", "b", "c"]
    queue.close()
    assert calls == [["first"], ["a", "b", "c"], ["d", "e", "f"]]
