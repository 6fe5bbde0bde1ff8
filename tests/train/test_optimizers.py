# SPDX-License-Identifier: Apache-2.0
"""AdamW, the schedule and accumulation against plain float64 transcriptions of their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.train.optimizers import AdamW
from jaxbert.train.schedules import LinearSchedule


def plain_adamw(weights, gradients, rates, bias_correction):
    """Clip by global norm 1, decay by rate x 0.01, then Adam; float64, one list of arrays after another."""
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    m, v = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    for t, (step, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in step.values()))
        for name, gradient in step.items():
            g = gradient.astype(np.float64) / max(norm, 1.0)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) if bias_correction else rate
            decayed = weights[name] * (1 - rate * 0.01) if name == "kernel" else weights[name]
            weights[name] = decayed - corrected * m[name] / (np.sqrt(v[name]) + 1e-6)
    return weights


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_adamw_follows_its_equations(bias_correction, scale):
    """Ten steps agree with float64 to 1e-6, with gradients below and above the clipping norm."""
    generator = np.random.default_rng(0)
    weights = {"kernel": generator.normal(size=(5, 3)), "bias": generator.normal(size=3)}
    weights = {name: w.astype(np.float32) for name, w in weights.items()}
    gradients = [
        {name: (scale * generator.normal(size=w.shape)).astype(np.float32) for name, w in weights.items()}
        for _ in range(10)
    ]
    rates = [1e-3 * (10 - t) / 10 for t in range(10)]
    optimizer = AdamW(bias_correction)
    ours = jax.tree.map(jnp.asarray, weights)
    moments = optimizer.init(ours)
    for t, (step, rate) in enumerate(zip(gradients, rates, strict=True)):
        decays = {"kernel": True, "bias": False}
        ours, moments, norm = optimizer.update(ours, step, moments, decays, jnp.float32(rate), jnp.int32(t))
        squares = sum(float((g.astype(np.float64) ** 2).sum()) for g in step.values())
        np.testing.assert_allclose(norm, np.sqrt(squares), rtol=1e-6)
    for name, expected in plain_adamw(weights, gradients, rates, bias_correction).items():
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-6)


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
