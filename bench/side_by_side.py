# SPDX-License-Identifier: Apache-2.0
"""Two programs measured in one run: each in its own process, idle while the other works; medians, ratios."""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Worker:
    """A module run as a process that answers one JSON line with another."""

    def __init__(self, module: str, settings: Mapping[str, Any]) -> None:
        command = [sys.executable, "-m", module, json.dumps(settings)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request: Any) -> Any:
        """The answer to `request`; the process must not end before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with code {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def arrays_file(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """An `.npz` with what both sides work on, gone afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        yield file.name


def serve(answer: Any) -> None:
    """In a worker: answer each line of standard input with `answer(**request)`."""
    reply = replies()
    for line in sys.stdin:
        reply(answer(**json.loads(line)))


def replies() -> Callable[[Any], None]:
    """In a worker: what writes a JSON line to standard output; what libraries print there goes to standard error."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(answer: Any) -> None:
        stream.write(json.dumps(answer) + "\n")
        stream.flush()

    return reply


def seconds_of_passes(run: Callable[[int], None], least: float, groups: int = 3) -> list[float]:
    """Seconds of a pass, in each of some groups of passes; a group takes about `least` seconds, or one pass.

    `run(n)` makes n passes and waits for the last one. What it does first, compile for instance, is not timed.
    """
    run(1)
    start = time.perf_counter()
    run(1)
    count = max(1, round(least / (time.perf_counter() - start)))
    seconds = []
    for _ in range(groups):
        start = time.perf_counter()
        run(count)
        seconds.append((time.perf_counter() - start) / count)
    return seconds


def peak_memory_mib() -> float:
    """The most memory this process held at any time so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model.partition(":")[2].strip(),
        "python": platform.python_version(),
    }


def median_and_spread(values: Sequence[float]) -> str:
    """For tables: the median, and the smallest and largest value."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def write_results(name: str, results: Mapping[str, Any]) -> Path:
    """Write `out/bench/<name>.json`."""
    path = Path("out/bench") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n")
    return path
