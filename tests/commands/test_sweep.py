# SPDX-License-Identifier: Apache-2.0
"""`jaxbert sweep` and `run_glue`: runs equal those of the trainer alone, what is done is not done again."""

import contextlib
import json
import shutil
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxbert.cli import main
from jaxbert.config.sweep import Sweep
from jaxbert.sweeps import glue, runs
from jaxbert.sweeps.runs import rank, visible_device
from tests.commands.damage import assert_refused
from tests.commands.tiny_task import BATCHES, PLAIN, Task, flags, start_command


@pytest.fixture(scope="module")
def sweep(task: Task, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command line of four runs, which are done; its last flag is the folder."""
    folder = tmp_path_factory.mktemp("sweep") / "out"
    data = flags(data_dir=task.text, init_checkpoint=task.model, max_seq_length=16)
    line = ["sweep", "run_classifier", *data, *BATCHES, *PLAIN, "--learning_rate=1e-3,1e-2", "--seeds=2", "--jobs=2"]
    line.append(f"--model_dir={folder}")
    process = start_command(*line)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 3, out
    return line


def folder_of(sweep: list[str]) -> Path:
    """Where its files are."""
    return Path(sweep[-1].split("=")[1])


def test_the_table_is_of_the_results(sweep: list[str]) -> None:
    """Mean and deviation of each setting over its seeds; the best setting and the best run are chosen."""
    folder = folder_of(sweep)
    found = json.loads((folder / "sweep.json").read_text())
    records = {path.stem: json.loads(path.read_text()) for path in (folder / "results").iterdir()}
    accuracy = {name: record["results"]["accuracy"] for name, record in records.items()}
    for row in found["settings"]:
        values = [accuracy[f"learning_rate-{row['setting']['learning_rate']}_seed-{seed}"] for seed in (0, 1)]
        assert row["mean"] == statistics.fmean(values)
        assert row["deviation"] == statistics.stdev(values)
    assert len(accuracy) == 4
    assert found["best_run"]["results"]["accuracy"] == max(accuracy.values())
    means = {row["mean"] for row in found["settings"]}
    chosen = next(row for row in found["settings"] if row["setting"] == found["chosen"])
    assert chosen["mean"] == max(means)


def test_the_report_is_that_of_the_best_run_with_all_settings(sweep: list[str]) -> None:
    """Every part but the comparison and the date is that of the run; the comparison has the means of the table."""
    folder = folder_of(sweep)
    found = json.loads((folder / "sweep.json").read_text())
    report = json.loads((folder / "report.json").read_text())
    best = json.loads((Path(found["best_run"]["folder"]) / "report.json").read_text())
    settings = report.pop("settings")
    assert report["results"].pop("note").startswith(f"Of the best run, {found['best_run']['folder']}")
    assert {**report, "written": ""} == {**best, "written": ""}
    assert [row["name"] for row in settings["rows"]] == ["1e-3", "1e-2"]
    assert [row["mean"] for row in settings["rows"]] == [row["mean"] for row in found["settings"]]
    page = (folder / "report.html").read_text()
    assert page.index("<h2>Settings</h2>") < page.index("<h2>Training</h2>")


def test_a_run_is_that_of_the_trainer_alone(sweep: list[str], task: Task, tmp_path: Path) -> None:
    """The same flags give the same weights, bit for bit; records are shared, and only the best weights are kept."""
    folder = folder_of(sweep)
    best = Path(json.loads((folder / "sweep.json").read_text())["best_run"]["folder"])
    assert [path.parent for path in folder.glob("runs/*/best")] == [best]
    assert not [*folder.glob("runs/*/checkpoints"), *folder.glob("runs/*/records")]
    assert len([*(folder / "records").iterdir()]) == 1
    record = json.loads((folder / "results" / f"{best.name}.json").read_text())
    arguments = [one for one in record["arguments"] if not one.startswith(("--model_dir", "--records_dir"))]
    assert main(["run_classifier", *arguments, f"--model_dir={tmp_path}"]) == 0
    expected = load_file(tmp_path / "best/model.safetensors")
    for name, weight in load_file(best / "best/model.safetensors").items():
        np.testing.assert_array_equal(weight, expected[name])


def test_what_is_done_is_not_done_again(sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same command prints the same table at once; other flags under a run's name are refused."""
    assert main(sweep) == 0
    assert "is running" not in capsys.readouterr().err
    code = main([*sweep, "--log_steps=2"])
    assert_refused((code, *capsys.readouterr()), "with other flags", "another `--model_dir`")


@contextlib.contextmanager
def changed(path: Path) -> Iterator[None]:
    """One letter of a file is another one meanwhile."""
    before = path.read_bytes()
    path.write_bytes(before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["train.tsv", "dev.tsv"])
def test_other_data_is_refused(name: str, sweep: list[str], task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """What runs were trained or evaluated on has changed since: nothing is trained to stand beside their results."""
    path = task.text / name
    with changed(path):
        code = main([*sweep, "--learning_rate=1e-3,3e-3"])
    told = f"has a run `learning_rate-1e-3_seed-0` with other data: `{path}` was changed"
    assert_refused((code, *capsys.readouterr()), told, "another `--model_dir`")
    assert not [*folder_of(sweep).glob("runs/learning_rate-3e-3*")]


@pytest.mark.parametrize("name", ["bert_model.ckpt.data-00000-of-00001", "vocab.txt", "bert_config.json"])
def test_another_model_is_refused(name: str, sweep: list[str], task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the model that runs began with has changed since: nothing is trained to stand beside their results.

    Without any model there, what is done is as it was.
    """
    with changed(task.model / name):
        code = main([*sweep, "--learning_rate=1e-3,3e-3"])
    told = f"`learning_rate-1e-3_seed-0` with another model to begin with: `{name}` of `{task.model}` was changed"
    assert_refused((code, *capsys.readouterr()), told, "another `--model_dir`")
    assert not [*folder_of(sweep).glob("runs/learning_rate-3e-3*")]
    task.model.rename(task.folder / "elsewhere")
    try:
        assert main(sweep) == 0
    finally:
        (task.folder / "elsewhere").rename(task.model)


def test_the_best_run_has_its_weights(sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier sweep in the folder removed them, as another run was better: the same ones are trained again."""
    best = Path(json.loads((folder_of(sweep) / "sweep.json").read_text())["best_run"]["folder"])
    before = (best / "best/model.safetensors").read_bytes()
    for name in ("best", "last"):
        shutil.rmtree(best / name)
    assert main(sweep) == 0
    err = capsys.readouterr().err
    assert f"{best.name} did best, but its weights were removed since: it is trained again" in err
    assert err.count("is running") == 1
    assert (best / "best/model.safetensors").read_bytes() == before


def test_a_run_that_fails_is_named(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are done all the same; the next call tries it again."""
    shutil.copytree(task.model, tmp_path / "bert")
    data = flags(data_dir=task.text, max_seq_length=16, model_dir=tmp_path / "out")
    line = ["sweep", *data, *BATCHES, *PLAIN, f"--init_checkpoint={task.model}|{tmp_path}/bert"]
    (tmp_path / "bert/bert_config.json").write_text("{")
    code = main(line)
    _, err = captured = capsys.readouterr()
    assert code == 2
    assert "1 of 2 runs failed" in captured.err
    assert "bert_config.json" in err  # the message of the run itself
    shutil.copy(task.model / "bert_config.json", tmp_path / "bert/bert_config.json")
    assert main(line) == 0
    assert capsys.readouterr().out.count("chosen") == 1


def test_stopped_and_gone_on(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C stops the run that is under way, which saves; the same command goes on with it, one with other flags or
    another model is refused before any run is trained with them.
    """
    data = flags(data_dir=task.text, init_checkpoint=task.model, max_seq_length=16, model_dir=tmp_path / "out")
    line = ["sweep", *data, *BATCHES, *flags(num_train_epochs=2000, log_steps=1, seeds=2)]
    log = tmp_path / "out/logs/seed-0.txt"
    for begins in ("step 1/", "going on after step "):
        process = start_command(*line)
        while not (log.is_file() and begins in log.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert any(line.startswith("stopped by SIGTERM") for line in log.read_text().splitlines())
    weights = task.model / "bert_model.ckpt.data-00000-of-00001"
    with changed(weights):
        code = main(line)
    told = f"has a run `seed-0` with another model to begin with: `{weights.name}` of `{task.model}` was changed"
    assert_refused((code, *capsys.readouterr()), told, "restore what was changed")
    code = main([*line, "--weight_decay=0.3"])
    assert_refused((code, *capsys.readouterr()), "--weight_decay was `0.01`, is `0.3`", "another `--model_dir`")
    assert not (tmp_path / "out/logs/seed-1.txt").exists()
    assert not (tmp_path / "out/results").exists()


class Endless:
    """A process that ends only when it is killed; while it is waited for another signal comes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def terminate(self) -> None:
        """It saves what it has, for a long time."""
        self.told.append("terminate")

    def kill(self) -> None:
        """It ends."""
        self.told.append("kill")

    def poll(self) -> None:
        """It runs."""

    def wait(self) -> None:
        """Until it has ended."""
        if "kill" not in self.told:
            signal.raise_signal(signal.SIGTERM)


def test_a_signal_while_a_run_starts_reaches_it(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No run is left behind: it is asked to end, to end at once with a second signal, and killed with a third."""
    process = Endless()

    def start(*_: object) -> Endless:
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(runs, "_start", start)
    data = flags(data_dir=task.text, init_checkpoint=task.model, model_dir=tmp_path / "out")
    assert main(["sweep", *data]) == 130
    assert process.told == ["terminate", "terminate", "kill"]
    assert capsys.readouterr().err.endswith(
        "stopped by Ctrl-C: 0 of 1 runs are done; the same command goes on from there\n"
    )


def test_equal_runs_go_to_the_lower_loss() -> None:
    """As the best epoch of a run does; runs without a loss are as they come."""
    worse, better = {"accuracy": 0.5, "loss": 1.0}, {"accuracy": 0.5, "loss": 0.9}
    assert rank(worse, "accuracy") < rank(better, "accuracy") < rank({"accuracy": 0.6, "loss": 2.0}, "accuracy")
    assert rank({"f1": 0.5}, "f1") == rank({"f1": 0.5}, "f1")


def test_each_run_sees_a_device_of_its_own() -> None:
    """Of those that are visible to the command itself."""
    assert visible_device("gpu", 1, {}) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert visible_device("gpu", 1, {"CUDA_VISIBLE_DEVICES": "4,7"}) == {"CUDA_VISIBLE_DEVICES": "7"}
    assert visible_device("tpu", 2, {})["TPU_VISIBLE_CHIPS"] == "2"


def test_all_tasks_of_glue_that_are_there(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is trained, scored and predicted; the archive holds the file for the server."""
    shutil.copytree(task.text, tmp_path / "glue/MRPC")
    given = flags(data_dir=tmp_path / "glue", model_dir=tmp_path / "out", init_checkpoint=task.model, max_seq_length=16)
    assert main(["run_glue", *given, *BATCHES, *PLAIN]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["task", "MRPC", "mean"]
    found = json.loads((tmp_path / "out/glue.json").read_text())
    results = found["tasks"]["MRPC"]["results"]
    assert found["score"] == pytest.approx(50 * (results["accuracy"] + results["f1"]))
    assert found["submitted"] == ["MRPC.tsv"]
    assert "submission.zip" in err
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["results"]["metrics"]["score of GLUE"]["value"] == found["score"]
    assert report["settings"]["rows"] == [{"name": "MRPC", "count": 1, "score": found["score"]}]
    assert (tmp_path / "out/report.html").is_file()
    (tmp_path / "empty").mkdir()
    code = main(["run_glue", *flags(data_dir=tmp_path / "empty", model_dir=tmp_path / "x")])
    assert_refused((code, *capsys.readouterr()), "has no folder of a task of GLUE", "MRPC")


def test_runs_of_glue_that_fail_are_told(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the table and the report, and by code 2 when all is written, the archive, too."""
    shutil.copytree(task.text, tmp_path / "glue/MRPC")
    given = flags(data_dir=tmp_path / "glue", model_dir=tmp_path / "out", max_seq_length=16)
    code = main(["run_glue", *given, *BATCHES, *PLAIN, f"--init_checkpoint={tmp_path}/nothing|{task.model}"])
    out, err = capsys.readouterr()
    assert code == 2
    assert "f1" in out
    assert "(failed runs: 1)" in out
    assert "submission.zip" in err
    assert "error: 1 of 2 runs failed: init_checkpoint-" in err
    assert f"hint: their messages are in {tmp_path}/out/MRPC/logs;" in err
    note = json.loads((tmp_path / "out/report.json").read_text())["settings"]["note"]
    assert note.endswith("Failed runs, which do not count: 1.")


def test_a_task_of_glue_that_fails_is_left_out(
    sweep: list[str], task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tasks after it are done, scored and sent all the same; which one failed is said, and the code is 1."""
    best = json.loads((folder_of(sweep) / "sweep.json").read_text())["best_run"]

    def run_all(of_task: Sweep, environment: dict[str, str]) -> dict[str, dict[str, float]]:
        (run,) = of_task.runs
        if "MRPC" not in of_task.folder:
            return {}
        shutil.copytree(best["folder"], run.options.model_dir)
        return {run.name: best["results"]}

    monkeypatch.setattr(glue, "run_all", run_all)
    monkeypatch.setattr(glue, "_submissions", lambda *_: {"MRPC.tsv": b""})
    for name in ("CoLA", "MRPC", "RTE"):
        (tmp_path / "glue" / name).mkdir(parents=True)
    folder = tmp_path / "out"
    given = flags(data_dir=tmp_path / "glue", model_dir=folder, init_checkpoint=task.model)
    code = main(["run_glue", *given])
    out, err = capsys.readouterr()
    assert code == 1, err
    rows = [line.split("  ")[0] for line in out.splitlines()]
    assert rows == ["task", "MRPC", "COLA", "RTE", "mean of 1"]
    assert out.count("every run failed") == 2
    assert "submission.zip with MRPC.tsv" in err
    problem, hint = err.splitlines()[-2:]
    assert problem.startswith("error: every run of COLA, RTE failed, the score is without them; 2 of 3 runs failed: ")
    assert hint.startswith(f"hint: their messages are in {folder}/COLA/logs and {folder}/RTE/logs; the same command")
    found = json.loads((folder / "glue.json").read_text())
    assert found["score"] == found["tasks"]["MRPC"]["score"]
    note = json.loads((folder / "report.json").read_text())["settings"]["note"]
    assert note.endswith("Failed runs, which do not count: 2. Not in the score, as every run failed: COLA, RTE.")
    shutil.rmtree(tmp_path / "glue/MRPC")
    code = main(["run_glue", *given])
    out, err = capsys.readouterr()
    assert code == 1, err
    assert "mean" not in out
    assert "error: every run of COLA, RTE failed, there is no score; 2 of 2 runs failed: " in err
