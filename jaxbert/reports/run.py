# SPDX-License-Identifier: Apache-2.0
"""The report of a run in its folder: `report.json`, and the same figures as the page `report.html`.

`report.json` has `kind` (what is predicted), `written` (when, the only part that two equal runs do not share), `run`
(flags that differ from their defaults, seed, versions), `model`, `data`, `curves` (what was logged while it trained),
`results` (metrics with their intervals) and the parts of `content`.
"""

import dataclasses
import datetime
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import jaxbert
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import counted, say
from jaxbert.io import files
from jaxbert.reports import figures

JSON_FILE, PAGE_FILE = "report.json", "report.html"
_PLACES = frozenset({"model_dir", "compile_cache", "num_workers", "report_to"})  # flags that change no figure
_POINTS = 500  # of a curve
_LIBRARIES = ("jax", "numpy", "tokenizers")


def write(
    flags: TrainingFlags, kind: str, model: Mapping[str, Any], data: Mapping[str, Any], parts: Mapping[str, Any]
) -> None:
    """Write the report to `--model_dir`, and say what matters of it.

    Args:
        flags: of the run.
        kind: "classification", "several labels", "regression", "entities", "answers", "choices" or "pretraining".
        model: what it is, by name.
        data: what is trained and evaluated on, by name.
        parts: `results`, and what `content` makes.
    """
    report = {
        "kind": kind,
        "written": now(),
        "run": _of_run(flags),
        "model": dict(model),
        "data": dict(data),
        "curves": read_curves(flags.model_dir),
        **parts,
    }
    save(flags.model_dir, report)


def save(folder: str, report: Mapping[str, Any]) -> None:
    """Write a report, whose `written` is now, as both files, and say what matters of it."""
    report = json.loads(json.dumps(_finite(report)))  # as a reader of the file finds it
    content = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_text(os.path.join(folder, JSON_FILE), content + "\n")
    for line in told(report):
        say(line)
    path = os.path.join(folder, PAGE_FILE)
    try:
        from jaxbert.reports import page
    except ImportError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        where = os.path.join(folder, JSON_FILE)
        say(f"the report is in {where}; `pip install matplotlib` to have it as a page with charts")
        return
    files.write_text(path, page.page(report))
    say(f"the report is in {path}")


def now() -> str:
    """The date of a report."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def read(folder: str) -> dict[str, Any]:
    """The figures of the report in a folder."""
    return files.read_json_object(os.path.join(folder, JSON_FILE), "the report of a run")


def is_written(folder: str) -> bool:
    """Whether there is a report in the folder."""
    return files.is_file(os.path.join(folder, JSON_FILE))


def told(report: Mapping[str, Any]) -> Iterator[str]:
    """A few lines for the terminal: metrics with their intervals, and what is worst."""
    results = report["results"]
    found = [
        f"{name} {one['value']:.4f}" + (f" ({one['low']:.4f} to {one['high']:.4f})" if one["low"] < one["high"] else "")
        for name, one in results["metrics"].items()
        if one["value"] is not None
    ]
    of = f" of {results['examples']:,} examples, 95 % intervals" if "resamples" in results else ""
    if found:
        yield f"results{of}: {'  '.join(found)}"
    if classes := [one for one in report.get("classes", ()) if one["support"]]:
        worst = min(classes, key=lambda one: one["f1"])
        line = f"lowest F1: {worst['f1']:.4f} of `{worst['name']}` ({counted(worst['support'], 'example')})"
        if pairs := report.get("confusion", {}).get("most_often"):
            label, predicted, count = pairs[0].values()
            line += f"; most often `{label}` is taken for `{predicted}`: {counted(count, 'time')}"
        yield line


def read_curves(model_dir: str) -> dict[str, list[dict[str, Any]]]:
    """What was logged of training and validation, up to 500 lines of each; empty where nothing was."""
    path = os.path.join(model_dir, "summaries", "metrics.jsonl")
    curves: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    if files.is_file(path):
        for line in map(json.loads, files.read_text(path).splitlines()):
            curves.setdefault(line.pop("part"), []).append(line)
    return {
        part: [lines[number] for number in figures.spread(len(lines), _POINTS)] if lines else []
        for part, lines in curves.items()
    }


def _of_run(flags: TrainingFlags) -> dict[str, Any]:
    own = {
        field.name: getattr(flags, field.name)
        for field in dataclasses.fields(flags)
        if field.name not in _PLACES and getattr(flags, field.name) != field.default
    }
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {
        "flags": own,
        "seed": flags.seed,
        "versions": {"jaxbert": jaxbert.__version__, "python": platform.python_version(), **versions},
    }


def _finite(value: Any) -> Any:
    """The same with null for what is no finite number, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
