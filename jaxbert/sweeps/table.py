# SPDX-License-Identifier: Apache-2.0
"""What came of many runs: mean and deviation of each setting, and which one is chosen."""

import json
import os
import statistics
from collections.abc import Mapping
from typing import Any

from jaxbert.checkpoints.model_folder import SWEEP_FILE
from jaxbert.config.sweep import Sweep
from jaxbert.errors import IncompleteError, InputError
from jaxbert.io import files
from jaxbert.sweeps.runs import Results, best_run, goodness, metric_of, rank, settings


def summary(sweep: Sweep, done: Mapping[str, Results]) -> dict[str, Any]:
    """The figures of each setting, and the choice: the setting whose mean is best, and the best of all runs.

    `deviation` is that of a sample (n - 1), None of one run.
    """
    metric = metric_of(sweep, done)
    rows: list[dict[str, Any]] = []
    for setting, found in settings(sweep, done):
        values = [results[metric] for results in found]
        if not values:
            rows.append({"setting": dict(setting), "runs": 0})
            continue
        rows.append(
            {
                "setting": dict(setting),
                "runs": len(values),
                "mean": statistics.fmean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else None,
                "best": max(values, key=lambda value: goodness({metric: value}, metric)),
                "means": {name: statistics.fmean(one[name] for one in found) for name in found[0] if name != "step"},
            }
        )
    scored = [row for row in rows if row["runs"]]
    chosen = max(scored, key=lambda row: rank(row["means"], metric), default=None)
    best = best_run(sweep, done)
    return {
        "command": sweep.trainer,
        "metric": metric,
        "settings": rows,
        "chosen": chosen and chosen["setting"],
        "best_run": best and {"folder": best.options.model_dir, "results": done[best.name]},
        "failed": [run.name for run in sweep.runs if run.name not in done],
    }


def write(sweep: Sweep, found: Mapping[str, Any]) -> str:
    """Write the summary as JSON into the folder of the sweep; returns the path."""
    path = os.path.join(sweep.folder, SWEEP_FILE)
    files.write_text(path, json.dumps(found, indent=2) + "\n")
    return path


def refuse_failed(found: Mapping[str, Mapping[str, Any]], missing: str = "") -> None:
    """Raise InputError where runs failed; `found` is the summary of each sweep by its folder.

    Raises IncompleteError where results are `missing` because of them, which is how it begins to say it.
    """
    failed = {folder: one["failed"] for folder, one in found.items() if one["failed"]}
    if not failed:
        return
    count = sum(map(len, failed.values()))
    runs = count + sum(row["runs"] for one in found.values() for row in one["settings"])
    names = [name if len(found) == 1 else os.path.join(folder, name) for folder in failed for name in failed[folder]]
    logs = " and ".join(os.path.join(folder, "logs") for folder in failed)
    problem = f"{count} of {runs} runs failed: {', '.join(names)}"
    hint = f"their messages are in {logs}; the same command tries them again"
    if missing:
        raise IncompleteError(f"{missing}; {problem}", hint)
    raise InputError(problem, hint)


def lines(found: Mapping[str, Any]) -> list[str]:
    """The summary as a table in text, the chosen setting marked."""
    rows = found["settings"]
    names = list(rows[0]["setting"]) if rows else []
    table = [[*names, "runs", f"{found['metric']}: mean", "deviation", "best", ""]]
    for row in rows:
        figures = ["-"] * 3
        if row["runs"]:
            deviation = "-" if row["deviation"] is None else f"{row['deviation']:.4f}"
            figures = [f"{row['mean']:.4f}", deviation, f"{row['best']:.4f}"]
        mark = "chosen" if row["setting"] == found["chosen"] and len(rows) > 1 else ""
        table.append([*row["setting"].values(), str(row["runs"]), *figures, mark])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
