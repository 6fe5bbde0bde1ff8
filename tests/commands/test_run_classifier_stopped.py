# SPDX-License-Identifier: Apache-2.0
"""Training that is stopped and goes on ends as if it had never been stopped."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from jaxbert.cli import main
from tests.commands.conftest import Run
from tests.commands.tiny_task import BATCHES, Task, flags, start

STEPS = 30  # ten epochs
TRAINING = ["--num_train_epochs=10", "--save_checkpoints_steps=5", "--log_steps=1", "--learning_rate=1e-3"]


@pytest.fixture(scope="module")
def straight(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stops."""
    folder = tmp_path_factory.mktemp("straight")
    assert main(["run_classifier", *BATCHES, *task.records, *TRAINING, *flags(model_dir=folder)]) == 0
    return folder


def lines(model_dir: Path) -> list[dict[str, float]]:
    """All of `metrics.jsonl`."""
    path = model_dir / "summaries" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def stop_after(process: "subprocess.Popen[str]", folder: Path, step: int, number: signal.Signals) -> tuple[int, str]:
    """Send a signal as soon as this process wrote metrics and has those of `step`; returns exit code and stderr."""
    before = now = lines_so_far(folder)  # of a killed run, perhaps of later steps than those saved
    while process.poll() is None and (now == before or sum(line["part"] == "train" for line in now) < step):
        time.sleep(0.002)
        now = lines_so_far(folder)
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


def lines_so_far(model_dir: Path) -> list[dict[str, float]]:
    """The whole lines of a file that is being written."""
    path = model_dir / "summaries" / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def assert_same_run(folder: Path, straight: Path) -> None:
    """Weights to the last bit, and every metric of every step once, in order."""
    for which in ("best", "last"):
        for name in ("model.safetensors", "eval_results.json"):
            assert (folder / which / name).read_bytes() == (straight / which / name).read_bytes(), f"{which}/{name}"
    assert lines(folder) == lines(straight)
    assert [line["step"] for line in lines(folder) if line["part"] == "train"] == list(range(1, STEPS + 1))


def test_stopped_at_random_goes_on(
    straight: Path, task: Task, classify: Run, chance: random.Random, tmp_path: Path
) -> None:
    """SIGTERM saves and ends with 143, SIGINT with 130, SIGKILL loses what was not saved; then the run is ended."""
    training = [*task.records, *TRAINING, *flags(model_dir=tmp_path)]
    steps = sorted(chance.sample(range(2, STEPS - 8), 3))
    stops = zip(steps, (signal.SIGTERM, signal.SIGKILL, signal.SIGINT), strict=True)
    for step, number in stops:
        code, err = stop_after(start(*training), tmp_path, step, number)
        if number == signal.SIGKILL:
            assert code == -number, err
        else:
            assert code == 128 + number, err
            by = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            assert err.splitlines()[-1].startswith(f"stopped by {by}: the state after step ")
            last = int(err.split("the state after step ")[1].split()[0])
            assert last >= step
            assert err.splitlines()[-1].endswith(f"of {STEPS} is saved; the same command goes on from there")
            assert lines(tmp_path)[-1]["step"] == last
        assert "Traceback" not in err
    code, _, err = classify(*training)
    assert code == 0, err
    assert "going on after step" in err
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize("lost", [("last",), ("last", "best"), ()])
def test_evaluation_is_made_up_for(
    lost: tuple[str, ...], straight: Path, task: Task, classify: Run, tmp_path: Path
) -> None:
    """Killed after the last state was saved, before or amid writing the model: the same command writes it."""
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    for which in lost:
        results = tmp_path / which / "eval_results.json"
        results.write_text(results.read_text().replace(f'"step": {STEPS}', '"step": 27'))
        (tmp_path / which / "model.safetensors").write_bytes(b"earlier weights")
    if not lost:
        shutil.rmtree(tmp_path / "last")
    code, _, err = classify(*task.records, *TRAINING, *flags(model_dir=tmp_path))
    assert code == 0, err
    assert (tmp_path / "last" / "model.safetensors").read_bytes() == (
        straight / "last" / "model.safetensors"
    ).read_bytes()
    assert lines(tmp_path) == lines(straight)


def test_goes_on_with_other_devices(task: Task, straight: Path, tmp_path: Path) -> None:
    """A state saved on one device is taken up by two."""
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "last")
    two = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    process = start(*task.records, *TRAINING, *flags(model_dir=tmp_path), XLA_FLAGS=two)
    _, err = process.communicate()
    assert process.returncode == 0, err
    written = json.loads((tmp_path / "last" / "eval_results.json").read_text())
    assert written == pytest.approx(json.loads((straight / "last" / "eval_results.json").read_text()), abs=1e-5)
