# SPDX-License-Identifier: Apache-2.0
"""AdamW and LAMB as the official trainers run them, the learning rate, and loss scaling."""

import dataclasses
from collections.abc import Collection
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.model.weights import Table, Tree, flatten, part_of, unflatten


@dataclasses.dataclass(frozen=True)
class LinearSchedule:
    """Linear warm-up from 0 to `peak`, then linear decay to `end` at `total_steps` (Google's optimization.py).

    The decay is counted from step 0, so when the warm-up ends the rate drops from `peak` to the decay's own line; the
    first step has rate 0.
    """

    peak: float
    end: float
    warmup_steps: int
    total_steps: int

    def rate(self, step: jax.Array) -> jax.Array:
        """The rate (float32 scalar) of the given step (int32 scalar, from 0)."""
        return rate_at(self.numbers(), step)

    def numbers(self) -> dict[str, np.generic]:
        """What `rate_at` takes: int32 and float32 scalars, computed here as XLA does with constants of a program."""
        one = np.float32(1)
        return {
            "rise": np.float32(self.peak) * (one / np.float32(max(self.warmup_steps, 1))),
            "fall": np.float32(self.peak - self.end),
            "end": np.float32(self.end),
            "share": one / np.float32(max(self.total_steps, 1)),
            "warmup_steps": np.int32(self.warmup_steps),
            "total_steps": np.int32(self.total_steps),
        }


def rate_at(schedule: Tree, step: jax.Array) -> jax.Array:
    """The same by `LinearSchedule.numbers`, which a program may take as inputs."""
    done = jnp.minimum(step, schedule["total_steps"]).astype(jnp.float32)
    decayed = schedule["fall"] * (1.0 - done * schedule["share"]) + schedule["end"]
    return jnp.where(step < schedule["warmup_steps"], schedule["rise"] * done, decayed)


GROWTH_STEPS = 2000  # as Keras's LossScaleOptimizer


@dataclasses.dataclass(frozen=True)
class LossScale:
    """The loss is multiplied by a factor before the backward pass, and the gradients divided by it after.

    Attributes:
        initial: the first factor.
        dynamic: double it after 2000 steps without overflow, halve it at each overflow.
    """

    initial: float = 1.0
    dynamic: bool = False

    @property
    def is_used(self) -> bool:
        """Whether there is anything to scale, and steps that may have to be left out."""
        return self.dynamic or self.initial != 1.0

    def init(self) -> Tree:
        """The state: `factor` float32 and `good_steps` int32 since it last changed, scalars."""
        return {"factor": jnp.float32(self.initial), "good_steps": jnp.int32(0)}

    def after(self, state: Tree, finite: jax.Array) -> Tree:
        """The state after a step whose gradients were all finite, or were not."""
        if not self.dynamic:
            return state
        good_steps = jnp.where(finite, state["good_steps"] + 1, 0)
        grows = good_steps == GROWTH_STEPS
        factor = jnp.where(finite, state["factor"] * jnp.where(grows, 2.0, 1.0), jnp.maximum(state["factor"] / 2, 1.0))
        return {"factor": factor, "good_steps": jnp.where(grows, 0, good_steps)}


@dataclasses.dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101); the numbers are those of optimization.py.

    Attributes:
        bias_correction: Keras's Adam corrects the moments' start at zero (official TF2); the TF1 optimizer of the paper
            does not. The correction is folded into the rate, so epsilon is added to the uncorrected root.
        clip_norm: gradients are scaled so that their global norm is at most this.
    """

    bias_correction: bool = True
    decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    clip_norm: float = 1.0

    def update(
        self, weights: Tree, gradients: Tree, moments: Tree, decays: Tree, rates: Tree, step: jax.Array
    ) -> tuple[Tree, Tree, jax.Array]:
        """New weights, new moments and the gradients' global norm before clipping.

        `decays` holds a Python bool and `rates` the learning rate of each weight at this `step` (int32, from 0).
        """
        norm = global_norm(gradients)
        clip = self.clip_norm / jnp.maximum(norm, self.clip_norm)
        correction = self._correction(step)
        new = next_moments(moments, gradients, self.beta_1, self.beta_2, clip)

        def weight_next(w: jax.Array, m: jax.Array, v: jax.Array, decays: bool, rate: jax.Array) -> jax.Array:
            decayed = w - rate * self.decay * w if decays else w
            return decayed - (rate * correction) * m / (jnp.sqrt(v) + self.epsilon)

        return jax.tree.map(weight_next, weights, new["m"], new["v"], decays, rates), new, norm

    def _correction(self, step: jax.Array) -> jax.Array:
        if not self.bias_correction:
            return jnp.ones((), jnp.float32)
        count = (step + 1).astype(jnp.float32)
        return jnp.sqrt(1 - self.beta_2**count) / (1 - self.beta_1**count)


@dataclasses.dataclass(frozen=True)
class Lamb:
    """LAMB (arXiv 1904.00962, algorithm 2, phi the identity): every weight moves in proportion to its own norm.

    As the official trainers have it, weights that do not decay move as in Adam, and gradients are not clipped.
    """

    decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6

    def update(
        self, weights: Tree, gradients: Tree, moments: Tree, decays: Tree, rates: Tree, step: jax.Array
    ) -> tuple[Tree, Tree, jax.Array]:
        """See `AdamW.update`."""
        count = (step + 1).astype(jnp.float32)
        m_correction, v_correction = 1 - self.beta_1**count, 1 - self.beta_2**count
        new = next_moments(moments, gradients, self.beta_1, self.beta_2)

        def weight_next(w: jax.Array, m: jax.Array, v: jax.Array, decays: bool, rate: jax.Array) -> jax.Array:
            direction = (m / m_correction) / (jnp.sqrt(v / v_correction) + self.epsilon)
            if not decays:
                return w - rate * direction
            direction = direction + self.decay * w
            return w - rate * _trust(w, direction) * direction

        return jax.tree.map(weight_next, weights, new["m"], new["v"], decays, rates), new, global_norm(gradients)


Optimizer = AdamW | Lamb


def _trust(w: jax.Array, direction: jax.Array) -> jax.Array:
    """The norm of a weight over that of its direction; 1 where one of them is zero."""
    w_norm, norm = global_norm({"": w}), global_norm({"": direction})
    return jnp.where((w_norm > 0) & (norm > 0), w_norm / jnp.where(norm > 0, norm, 1.0), 1.0)


def zero_moments(weights: Tree) -> Tree:
    """First and second moments before the first step: {"m": tree, "v": tree} like `weights`."""
    return {name: jax.tree.map(jnp.zeros_like, weights) for name in ("m", "v")}


def next_moments(moments: Tree, gradients: Tree, beta_1: float, beta_2: float, factor: jax.Array | float = 1.0) -> Tree:
    """Running means of the gradients and of their squares, the gradients times `factor`."""

    def m_next(m: jax.Array, g: jax.Array) -> jax.Array:
        return beta_1 * m + (1 - beta_1) * (factor * g)

    def v_next(v: jax.Array, g: jax.Array) -> jax.Array:
        return beta_2 * v + (1 - beta_2) * jnp.square(factor * g)

    return {
        "m": jax.tree.map(m_next, moments["m"], gradients),
        "v": jax.tree.map(v_next, moments["v"], gradients),
    }


def global_norm(tree: Tree) -> jax.Array:
    """The 2-norm of all leaves together, float32."""
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(reduce(jnp.add, squares))


def decay_mask(table: Table) -> Tree:
    """A tree of Python bools: LayerNorm weights and biases do not decay."""
    return unflatten({path: weight.decays for path, weight in table.items()})


def rate_factors(table: Table, layer_decay: float = 1.0, frozen: Collection[str] = ()) -> Tree:
    """A tree of Python floats by which the learning rate of each weight is multiplied; 0 where it is not trained.

    With L layers and the layer decay d (arXiv 1905.05583) heads, pooler and layer L - 1 have 1, layer l has
    d^(L - 1 - l), and the embeddings d^L. `frozen` names parts of the model, see `part_of`.
    """
    parts = {path: part_of(path) for path in table}
    layers = sum(part.startswith("layer_") for part in set(parts.values()))
    depths = {"embeddings": layers, **{f"layer_{number}": layers - 1 - number for number in range(layers)}}
    return unflatten(
        {path: 0.0 if part in frozen else layer_decay ** depths.get(part, 0) for path, part in parts.items()}
    )


def trained(tree: Tree, factors: Tree) -> Tree:
    """Of a tree like `factors` what belongs to weights that are trained."""
    flat = flatten(factors)
    return unflatten({path: leaf for path, leaf in flatten(tree).items() if flat[path]})
