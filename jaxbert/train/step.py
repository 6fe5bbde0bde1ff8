# SPDX-License-Identifier: Apache-2.0
"""One training step as a pure function: micro-batches -> gradients -> optimizer -> new state and metrics.

A batch is a mapping of arrays [K, B, ...], K micro-batches of B rows. Arrays whose name ends in `_weights` weigh
targets; before anything else they are divided by their sum over the whole batch, so the loss is the weighted mean over
all targets however they are spread over micro-batches and devices.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.model.dropout import token_bits
from jaxbert.model.weights import Tree, flatten, unflatten
from jaxbert.train.optimizers import LinearSchedule, LossScale, Optimizer, rate_at, trained, zero_moments

UNSCALED = LossScale()
Batch = Mapping[str, jax.Array]
Loss = Callable[[Tree, Batch, jax.Array | None], jax.Array]
"""(weights, one micro-batch with weights as shares, dropout bits [B, S] or None) -> its part of the loss, float32."""


class State(TypedDict):
    """What training changes: `moments` holds the trees `m` and `v`, `step` (int32 scalar) counts the steps done.

    Weights that are not trained have no moments.
    """

    weights: Tree
    moments: Tree
    step: jax.Array
    loss_scale: Tree


def initial_state(weights: Tree, scaling: LossScale = UNSCALED, factors: Tree | None = None) -> State:
    """The state before the first step; `factors` as of `train_step`."""
    return {
        "weights": weights,
        "moments": zero_moments(weights if factors is None else trained(weights, factors)),
        "step": jnp.zeros((), jnp.int32),
        "loss_scale": scaling.init(),
    }


Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """The steps of a run: (state, batches [T, K, B, ...]) -> (state after T steps, metrics of each, [T] float32).

    Attributes:
        program: the function to compile: the same with `own` as third argument.
        own: arrays that are inputs of the program, so that runs that differ in nothing else share it.
    """

    program: Callable[[State, Batch, Tree], tuple[State, Metrics]]
    own: Tree

    def __call__(self, state: State, batches: Batch) -> tuple[State, Metrics]:
        """The state after the steps and their metrics."""
        return self.program(state, batches, self.own)


def train_step(
    loss: Loss,
    optimizer: Optimizer,
    schedule: LinearSchedule,
    decays: Tree,
    seed: int,
    scaling: LossScale = UNSCALED,
    factors: Tree | None = None,
) -> Steps:
    """The steps of a run. Its seed and schedule are inputs of the program, all else is part of it.

    A step whose scaled gradients overflow changes no weight. `factors`, see `rate_factors`, are 1 by default; weights
    whose factor is 0 stay as they are, get no gradient and do not count in its norm.
    """
    factors = jax.tree.map(lambda _: 1.0, decays) if factors is None else factors
    of_trained, decays = trained(factors, factors), trained(decays, factors)

    def step(state: State, batch: Batch, own: Tree) -> tuple[State, Metrics]:
        number, whole, factor = state["step"], flatten(state["weights"]), state["loss_scale"]["factor"]

        def part(weights: Tree, micro: Batch) -> jax.Array:
            bits = token_bits(own["seed"], number, micro["sequences"], micro["positions"])
            value = loss(unflatten(whole | flatten(weights)), micro, bits)
            return value * factor if scaling.is_used else value

        weights = trained(state["weights"], factors)
        value, gradients = accumulate(jax.value_and_grad(part), weights, with_shares(batch))
        if scaling.is_used:
            value, gradients = value / factor, jax.tree.map(lambda g: g / factor, gradients)
        rate = rate_at(own["schedule"], number)
        rates = jax.tree.map(lambda times: rate if times == 1.0 else rate * times, of_trained)
        weights, moments, norm = optimizer.update(weights, gradients, state["moments"], decays, rates, number)
        metrics = {"loss": value, "learning_rate": rate, "gradient_norm": norm}
        after: State = {
            "weights": unflatten(whole | flatten(weights)),
            "moments": moments,
            "step": number + 1,
            "loss_scale": state["loss_scale"],
        }
        if scaling.is_used:
            after, metrics = _unless_overflow(state, after, scaling, jnp.isfinite(norm)), metrics | {"scale": factor}
        return after, metrics

    def program(state: State, batches: Batch, own: Tree) -> tuple[State, Metrics]:
        if next(iter(batches.values())).shape[0] > 1:
            return jax.lax.scan(functools.partial(step, own=own), state, batches)
        state, metrics = step(state, {name: array[0] for name, array in batches.items()}, own)
        return state, {name: value[None] for name, value in metrics.items()}

    return Steps(program, {"seed": np.uint32(seed), "schedule": schedule.numbers()})


def _unless_overflow(before: State, after: State, scaling: LossScale, finite: jax.Array) -> State:
    """The state after a step; when its gradients overflowed only the count of steps and the scale change."""

    def chosen(new: Tree, old: Tree) -> Tree:
        tree: Tree = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)
        return tree

    return {
        "weights": chosen(after["weights"], before["weights"]),
        "moments": chosen(after["moments"], before["moments"]),
        "step": after["step"],
        "loss_scale": scaling.after(before["loss_scale"], finite),
    }


def with_shares(batch: Batch) -> Batch:
    """The batch with each `*_weights` array divided by its own sum (zero stays zero)."""

    def share(weights: jax.Array) -> jax.Array:
        total = jnp.sum(weights)
        return weights / jnp.where(total > 0, total, 1.0)

    return {name: share(array) if name.endswith("_weights") else array for name, array in batch.items()}


def accumulate(
    gradient: Callable[[Tree, Batch], tuple[jax.Array, Tree]], weights: Tree, batch: Batch
) -> tuple[jax.Array, Tree]:
    """Loss and gradients summed over the K micro-batches of `batch`, one in memory at a time."""
    count = next(iter(batch.values())).shape[0]
    first = gradient(weights, {name: array[0] for name, array in batch.items()})
    if count == 1:
        return first
    rest = {name: array[1:] for name, array in batch.items()}

    def add(total: tuple[jax.Array, Tree], micro: Batch) -> tuple[tuple[jax.Array, Tree], None]:
        return jax.tree.map(jnp.add, total, gradient(weights, micro)), None

    return jax.lax.scan(add, first, rest)[0]


class CompiledSteps:
    """`steps` (see `train_step`), compiled when a new shape of batch arrives; the state that goes in is used up.

    The state keeps the sharding that it came with. `say` is told once what the first program needs; `options` are those
    of the compiler.
    """

    def __init__(self, steps: Steps, say: Callable[[str], None], options: Mapping[str, str | int] = {}) -> None:
        self._steps, self._say, self._options = steps, say, dict(options)
        self._thread = ThreadPoolExecutor(1, "compiler")
        self._programs: dict[tuple[int, ...], Future[jax.stages.Compiled]] = {}
        self._has_said = False

    def __call__(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """The state after the steps and their metrics."""
        self.begin(state, batch)
        program = self._programs[batch["input_ids"].shape].result()
        if not self._has_said:
            self._say(memory(state, program))
            self._has_said = True
        after: tuple[State, Metrics] = program(state, batch, self._steps.own)
        return after

    def begin(self, state: State, batch: Batch) -> None:
        """Let a thread compile what a batch of this shape needs, if nobody did; the state may be shapes only."""
        if (shape := batch["input_ids"].shape) not in self._programs:
            self._programs[shape] = self._thread.submit(self._compiled, *jax.tree.map(_shape_of, (state, dict(batch))))

    def _compiled(self, state: State, batch: Batch) -> jax.stages.Compiled:
        compiled: jax.stages.Compiled = traced(self._steps, state, batch).lower().compile(self._options)
        return compiled


def _shape_of(array: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def traced(steps: Steps, state: State, batch: Batch) -> jax.stages.Traced:
    """`steps` for arrays of these shapes and shardings, ready to be lowered for any platform."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(steps.program, donate_argnums=0, out_shardings=(shardings, None)).trace(state, batch, steps.own)


def memory(state: State, program: jax.stages.Compiled) -> str:
    """One line: what weights, moments and everything else take on each device."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state["weights"]))
    parts = [f"weights {_megabytes(_on_device(state['weights']))} ({count:,} parameters)"]
    parts.append(f"moments {_megabytes(_on_device(state['moments']))}")
    if analysis := program.memory_analysis():
        parts.append(f"gradients and activations {_megabytes(analysis.temp_size_in_bytes)}")
    return f"memory of each device: {', '.join(parts)}"


def _on_device(tree: Any) -> int:
    """Bytes of a tree's arrays on one device."""
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
