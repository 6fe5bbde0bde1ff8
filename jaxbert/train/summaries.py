# SPDX-License-Identifier: Apache-2.0
"""What a run writes while it trains: TensorBoard events and JSON lines."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping

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
        """Send all that was written to the folder, so that a state saved after this has its metrics there."""
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
