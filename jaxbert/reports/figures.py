# SPDX-License-Identifier: Apache-2.0
"""The figures of a report, from arrays: how good, how sure that is, and where it is wrong. No I/O.

Where a definition divides by zero (a class that no example has, or that is never predicted) the value is 0, as in
scikit-learn.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Score = Callable[..., Mapping[str, float]]
"""Metric name -> value, of arrays with an entry for each example."""

CONFIDENCE = 0.95  # share of the resamples that an interval holds
BINS = 10  # of probabilities, as wide as each other
_MOST_RESAMPLES, _FEWEST_RESAMPLES = 1000, 100
_VALUES = 20_000_000  # scored in all resamples together: some seconds
_BARS = 20  # of a histogram
_BANDS = 4  # of lengths, with about as many examples each


@dataclasses.dataclass(frozen=True)
class Interval:
    """A metric of all examples, and between which values it lies for most resamples of them."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """One class against all others.

    Attributes:
        name: of the class.
        support: examples that have it.
        predicted: examples for which it was predicted.
        precision: share of those predicted that have it.
        recall: share of those that have it for which it was predicted.
        f1: the harmonic mean of both.
    """

    name: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclasses.dataclass(frozen=True)
class Bin:
    """The predictions with a probability above `low` and up to `high`: how many, how sure, how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Whether probabilities are shares of what comes true; `error` is the expected calibration error, ECE."""

    error: float
    bins: tuple[Bin, ...]


@dataclasses.dataclass(frozen=True)
class Band:
    """The examples of `low` to `high` tokens (both included): how many, and the mean score of those."""

    low: int
    high: int
    count: int
    score: float


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How many values lie between each edge and the next."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Tokens of examples, special ones included.

    Attributes:
        limit: the most that an example may have, None where longer texts are read in parts.
        at_limit: examples with as many: nearly all of them were longer, and lost their end.
        mean: of all examples.
        median: of all examples.
        longest: of all examples.
        histogram: of all examples.
        bands: from the shortest to the longest, with their scores.
    """

    limit: int | None
    at_limit: int
    mean: float
    median: float
    longest: int
    histogram: Histogram
    bands: tuple[Band, ...]


def resamples(size: int) -> int:
    """How often to draw anew where each time `size` values are scored."""
    return int(np.clip(_VALUES // max(size, 1), _FEWEST_RESAMPLES, _MOST_RESAMPLES))


def bootstrap(score: Score, arrays: Sequence[Array], times: int, seed: int = 0) -> dict[str, Interval]:
    """Each metric with its percentile interval (Efron 1979).

    Args:
        score: gives the metrics of `arrays`.
        arrays: each [n, ...], n at least 1.
        times: how often n examples are drawn with replacement.
        seed: of the drawing.

    Returns:
        An interval for each name; its ends are the 2.5th and the 97.5th percentile of the drawn ones.
    """
    generator, size = np.random.default_rng(seed), len(arrays[0])
    drawn = (generator.integers(size, size=size) for _ in range(times))
    found = [score(*(array[numbers] for array in arrays)) for numbers in drawn]
    ends = 50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)
    return {
        name: Interval(float(value), *(float(end) for end in np.percentile([one[name] for one in found], ends)))
        for name, value in score(*arrays).items()
    }


def of_classes(names: Sequence[str], labels: Array, predictions: Array) -> tuple[ClassFigures, ...]:
    """Figures of each class, by labels and predictions [n, C], true where an example has the class."""
    true, found = labels.astype(bool), predictions.astype(bool)
    hits, support, predicted = (np.sum(where, axis=0) for where in (true & found, true, found))
    precision, recall = hits / np.maximum(predicted, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    columns = (support, predicted, precision, recall, f1)
    return tuple(ClassFigures(*row) for row in zip(names, *(column.tolist() for column in columns), strict=True))


def one_hot(ids: Array, classes: int) -> Array:
    """Class ids [n] as bool [n, C]."""
    flags: Array = ids[:, None] == np.arange(classes)
    return flags


def confusion(labels: Array, predictions: Array, classes: int) -> Array:
    """Examples with each label (rows) for which each class was predicted (columns), int64 [C, C]; ids are [n]."""
    counts: Array = np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)
    return counts


def calibration(confidences: Array, right: Array) -> Calibration:
    """By the probability of each prediction [n] and whether it is right [n]: Guo et al. 2017, equations 2 to 5."""
    bin_of = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bin_of, minlength=BINS)
    sure, hit = (np.bincount(bin_of, values, minlength=BINS) for values in (confidences, right))
    error = float(np.sum(np.abs(sure - hit)) / len(confidences))
    means = (sure / np.maximum(counts, 1), hit / np.maximum(counts, 1))
    edges = [number / BINS for number in range(BINS + 1)]
    columns = (edges[:-1], edges[1:], counts.tolist(), *(mean.tolist() for mean in means))
    return Calibration(error, tuple(Bin(*row) for row in zip(*columns, strict=True)))


def lengths(tokens: Array, limit: int | None, scores: Array) -> Lengths:
    """By the tokens [n] of each example and its score [n], whatever that is."""
    return Lengths(
        limit,
        0 if limit is None else int(np.sum(tokens >= limit)),
        float(tokens.mean()),
        float(np.median(tokens)),
        int(tokens.max()),
        histogram(tokens, whole=True),
        bands(tokens, scores),
    )


def histogram(values: Array, whole: bool = False) -> Histogram:
    """At most 20 bars of one width for the values [n]; with `whole` numbers edges lie between them."""
    low, high = float(values.min()), float(values.max())
    if whole:
        width = max(1, int(np.ceil((high - low + 1) / _BARS)))
        edges = np.arange(low - 0.5, high + width, width)
    else:
        edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    counts, _ = np.histogram(values, edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def bands(sizes: Array, scores: Array) -> tuple[Band, ...]:
    """The mean score [n] in each of up to 4 bands of the whole sizes [n]; equal ones are in the same band."""
    inner = np.unique(np.quantile(sizes, np.arange(1, _BANDS) / _BANDS, method="lower"))
    band_of = np.searchsorted(inner, sizes)
    groups = (band_of == number for number in np.unique(band_of))
    return tuple(
        Band(int(sizes[own].min()), int(sizes[own].max()), int(own.sum()), float(scores[own].mean())) for own in groups
    )


def surest(sureness: Array, where: Array, most: int) -> Array:
    """The numbers of at most so many entries, the surest first, of equal ones the first; `where` is bool [n]."""
    numbers = np.flatnonzero(where)
    chosen: Array = numbers[np.argsort(-sureness[numbers], kind="stable")][:most]
    return chosen


def spread(count: int, most: int) -> Array:
    """Numbers of at most about `most` of `count` entries, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
