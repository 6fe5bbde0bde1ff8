# SPDX-License-Identifier: Apache-2.0
"""The metrics of the GLUE tasks and of any other classification or regression.

Where a definition divides by zero (one class never predicted, constant predictions) the value is 0, as in scikit-learn
(scipy's correlations are not a number there).
"""

import warnings
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
    return _correlation("pearsonr", labels, predictions)


def spearman(labels: Array, predictions: Array) -> float:
    """Linear correlation of the ranks; equal numbers share the mean of their ranks."""
    return _correlation("spearmanr", labels, predictions)


def _correlation(name: str, labels: Array, predictions: Array) -> float:
    """By the functions of scipy that the official scripts call, so that not even the last digit differs."""
    x, y = labels.astype(np.float64), predictions.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    from scipy import stats  # takes a second to import, which only regression needs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        return float(getattr(stats, name)(x, y).statistic)


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

# Task, as metadata files name it -> what it reports (Wang et al. 2018, table 1). The first one chooses the best
# checkpoint; a larger value of it is always better.
TASK_METRICS = {
    "COLA": ("matthews", "accuracy"),
    "MRPC": ("accuracy", "f1"),
    "QQP": ("accuracy", "f1"),
    "STS-B": ("spearman", "pearson", "mean_squared_error"),
    **dict.fromkeys(("SST-2", "MNLI", "QNLI", "RTE", "WNLI", "AX", "XNLI", "PAWS-X"), ("accuracy",)),
    **dict.fromkeys(("XTREME-XNLI", "XTREME-PAWS-X"), ("accuracy",)),
}

LESS_IS_BETTER = frozenset({"loss", "mean_squared_error"})  # of what tasks print


def metric_names(task: str, num_labels: int | None) -> tuple[str, ...]:
    """Names of the metrics of `task`, the one that chooses the best checkpoint first; `num_labels` None is regression.

    A task that is not of GLUE, or has not its number of classes, reports accuracy, and F1 and Matthews correlation with
    two classes.
    """
    if num_labels is None:
        return TASK_METRICS["STS-B"]
    own = ("accuracy", "f1", "matthews") if num_labels == 2 else ("accuracy",)
    of_task = TASK_METRICS.get(task.upper(), own)
    return of_task if set(of_task) <= set(own) else own


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
