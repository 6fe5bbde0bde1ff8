# SPDX-License-Identifier: Apache-2.0
"""Reports on many runs: that of the best one with a comparison of all before it; the tasks of GLUE."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxbert.reports import content
from jaxbert.reports import run as reports


def write_settings(folder: str, found: Mapping[str, Any]) -> None:
    """Write the report on a sweep, of which `found` is the summary with a best run: its report, and all settings.

    Nothing is written where that run has no report.
    """
    if not reports.is_written(found["best_run"]["folder"]):
        return
    best = reports.read(found["best_run"]["folder"])
    rows = [
        {
            "name": ", ".join(row["setting"].values()) or "all",
            "count": row["runs"],
            **{name: row[name] for name in ("deviation", "best", "mean")},
        }
        for row in found["settings"]
        if row["runs"]
    ]
    names = ", ".join(found["settings"][0]["setting"]) or "setting"
    note = f"{found['metric']} on the evaluation set, over the runs of a setting with different seeds."
    note += _failed(len(found["failed"]))
    results = {
        **best["results"],
        "note": f"Of the best run, {found['best_run']['folder']}, as is all below the settings.",
    }
    settings = {"title": "Settings", "by": names, "note": note, "rows": rows}
    reports.save(folder, {**best, "written": reports.now(), "results": results, "settings": settings})


def write_tasks(folder: str, data_dir: str, found: Mapping[str, Any], metrics: Mapping[str, Sequence[str]]) -> None:
    """Write the report on the tasks of GLUE; `metrics` are those that the score of each task is the mean of.

    Nothing is written where the first task has no report, whose model and flags it shows.
    """
    tasks = found["tasks"]
    first = next(iter(tasks.values()))["sweep"]["best_run"]["folder"]
    if not reports.is_written(first):
        return
    one = reports.read(first)
    scores = {f"{task}: {name}": 100 * tasks[task]["results"][name] for task in tasks for name in metrics[task]}
    rows = [
        {"name": task, "count": sum(row["runs"] for row in result["sweep"]["settings"]), "score": result["score"]}
        for task, result in tasks.items()
    ]
    note = "The mean of the task's metrics on the evaluation set in percent, of its best run."
    sweeps = [*(result["sweep"] for result in tasks.values()), *found["failed"].values()]
    note += _failed(sum(len(sweep["failed"]) for sweep in sweeps))
    if found["failed"]:
        note += f" Not in the score, as every run failed: {', '.join(found['failed'])}."
    flags = {name: value for name, value in one["run"]["flags"].items() if name not in ("data_dir", "task_name")}
    data = {"task": "GLUE", "folder": data_dir}
    if found["published"]:
        name, figures = found["published"]
        data[f"published for {name}, on the test sets"] = figures
    report = {
        "kind": "all tasks",
        "written": reports.now(),
        "run": {**one["run"], "flags": flags},
        "model": one["model"],
        "data": data,
        "curves": {"train": [], "validation": []},
        "results": content.exact({"score of GLUE": found["score"], **scores}) | {"note": "In percent."},
        "settings": {"title": "Tasks", "by": "task", "note": note, "rows": rows},
    }
    reports.save(folder, report)


def _failed(count: int) -> str:
    return f" Failed runs, which do not count: {count}." if count else ""
