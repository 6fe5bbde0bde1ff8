# SPDX-License-Identifier: Apache-2.0
"""How good are models fine-tuned by us and by transformers' Trainer, from the same weights? Tasks of GLUE, dev sets.

    python -m bench.quality --glue=glue --model=minilm --results=bench/quality.jsonl

All sides take the same texts, rates, sizes of batches, steps and schedule, and are scored after the last step by one
function. For quality the peer has random batches, as ours are; for time, with fewer seeds, batches of similar length.
Each training is a process of its own, the sides take turns, and which goes first alternates; its result is a line of
`--results` as soon as it ends, so that the same command goes on where it was stopped. `NPROC=1 OMP_NUM_THREADS=1`
before it gives each training one thread.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.side_by_side import machine
from jaxbert.metrics.glue import TASK_METRICS

TASKS = ("RTE", "MRPC", "STS-B", "CoLA")
SIDES = ("ours", "random", "grouped")
TIMED_SEEDS = 2  # of the peer's batches of similar length
SETTINGS = {"epochs": 3, "batch": 32, "rate": 5e-5, "length": 128}


class Run(NamedTuple):
    """One training."""

    task: str
    seed: int
    side: str


def planned(tasks: Sequence[str], seeds: int) -> Iterator[Run]:
    """All trainings in their order."""
    for task in tasks:
        for seed in range(seeds):
            sides = SIDES if seed < TIMED_SEEDS else SIDES[:2]
            for side in sides[:: -1 if seed % 2 else 1]:
                yield Run(task, seed, side)


def trained(run: Run, glue: str, model: str, dtype: str) -> dict[str, Any]:
    """Train, and evaluate after the last step: metrics, wall and processor seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(glue, run.task)
        command = (_ours if run.side == "ours" else _peer)(run, data, model, dtype, folder)
        began, used = time.perf_counter(), os.times()
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
        seconds, now = time.perf_counter() - began, os.times()
        metrics = json.loads(Path(folder, "last", "eval_results.json").read_text())
    spent = now.children_user + now.children_system - used.children_user - used.children_system
    return {**run._asdict(), "dtype": dtype, "seconds": seconds, "processor_seconds": spent, "metrics": metrics}


def _ours(run: Run, data: str, model: str, dtype: str, folder: str) -> list[str]:
    flags = {
        "data_dir": data,
        "init_checkpoint": model,
        "model_dir": folder,
        "num_train_epochs": SETTINGS["epochs"],
        "train_batch_size": SETTINGS["batch"],
        "learning_rate": SETTINGS["rate"],
        "max_seq_length": SETTINGS["length"],
        "seed": run.seed,
        "dtype": dtype,
    }
    return ["jaxbert", "run_classifier", *(f"--{name}={value}" for name, value in flags.items())]


def _peer(run: Run, data: str, model: str, dtype: str, folder: str) -> list[str]:
    asked = {**SETTINGS, **run._asdict(), "data": data, "model": model, "dtype": dtype, "folder": folder}
    return ["bench.quality_transformers", json.dumps(asked)]


def table(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each metric of each task: mean and standard error of ours and of random batches, and their difference
    in standard errors of it; then the processor time of batches of similar length over ours, NaN without any."""
    yield f"{'task':6} {'metric':10} {'seeds':>5} {'ours':>17} {'peer':>17} {'difference':>11} {'time':>5}"
    for task in TASKS:
        of_side = {side: [one for one in results if (one["task"], one["side"]) == (task, side)] for side in SIDES}
        ours, random, grouped = of_side.values()
        count = min(len(ours), len(random))
        if count < 2:
            continue
        ratio = _seconds(grouped) / _seconds(ours)
        for metric in TASK_METRICS[task.upper()]:
            (a, a_error), (b, b_error) = (
                _mean_and_error([one["metrics"][metric] for one in side]) for side in (ours, random)
            )
            together = (a_error**2 + b_error**2) ** 0.5
            apart = f"{(a - b) / together:+.2f}" if together else "none"
            means = f"{a:8.4f} ± {a_error:.4f} {b:8.4f} ± {b_error:.4f}"
            yield f"{task:6} {metric[:10]:10} {count:5} {means} {apart:>11} {ratio:5.2f}"


def _seconds(results: Sequence[Mapping[str, Any]]) -> float:
    return statistics.median(one["processor_seconds"] for one in results) if results else math.nan


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5


def main() -> None:
    """Train what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glue", required=True, help="folder with the tasks' folders, as they were downloaded")
    parser.add_argument("--model", required=True, help="pretrained weights that both sides read: a Hugging Face folder")
    parser.add_argument("--results", type=Path, required=True, help="file with a JSON line for each training")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--most", type=int, help="end after so many trainings")
    arguments = parser.parse_args()
    lines = arguments.results.read_text().splitlines() if arguments.results.exists() else []
    results = [one for one in map(json.loads, lines) if one["dtype"] == arguments.dtype]
    done = {Run(one["task"], one["seed"], one["side"]) for one in results}
    waiting = [run for run in planned(arguments.tasks, arguments.seeds) if run not in done][: arguments.most]
    for run in waiting:
        results.append(trained(run, arguments.glue, arguments.model, arguments.dtype))
        with arguments.results.open("a") as file:
            file.write(json.dumps(results[-1]) + "\n")
    print("\n".join(table(results)))
    print(f"{machine()}")


if __name__ == "__main__":
    main()
