# SPDX-License-Identifier: Apache-2.0
"""Outputs of a model for every example of a set, in the order of the set."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from jaxbert.batches.devices import replicate
from jaxbert.errors import InputError
from jaxbert.model.weights import Tree
from jaxbert.train.step import Batch


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
    pending: tuple[Any, jax.Array] | None = None
    for batch in batches:
        sent = jax.tree.map(replicate, (values(weights, batch), batch["examples"]))
        if pending is not None:
            yield _real(*pending)
        pending = sent
    if pending is not None:
        yield _real(*pending)


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
    pending: dict[str, jax.Array] = {}
    for batch in batches:
        sent = sums(weights, batch)
        _add(added, pending)
        pending = sent
    _add(added, pending)
    return added


def _add(added: dict[str, float], values: dict[str, jax.Array]) -> None:
    for name, value in values.items():
        added[name] = added.get(name, 0.0) + float(value)
