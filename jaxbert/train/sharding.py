# SPDX-License-Identifier: Apache-2.0
"""Which weight lies how on the devices: one table of rules from paths to axes of the mesh.

Along `tensor` a layer's work is split as in Megatron (arXiv 1909.08053): heads and intermediate units belong to one
device each, so a layer sums over devices twice. Along `fsdp` (ZeRO, arXiv 1910.02054) weights and moments are only
stored in parts: a step gathers a weight where it is used, and each device gets the sum of its part of the gradient.
Along `data` weights are whole, but each device updates only a part of them (arXiv 2004.13336), for which alone it has
gradients and moments, and then sends it to the others: no more is sent than if all summed all gradients.
Vectors and heads are small and whole everywhere.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbert.batches.devices import replicated
from jaxbert.model.weights import Table, Tree, flatten, unflatten
from jaxbert.train.optimizers import Optimizer
from jaxbert.train.step import State, Update

A = TypeVarTuple("A")
T = TypeVar("T")

_LAYER = r"bert/encoder/layer_\d+"

# A path matches exactly one pattern as a whole; each axis of the weight is split along the mesh axis named.
RULES = (
    (r"bert/embeddings/word_embeddings", PartitionSpec("tensor", "fsdp")),
    (r"bert/embeddings/(token_type|position)_embeddings", PartitionSpec(None, "fsdp")),
    (rf"{_LAYER}/(attention/self/(query|key|value)|intermediate/dense)/kernel", PartitionSpec("fsdp", "tensor")),
    (rf"{_LAYER}/(attention/self/(query|key|value)|intermediate/dense)/bias", PartitionSpec("tensor")),
    (rf"{_LAYER}/(attention/output|output)/dense/kernel", PartitionSpec("tensor", "fsdp")),
    (rf"{_LAYER}/(attention/output|output)/dense/bias", PartitionSpec()),
    (r"(bert/pooler|cls/predictions/transform)/dense/kernel", PartitionSpec("fsdp", None)),
    (r"(bert/pooler|cls/predictions/transform)/dense/bias", PartitionSpec()),
    (r".*/LayerNorm/(gamma|beta)", PartitionSpec()),
    (
        r"(cls/(seq_relationship|squad|tagging|choice)/)?output_(weights|bias)|cls/predictions/output_bias",
        PartitionSpec(),
    ),
)


def rule(path: str) -> PartitionSpec:
    """How the rules split the weight `path`."""
    return next(spec for pattern, spec in RULES if re.fullmatch(pattern, path))


def weight_shardings(table: Table, mesh: Mesh, *, gathered: bool = False) -> Tree:
    """The sharding of each weight; an axis that the mesh does not divide stays whole, with `gathered` those on `fsdp`.

    The tree is like the weights.
    """

    def divides(size: int, axis: str | None) -> bool:
        return axis is not None and size % mesh.shape[axis] == 0 and not (gathered and axis == "fsdp")

    def sharding(path: str, shape: tuple[int, ...]) -> NamedSharding:
        split = [axis if divides(size, axis) else None for size, axis in zip(shape, rule(path), strict=False)]
        return NamedSharding(mesh, PartitionSpec(*split))

    return unflatten({path: sharding(path, weight.shape) for path, weight in table.items()})


def update_shardings(table: Table, mesh: Mesh) -> Tree:
    """How the parts of weights lie that devices update: as `weight_shardings`, kernels also split along `data`.

    The tree is like the weights.
    """
    stored, data = flatten(weight_shardings(table, mesh)), mesh.shape["data"]

    def sharding(path: str, shape: tuple[int, ...]) -> NamedSharding:
        spec = [*stored[path].spec, *[None] * (len(shape) - len(stored[path].spec))]
        for number, (axis, size) in enumerate(zip(spec, shape, strict=True)):
            if len(shape) > 1 and size % (data * (mesh.shape[axis] if axis else 1)) == 0:
                spec[number] = (axis, "data") if axis else "data"
                break
        return NamedSharding(mesh, PartitionSpec(*spec))

    return unflatten({path: sharding(path, weight.shape) for path, weight in table.items()})


def with_split_update(optimizer: Optimizer, table: Table, mesh: Mesh) -> Update:
    """An optimizer of which each device does its part, see `update_shardings`."""
    return SplitUpdate(optimizer, table, mesh) if mesh.shape["data"] > 1 else optimizer


@dataclasses.dataclass(frozen=True)
class SplitUpdate:
    """See `with_split_update`."""

    optimizer: Optimizer
    table: Table
    mesh: Mesh

    def update(
        self, weights: Tree, gradients: Tree, moments: Tree, decays: Tree, rates: Tree, step: jax.Array
    ) -> tuple[Tree, Tree, jax.Array]:
        """See `AdamW.update`."""
        parts, stored = (flatten(of(self.table, self.mesh)) for of in (update_shardings, weight_shardings))
        # Summed first, then cut: of a product that is only wanted in parts the compiler makes a loop over its parts.
        weights, gradients = _placed(weights, parts), _placed(_placed(gradients, stored), parts)
        weights, moments, norm = self.optimizer.update(weights, gradients, moments, decays, rates, step)
        return _placed(weights, stored), moments, norm


def _placed(tree: Tree, shardings: Tree) -> Tree:
    """A tree of some of the weights, each as `shardings` has it by its path."""
    return unflatten(
        {path: jax.lax.with_sharding_constraint(leaf, shardings[path]) for path, leaf in flatten(tree).items()}
    )


def state_shardings(state: State, table: Table, mesh: Mesh) -> State:
    """The shardings of a training state (arrays or their shapes): moments as they are updated, scalars everywhere."""
    shardings: State = jax.tree.map(lambda _: replicated(mesh), state)
    parts, has_moments = flatten(update_shardings(table, mesh)), flatten(state["moments"]["m"]).keys()
    moments = unflatten({path: parts[path] for path in parts if path in has_moments})
    shardings["weights"], shardings["moments"] = weight_shardings(table, mesh), dict.fromkeys(state["moments"], moments)
    return shardings


def with_shardings(like: T, shardings: T) -> T:
    """The shapes and dtypes of a tree together with these shardings."""

    def placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    tree: T = jax.tree.map(placed, like, shardings)
    return tree


def with_gathered_weights(function: Callable[[Tree, *A], T], table: Table, mesh: Mesh) -> Callable[[Tree, *A], T]:
    """A function of weights with each weight whole along `fsdp` while it is used, so that rows stay where they are."""
    if mesh.shape["fsdp"] == 1:
        return function
    gather = _gather(weight_shardings(table, mesh, gathered=True), weight_shardings(table, mesh))

    def with_whole_weights(weights: Tree, /, *others: *A) -> T:
        return function(gather(weights), *others)

    return with_whole_weights


def _gather(whole: Tree, parts: Tree) -> Callable[[Tree], Tree]:
    """Weights from their stored parts.

    What comes back is each device's part of the gradients: without a word the compiler would sum all of them on every
    device, as the gradient of a constraint has the same constraint.
    """

    @jax.custom_vjp
    def gather(weights: Tree) -> Tree:
        gathered: Tree = jax.lax.with_sharding_constraint(weights, whole)
        return gathered

    def backward(_: None, gradients: Tree) -> tuple[Tree]:
        return (jax.lax.with_sharding_constraint(gradients, parts),)

    gather.defvjp(lambda weights: (gather(weights), None), backward)
    return gather
