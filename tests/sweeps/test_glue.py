# SPDX-License-Identifier: Apache-2.0
"""The score of GLUE: which tasks are there, what each counts, what is said beside it."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.metrics.glue import TASK_METRICS
from jaxbert.sweeps.glue import METRICS, PUBLISHED, find_tasks, lines, task_score, write_archive


def test_tasks_are_found_by_either_name(tmp_path: Path) -> None:
    """As the download and as `datasets` call their folders; other folders and files are left alone."""
    for name in ("CoLA", "sst2", "STS-B", "mnli", "ax", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "RTE").write_text("")
    found = find_tasks(str(tmp_path))
    assert {task: Path(folder).name for task, folder in found.items()} == {
        "COLA": "CoLA",
        "SST-2": "sst2",
        "STS-B": "STS-B",
        "MNLI": "mnli",
        "AX": "ax",
    }
    with pytest.raises(InputError, match="is no folder"):
        find_tasks(str(tmp_path / "nothing"))


def test_scores_are_means_of_what_a_task_reports() -> None:
    """In percent; every metric but that of the other set of MNLI is one that the trainer gives."""
    assert task_score("MRPC", {"accuracy": 0.8, "f1": 0.9}) == pytest.approx(85.0)
    assert task_score("MNLI", {"accuracy": 0.8, "accuracy_mismatched": 0.7}) == pytest.approx(75.0)
    for task, names in METRICS.items():
        assert {*names} <= {*TASK_METRICS[task], "accuracy_mismatched"}
    assert all(len(figures) == len(METRICS) for _, figures in PUBLISHED.values())


def test_the_table_stands_beside_published_figures() -> None:
    """Of a released model; runs that failed are told; the mean says of how many tasks it is."""
    tasks: dict[str, Any] = {
        "COLA": {"results": {"matthews": 0.5}, "score": 50.0, "sweep": {"failed": []}},
        "RTE": {"results": {"accuracy": 0.7}, "score": 70.0, "sweep": {"failed": ["seed-0", "seed-1"]}},
    }
    found = {"tasks": tasks, "failed": {}, "score": 60.0, "published": ("BERT-Base", {"COLA": "52.1", "RTE": "66.4"})}
    first, cola, rte, mean = lines(found)
    assert "test, BERT-Base as published" in first
    assert cola.split() == ["COLA", "matthews", "50.0", "50.0", "52.1"]
    assert rte.split() == ["RTE", "accuracy", "70.0", "(failed", "runs:", "2)", "70.0", "66.4"]
    assert mean.split("  ")[0] == "mean of 2"
    assert "GLUE has 9" in mean


def test_archives_of_the_same_files_are_the_same(tmp_path: Path) -> None:
    """Bytes do not depend on the clock, or on the order in which files came."""
    write_archive(str(tmp_path / "a.zip"), {"RTE.tsv": b"1", "CoLA.tsv": b"2"})
    write_archive(str(tmp_path / "b.zip"), {"CoLA.tsv": b"2", "RTE.tsv": b"1"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"CoLA.tsv": b"2", "RTE.tsv": b"1"}
