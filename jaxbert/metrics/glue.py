# SPDX-License-Identifier: Apache-2.0
"""The metrics of the GLUE tasks and of any other classification or regression, in NumPy.

Where a definition divides by zero (one class never predicted, constant predictions) the value is 0, as in scikit-learn.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def accuracy(labels: Array, predictions: Array) -> float:
    """Share of equal entries."""
    return float(np.mean(labels == predictions))


def f1(labels: Array, predictions: Array) -> float:
    """Harmonic mean of precision and recall of class 1; both arrays hold class ids."""
    true_positives = np.sum((labels == 1) & (predictions == 1))
    positives = np.sum(labels == 1) + np.sum(predictions == 1)
    return float(2 * true_positives / positives) if positives else 0.0


def matthews(labels: Array, predictions: Array) -> float:
    """Correlation between true and predicted class ids, any number of classes (Gorodkin 2004, R_K)."""
    classes = int(max(labels.max(), predictions.max())) + 1
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (labels, predictions), 1)
    true, predicted, count = confusion.sum(1), confusion.sum(0), confusion.sum()
    covariance = np.trace(confusion) * count - true @ predicted
    variances = (count**2 - true @ true) * (count**2 - predicted @ predicted)
    return float(covariance / np.sqrt(variances)) if variances else 0.0


def pearson(labels: Array, predictions: Array) -> float:
    """Linear correlation of two arrays of numbers; not a number when one of them holds such."""
    x, y = labels.astype(np.float64), predictions.astype(np.float64)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1, 1))


def spearman(labels: Array, predictions: Array) -> float:
    """Linear correlation of the ranks; equal numbers share the mean of their ranks."""
    if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
        return float("nan")
    return pearson(_ranks(labels), _ranks(predictions))


def mean_squared_error(labels: Array, predictions: Array) -> float:
    """Mean of the squared differences."""
    return float(np.mean((labels.astype(np.float64) - predictions.astype(np.float64)) ** 2))


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
    "mean_squared_error": mean_squared_error,
}

# Task, as meta data files name it -> what it reports (Wang et al. 2018, table 1). The first one chooses the best
# checkpoint; a larger value of it is always better.
TASK_METRICS = {
    "COLA": ("matthews", "accuracy"),
    "MRPC": ("accuracy", "f1"),
    "QQP": ("accuracy", "f1"),
    "STS-B": ("spearman", "pearson", "mean_squared_error"),
    **dict.fromkeys(("SST-2", "MNLI", "QNLI", "RTE", "WNLI", "AX", "XNLI", "PAWS-X"), ("accuracy",)),
    **dict.fromkeys(("XTREME-XNLI", "XTREME-PAWS-X"), ("accuracy",)),
}


def metric_names(task: str, num_labels: int | None) -> tuple[str, ...]:
    """Names of the metrics of `task`, the one that chooses the best checkpoint first; `num_labels` None is regression.

    A task that is not of GLUE reports accuracy, and F1 and Matthews correlation with two classes.
    """
    if num_labels is None:
        return TASK_METRICS["STS-B"]
    own = ("accuracy", "f1", "matthews") if num_labels == 2 else ("accuracy",)
    return TASK_METRICS.get(task.upper(), own)


def score(task: str, labels: Array, outputs: Array) -> dict[str, float]:
    """Metric name -> value for all examples of a data set.

    Args:
        task: name of the task, any case.
        labels: [N] class ids (integers), or numbers for regression.
        outputs: [N, C] probabilities or logits, or [N] numbers for regression.

    Raises:
        ValueError: the shapes do not fit, or there is no example.
    """
    regression = outputs.ndim == 1
    if labels.ndim != 1 or len(labels) != len(outputs) or not len(labels):
        raise ValueError(f"labels {labels.shape} and outputs {outputs.shape} do not fit")
    predictions = outputs if regression else outputs.argmax(-1)
    names = metric_names(task, None if regression else outputs.shape[1])
    return {name: METRICS[name](labels, predictions) for name in names}


def _ranks(values: Array) -> npt.NDArray[np.float64]:
    """The rank of each number, from 1; equal numbers get the mean of the ranks they fill."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return means
