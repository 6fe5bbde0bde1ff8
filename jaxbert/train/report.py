# SPDX-License-Identifier: Apache-2.0
"""What a run says while it trains: a progress bar or plain lines, TensorBoard events and JSON lines."""

import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from jaxbert.io import files, storage

_LINES = "metrics.jsonl"


class Summaries:
    """The folder `<model_dir>/summaries`: events for TensorBoard below `train` and `validation`, and `metrics.jsonl`.

    `done` says up to which step each part stands. What an interrupted run had written after it is dropped, so every
    step stands there once. With `is_written` false nothing is written. Remote files cannot grow: these are written here
    and sent by each `save`.
    """

    def __init__(self, folder: str, done: Mapping[str, int], is_written: bool = True) -> None:
        self._target, self._removed_at_end = folder if is_written else "", contextlib.ExitStack()
        self._folder = self._begun_here(folder) if storage.is_remote(folder) else folder
        self._start(self._folder, done, is_written)

    def _begun_here(self, remote: str) -> str:
        """A folder on this machine with the lines that there are already."""
        folder = self._removed_at_end.enter_context(tempfile.TemporaryDirectory())
        if self._target and files.is_file(lines := os.path.join(remote, _LINES)):
            storage.fetch(lines, os.path.join(folder, _LINES))
        return folder

    def _start(self, folder: str, done: Mapping[str, int], is_written: bool) -> None:
        self._writers = {
            part: SummaryWriter(
                os.path.join(folder, part), purge_step=step + 1 if step > 0 else None, write_to_disk=is_written
            )
            for part, step in done.items()
        }
        path = os.path.join(folder, _LINES) if is_written else os.devnull
        if is_written:
            _drop_lines_after(path, done)
        self._lines = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by `close`)

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of `step` (the number of steps done) under a part of `done`; not finite ones as null."""
        for name, value in metrics.items():
            self._writers[part].add_scalar(name, value, step)
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._lines.write(json.dumps({"step": step, "part": part, **values}) + "\n")
        self._lines.flush()

    def save(self) -> None:
        """Bring all that was written to its place, so that a state saved after this has its metrics there."""
        if storage.is_remote(self._target):
            for writer in self._writers.values():
                writer.flush()
            storage.send_all(self._folder, self._target)

    def close(self) -> None:
        """Write out what is buffered."""
        with self._removed_at_end:
            for writer in self._writers.values():
                writer.close()
            self._lines.close()
            self.save()


def _drop_lines_after(path: str, done: Mapping[str, int]) -> None:
    if os.path.exists(path):
        lines = files.read_text(path).splitlines(keepends=True)
        files.write_text(path, "".join(line for line in lines if _is_done(line, done)))


def _is_done(line: str, done: Mapping[str, int]) -> bool:
    """Whether the step of a JSON line belongs to what is done; a line cut off by a crash does not."""
    try:
        entry = json.loads(line)
        return bool(entry["step"] <= done[entry["part"]])
    except (ValueError, KeyError, TypeError):
        return False


class ProgressLine:
    """Steps done, loss, examples per second and time left: a bar on a terminal, else a line every `every` steps."""

    def __init__(self, first_step: int, total_steps: int, examples_per_step: int, every: int) -> None:
        self._done, self._total, self._per_step, self._every = first_step, total_steps, examples_per_step, every
        self._since: tuple[float, int] | None = (
            None  # time and number of the first step: what it compiled is not counted
        )
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        console = Console(stderr=True)
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("train", total=total_steps, completed=first_step, note="")

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, done: int, loss: float) -> None:
        """Step number `done` had this loss."""
        self._done = done
        self._since = self._since or (time.perf_counter(), done)
        rate, left = self._rate_and_time_left()
        if not self._bar.disable:
            self._bar.update(self._task, completed=done, note=f"loss {loss:.4f}  {rate}")
        elif done % self._every == 0 or done == self._total:
            self.say(f"step {done}/{self._total}  loss {loss:.4f}  {rate}  {left} left")

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._bar.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(text, highlight=False)

    def _rate_and_time_left(self) -> tuple[str, str]:
        if self._since is None or self._since[1] == self._done:
            return "- examples/s", "-:--:--"
        started, first = self._since
        seconds_per_step = max(time.perf_counter() - started, 1e-9) / (self._done - first)
        left = int(seconds_per_step * (self._total - self._done))
        return (
            f"{self._per_step / seconds_per_step:.1f} examples/s",
            f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}",
        )
