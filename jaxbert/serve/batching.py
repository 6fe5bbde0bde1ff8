# SPDX-License-Identifier: Apache-2.0
"""What waits for a model: requests from many clients, computed together in packed rows, each given its own part.

Two threads for each model take the oldest request and all that want the same, up to a number of tokens, and ask the
model once: while one is computed, the texts of the other are read. So a request waits at most for the calls of those
that came before it.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxbert.batches.by_length import ROW_LENGTHS
from jaxbert.console import counted
from jaxbert.library.model import Ids, Model
from jaxbert.serve.forms import Call, RequestError
from jaxbert.tasks.streams import full_batch

Work = Callable[[Call, tuple[tuple[str, Any], ...], list[Any]], Sequence[Any]]
"""(call, its options, items) -> a result for each item."""
Done = Callable[[int, int, int], None]
"""Is told how many requests, items and tokens were computed in one call."""

_LOOK = 0.01  # seconds until idle work looks again whether anybody waits


@dataclass(frozen=True)
class Encoded:
    """What an encoder says of a text: vectors [H] and [T, H]."""

    pooled: np.ndarray
    tokens: np.ndarray


def compute(model: Model) -> Work:
    """The calls of a model by name."""

    def encode(items: list[Any]) -> list[Encoded]:
        pooled, tokens = model.embed(items, pooling="pooler"), model.embed(items, pooling="tokens")
        return [Encoded(*both) for both in zip(pooled, tokens, strict=True)]

    def work(call: Call, options: tuple[tuple[str, Any], ...], items: list[Any]) -> Sequence[Any]:
        given: dict[str, Any] = dict(options)
        if call == "logits":
            return list(model.logits(items))
        if call == "embed":
            return list(model.embed(items, **given))
        if call == "encode":
            return encode(items)
        if call == "tag":
            return list(model.predict(items))
        return model.answers(items, **given) if call == "answer" else model.fills(items, **given)

    return work


@dataclass(eq=False)
class _Waiting:
    call: Call
    options: tuple[tuple[str, Any], ...]
    items: list[Any]
    tokens: int
    answer: "Future[Sequence[Any]]" = field(default_factory=Future)


class Queue:
    """Requests that wait for a model, at most so many items of them, and the threads that answer them.

    Args:
        work: computes; it is called in all threads.
        most_items: of all requests that wait.
        batch_tokens: of the requests that are computed together; one request may have more.
        done: is told of each call.
        threads: how many calls are worked at together.
        gathering: seconds for which a call waits for company, at most, while a larger one keeps the device busy.
    """

    def __init__(
        self,
        work: Work,
        most_items: int,
        batch_tokens: int,
        done: Done,
        threads: int = 1,
        gathering: float = 0.02,
    ) -> None:
        self._work, self._most, self._batch_tokens, self._done = work, most_items, batch_tokens, done
        self._waiting: deque[_Waiting] = deque()
        self._gathering = gathering
        self._computed = 0  # items that are computed now
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name="model", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def put(
        self, call: Call, options: tuple[tuple[str, Any], ...], items: list[Any], tokens: int
    ) -> "Future[Sequence[Any]]":
        """The results to come; cancelled before work has begun, a request is dropped.

        Raises:
            RequestError: too much waits already (429), or the server is ending (503).
        """
        with self._changed:
            self.check_room(len(items))
            waiting = _Waiting(call, options, items, tokens)
            self._waiting.append(waiting)
            self._changed.notify_all()
        return waiting.answer

    def check_room(self, items: int) -> None:
        """Raise what `put` would raise for so many items: to know it before there is any work with them."""
        with self._changed:
            if self._closed:
                raise RequestError(503, "the server is ending", "send the request again")
            if self._size() + items > self._most:
                self._waiting = deque(one for one in self._waiting if not one.answer.cancelled())
            if self._size() + items > self._most:
                waiting = counted(self._size(), "text waits", "texts wait")
                raise RequestError(429, f"{waiting} already", "send the request again a little later")

    @property
    def size(self) -> int:
        """Items that wait."""
        with self._changed:
            return self._size()

    @property
    def is_busy(self) -> bool:
        """Whether anything waits or is computed."""
        with self._changed:
            return bool(self._waiting or self._computed)

    def stop(self) -> None:
        """Take no more; what was taken is still answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more, and return when what was taken is answered."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def _size(self) -> int:
        return sum(len(one.items) for one in self._waiting)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                self._changed.wait_for(self._worth_a_call, self._gathering)
                batch = self._take()
                items = sum(len(one.items) for one in batch)
                self._computed += items
            if batch:
                self._answer(batch)
                with self._changed:
                    self._computed -= items
                    self._changed.notify_all()

    def _worth_a_call(self) -> bool:
        """Whether as much waits as is computed by others, or no more will come."""
        return self._closed or self._size() >= self._computed

    def _take(self) -> list[_Waiting]:
        """The oldest request and those after it that want the same; those that were given up are dropped."""
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        tokens = 0
        for one in self._waiting:
            same = not batch or (one.call, one.options) == (batch[0].call, batch[0].options)
            if not same or (batch and tokens + one.tokens > self._batch_tokens):
                others.append(one)
            elif one.answer.set_running_or_notify_cancel():
                batch.append(one)
                tokens += one.tokens
        self._waiting = others
        return batch

    def _answer(self, batch: list[_Waiting]) -> None:
        items = [item for one in batch for item in one.items]
        try:
            results = self._work(batch[0].call, batch[0].options, items)
            assert len(results) == len(items)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for one in batch:  # whose fault it was, nobody else must notice
                self._answer([one])
            return
        self._done(len(batch), len(items), sum(one.tokens for one in batch))
        first = 0
        for one in batch:
            one.answer.set_result(results[first : first + len(one.items)])
            first += len(one.items)


class Idle:
    """A thread that works step by step, in turn at each of several things, while no queue has anything to do."""

    def __init__(self, work: Iterable[Iterator[Any]], queues: Collection[Queue]) -> None:
        self._queues, self._stopped = queues, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(deque(work),), name="idle", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin no other step."""
        self._stopped.set()

    def close(self) -> None:
        """Begin no other step, and return when the last one is done."""
        self.stop()
        self._thread.join()

    def _run(self, left: deque[Iterator[Any]]) -> None:
        while left and not self._stopped.is_set():
            if any(queue.is_busy for queue in self._queues):
                self._stopped.wait(_LOOK)
            elif _stepped(left[0]):
                left.rotate(-1)
            else:
                left.popleft()


def _stepped(idle: Iterator[Any]) -> bool:
    """Whether there was a step to be done."""
    with contextlib.suppress(Exception):  # what cannot be prepared is refused when it is asked for
        return next(idle, idle) is not idle
    return False


def warm_up(model: Model, numbers_of_rows: Sequence[int]) -> Iterator[str]:
    """Have the programs compiled that requests will need, one after the other; gives the name of each after it.

    Rows have a few lengths, and numbers of rows are powers of two.
    """
    work = compute(model)
    of_one = ("answer", "fill")  # which requests ask of one text
    calls = [call for call in _default_calls(model) if call[0] not in of_one or numbers_of_rows[0] == 1]
    lengths = [length for length in ROW_LENGTHS if length < model.max_seq_length] + [model.max_seq_length]
    for rows in numbers_of_rows:
        for length in (length for length in lengths if rows * length <= full_batch()):
            for call, options in calls:
                work(call, options, [_filling(call, length)] * rows)
                yield f"{call} {rows} x {length}"


def _default_calls(model: Model) -> list[tuple[Call, tuple[tuple[str, Any], ...]]]:
    calls: dict[str, tuple[Call, tuple[tuple[str, Any], ...]]] = {
        "predict": ("logits", ()),
        "tag": ("tag", ()),
        "answer": ("answer", (("n_best", 5), ("max_answer_length", 30))),
        "fill": ("fill", (("top", 5),)),
        "embed": ("embed", (("normalize", True),)),
    }
    return [calls[ability] for ability in calls if ability in model.abilities]


def _filling(call: Call, length: int) -> Any:
    """An item that fills a row; a letter is one token in every vocabulary."""
    if call == "answer":
        return ("a", "a " * (length - 4))
    if call == "tag":
        return "a " * (length - 2)
    return "[MASK]" + " a" * (length - 3) if call == "fill" else Ids((0,) * length, (0,) * length)
