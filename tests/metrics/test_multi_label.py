# SPDX-License-Identifier: Apache-2.0
"""Scores of several labels at once, and the thresholds that decide which an example has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxbert.metrics.multi_label import best_thresholds, score_labels

_FLAGS = arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.integers(0, 1))


def test_scores_of_a_small_table() -> None:
    """Counted by hand: 2 hits among 3 labels and 4 predictions; the classes have F1 1, 0.5 and 0; one row is right."""
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]])
    found = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])
    scores = score_labels(labels, found)
    assert scores == {"micro_f1": pytest.approx(4 / 7), "macro_f1": pytest.approx(0.5), "exact_match": 0.0}
    assert score_labels(labels, labels) == {"micro_f1": 1.0, "macro_f1": pytest.approx(2 / 3), "exact_match": 1.0}


@given(_FLAGS, st.randoms(use_true_random=False))
def test_no_threshold_does_better(labels: np.ndarray, chance: "np.random.Generator") -> None:
    """Each class has the best F1 that any threshold gives, also where probabilities are equal."""
    shares = np.array([[chance.choice([0.0, 0.2, 0.5, 0.7, 1.0]) for _ in row] for row in labels])
    found = best_thresholds(labels, shares)
    for column, threshold in enumerate(found):
        true, probabilities = labels[:, [column]], shares[:, [column]]
        best = max(score_labels(true, probabilities >= at)["micro_f1"] for at in np.linspace(0, 1, 41))
        assert score_labels(true, probabilities >= threshold)["micro_f1"] == best


def test_the_usual_threshold_stays_where_it_is_as_good() -> None:
    """And for a class that nobody has."""
    labels = np.array([[1, 0], [0, 0]])
    assert best_thresholds(labels, np.array([[0.9, 0.9], [0.1, 0.8]])) == (0.5, 0.5)
    assert best_thresholds(labels, np.array([[0.4, 0.9], [0.1, 0.8]])) == (pytest.approx(0.25), 0.5)


@pytest.mark.interop
@given(_FLAGS, st.randoms(use_true_random=False))
def test_scikit_learn_gives_the_same_scores(labels: np.ndarray, chance: "np.random.Generator") -> None:
    """For any labels and predictions."""
    metrics = pytest.importorskip("sklearn.metrics")
    found = np.array([[chance.randint(0, 1) for _ in row] for row in labels])
    # one column would be taken for one class of two
    true, predicted = (np.hstack([array, np.zeros((len(array), 1), np.int64)]) for array in (labels, found))
    scores = score_labels(true, predicted)
    for name in ("micro", "macro"):
        assert scores[f"{name}_f1"] == pytest.approx(metrics.f1_score(true, predicted, average=name, zero_division=0))
    assert scores["exact_match"] == pytest.approx(metrics.accuracy_score(true, predicted))
