# SPDX-License-Identifier: Apache-2.0
"""AdamW as the official trainers run it: clipping by global norm, then one pass over weights and moments."""

import dataclasses
from functools import reduce

import jax
import jax.numpy as jnp

from jaxbert.model.weights import Table, Tree, unflatten


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

    def init(self, weights: Tree) -> Tree:
        """First and second moments, zero: {"m": tree, "v": tree} like `weights`."""
        return {name: jax.tree.map(jnp.zeros_like, weights) for name in ("m", "v")}

    def update(
        self, weights: Tree, gradients: Tree, moments: Tree, decays: Tree, rate: jax.Array, step: jax.Array
    ) -> tuple[Tree, Tree, jax.Array]:
        """New weights, new moments and the gradients' global norm before clipping.

        `decays` holds a Python bool for each weight, `rate` is the learning rate of this `step` (int32, from 0).
        """
        norm = global_norm(gradients)
        clip = self.clip_norm / jnp.maximum(norm, self.clip_norm)
        update_rate = rate * self._correction(step)

        def m_next(m: jax.Array, g: jax.Array) -> jax.Array:
            return self.beta_1 * m + (1 - self.beta_1) * (clip * g)

        def v_next(v: jax.Array, g: jax.Array) -> jax.Array:
            return self.beta_2 * v + (1 - self.beta_2) * jnp.square(clip * g)

        def weight_next(w: jax.Array, m: jax.Array, v: jax.Array, decays: bool) -> jax.Array:
            decayed = w - rate * self.decay * w if decays else w
            return decayed - update_rate * m / (jnp.sqrt(v) + self.epsilon)

        m = jax.tree.map(m_next, moments["m"], gradients)
        v = jax.tree.map(v_next, moments["v"], gradients)
        return jax.tree.map(weight_next, weights, m, v, decays), {"m": m, "v": v}, norm

    def _correction(self, step: jax.Array) -> jax.Array:
        if not self.bias_correction:
            return jnp.ones((), jnp.float32)
        count = (step + 1).astype(jnp.float32)
        return jnp.sqrt(1 - self.beta_2**count) / (1 - self.beta_1**count)


def global_norm(tree: Tree) -> jax.Array:
    """The 2-norm of all leaves together, float32."""
    squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(reduce(jnp.add, squares))


def decay_mask(table: Table) -> Tree:
    """A tree of Python bools: LayerNorm weights and biases do not decay."""
    return unflatten({path: weight.decays for path, weight in table.items()})
