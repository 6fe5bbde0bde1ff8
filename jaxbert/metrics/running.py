# SPDX-License-Identifier: Apache-2.0
"""Means over a whole evaluation, built up batch by batch and added over hosts."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunningMean:
    """A weighted mean as its two sums, so that parts can be added in any order."""

    total: float = 0.0
    weight: float = 0.0

    def plus(self, mean: float, weight: float) -> "RunningMean":
        """With another part whose own mean is `mean` and whose weight (number of examples) is `weight`."""
        return RunningMean(self.total + mean * weight, self.weight + weight)

    def __add__(self, other: "RunningMean") -> "RunningMean":
        return RunningMean(self.total + other.total, self.weight + other.weight)

    @property
    def value(self) -> float:
        """The mean; 0 before anything was added."""
        return self.total / self.weight if self.weight else 0.0
