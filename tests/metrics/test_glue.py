# SPDX-License-Identifier: Apache-2.0
"""The metrics against plain transcriptions of their definitions, and against scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxbert.metrics.glue import METRICS, f1, matthews, metric_names, pearson, score, spearman

CLOSE = 1e-12  # sums of at most 50 numbers in double precision
PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=50)
# Few different values, so that ties are frequent.
NUMBERS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=50)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions."""
    return tuple(np.array(rows).T)  # type: ignore[return-value]


@given(PAIRS)
def test_binary_metrics_by_counting(rows: list[tuple[int, int]]) -> None:
    """F1 and Matthews correlation agree with the formulas on the four counts; 0 where these divide by zero."""
    tp, fp, fn, tn = (rows.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0)))
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert f1(*columns(rows)) == pytest.approx(harmonic, abs=CLOSE)
    assert matthews(*columns(rows)) == pytest.approx((tp * tn - fp * fn) / root if root else 0.0, abs=CLOSE)


@given(NUMBERS)
def test_correlations_by_definition(rows: list[tuple[int, int]]) -> None:
    """Pearson is covariance over deviations; Spearman is Pearson of ranks where equal numbers share their mean rank."""

    def ranks(values: list[int]) -> list[float]:
        return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]

    def correlation(x: list[float], y: list[float]) -> float:
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
        root = math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))
        return covariance / root if root else 0.0

    x, y = ([float(row[column]) for row in rows] for column in (0, 1))
    labels, predictions = np.array(x), np.array(y)
    assert pearson(labels, predictions) == pytest.approx(correlation(x, y), abs=CLOSE)
    by_rank = correlation(ranks([row[0] for row in rows]), ranks([row[1] for row in rows]))
    assert spearman(labels, predictions) == pytest.approx(by_rank, abs=CLOSE)


@given(NUMBERS, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlations_ignore_scale_and_shift(rows: list[tuple[int, int]], scale: float, shift: float) -> None:
    """Stretching and moving the predictions changes neither correlation; exchanging the arguments neither."""
    labels, predictions = (column.astype(float) for column in columns(rows))
    for metric in (pearson, spearman):
        value = metric(labels, predictions)
        assert metric(labels, scale * predictions + shift) == pytest.approx(value, abs=1e-9)
        assert metric(predictions, labels) == pytest.approx(value, abs=CLOSE)


@given(st.integers(3, 500), st.integers(0, 10**6))
def test_correlations_are_those_of_scipy_to_the_last_digit(count: int, seed: int) -> None:
    """Float32 predictions beside labels with ties give exactly what the official scripts report."""
    chance = np.random.default_rng(seed)
    labels = np.round(chance.random(count) * 5, 1)
    predictions = (labels + chance.normal(size=count)).astype(np.float32)
    if np.ptp(labels):
        assert pearson(labels, predictions) == stats.pearsonr(labels, predictions.astype(float)).statistic
        assert spearman(labels, predictions) == stats.spearmanr(labels, predictions).statistic


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_constant_predictions_correlate_with_nothing(metric: str) -> None:
    """The correlation with a constant is 0, without a warning; so it is for a single example."""
    assert METRICS[metric](np.array([1.0, 2, 3]), np.array([2.0, 2, 2])) == 0.0
    assert METRICS[metric](np.array([1.0]), np.array([2.0])) == 0.0


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_diverged_regression_is_not_a_number(metric: str) -> None:
    """A prediction that is not a number is not ranked as if it were one."""
    for wrong in (np.nan, np.inf):
        assert math.isnan(METRICS[metric](np.array([1.0, 2, 3]), np.array([1.0, wrong, 3])))


@pytest.mark.parametrize(
    ("task", "num_labels", "names"),
    [
        ("MRPC", 2, ("accuracy", "f1")),
        ("qqp", 2, ("accuracy", "f1")),
        ("CoLA", 2, ("matthews", "accuracy")),
        ("STS-B", None, ("spearman", "pearson", "mean_squared_error")),
        ("RTE", 2, ("accuracy",)),
        ("mine", 2, ("accuracy", "f1", "matthews")),
        ("mine", 3, ("accuracy",)),
        ("MRPC", 3, ("accuracy",)),
        ("sts-b", 3, ("accuracy",)),
        ("sst-2.csv", 2, ("accuracy", "f1", "matthews")),
        ("mine", None, ("spearman", "pearson", "mean_squared_error")),
    ],
)
def test_which_task_reports_which(task: str, num_labels: int | None, names: tuple[str, ...]) -> None:
    """Each task reports the metrics of GLUE; any other what its labels allow."""
    assert metric_names(task, num_labels) == names


def test_score_takes_the_most_probable_class_or_the_number() -> None:
    """Probabilities [N, C] are turned into classes, numbers [N] are scored as they are."""
    outputs = np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], np.float32)
    assert score("MRPC", np.array([1, 1, 0]), outputs) == pytest.approx({"accuracy": 2 / 3, "f1": 2 / 3}, abs=CLOSE)
    found = score("STS-B", np.array([1.0, 2, 4]), np.array([1.0, 3, 4]))
    assert found["mean_squared_error"] == pytest.approx(1 / 3, abs=CLOSE)


@pytest.mark.parametrize(("labels", "outputs"), [((3,), (4, 2)), ((0,), (0, 2)), ((3, 1), (3, 2))])
def test_shapes_that_do_not_fit(labels: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Missing, surplus or no examples are refused, not scored."""
    with pytest.raises(ValueError, match="do not fit"):
        score("MRPC", np.zeros(labels, int), np.zeros(outputs))


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore:A single label was found")  # scikit-learn's remark on data with one class
@settings(max_examples=50)
@given(st.integers(2, 4), st.integers(1, 60), st.integers(0, 10**6))
def test_against_scikit_learn(classes: int, count: int, seed: int) -> None:
    """The same values as the library whose functions the GLUE baselines call."""
    library = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(seed)
    labels, predictions = chance.integers(0, classes, (2, count))
    assert matthews(labels, predictions) == pytest.approx(library.matthews_corrcoef(labels, predictions), abs=CLOSE)
    binary = labels % 2, predictions % 2
    assert f1(*binary) == pytest.approx(library.f1_score(*binary, zero_division=0), abs=CLOSE)
