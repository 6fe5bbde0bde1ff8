# SPDX-License-Identifier: Apache-2.0
"""What the program says on standard error: lines, counts, progress bars; and how many cores it may use."""

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_LINE_EVERY = 100_000  # examples, in a log; a terminal shows a count instead
_LINE_EVERY_SECONDS = 60.0

Report = Callable[[str, int], None]
"""Is told the name of a set and how many of its examples are done so far."""


@functools.cache
def terminal() -> "Console | None":
    """The terminal that standard error is, None where it is a file or a pipe."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console  # imported here so that help answers at once

    return Console(stderr=True)


def say(text: str) -> None:
    """A line for the user; on a terminal it stands above a progress bar that is there."""
    if (console := terminal()) is not None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator[Report]:
    """Shows how many examples are done: a running count on a terminal, a line now and then in a log."""
    console = terminal()
    if console is None:
        yield lambda name, count: None if count % _LINE_EVERY else say(f"{name}: {count:,} examples")
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


@contextlib.contextmanager
def text_progress() -> Iterator[Callable[[int, int], None]]:
    """Shows how many bytes of text are done, and of how many: a bar on a terminal, a line a minute in a log."""
    console = terminal()
    if console is None:
        last = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_EVERY_SECONDS:
                last = time.monotonic()
                say(f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB of text")

        yield report
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("text"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("text", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
