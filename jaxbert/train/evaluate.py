# SPDX-License-Identifier: Apache-2.0
"""Outputs of a model for every example of a set, in the order of the set."""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np

from jaxbert.batches.devices import replicate
from jaxbert.errors import InputError
from jaxbert.model.weights import Tree
from jaxbert.train.step import Batch

T = TypeVar("T")


def computed(
    function: Callable[[Tree, Batch], Any], weights: Tree, batches: Iterable[tuple[T, Batch]]
) -> Iterator[tuple[T, Any]]:
    """What comes with each batch, and what the compiled `function` gives for it; the next are computed meanwhile.

    A single CPU computes two batches at once, in two threads: within one program its cores wait for each other now and
    then. Elsewhere programs are sent one after the other, in the same order to all devices, as collectives need it.
    """
    on_cpu = jax.default_backend() == "cpu" and jax.device_count() == 1
    sent: deque[tuple[T, Future[Any]]] = deque()
    compiled = set()
    for named, batch in batches:
        result: Future[Any] = Future()
        if on_cpu:
            result = _submitted(function, weights, batch)
            shapes = tuple((name, array.shape) for name, array in batch.items())
            if shapes not in compiled:  # two threads would compile it twice
                result.result()
                compiled.add(shapes)
        else:
            result.set_result(function(weights, batch))
        sent.append((named, result))
        if len(sent) > 1 + on_cpu:
            yield _oldest(sent)
    while sent:
        yield _oldest(sent)


def _submitted(function: Callable[[Tree, Batch], Any], weights: Tree, batch: Batch) -> "Future[Any]":
    try:
        return _two_threads().submit(_finished, function, weights, batch)
    except RuntimeError:  # Python is ending, and starts no thread any more
        result: Future[Any] = Future()
        result.set_result(function(weights, batch))
        return result


@functools.cache
def _two_threads() -> ThreadPoolExecutor:
    """The same for the whole process: each thread keeps memory for the largest program that it ever ran."""
    return ThreadPoolExecutor(2, thread_name_prefix="computes")


def _oldest(sent: "deque[tuple[T, Future[Any]]]") -> tuple[T, Any]:
    named, result = sent.popleft()
    return named, result.result()


def _finished(function: Callable[[Tree, Batch], Any], weights: Tree, batch: Batch) -> Any:
    return jax.block_until_ready(function(weights, batch))


def outputs(
    logits: Callable[[Tree, Batch], jax.Array], weights: Tree, batches: Iterable[Batch], size: int
) -> np.ndarray:
    """Logits [size, C] float32 of examples 0 to `size` - 1, each of which stands once in some batch.

    `logits` gives [B, N, C] for a batch, whose `examples` [B, N] says which example each slot holds (-1: none).
    """
    found = list(streamed_outputs(logits, weights, batches))
    ordered = np.full((size, found[0][1].shape[-1]), np.nan, np.float32)
    for examples, values in found:
        ordered[examples] = values
    return ordered


def streamed_outputs(
    values: Callable[[Tree, Batch], Any], weights: Tree, batches: Iterable[Batch]
) -> Iterator[tuple[np.ndarray, Any]]:
    """Example numbers [n] and what `values` gives for them, batch by batch in the order of batches.

    `values` gives an array [B, N, ...] or several of them in a dict; the same comes out with [n, ...]. The result of a
    batch is read after the next one was sent.
    """

    def everywhere(weights: Tree, batch: Batch) -> Any:
        return jax.tree.map(replicate, (values(weights, batch), batch["examples"]))

    for _, found in computed(everywhere, weights, ((None, batch) for batch in batches)):
        yield _real(*found)


def _real(values: Any, examples: jax.Array) -> tuple[np.ndarray, Any]:
    """Example numbers [n] and their values [n, ...], slots without an example left out.

    Raises InputError where one of the values is NaN or plus infinity; what is ruled out is minus infinity.
    """
    numbers = np.asarray(examples)
    real = numbers >= 0
    found = jax.tree.map(lambda array: np.asarray(array)[real], values)
    for array in (array for array in jax.tree.leaves(found) if array.dtype.kind == "f"):
        wrong = np.isnan(array) | np.isposinf(array)
        if wrong.any():
            number = numbers[real][np.argwhere(wrong)[0, 0]]
            raise InputError(
                f"the model's output for example {number} is NaN or infinite",
                "its weights have diverged, or are too large for `--dtype`: compute with `--dtype=fp32`, or train again"
                " with a lower `--learning_rate`",
            )
    return numbers[real], found


def totals(
    sums: Callable[[Tree, Batch], dict[str, jax.Array]], weights: Tree, batches: Iterable[Batch]
) -> dict[str, float]:
    """The sums of `sums` (float32 scalars of one batch) over all batches, added in float64."""
    added: dict[str, float] = {}
    for _, values in computed(sums, weights, ((None, batch) for batch in batches)):
        for name, value in values.items():
            added[name] = added.get(name, 0.0) + float(value)
    return added
