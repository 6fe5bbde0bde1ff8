# SPDX-License-Identifier: Apache-2.0
"""Results of batches: in order, two computed at once on a CPU, one after the other on several devices."""

import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.train.evaluate import computed

SIZES = (3, 5, 3, 3, 5, 4, 3)


def batches() -> Iterator[tuple[int, dict[str, jax.Array]]]:
    """Batches of a few shapes, with their numbers."""
    for number, size in enumerate(SIZES):
        yield number, {"x": jnp.full(size, number)}


@pytest.mark.parametrize("devices", [1, 2])
def test_results_come_in_the_order_of_batches(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch has its own result beside it, whatever is computed at once."""
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    found = list(computed(jax.jit(lambda w, batch: batch["x"] * w), jnp.array(2), batches()))
    assert [number for number, _ in found] == list(range(len(SIZES)))
    for (number, result), size in zip(found, SIZES, strict=True):
        np.testing.assert_array_equal(result, np.full(size, 2 * number))


def test_a_cpu_computes_two_batches_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first of a shape, which compiles, two calls are entered before either ends."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    both, calls = threading.Barrier(2), iter(range(5))

    def function(weights: Any, batch: Any) -> Any:
        if next(calls):
            both.wait(10)
        return batch["x"]

    assert len(list(computed(function, None, ((None, {"x": jnp.zeros(2)}) for _ in range(5))))) == 5


def test_all_calls_are_computed_in_the_same_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread keeps memory for the largest program that it ran: a server's would grow with every new one."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    used = set()

    def function(weights: Any, batch: Any) -> Any:
        used.add(threading.current_thread())
        return batch["x"]

    callers = [threading.Thread(target=lambda: list(computed(function, None, batches()))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert 1 <= len(used) <= 2
    assert used.isdisjoint({*callers, threading.current_thread()})


def test_what_python_starts_no_thread_for_is_computed_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its end, where a program may still ask."""

    def ended() -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr("jaxbert.train.evaluate._two_threads", ended)
    found = list(computed(lambda weights, batch: batch["x"], None, batches()))
    assert [len(result) for _, result in found] == list(SIZES)


def test_several_devices_are_sent_all_programs_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their collectives must be entered in one order everywhere."""
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    threads = set()

    def function(weights: Any, batch: Any) -> Any:
        threads.add(threading.current_thread())
        return batch["x"]

    assert len(list(computed(function, None, batches()))) == len(SIZES)
    assert threads == {threading.current_thread()}


def test_what_fails_in_a_thread_fails_in_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a batch is raised where its result would have come."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)

    def function(weights: Any, batch: Any) -> Any:
        if batch["x"][0] == 3:
            raise FloatingPointError("batch 3")
        return batch["x"]

    with pytest.raises(FloatingPointError, match="batch 3"):
        list(computed(function, None, batches()))
