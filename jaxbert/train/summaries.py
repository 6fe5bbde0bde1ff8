# SPDX-License-Identifier: Apache-2.0
"""What a run writes while it trains: JSON lines, and what other programs show (`sinks`)."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence

from jaxbert.io import files, storage
from jaxbert.train.sinks import RUNS_FILE, Opened

_LINES = "metrics.jsonl"


class Summaries:
    """The folder `<model_dir>/summaries`: `metrics.jsonl`, and what the `sinks` write there.

    `done` says up to which step each part, `train` and `validation`, stands. What an interrupted run had written after
    it is dropped, so every step stands there once. With `is_written` false nothing is written. Remote files cannot
    grow: these are written here and sent by each `save`.
    """

    def __init__(
        self, folder: str, done: Mapping[str, int], sinks: Sequence[Opened] = (), is_written: bool = True
    ) -> None:
        self._target, self._removed_at_end = folder if is_written else "", contextlib.ExitStack()
        self._folder = self._begun_here(folder) if storage.is_remote(folder) else folder
        self._start(self._folder, done, sinks if is_written else (), is_written)

    def _begun_here(self, remote: str) -> str:
        """A folder on this machine with what a run that goes on needs of what there is already."""
        folder = self._removed_at_end.enter_context(tempfile.TemporaryDirectory())
        for name in (_LINES, RUNS_FILE) if self._target else ():
            if files.is_file(there := os.path.join(remote, name)):
                storage.fetch(there, os.path.join(folder, name))
        return folder

    def _start(self, folder: str, done: Mapping[str, int], sinks: Sequence[Opened], is_written: bool) -> None:
        path = os.path.join(folder, _LINES) if is_written else os.devnull
        if is_written:
            os.makedirs(folder, exist_ok=True)
            _drop_lines_after(path, done)
        self._sinks = [opened(folder, done) for opened in sinks]
        self._lines = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by `close`)

    def write(self, part: str, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of `step` (the number of steps done) under a part of `done`; not finite ones as null."""
        for sink in self._sinks:
            sink.write(part, step, metrics)
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._lines.write(json.dumps({"step": step, "part": part, **values}) + "\n")
        self._lines.flush()

    def save(self) -> None:
        """Send all that was written to the folder, so that a state saved after this has its metrics there."""
        if storage.is_remote(self._target):
            for sink in self._sinks:
                sink.flush()
            storage.send_all(self._folder, self._target)

    def close(self) -> None:
        """Write out what is buffered."""
        with self._removed_at_end:
            for sink in self._sinks:
                sink.close()
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
