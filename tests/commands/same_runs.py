# SPDX-License-Identifier: Apache-2.0
"""Two runs are the same but for rounding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.commands.tiny_task import RATE


def losses(model_dir: Path, part: str = "train") -> list[float]:
    """The losses of all steps, or all evaluations."""
    lines = map(json.loads, (model_dir / "summaries" / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["part"] == part]


def assert_same_model(folder: str, one: Path, many: Path) -> None:
    """Two runs differ by the order of float32 sums: weights by a hundredth of what one step of Adam moves them."""
    np.testing.assert_allclose(losses(many), losses(one), atol=2e-6)
    first, second = (load_file(path / folder / "model.safetensors") for path in (one, many))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=RATE / 100, err_msg=name)


def assert_same_results(folder: str, one: Path, many: Path) -> None:
    """What was measured of the models."""
    first, second = (read(path / folder / "eval_results.json") for path in (one, many))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=1e-5, err_msg=name)


def assert_report_of_first_epoch(again: Callable[[], tuple[int, str, str]], folder: Path, step: int) -> None:
    """A run of two epochs, of which the first did best, has a report on that one, also if it is lost and asked for."""
    for _ in range(2):
        code, _, err = again()
        assert code == 0, err
        report, best = read(folder / "report.json"), read(folder / "best" / "eval_results.json")
        assert report["run"]["flags"]["num_train_epochs"] == 2
        assert report["results"]["step"] == best["step"] == step
        assert {name: one["value"] for name, one in report["results"]["metrics"].items()}.items() <= best.items()
        (folder / "report.json").unlink()


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())
