# SPDX-License-Identifier: Apache-2.0
"""What the program says on standard error: lines, counts, progress bars; and how many cores it may use."""

import collections
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

MEGABYTE = 1_000_000
_LINE_EVERY = 100_000  # examples, in a log; a terminal shows a count instead
_LINE_SECONDS = 60.0  # in a log; a terminal shows a bar instead
_RECENT_SECONDS, _RECENT_CALLS = 60.0, 8  # what the time left is estimated from: of both, what is longer

Report = Callable[[str, int], None]
"""Is told the name of a set and how many of its examples are done so far."""


@functools.cache
def terminal() -> "Console | None":
    """The terminal that standard error is, None where it is a file or a pipe."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console  # imported here so that help answers at once

    return Console(stderr=True)


def counted(number: int, one: str, several: str = "") -> str:
    """The number with its noun: `1 text`, `1,200 texts`; `several` where the plural is not the word with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def say(text: str) -> None:
    """A line for the user; on a terminal it stands above a progress bar that is there."""
    if (console := terminal()) is not None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


@functools.cache
def say_once(text: str) -> None:
    """`say` what is found wherever a file is opened, but only the first time."""
    say(text)


@contextlib.contextmanager
def progress() -> Iterator[Report]:
    """Shows how many examples are done: a running count on a terminal, a line now and then in a log."""
    console = terminal()
    if console is None:
        told: dict[str, int] = {}

        def tell(name: str, count: int) -> None:
            if count // _LINE_EVERY > told.get(name, 0):
                told[name] = count // _LINE_EVERY
                say(f"{name}: {count:,} examples")

        yield tell
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f} examples"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(name: str, count: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None, rate=0.0)
            elapsed = bar.tasks[tasks[name]].elapsed
            bar.update(tasks[name], completed=count, rate=count / elapsed if elapsed else 0.0)

        yield report


BytesReport = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""


@contextlib.contextmanager
def text_progress() -> Iterator[BytesReport]:
    """Shows how many bytes of text are done, and of how many: a bar on a terminal, a line a minute in a log."""
    console = terminal()
    if console is None:
        last = time.monotonic()

        def say_sometimes(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                say(f"{done / MEGABYTE:,.0f} of {total / MEGABYTE:,.0f} MB of text")

        yield say_sometimes
        return
    from rich import progress as bars

    columns = (bars.TextColumn("text"), bars.BarColumn(), bars.DownloadColumn(), bars.TransferSpeedColumn())
    with bars.Progress(*columns, bars.TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("text", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingProgress:
    """Steps done, loss, examples per second and time left: a bar on a terminal, else a line every `every` steps.

    A context manager; the bar stands while it is entered.
    """

    def __init__(self, first_step: int, total_steps: int, examples_per_step: int, every: int) -> None:
        self._total, self._per_step, self._every = total_steps, examples_per_step, every
        self._came: collections.deque[tuple[float, int]] = collections.deque()  # when, and how many steps were done
        self._seconds_per_step: float | None = None
        self._bar: Progress | None = None
        if (console := terminal()) is not None:
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("training"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[note]}"),
                console=console,
            )
            self._task = self._bar.add_task("train", total=total_steps, completed=first_step, note="")

    def __enter__(self) -> "TrainingProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def came(self, done: int) -> None:
        """The results of the steps up to `done` are here now: from when those before came, speed and time left.

        Of the last minute, and of a few steps at least: how long the first ones took, or other programs compiled,
        tells nothing of those to come.
        """
        now = time.perf_counter()
        self._came.append((now, done))
        while len(self._came) > _RECENT_CALLS and now - self._came[0][0] > _RECENT_SECONDS:
            self._came.popleft()
        started, first = self._came[0]
        if done > first:
            self._seconds_per_step = max(now - started, 1e-9) / (done - first)

    def pause(self) -> None:
        """Something else is done before the next step: its time is not that of a step."""
        self._came.clear()

    def step(self, done: int, loss: float) -> None:
        """Step number `done` had this loss."""
        note = f"loss {loss:.4f}"
        if self._seconds_per_step is not None:
            seconds = int(self._seconds_per_step * (self._total - done))
            note += f"  {self._per_step / self._seconds_per_step:.1f} examples/s"
            note += f"  {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif done % self._every == 0 or done == self._total:
            say(f"step {done}/{self._total}  {note}")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
