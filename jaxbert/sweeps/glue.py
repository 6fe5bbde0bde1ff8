# SPDX-License-Identifier: Apache-2.0
"""GLUE as a whole (arXiv 1804.07461): every task found in a folder, its score, and the archive for the server."""

import io
import json
import os
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from jaxbert.checkpoints.model_folder import GLUE_FILE
from jaxbert.checkpoints.resolve import find_model
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.sweep import Glue, Run, Sweep, read_sweep
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.console import counted, say
from jaxbert.errors import InputError
from jaxbert.examples.glue import TASKS
from jaxbert.io import files
from jaxbert.sweeps import table
from jaxbert.sweeps.runs import run_all

# What the score of a task is the mean of, in percent (arXiv 1804.07461, table 1); AX is not in the score of GLUE.
METRICS: dict[str, tuple[str, ...]] = {
    "COLA": ("matthews",),
    "SST-2": ("accuracy",),
    "MRPC": ("f1", "accuracy"),
    "STS-B": ("pearson", "spearman"),
    "QQP": ("f1", "accuracy"),
    "MNLI": ("accuracy", "accuracy_mismatched"),
    "QNLI": ("accuracy",),
    "RTE": ("accuracy",),
    "WNLI": ("accuracy",),
}

# Of the test sets, as the GLUE server gave them, in the order of METRICS. BERT-base and -large: arXiv 1810.04805,
# table 1 (F1 of MRPC and QQP, Spearman correlation of STS-B; no WNLI); others: README of google-research/bert, 2020.
PUBLISHED: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = {
    (2, 128): (
        "BERT-Tiny",
        ("0.0", "83.2", "81.1/71.1", "74.3/73.6", "62.2/83.4", "70.2/70.3", "81.5", "57.2", "62.3"),
    ),
    (4, 256): (
        "BERT-Mini",
        ("0.0", "85.9", "81.1/71.8", "75.4/73.3", "66.4/86.2", "74.8/74.3", "84.1", "57.9", "62.3"),
    ),
    (4, 512): (
        "BERT-Small",
        ("27.8", "89.7", "83.4/76.2", "78.8/77.0", "68.1/87.0", "77.6/77.0", "86.4", "61.8", "62.3"),
    ),
    (8, 512): (
        "BERT-Medium",
        ("38.0", "89.6", "86.6/81.6", "80.4/78.4", "69.6/87.9", "80.0/79.1", "87.7", "62.2", "62.3"),
    ),
    (12, 768): ("BERT-Base", ("52.1", "93.5", "88.9", "85.8", "71.2", "84.6/83.4", "90.5", "66.4", "-")),
    (24, 1024): ("BERT-Large", ("60.5", "94.9", "89.3", "86.5", "72.1", "86.7/85.9", "92.7", "70.1", "-")),
}


def run_glue(glue: Glue, environment: Mapping[str, str]) -> dict[str, Any]:
    """Fine-tune, choose and predict, task by task; returns what `lines` tells.

    A task of which every run fails is among the `failed`, and not in the score, which is None without any task.

    Raises:
        InputError: no task there, or a flag is wrong.
    """
    folders = find_tasks(glue.flags.data_dir)
    sweeps = {task: _sweep_of(glue, task, folder) for task, folder in folders.items() if task != "AX"}
    if not sweeps:
        raise InputError(f"`{glue.flags.data_dir}` has no folder of a task of GLUE", f"they are {', '.join(METRICS)}")
    found: dict[str, Any] = {"tasks": {}, "failed": {}, "score": None, "published": None, "submitted": []}
    submissions: dict[str, bytes] = {}
    for task, sweep in sweeps.items():
        say(f"{task}: {counted(len(sweep.runs), 'run')}")
        one = table.summary(sweep, run_all(sweep, environment))
        table.write(sweep, one)
        if not one["best_run"]:
            say(f"every run of {task} failed, see {os.path.join(sweep.folder, 'logs')}: it is left out")
            found["failed"][task] = one
            continue
        results = {name: value for name, value in one["best_run"]["results"].items() if name != "step"}
        best = one["best_run"]["folder"]
        if task == "MNLI":
            results["accuracy_mismatched"] = _mismatched(sweep, best, environment)
        found["tasks"][task] = {"results": results, "score": task_score(task, results), "sweep": one}
        submissions |= _submissions(task, sweep, best, folders, environment)
    if found["tasks"]:
        found["score"] = statistics.fmean(task["score"] for task in found["tasks"].values())
        task, first = next(iter(found["tasks"].items()))
        found["published"] = published(_run_in(sweeps[task], first["sweep"]["best_run"]["folder"]).options)
    found["submitted"] = sorted(submissions)
    files.write_text(os.path.join(glue.flags.model_dir, GLUE_FILE), json.dumps(found, indent=2) + "\n")
    if submissions:
        write_archive(os.path.join(glue.flags.model_dir, "submission.zip"), submissions)
    return found


def find_tasks(data_dir: str) -> dict[str, str]:
    """Task -> its folder, in the order of METRICS and then AX; folders are called as GLUE or `datasets` call them."""
    if not files.is_folder(data_dir):
        raise InputError(f"`{data_dir}` is no folder", "give the folder in which each task has a folder")
    there = {name.lower(): os.path.join(data_dir, name) for name in sorted(files.names(data_dir))}
    known = {task.name: (task.name.lower(), task.published.folder) for task in TASKS}
    found = {task: next((there[name] for name in known[task] if name in there), "") for task in (*METRICS, "AX")}
    return {task: folder for task, folder in found.items() if folder and files.is_folder(folder)}


def task_score(task: str, results: Mapping[str, float]) -> float:
    """The mean of the task's metrics, in percent."""
    return 100 * statistics.fmean(results[name] for name in METRICS[task])


def published(flags: ClassifierFlags) -> tuple[str, dict[str, str]] | None:
    """The name of a released model of the sizes of this one and its published figures, where there are some."""
    config: BertConfig = find_model(
        flags.start_checkpoint, bert_config_file=flags.bert_config_file, vocab_file=flags.vocab_file
    ).config
    if (config.num_hidden_layers, config.hidden_size) not in PUBLISHED or flags.start_checkpoint is None:
        return None
    name, figures = PUBLISHED[config.num_hidden_layers, config.hidden_size]
    return name, dict(zip(METRICS, figures, strict=True))


def lines(found: Mapping[str, Any]) -> list[str]:
    """The table of the tasks, and the score of GLUE over those that there are and did not fail."""
    name, figures = found["published"] or ("", {})
    rows = [["task", "metrics on the evaluation set", "score", f"test, {name} as published" if name else ""]]
    for task, one in found["tasks"].items():
        told = ", ".join(f"{metric} {100 * one['results'][metric]:.1f}" for metric in METRICS[task])
        told += f" (failed runs: {failed})" if (failed := len(one["sweep"]["failed"])) else ""
        rows.append([task, told, f"{one['score']:.1f}", figures.get(task, "")])
    rows += [[task, "every run failed", "-", figures.get(task, "")] for task in found["failed"]]
    if count := len(found["tasks"]):
        of_all = "" if count == len(METRICS) else "tasks; GLUE has 9"
        rows.append([f"mean of {count}", of_all, f"{found['score']:.1f}", ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def left_out(found: Mapping[str, Any]) -> str:
    """Which tasks the score is without, as each of their runs failed; "" where it is without none."""
    if not found["failed"]:
        return ""
    one = "it" if len(found["failed"]) == 1 else "them"
    score = f"the score is without {one}" if found["tasks"] else "there is no score"
    return f"every run of {', '.join(found['failed'])} failed, {score}"


def write_archive(path: str, submissions: Mapping[str, bytes]) -> None:
    """The archive for the server, whose bytes depend on the files in it only."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(submissions):
            archive.writestr(zipfile.ZipInfo(name), submissions[name], zipfile.ZIP_DEFLATED)
    with files.whole_file(path) as file:
        file.write(content.getvalue())


def _sweep_of(glue: Glue, task: str, folder: str) -> Sweep:
    own = [f"--{name}={getattr(glue.flags, name)}" for name in ("seeds", "jobs", "keep") if getattr(glue.flags, name)]
    of_task = [f"--data_dir={folder}", f"--task_name={task}", f"--model_dir={os.path.join(glue.flags.model_dir, task)}"]
    return read_sweep("run_classifier", ClassifierFlags, [*glue.rest, *own, *of_task])


def _mismatched(sweep: Sweep, folder: str, environment: Mapping[str, str]) -> float:
    """Accuracy on the other evaluation set of MNLI."""
    accuracy: float = json.loads(_run(sweep, folder, ["--mode=eval", "--mnli_type=mismatched"], environment))[
        "accuracy"
    ]
    return accuracy


def _submissions(
    task: str, sweep: Sweep, folder: str, folders: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, bytes]:
    """Name -> content of the files for the server, of the test sets that there are."""
    wanted: list[Sequence[str]] = [[]]
    if task == "MNLI":
        wanted = [["--mnli_type=matched"], ["--mnli_type=mismatched"]]
        if "AX" in folders:
            wanted.append([f"--data_dir={folders['AX']}", "--task_name=AX"])
    for more in wanted:
        try:
            _run(sweep, folder, ["--mode=predict", *more], environment)
        except InputError as error:
            say(f"note: {task} {' '.join(more)} is not predicted: {error.message}")
    submission = os.path.join(folder, "submission")
    names = files.names(submission) if files.is_folder(submission) else []
    return {name: files.read_bytes(os.path.join(submission, name)) for name in names}


def _run_in(sweep: Sweep, folder: str) -> Run:
    (run,) = (run for run in sweep.runs if run.options.model_dir == folder)
    return run


def _run(sweep: Sweep, folder: str, more: Sequence[str], environment: Mapping[str, str]) -> str:
    """What the trainer prints with the flags of the best run and these. Raises InputError with its message."""
    command = [sys.executable, "-m", "jaxbert", sweep.trainer, *_run_in(sweep, folder).arguments, *more]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        raise InputError(told[-1].removeprefix("error: ") if told else done.stderr[-500:])
    return done.stdout
