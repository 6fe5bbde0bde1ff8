# SPDX-License-Identifier: Apache-2.0
"""The optimizers' equations in float64 NumPy, to compare with."""

import numpy as np


def plain_adamw(weights, gradients, rates, bias_correction, decays=("kernel",), decay=0.01):
    """Clip by global norm 1, decay by rate x `decay`, then Adam; float64, one list of arrays after another."""
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    m, v = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    for t, (step, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in step.values()))
        for name, gradient in step.items():
            g = gradient.astype(np.float64) / max(norm, 1.0)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g**2
            corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) if bias_correction else rate
            decayed = weights[name] * (1 - rate * decay) if name in decays else weights[name]
            weights[name] = decayed - corrected * m[name] / (np.sqrt(v[name]) + 1e-6)
    return weights


def plain_lamb(weights, gradients, rates, decay=0.01):
    """Algorithm 2 of the paper, decay and trust ratio for the kernel only; float64."""
    weights = {name: w.astype(np.float64) for name, w in weights.items()}
    m, v = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    for t, (step, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        for name, gradient in step.items():
            m[name] = 0.9 * m[name] + 0.1 * gradient
            v[name] = 0.999 * v[name] + 0.001 * gradient.astype(np.float64) ** 2
            r = m[name] / (1 - 0.9**t) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-6)
            if name == "kernel":
                r = r + decay * weights[name]
                r = r * np.linalg.norm(weights[name]) / np.linalg.norm(r)
            weights[name] = weights[name] - rate * r
    return weights
