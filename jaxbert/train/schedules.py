# SPDX-License-Identifier: Apache-2.0
"""The learning rate as a function of the step."""

import dataclasses

import jax
import jax.numpy as jnp


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
        done = jnp.minimum(step, self.total_steps).astype(jnp.float32)
        decayed = (self.peak - self.end) * (1.0 - done / max(self.total_steps, 1)) + self.end
        return jnp.where(step < self.warmup_steps, self.peak * done / max(self.warmup_steps, 1), decayed)
