# SPDX-License-Identifier: Apache-2.0
"""Prediction files, to the byte."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.predictions.glue import submission_name, write_predictions, write_submission, write_test_results


def test_test_results_line(tmp_path: Path) -> None:
    """Float32 probabilities are written with the digits of their value in double precision, between tabs."""
    path = tmp_path / "test_results.tsv"
    write_test_results(str(path), np.array([[0.1, 0.9], [1, 0]], np.float32))
    assert path.read_bytes() == b"0.10000000149011612\t0.8999999761581421\n1.0\t0.0\n"


def test_official_test_results_are_reproduced(shared: Path, tmp_path: Path) -> None:
    """Reading the official program's file and writing it again gives the same bytes."""
    official = shared / "official" / "runs" / "cls-2.3-mirrored" / "test_results.tsv"
    outputs = np.loadtxt(official, delimiter="\t", dtype=np.float32)
    write_test_results(str(tmp_path / "again.tsv"), outputs)
    assert (tmp_path / "again.tsv").read_bytes() == official.read_bytes()


@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_regression_values_survive(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A regression has one raw value a line, and no bit of it is lost."""
    path = tmp_path_factory.mktemp("results") / "test_results.tsv"
    write_test_results(str(path), np.array(values, np.float32))
    assert [float(line) for line in path.read_text().splitlines()] == values


def test_submission_of_a_classification(tmp_path: Path) -> None:
    """The GLUE server gets a header, the index and the label's name."""
    path = tmp_path / "RTE.tsv"
    outputs = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    write_submission(str(path), range(2), ("entailment", "not_entailment"), outputs)
    assert path.read_text() == "index\tprediction\n0\tentailment\n1\tnot_entailment\n"


def test_submission_of_a_regression_stays_in_range(tmp_path: Path) -> None:
    """STS-B scores are clipped to 0..5."""
    path = tmp_path / "STS-B.tsv"
    write_submission(str(path), ["a", "b", "c"], (), np.array([-0.3, 2.34567, 5.2], np.float32))
    assert path.read_text() == "index\tprediction\na\t0.000\nb\t2.346\nc\t5.000\n"


@pytest.mark.parametrize(
    ("task", "mnli_type", "name"),
    [
        ("cola", "matched", "CoLA.tsv"),
        ("MNLI", "matched", "MNLI-m.tsv"),
        ("MNLI", "mismatched", "MNLI-mm.tsv"),
        ("SST-2", "matched", "SST-2.tsv"),
    ],
)
def test_submission_names(task: str, mnli_type: str, name: str) -> None:
    """File names are those the GLUE server looks for."""
    assert submission_name(task, mnli_type) == name


def test_predictions_for_people(tmp_path: Path) -> None:
    """Id, predicted label and the probability of each label, under a header; a tab in a name cannot shift columns."""
    path = tmp_path / "predictions.tsv"
    write_predictions(str(path), ["q\t1", 2], ["no", "yes"], np.array([[0.25, 0.75], [1, 0]], np.float32))
    assert path.read_text() == "id\tprediction\tno\tyes\nq 1\tyes\t0.250000\t0.750000\n2\tno\t1.000000\t0.000000\n"
    write_predictions(str(path), [7], (), np.array([1.5], np.float32))
    assert path.read_text() == "id\tprediction\n7\t1.500000\n"


@pytest.mark.parametrize("write", [write_submission, write_predictions])
def test_ids_labels_and_outputs_must_fit(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Too few ids or labels are refused, and no file is left behind."""
    outputs = np.full((2, 2), 0.5, np.float32)
    for ids, labels in ((["a"], ["x", "y"]), (["a", "b"], ["x"])):
        with pytest.raises(ValueError, match=r"shorter|longer|do not fit"):
            write(str(tmp_path / "file.tsv"), ids, labels, outputs)
    assert not list(tmp_path.iterdir())
