# SPDX-License-Identifier: Apache-2.0
"""What a compiled function of a model gives for chunks of sequences, in their order: for calls of any size."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.by_length import batches_by_length
from jaxbert.batches.devices import row_parts, shard_whole
from jaxbert.batches.loader import Prefetched
from jaxbert.batches.rows import Arrays, Targets
from jaxbert.model.weights import Tree
from jaxbert.train.evaluate import computed
from jaxbert.train.step import Batch

Compute = Callable[[Tree, Batch], Any]
"""(weights, batch) -> an array [B, N, ...], or several of them in a dict."""


def full_batch() -> int:
    """Positions of a full batch; on a CPU each takes 1.1 to 1.4 times as long in one of 4,096."""
    return 2048 if jax.default_backend() == "cpu" else 4096


def outputs(
    compute: Compute, weights: Tree, chunks: Iterable[Arrays], mesh: Mesh, longest: int, targets: Targets
) -> Iterator[Any]:
    """For each chunk of n sequences, as features [n, S], what `compute` gives for them: the same with [n, ...].

    The next chunks are made, and the next batch is computed, while a result is read. `longest` is the most tokens that
    a sequence can have.
    """
    whole: Any = None
    missing = 0
    for size, batch, found in _results(compute, weights, chunks, mesh, longest, targets):
        if size:
            missing = size
            whole = jax.tree.map(lambda array, n=size: np.empty((n, *array.shape[2:]), array.dtype), found)
        real = batch["examples"] >= 0
        numbers = batch["examples"][real]
        for into, array in zip(jax.tree.leaves(whole), jax.tree.leaves(found), strict=True):
            into[numbers] = array[real]
        missing -= len(numbers)
        if not missing:
            yield whole


def token_outputs(
    compute: Compute, weights: Tree, chunks: Iterable[Arrays], mesh: Mesh, longest: int, targets: Targets
) -> Iterator[list[np.ndarray]]:
    """The same for a `compute` that gives [B, S, ...]: for each sequence the part of its T tokens, [T, ...]."""
    whole: list[np.ndarray] = []
    missing = 0
    for size, batch, found in _results(compute, weights, chunks, mesh, longest, targets):
        if size:
            whole, missing = [np.empty(0)] * size, size
        for row, slot in np.argwhere(batch["examples"] >= 0).tolist():
            start = batch["cls_positions"][row, slot]
            own = batch["sequences"][row] == batch["sequences"][row, start]
            whole[batch["examples"][row, slot]] = found[row][own]
            missing -= 1
        if not missing:
            yield whole


def _results(
    compute: Compute, weights: Tree, chunks: Iterable[Arrays], mesh: Mesh, longest: int, targets: Targets
) -> Iterator[tuple[int, Arrays, Any]]:
    """The size of a chunk with its first batch, then 0; the batch; and its results on the host."""

    def placed() -> Iterator[tuple[tuple[int, Arrays], Batch]]:
        for features in chunks:
            size = len(features["input_ids"])
            for batch in batches_by_length(features, full_batch(), row_parts(mesh), targets, longest):
                yield (size, batch), shard_whole(batch, mesh)
                size = 0

    with contextlib.closing(Prefetched(placed())) as loaded:
        for (size, batch), found in computed(compute, weights, loaded):
            yield size, batch, jax.tree.map(np.asarray, found)
