# SPDX-License-Identifier: Apache-2.0
"""Which weight lies how on the devices: one table of rules from paths to axes of the mesh.

Along `tensor` a layer's work is split as in Megatron (arXiv 1909.08053): heads and intermediate units belong to one
device each, so a layer sums over devices twice. Along `fsdp` (ZeRO, arXiv 1910.02054) weights and moments are only
stored in parts: a step gathers a weight where it is used, and each device gets the sum of its part of the gradient.
Along `data` a training does the same (arXiv 2004.13336), so each device updates a part of the weights; for evaluation
they are whole along it. Vectors and heads are small and whole everywhere.
"""

import re
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbert.batches.devices import replicated, row_parts
from jaxbert.model.encoder import Compute, rounded
from jaxbert.model.weights import Table, Tree, flatten, unflatten
from jaxbert.train.step import State

A = TypeVarTuple("A")
T = TypeVar("T")

Shardings = dict[str, NamedSharding]
"""By the paths of weights."""

_WORDS = "bert/embeddings/word_embeddings"
_MOST_PARTS_OF_WORDS = 64  # by the bundles that libtpu schedules for a token, not measured (docs/log.md, 2026-12-01)
_LAYER = r"bert/encoder/layer_\d+"

# A path matches exactly one pattern as a whole; each axis of the weight is split along the mesh axis named.
RULES = (
    (_WORDS, PartitionSpec("tensor", "fsdp")),
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


def training_shardings(table: Table, mesh: Mesh) -> Tree:
    """How weights, gradients and moments lie in a training: as `weight_shardings`, and split along `data` too.

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


def state_shardings(state: State, table: Table, mesh: Mesh) -> State:
    """The shardings of a training state (arrays or their shapes): weights and moments in parts, scalars everywhere."""
    shardings: State = jax.tree.map(lambda _: replicated(mesh), state)
    parts, has_moments = flatten(training_shardings(table, mesh)), flatten(state["moments"]["m"]).keys()
    moments = unflatten({path: parts[path] for path in parts if path in has_moments})
    shardings["weights"], shardings["moments"] = unflatten(parts), dict.fromkeys(state["moments"], moments)
    return shardings


def with_shardings(like: T, shardings: T) -> T:
    """The shapes and dtypes of a tree together with these shardings."""

    def placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    tree: T = jax.tree.map(placed, like, shardings)
    return tree


def with_gathered_weights(
    function: Callable[[Tree, *A], T], table: Table, mesh: Mesh, parts: Tree, compute: Compute
) -> Callable[[Tree, *A], T]:
    """A function of weights that lie as `parts` says, with each one whole while it is used, so that rows stay in place.

    Whole but for `tensor`; `compute` is how the function computes. Where the table of words is only looked up, each
    device looks up its part of all vectors, which are far fewer bytes to send than the table.
    """
    stored, gathered = flatten(parts), flatten(weight_shardings(table, mesh, gathered=True))
    if _looks_up_in_parts(table, mesh):
        gathered[_WORDS] = stored[_WORDS]
    if _shapes(stored, table) == _shapes(gathered, table):
        return function
    gather = _gather(stored, gathered, compute)

    def with_whole_weights(weights: Tree, /, *others: *A) -> T:
        return function(gather(weights), *others)

    return with_whole_weights


def _looks_up_in_parts(table: Table, mesh: Mesh) -> bool:
    """Whether the table of words is no kernel of an output layer, and the devices are not so many that to look up the
    tokens of all of them, and to add their gradients, takes longer than sending the table."""
    return "cls/predictions/output_bias" not in table and row_parts(mesh) <= _MOST_PARTS_OF_WORDS


def _shapes(shardings: Shardings, table: Table) -> dict[str, tuple[int, ...]]:
    """What a device has of each weight."""
    return {path: place.shard_shape(table[path].shape) for path, place in shardings.items()}


def _gather(parts: Shardings, gathered: Shardings, compute: Compute) -> Callable[[Tree], Tree]:
    """Weights from their stored parts, sent as they are rounded for products.

    What comes back is each device's part of the gradients, which are not rounded. Those of products are summed first,
    then cut: of a product that is only wanted in parts the compiler makes a loop over its parts, or (libtpu 0.0.42.1)
    fails.
    """

    def whole(path: str, weight: jax.Array) -> jax.Array:
        part = jax.lax.with_sharding_constraint(rounded(path, weight, compute), parts[path])
        sent: jax.Array = jax.lax.with_sharding_constraint(part, gathered[path])
        if sent.dtype != weight.dtype:
            # Without a barrier the compiler takes two changes of dtype for none, and sends what was there before.
            sent = jax.lax.optimization_barrier(sent).astype(weight.dtype)
        return sent

    summed = parts | {path: gathered[path] for path in parts if path.endswith("/kernel") or path == _WORDS}

    @jax.custom_vjp
    def gather(weights: Tree) -> Tree:
        return unflatten({path: whole(path, weight) for path, weight in flatten(weights).items()})

    def backward(_: None, gradients: Tree) -> tuple[Tree]:
        return (_placed(_placed(gradients, summed), parts),)

    gather.defvjp(lambda weights: (gather(weights), None), backward)
    return gather


def _placed(tree: Tree, shardings: Shardings) -> Tree:
    return unflatten(
        {path: jax.lax.with_sharding_constraint(leaf, shardings[path]) for path, leaf in flatten(tree).items()}
    )
