# SPDX-License-Identifier: Apache-2.0
"""Training steps as compiled programs, one for each shape of batch, and what they need of a device's memory."""

import math
from collections.abc import Callable
from typing import Any

import jax

from jaxbert.train.step import Batch, State

Steps = Callable[[State, Batch], tuple[State, dict[str, jax.Array]]]


class CompiledSteps:
    """`steps` (see `train_step`), compiled when a new shape of batch arrives; the state that goes in is used up.

    The state keeps the place on the devices that it came with. `say` is told once what the first program needs.
    """

    def __init__(self, steps: Steps, say: Callable[[str], None]) -> None:
        self._steps, self._say = steps, say
        self._programs: dict[tuple[int, ...], jax.stages.Compiled] = {}

    def __call__(self, state: State, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """The state after the steps and their metrics."""
        shape = batch["input_ids"].shape
        if shape not in self._programs:
            program = traced(self._steps, state, batch).lower().compile()
            if not self._programs:
                self._say(memory(state, program))
            self._programs[shape] = program
        after: tuple[State, dict[str, jax.Array]] = self._programs[shape](state, batch)
        return after


def traced(steps: Steps, state: State, batch: Batch) -> jax.stages.Traced:
    """`steps` for arrays of these shapes and shardings, ready to be lowered for any platform."""
    places = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(steps, donate_argnums=0, out_shardings=(places, None)).trace(state, batch)


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
