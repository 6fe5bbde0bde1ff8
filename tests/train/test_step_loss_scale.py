# SPDX-License-Identifier: Apache-2.0
"""Float16 training: gradients keep their size, overflows change nothing but the scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.model.weights import Tree
from jaxbert.train.optimizers import GROWTH_STEPS, AdamW, LinearSchedule, LossScale
from jaxbert.train.step import Batch, initial_state, train_step

SCHEDULE = LinearSchedule(1e-2, 0.0, 0, 100)


def loss(weights: Tree, batch: Batch, dropout_bits: jax.Array) -> jax.Array:
    """A product whose gradient passes through float16 and is about `batch["size"]` of the scale."""
    half = weights["w"].astype(jnp.float16) * batch["size"][0, 0].astype(jnp.float16)
    return jnp.sum(half.astype(jnp.float32))


def after(scaling: LossScale, sizes: list[float]) -> tuple[dict, dict]:
    """State and metrics [T] after steps whose gradients have these sizes."""
    step = jax.jit(train_step(loss, AdamW(), SCHEDULE, {"w": False}, 0, scaling))
    shape = (len(sizes), 1, 1, 1)
    batch = {name: np.ones(shape, np.int32) for name in ("sequences", "positions")}
    batch["size"] = np.array(sizes, np.float32).reshape(shape)
    return step(initial_state({"w": jnp.ones(3)}, scaling), batch)


def test_scaling_saves_small_gradients() -> None:
    """A gradient of 2**-28 is lost in float16 without a scale, and exact with one of 2**15."""

    def gradient(factor: float) -> np.ndarray:
        def value(w: jax.Array) -> jax.Array:
            half = w.astype(jnp.float16) * jnp.float16(2.0**-14)
            return jnp.sum(half.astype(jnp.float32)) * 2.0**-14 * factor

        return np.asarray(jax.grad(value)(jnp.ones(3))) / factor

    np.testing.assert_array_equal(gradient(1.0), np.zeros(3))
    np.testing.assert_array_equal(gradient(2.0**15), np.full(3, 2.0**-28))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_overflow_changes_only_the_scale(position: int) -> None:
    """A step whose scaled gradient is above 65504 leaves weights and moments alone and halves the scale."""
    sizes = [1.0, 1.0, 1.0]
    sizes[position] = 8.0  # 8 x 2**15 overflows
    state, metrics = after(LossScale(2.0**14, dynamic=True), sizes)
    assert int(state["step"]) == 3
    assert float(state["loss_scale"]["factor"]) == 2.0**13
    assert int(state["loss_scale"]["good_steps"]) == 2 - position
    assert np.isfinite(metrics["loss"]).all()
    assert not np.isfinite(metrics["gradient_norm"][position])
    assert np.isfinite(state["weights"]["w"]).all()
    assert (np.asarray(state["moments"]["v"]["w"]) > 0).all()


def test_the_scale_grows_again() -> None:
    """After 2000 good steps it doubles and the count begins anew."""
    scaling = LossScale(4.0, dynamic=True)
    state = {"factor": jnp.float32(4.0), "good_steps": jnp.int32(GROWTH_STEPS - 1)}
    grown = scaling.after(state, jnp.bool_(True))
    assert (float(grown["factor"]), int(grown["good_steps"])) == (8.0, 0)
    halved = scaling.after(grown, jnp.bool_(False))
    assert (float(halved["factor"]), int(halved["good_steps"])) == (4.0, 0)


def test_a_fixed_scale_stays() -> None:
    """A power of 2 as factor gives the step without one, to the last bit."""
    plain, _ = after(LossScale(), [1.0, 0.5])
    scaled, _ = after(LossScale(1024.0), [1.0, 0.5])
    np.testing.assert_array_equal(plain["weights"]["w"], scaled["weights"]["w"])
    assert float(scaled["loss_scale"]["factor"]) == 1024.0
