# SPDX-License-Identifier: Apache-2.0
"""Loss scaling for float16 (arXiv 1710.03740): small gradients are lifted into its range, overflows left out."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxbert.model.weights import Tree

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
