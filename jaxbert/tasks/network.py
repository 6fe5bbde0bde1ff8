# SPDX-License-Identifier: Apache-2.0
"""A model with the head of a task, on devices: what every trainer does with it."""

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, Self

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import row_units, shard_whole, to_devices
from jaxbert.batches.loader import Prefetched, Read, evaluation_batches
from jaxbert.batches.packing import RowShape, evaluation_shape
from jaxbert.batches.rows import Arrays, Targets
from jaxbert.checkpoints.load import DenseHead, load_whole
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import Compute
from jaxbert.model.weights import Table, Tree
from jaxbert.train import devices
from jaxbert.train.evaluate import outputs
from jaxbert.train.sharding import weight_shardings, with_gathered_weights
from jaxbert.train.step import Batch

BATCHES_TOGETHER = 16  # so many batches of sequences are packed together where all are at hand


class Sequences(Protocol):
    """Sequences by number.

    Attributes:
        lengths: tokens of each [n], int64.
    """

    lengths: np.ndarray

    def read(self, numbers: np.ndarray) -> Arrays:
        """Features of those with these numbers."""


@dataclasses.dataclass(frozen=True)
class Network(abc.ABC):
    """The weights of a model for one task, and what devices compute with them."""

    config: BertConfig
    compute: Compute
    mesh: Mesh

    @property
    @abc.abstractmethod
    def table(self) -> Table:
        """The weights."""

    @abc.abstractmethod
    def logits(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None) -> Any:
        """What the head gives."""

    @abc.abstractmethod
    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss, see `Loss`."""

    def in_dtype(self, dtype: jax.typing.DTypeLike) -> Self:
        """The same network, computed in this dtype."""
        return dataclasses.replace(self, compute=dataclasses.replace(self.compute, dtype=dtype))

    def compiled(self, function: Callable[[Tree, Batch], Any]) -> "jax.stages.Wrapped":
        """A function of weights and a batch, compiled for weights that lie as those of an `Epoch` do."""
        parts = weight_shardings(self.table, self.mesh)
        gathering = with_gathered_weights(function, self.table, self.mesh, parts, self.compute)
        options = devices.compiler_options(self.config, self.mesh, self.compute.dtype)
        return jax.jit(gathering, compiler_options=options)

    @functools.cached_property
    def compiled_logits(self) -> "jax.stages.Wrapped":
        """`logits`, compiled."""
        return self.compiled(self.logits)

    def load(self, model: Model, kind: DenseHead | None, head: str, class_order: tuple[int, ...] | None = None) -> Tree:
        """Trained weights on the devices; see `load_whole`."""
        found = load_whole(model, self.table, kind, head, class_order)
        weights: Tree = to_devices(found, weight_shardings(self.table, self.mesh))
        return weights

    def outputs(self, weights: Tree, sequences: Sequences, batch_size: int, targets: Targets, size: int) -> np.ndarray:
        """Logits [size, C] float32 of all examples, in their order; `batch_size` of the longest go together."""
        shape = evaluation_shape(sequences.lengths, batch_size, *row_units(self.mesh))
        with self.on_devices(sequences.read, len(sequences.lengths), shape, batch_size, targets) as batches:
            return outputs(self.compiled_logits, weights, batches, size)

    @contextlib.contextmanager
    def on_devices(
        self, read: Read, size: int, shape: RowShape, batch_size: int, targets: Targets
    ) -> Iterator[Iterable[Batch]]:
        """The first `size` sequences in batches, which are placed while others are computed."""
        batches = evaluation_batches(read, size, shape, BATCHES_TOGETHER * batch_size, targets)
        with contextlib.closing(Prefetched(shard_whole(batch, self.mesh) for batch in batches)) as loaded:
            yield loaded
