# SPDX-License-Identifier: Apache-2.0
"""Losses with weights of classes and smoothed labels, against their definitions in float64 and against PyTorch."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.train.losses import classification_loss, multi_label_loss

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(6, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 1, 0, 1])
SEVERAL = GENERATOR.integers(0, 2, (6, 3))
WEIGHTS = (0.5, 2.0, 3.0)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """By its definition."""
    wide = logits.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


def plain_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, smoothing: float) -> float:
    """Sum of w[y] x cross entropy over the sum of w[y]; and with smoothing e (arXiv 1512.00567) of all classes."""
    of_each = -log_softmax(logits)
    of_label = weights[labels] * of_each[np.arange(len(labels)), labels]
    of_all = (weights * of_each).mean(-1)
    total: float = ((1 - smoothing) * of_label + smoothing * of_all).sum() / weights[labels].sum()
    return total


def plain_multi_label_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean over examples and classes of -(p y log s + (1 - y) log(1 - s))."""
    share = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return float(-(weights * labels * np.log(share) + (1 - labels) * np.log(1 - share)).mean())


def our_loss(weights: tuple[float, ...], smoothing: float) -> float:
    """With the weights of the labels in the shares, as a batch has them."""
    of_labels = np.array(weights or (1.0,) * 3)[LABELS]
    shares = jnp.asarray(of_labels / of_labels.sum(), jnp.float32)
    return float(classification_loss(jnp.asarray(LOGITS), jnp.asarray(LABELS), shares, smoothing, weights))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_weighted_and_smoothed_loss(weights: tuple[float, ...], smoothing: float) -> None:
    """The loss is the equation's to rounding."""
    expected = plain_loss(LOGITS, LABELS, np.array(weights or (1.0,) * 3), smoothing)
    assert our_loss(weights, smoothing) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_multi_label_loss_with_positive_weights(weights: tuple[float, ...]) -> None:
    """The loss is the equation's to rounding."""
    shares = jnp.full(6, 1 / 6, jnp.float32)
    found = multi_label_loss(jnp.asarray(LOGITS), jnp.asarray(SEVERAL), shares, weights)
    expected = plain_multi_label_loss(LOGITS, SEVERAL, np.array(weights or (1.0,) * 3))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.interop
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_as_pytorch(smoothing: float) -> None:
    """Weights, smoothing and both as `CrossEntropyLoss`, positive weights as `BCEWithLogitsLoss`."""
    import torch

    logits = torch.tensor(LOGITS)
    for weights in ((), WEIGHTS):
        of_classes = torch.tensor(weights) if weights else None
        theirs = torch.nn.CrossEntropyLoss(weight=of_classes, label_smoothing=smoothing)(logits, torch.tensor(LABELS))
        assert our_loss(weights, smoothing) == pytest.approx(theirs.item(), rel=1e-6)
    positive = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(WEIGHTS))
    ours = multi_label_loss(jnp.asarray(LOGITS), jnp.asarray(SEVERAL), jnp.full(6, 1 / 6, jnp.float32), WEIGHTS)
    assert float(ours) == pytest.approx(positive(logits, torch.tensor(SEVERAL, dtype=torch.float32)).item(), rel=1e-6)
