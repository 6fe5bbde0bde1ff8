# SPDX-License-Identifier: Apache-2.0
"""Training state on disk by orbax: saved in the background, whole or not at all, the newest ones kept."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import orbax.checkpoint as ocp

from jaxbert import files
from jaxbert.errors import InputError


class TrainingStates:
    """The folder `<model_dir>/checkpoints`, one numbered folder per saved step."""

    def __init__(self, folder: str, keep: int) -> None:
        self._folder = files.absolute(folder)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
        try:
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        except OSError as error:
            raise InputError(
                f"cannot write checkpoints to `{folder}`: {error.strerror or error}", "choose another `--model_dir`"
            ) from error

    def latest_step(self) -> int | None:
        """The newest saved step, None when there is none."""
        step: int | None = self._manager.latest_step()
        return step

    def save(self, step: int, state: Any) -> None:
        """Start saving; a failure of an earlier save is raised here. A step that is saved already is left as it is."""
        if step != self._manager.latest_step():
            with self._failures():
                self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, step: int, like: Any) -> Any:
        """The state of `step`: a tree of arrays with the shapes, dtypes and shardings of `like`."""
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except Exception as error:  # orbax and tensorstore raise many kinds for damaged files
            raise InputError(
                f"the training state in `{os.path.join(self._folder, str(step))}` cannot be restored:"
                f" {' '.join(str(error).split())[:300]}",
                "delete that folder to go on from an earlier save, or from the start",
            ) from error

    def wait(self) -> None:
        """Return when everything is on disk."""
        with self._failures():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Finish saving and stop the background threads."""
        with self._failures():
            self._manager.close()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """A save that fails is an `OSError`, whatever orbax and tensorstore make of a full or lost disk."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise OSError(f"cannot save the training state in `{self._folder}`: {reason}") from error
