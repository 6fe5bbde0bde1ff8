# SPDX-License-Identifier: Apache-2.0
"""The metrics of classification with any number of labels, and the thresholds that decide which a text has.

Where a definition divides by zero (no label, none predicted) the value is 0, as in scikit-learn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

METRIC_NAMES = ("micro_f1", "macro_f1", "exact_match")  # of `score_labels`


def score_labels(labels: Array, predictions: Array) -> dict[str, float]:
    """Metric name -> value for labels and predictions [n, C], true where an example has the class.

    `micro_f1` counts all decisions together, `macro_f1` is the mean of the classes' F1, `exact_match` the share of
    examples with all decisions right.
    """
    true, found = labels.astype(bool), predictions.astype(bool)
    hits, sizes = np.sum(true & found, axis=0), np.sum(true, axis=0) + np.sum(found, axis=0)
    return {
        "micro_f1": float(_f1(hits.sum(), sizes.sum())),
        "macro_f1": float(np.mean(_f1(hits, sizes))),
        "exact_match": float(np.mean(np.all(true == found, axis=1))),
    }


def best_thresholds(labels: Array, probabilities: Array) -> tuple[float, ...]:
    """For each class the probability from which on it is best predicted by F1: labels and probabilities [n, C].

    Each lies half-way between two examples; it is 0.5 where that is as good, and for a class that no example has.
    """
    return tuple(_best_threshold(*columns) for columns in zip(labels.T.astype(bool), probabilities.T, strict=True))


def _best_threshold(labels: Array, probabilities: Array) -> float:
    order = np.argsort(-probabilities, kind="stable")
    descending = probabilities[order]
    ends = np.flatnonzero(np.diff(descending, append=-1.0))  # the last example of each probability
    between = (descending[ends] + np.append(descending[ends[1:]], 0.0)) / 2
    f1 = _f1(np.cumsum(labels[order])[ends], ends + 1 + labels.sum())
    usual = score_labels(labels[:, None], probabilities[:, None] >= 0.5)["micro_f1"]
    return float(between[np.argmax(f1)]) if f1.max() > usual else 0.5


def _f1(hits: Array, sizes: Array) -> Array:
    """Twice the hits over the number of labels plus that of predictions."""
    scores: Array = 2 * hits / np.maximum(sizes, 1)
    return scores
