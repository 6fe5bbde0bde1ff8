# SPDX-License-Identifier: Apache-2.0
"""The figures of reports against their definitions, written out plainly, and against scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.reports import figures

IDS = st.integers(2, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=30),
    )
)


@given(IDS)
def test_classes_and_confusion_by_counting(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    """Every count and share is what counting pairs of label and prediction one by one gives."""
    classes, pairs = drawn
    labels, predictions = np.array(pairs).T
    counts = figures.confusion(labels, predictions, classes)
    names = [f"class {number}" for number in range(classes)]
    found = figures.of_classes(names, figures.one_hot(labels, classes), figures.one_hot(predictions, classes))
    assert counts.sum() == len(pairs)
    for number, one in enumerate(found):
        hits = sum(pair == (number, number) for pair in pairs)
        support, predicted = (sum(pair[side] == number for pair in pairs) for side in (0, 1))
        assert [*counts[number]] == [pairs.count((number, other)) for other in range(classes)]
        assert (one.name, one.support, one.predicted) == (names[number], support, predicted)
        assert one.precision == (hits / predicted if predicted else 0)
        assert one.recall == (hits / support if support else 0)
        assert one.f1 == (2 * hits / (support + predicted) if support + predicted else 0)


@pytest.mark.interop
@given(IDS)
@settings(max_examples=30, deadline=None)
def test_classes_equal_those_of_scikit_learn(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    """Precision, recall, F1, support and the confusion matrix are those of scikit-learn, up to rounding."""
    metrics = pytest.importorskip("sklearn.metrics")
    classes, pairs = drawn
    labels, predictions = np.array(pairs).T
    ids = range(classes)
    expected = metrics.precision_recall_fscore_support(labels, predictions, labels=[*ids], zero_division=0)
    found = figures.of_classes(
        [*map(str, ids)], figures.one_hot(labels, classes), figures.one_hot(predictions, classes)
    )
    np.testing.assert_allclose(
        [[one.precision, one.recall, one.f1, one.support] for one in found], np.transpose(expected)
    )
    np.testing.assert_array_equal(
        figures.confusion(labels, predictions, classes), metrics.confusion_matrix(labels, predictions, labels=[*ids])
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_by_its_definition(pairs: list[tuple[float, bool]]) -> None:
    """The error is the mean over predictions of |accuracy - confidence| of the bin (low, high] that each is in."""
    found = figures.calibration(*map(np.array, zip(*pairs, strict=True)))
    total = 0.0
    for one in found.bins:
        own = [pair for pair in pairs if one.low < pair[0] <= one.high or pair[0] == 0 == one.low]
        # Ten times a probability is rounded: one that is an edge up to that may be on either side.
        if any(abs(pair[0] * 10 - round(pair[0] * 10)) < 1e-12 for pair in pairs):
            return
        assert one.count == len(own)
        if own:
            sure, right = (math.fsum(values) / len(own) for values in zip(*own, strict=True))
            assert math.isclose(one.confidence, sure, rel_tol=1e-12, abs_tol=1e-15)
            assert math.isclose(one.accuracy, right, rel_tol=1e-12)
            total += len(own) / len(pairs) * abs(sure - right)
    assert math.isclose(found.error, total, rel_tol=1e-9, abs_tol=1e-12)


def test_perfect_confidence_has_no_calibration_error() -> None:
    """One who is right in 70 of 100 cases and says so is calibrated; one who says 90 % is off by 20 points."""
    right = np.arange(100) < 70
    assert figures.calibration(np.full(100, 0.7), right).error == pytest.approx(0, abs=1e-12)
    assert figures.calibration(np.full(100, 0.9), right).error == pytest.approx(0.2)


def test_interval_of_a_mean() -> None:
    """For a mean the interval is that of the normal distribution, up to the noise of 1000 draws; a seed repeats it."""
    values = np.random.default_rng(1).normal(size=400)

    def score(drawn: np.ndarray) -> dict[str, float]:
        return {"mean": float(drawn.mean())}

    found = figures.bootstrap(score, (values,), 1000)["mean"]
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.value == values.mean()
    # The 2.5th percentile of 1000 draws has a standard error of about 2.7 of 39 times a deviation: 3 of them.
    assert found.low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.25 * half)
    assert figures.bootstrap(score, (values,), 1000)["mean"] == found
    assert figures.bootstrap(score, (values,), 1000, seed=1)["mean"] != found


def test_intervals_draw_all_arrays_together() -> None:
    """An example keeps its label when it is drawn: a perfect prediction is perfect in every draw."""
    labels = np.arange(50) % 3
    found = figures.bootstrap(lambda a, b: {"accuracy": float(np.mean(a == b))}, (labels, labels.copy()), 100)
    assert found["accuracy"] == figures.Interval(1.0, 1.0, 1.0)


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=60))
def test_bands_hold_every_example_once(pairs: list[tuple[int, float]]) -> None:
    """Bands ascend without overlap, hold all examples, and have the mean score of those within their ends."""
    sizes, scores = (np.array(values) for values in zip(*pairs, strict=True))
    found = figures.bands(sizes, scores)
    assert len(found) <= 4
    assert sum(one.count for one in found) == len(pairs)
    assert all(one.high < other.low for one, other in itertools.pairwise(found))
    for one in found:
        own = [score for size, score in pairs if one.low <= size <= one.high]
        assert one.count == len(own)
        assert one.score == pytest.approx(math.fsum(own) / len(own))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60))
def test_histogram_holds_every_value_once(values: list[int]) -> None:
    """Of whole numbers and of others: at most 20 bars, and all values between the first edge and the last."""
    for array, whole in ((np.array(values), True), (np.array(values) / 7, False)):
        found = figures.histogram(array, whole)
        assert len(found.counts) <= 20
        assert sum(found.counts) == len(values)
        assert len(found.edges) == len(found.counts) + 1


def test_surest_comes_first() -> None:
    """Only entries that count, the largest first, of equal ones the first."""
    sureness = np.array([0.5, 0.9, 0.7, 0.9, 0.99])
    where = np.array([True, True, True, True, False])
    assert figures.surest(sureness, where, 3).tolist() == [1, 3, 2]


@given(st.integers(1, 5000), st.integers(2, 600))
def test_spread_has_both_ends(count: int, most: int) -> None:
    """Of a long series both ends are kept, in order, no more than asked for; of a short one all."""
    found = figures.spread(count, most)
    assert (found[0], found[-1]) == (0, count - 1)
    assert len(found) == min(count, most)
    assert np.all(np.diff(found) > 0)
