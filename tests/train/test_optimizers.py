# SPDX-License-Identifier: Apache-2.0
"""AdamW, LAMB, the schedule and accumulation against plain float64 transcriptions of their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.config.trainers import ClassifierFlags
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, zero_moments
from jaxbert.train.run import optimizer
from tests.train.plain_optimizers import plain_adamw, plain_lamb

RATES = [1e-3 * (10 - t) / 10 for t in range(10)]


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_adamw_follows_its_equations(bias_correction, scale):
    """Ten steps agree with float64 to 1e-6, with gradients below and above the clipping norm."""
    weights, gradients = ten_steps(scale)
    expected = plain_adamw(weights, gradients, RATES, bias_correction)
    assert_follows(AdamW(bias_correction), weights, gradients, expected)


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_lamb_follows_its_equations(scale):
    """Ten steps agree with float64 to 1e-6; the size of the gradients does not matter to it, so none is clipped."""
    weights, gradients = ten_steps(scale)
    assert_follows(Lamb(), weights, gradients, plain_lamb(weights, gradients, RATES))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_decay_is_that_of_the_flag(decay):
    """`--weight_decay` reaches both optimizers, whose ten steps follow the equations with it."""
    weights, gradients = ten_steps(0.1)
    adamw, lamb = (
        optimizer(ClassifierFlags(model_dir="m", mode="eval", optimizer_type=kind, weight_decay=decay))
        for kind in ("adamw", "lamb")
    )
    assert_follows(adamw, weights, gradients, plain_adamw(weights, gradients, RATES, True, decay=decay))
    assert_follows(lamb, weights, gradients, plain_lamb(weights, gradients, RATES, decay=decay))


def test_lamb_moves_weights_that_are_zero():
    """Without a norm of its own a weight moves as in Adam; one without gradient and decay stays."""
    weights = {"kernel": jnp.zeros((2, 2)), "bias": jnp.ones(2)}
    gradients = {"kernel": jnp.ones((2, 2)), "bias": jnp.zeros(2)}
    lamb = Lamb()
    decays = {"kernel": True, "bias": False}
    rates = dict.fromkeys(weights, jnp.float32(0.1))
    new, _, _ = lamb.update(weights, gradients, zero_moments(weights), decays, rates, jnp.int32(0))
    np.testing.assert_allclose(new["kernel"], -0.1, rtol=1e-5)
    np.testing.assert_array_equal(new["bias"], 1.0)


def ten_steps(scale):
    """Weights and gradients of ten steps."""
    generator = np.random.default_rng(0)
    weights = {"kernel": generator.normal(size=(5, 3)), "bias": generator.normal(size=3)}
    weights = {name: w.astype(np.float32) for name, w in weights.items()}
    gradients = [
        {name: (scale * generator.normal(size=w.shape)).astype(np.float32) for name, w in weights.items()}
        for _ in range(10)
    ]
    return weights, gradients


def assert_follows(optimizer, weights, gradients, expected):
    """The optimizer brings the weights to within 1e-6 of `expected`, and tells the norm of each step's gradients."""
    ours = jax.tree.map(jnp.asarray, weights)
    moments, decays = zero_moments(ours), {"kernel": True, "bias": False}
    for t, (step, rate) in enumerate(zip(gradients, RATES, strict=True)):
        rates = dict.fromkeys(ours, jnp.float32(rate))
        ours, moments, norm = optimizer.update(ours, step, moments, decays, rates, jnp.int32(t))
        squares = sum(float((g.astype(np.float64) ** 2).sum()) for g in step.values())
        np.testing.assert_allclose(norm, np.sqrt(squares), rtol=1e-6)
    for name in weights:
        np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=1e-6)


def test_schedule_follows_the_official_numbers():
    """Peak 2e-3, 2 of 6 steps of warm-up: up from 0, then down the decay line counted from step 0."""
    schedule = LinearSchedule(peak=2e-3, end=0.0, warmup_steps=2, total_steps=6)
    rates = [float(schedule.rate(jnp.int32(step))) for step in range(8)]
    np.testing.assert_allclose(rates, [0, 1e-3, 4e-3 / 3, 1e-3, 2e-3 / 3, 1e-3 / 3, 0, 0], atol=1e-9)


def test_schedule_without_warm_up_and_with_an_end():
    """Without warm-up the first rate is the peak; the last one is `end`."""
    schedule = LinearSchedule(peak=1e-3, end=1e-4, warmup_steps=0, total_steps=10)
    rates = [float(schedule.rate(jnp.int32(step))) for step in (0, 5, 10, 11)]
    np.testing.assert_allclose(rates, [1e-3, 5.5e-4, 1e-4, 1e-4], rtol=1e-6)
