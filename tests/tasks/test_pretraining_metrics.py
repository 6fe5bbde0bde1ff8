# SPDX-License-Identifier: Apache-2.0
"""Means of pretraining from sums."""

import math

import pytest

from jaxbert.tasks.pretraining import SUMS, metrics

OF_MASKED = dict(zip(SUMS[:3], (4.0, 6.0, 1.0), strict=True))


def test_means() -> None:
    """Losses and accuracies are per unit of weight, the loss is the sum of both, perplexity of masked tokens."""
    found = metrics(OF_MASKED | dict(zip(SUMS[3:], (2.0, 1.0, 2.0), strict=True)))
    assert found == pytest.approx(
        {
            "masked_lm_accuracy": 0.25,
            "masked_lm_loss": 1.5,
            "next_sentence_accuracy": 1.0,
            "next_sentence_loss": 0.5,
            "loss": 2.0,
            "perplexity": math.exp(1.5),
        }
    )


def test_without_next_sentence() -> None:
    """Then the loss is that of masked tokens, and nothing is said about next sentences."""
    found = metrics(OF_MASKED)
    assert found["loss"] == found["masked_lm_loss"] == 1.5
    assert not any(name.startswith("next") for name in found)


def test_nothing_masked_and_nothing_finite() -> None:
    """No targets make a loss of zero; a diverged model has a loss that is no number, and no overflow."""
    assert metrics(dict.fromkeys(SUMS, 0.0))["loss"] == 0.0
    assert math.isnan(metrics(OF_MASKED | {"masked_lm_loss": math.nan})["loss"])
    assert metrics(OF_MASKED | {"masked_lm_loss": 1e9})["perplexity"] > 1e300
