# SPDX-License-Identifier: Apache-2.0
"""Means built up in parts."""

import pytest

from jaxbert.metrics.running import RunningMean


def test_parts_add_up_to_the_whole() -> None:
    """Parts of different sizes, added in batches or over hosts, give the mean of all examples."""
    first = RunningMean().plus(mean=2.0, weight=3).plus(mean=5.0, weight=1)
    second = RunningMean().plus(mean=1.0, weight=4)
    assert (first + second).value == pytest.approx((2 * 3 + 5 + 4) / 8, rel=1e-15)
    assert first + second == second + first


def test_nothing_added_is_zero() -> None:
    """An empty mean does not divide by zero."""
    assert RunningMean().value == 0.0
