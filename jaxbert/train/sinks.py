# SPDX-License-Identifier: Apache-2.0
"""Programs that show the metrics of a run: TensorBoard, Weights & Biases, MLflow.

The last two take projects, servers and offline modes from variables of their own (`WANDB_...`, `MLFLOW_...`). A run
that goes on is found there again by `runs.json` in its folder of summaries.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jaxbert.errors import InputError
from jaxbert.io import files

RUNS_FILE = "runs.json"


class Sink(Protocol):
    """What takes metrics."""

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of `step` (the number of steps done) of a part, `train` or `validation`."""

    def flush(self) -> None:
        """Write out what is buffered in files of the run's folder."""

    def close(self) -> None:
        """End."""


Opened = Callable[[str, Mapping[str, int]], Sink]
"""(folder of summaries, up to which step each part is done) -> a sink that goes on from there."""


class TensorBoard:
    """Events in a folder for each part; those after `done` that an interrupted run wrote are dropped."""

    def __init__(self, folder: str, done: Mapping[str, int]) -> None:
        from tensorboardX import SummaryWriter  # it imports the clients of clouds where they are installed

        self._writers = {
            part: SummaryWriter(os.path.join(folder, part), purge_step=step + 1 if step > 0 else None)
            for part, step in done.items()
        }

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """See `Sink`."""
        for name, value in metrics.items():
            self._writers[part].add_scalar(name, value, step)

    def flush(self) -> None:
        """See `Sink`."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """See `Sink`."""
        for writer in self._writers.values():
            writer.close()


class WeightsAndBiases:
    """A run there, with `flags` as its config. It takes no step twice: what it has of a run that goes on stays."""

    def __init__(self, folder: str, done: Mapping[str, int], name: str, flags: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing("wandb", error) from error
        known = _known_run(folder, "wandb", done)
        try:
            self._run = wandb.init(dir=folder, id=known, resume="allow", name=name, config=dict(flags))
        except wandb.Error as error:
            raise _refused("wandb", error) from error
        _remember_run(folder, "wandb", self._run.id)

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """See `Sink`."""
        self._run.log({f"{part}/{key}": value for key, value in metrics.items()}, step=step)

    def flush(self) -> None:
        """Nothing: a process of its own writes."""

    def close(self) -> None:
        """See `Sink`."""
        self._run.finish()


class Mlflow:
    """A run there, with `flags` as its parameters. What is done again after an interruption stands there twice."""

    def __init__(self, folder: str, done: Mapping[str, int], name: str, flags: Mapping[str, Any]) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise _missing("mlflow", error) from error
        self._mlflow = mlflow
        known = _known_run(folder, "mlflow", done)
        try:
            run = mlflow.start_run(run_id=known, run_name=None if known else name)
        except mlflow.MlflowException as error:
            raise _refused("mlflow", error) from error
        _remember_run(folder, "mlflow", run.info.run_id)
        if not known:
            self._mlflow.log_params(flags)

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """See `Sink`."""
        self._mlflow.log_metrics({f"{part}/{key}": value for key, value in metrics.items()}, step=step)

    def flush(self) -> None:
        """Nothing: what is logged is there."""

    def close(self) -> None:
        """See `Sink`."""
        self._mlflow.end_run()


def _missing(name: str, error: ImportError) -> InputError:
    return InputError(f"`--report_to={name}` needs the package `{name}`: {error}", f"`pip install {name}`")


def _refused(name: str, error: Exception) -> InputError:
    return InputError(
        f"`--report_to={name}`: {error}", "it goes by its own variables; without it all figures are in metrics.jsonl"
    )


def _known_run(folder: str, program: str, done: Mapping[str, int]) -> str | None:
    """The id of the run that goes on; None where a new one begins."""
    path = os.path.join(folder, RUNS_FILE)
    return json.loads(files.read_text(path)).get(program) if done["train"] and files.is_file(path) else None


def _remember_run(folder: str, program: str, run_id: str) -> None:
    path = os.path.join(folder, RUNS_FILE)
    known = json.loads(files.read_text(path)) if files.is_file(path) else {}
    files.write_text(path, json.dumps({**known, program: run_id}) + "\n")
