# SPDX-License-Identifier: Apache-2.0
"""The programs that are told what a run measures have it all, from the real packages, without a network."""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from jaxbert.cli import main
from jaxbert.train.sinks import RUNS_FILE
from tests.commands.tiny_task import BATCHES, PLAIN, Task, flags, make_task

Points = dict[tuple[str, int], float]
"""(name, step) -> value."""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The tiny task of the commands."""
    return make_task(tmp_path_factory.mktemp("task"))


def trained(task: Task, model_dir: Path, program: str, *more: str) -> None:
    """A run that reports to a program."""
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=model_dir, report_to=program)
    assert main(["run_classifier", *task.records, *BATCHES, *PLAIN, *start, *more]) == 0


def written(model_dir: Path) -> Points:
    """What `metrics.jsonl` has."""
    lines = map(json.loads, (model_dir / "summaries/metrics.jsonl").read_text().splitlines())
    return {
        (f"{line['part']}/{name}", line["step"]): value
        for line in lines
        for name, value in line.items()
        if name not in ("part", "step")
    }


def test_nobody_is_told_where_nobody_is_named(task: Task, tmp_path: Path) -> None:
    """`--report_to=none` leaves `metrics.jsonl` alone."""
    trained(task, tmp_path, "none")
    assert [path.name for path in (tmp_path / "summaries").iterdir()] == ["metrics.jsonl"]


def test_unknown_programs_are_refused(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those that are known."""
    assert main(["run_classifier", *task.records, *flags(model_dir=tmp_path, report_to="wandb,comet")]) == 2
    assert "give some of tensorboard, wandb, mlflow" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["wandb", "mlflow"])
def test_a_missing_package_is_named(
    task: Task, tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program whose package is not installed is asked for before the first step."""
    monkeypatch.setitem(sys.modules, program, None)
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path, report_to=program)
    assert main(["run_classifier", *task.records, *BATCHES, *PLAIN, *start]) == 2
    assert f"`pip install {program}`" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # of the package
def test_mlflow_has_all(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of each step, flags as parameters; a run that is trained longer goes on as the same run."""
    mlflow: Any = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # the small package only talks to servers
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    folder = tmp_path / "run"
    trained(task, folder, "mlflow,tensorboard")
    trained(task, folder, "mlflow", "--num_train_epochs=2")
    client = mlflow.MlflowClient()
    run = client.get_run(json.loads((folder / "summaries" / RUNS_FILE).read_text())["mlflow"])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["learning_rate"] == "0.001"
    expected = written(folder)
    histories = {name: client.get_metric_history(run.info.run_id, name) for name, _ in expected}
    found = {(name, one.step): one.value for name, history in histories.items() for one in history}
    assert found == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")  # of the package
def test_wandb_has_all(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of Weights & Biases: what its offline file holds."""
    wandb: Any = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "run"
    trained(task, folder, "wandb,tensorboard")
    run_id = json.loads((folder / "summaries" / RUNS_FILE).read_text())["wandb"]
    (path,) = (folder / "summaries/wandb").glob(f"offline-run-*/run-{run_id}.wandb")
    found: Points = {}
    config = {}
    for record in wandb_records(path):
        values = {item.nested_key[0] if item.nested_key else item.key: item.value_json for item in record.history.item}
        step = record.history.step.num
        found |= {(name, step): json.loads(value) for name, value in values.items() if not name.startswith("_")}
        config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    assert wandb.run is None
    assert config["learning_rate"] == 0.001
    assert found == pytest.approx(written(folder))


def wandb_records(path: Path) -> list[Any]:
    """The records of an offline file: LevelDB's log, in blocks of 32 KiB, behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, records, parts = path.read_bytes(), 7, [], b""
    while at < len(content):
        if (room := -at % 2**15) and room < 7:  # too little for the 7 bytes in front of a part
            at += room
        size, place = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if place in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
    return records
