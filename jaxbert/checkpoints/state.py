# SPDX-License-Identifier: Apache-2.0
"""The state of a training run (weights, optimizer slots, counters): saved by orbax, in remote storage as safetensors.

Both ways write a state whole or not at all and in the background, keep the newest few, and restore every array bitwise
identical, with the sharding that is asked for.
"""

import concurrent.futures
import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxbert.batches.devices import replicate, to_devices
from jaxbert.checkpoints.model_folder import STATE_ENDING, saved_steps
from jaxbert.checkpoints.tensors import checksum, write_tensors
from jaxbert.errors import InputError
from jaxbert.io import files


class TrainingStates:
    """The folder `<model_dir>/checkpoints`, one numbered folder per saved step."""

    def __init__(self, folder: str, keep: int) -> None:
        import orbax.checkpoint as ocp  # half a second that prediction does without

        self._folder, self._args = files.absolute(folder), ocp.args
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
                self._manager.save(step, args=self._args.StandardSave(state))

    def restore(self, step: int, like: Any) -> Any:
        """The state of `step`: a tree of arrays with the shapes, dtypes and shardings of `like`."""
        try:
            return self._manager.restore(step, args=self._args.StandardRestore(like))
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


class RemoteStates:
    """The folder `<model_dir>/checkpoints` where it is remote: one file `<step>.safetensors` per saved step.

    All hosts call the methods together. The first one writes; each reads all of a state and keeps its own shards. The
    checksum of each array is written with it, and compared when it is read.

    orbax serves `gs://` only: version 0.12.8 (with tensorstore 0.1.86) refuses to save to `s3://` ("Checkpoint path
    should be absolute"), and with `use_ocdbt=False` writes the arrays into a folder named `s3:` on this machine. To
    `gs://` it sends them by a client of its own, with its own login, in 103 requests for two arrays of a few bytes.
    """

    def __init__(self, folder: str, keep: int) -> None:
        self._folder, self._keep = folder, keep
        self._steps = saved_steps(folder)
        self._sender = concurrent.futures.ThreadPoolExecutor(1)
        self._sending: concurrent.futures.Future[None] | None = None

    def latest_step(self) -> int | None:
        """The newest saved step, None when there is none."""
        return self._steps[-1] if self._steps else None

    def save(self, step: int, state: Any) -> None:
        """Start saving; a failure of an earlier save is raised here. A step that is saved already is left as it is."""
        if step == self.latest_step():
            return
        self.wait()
        replicated = ((name, replicate(leaf)) for name, leaf in _named(state).items())  # one by one, on all hosts
        arrays = {name: np.array(leaf, order="C") for name, leaf in replicated if jax.process_index() == 0}
        self._steps.append(step)
        old, self._steps = self._steps[: -self._keep], self._steps[-self._keep :]
        if arrays:
            self._sending = self._sender.submit(self._send, step, arrays, old)

    def restore(self, step: int, like: Any) -> Any:
        """The state of `step`: a tree of arrays with the shapes, dtypes and shardings of `like`."""
        path = self._path(step)
        try:
            with files.local_copy(path) as here, safe_open(here, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in _named(like)}
                checksums = file.metadata() or {}  # states of earlier versions have none
            for name, leaf in _named(like).items():
                if (array := arrays[name]).shape != leaf.shape or array.dtype != leaf.dtype:
                    raise ValueError(
                        f"`{name}` is {array.dtype} {list(array.shape)}, expected {leaf.dtype} {list(leaf.shape)}"
                    )
                if checksums.get(name, found := checksum(array)) != found:
                    raise ValueError(f"`{name}` has the checksum {found}, {checksums[name]} was written")
        except (SafetensorError, ValueError) as error:
            raise InputError(
                f"the training state `{path}` cannot be restored: {error}",
                "delete that file to go on from an earlier save, or from the start",
            ) from error
        restored = jax.tree.unflatten(jax.tree.structure(like), list(arrays.values()))
        return to_devices(restored, jax.tree.map(lambda leaf: leaf.sharding, like))

    def wait(self) -> None:
        """Return when everything is sent."""
        if self._sending is not None:
            sending, self._sending = self._sending, None
            sending.result()

    def close(self) -> None:
        """Finish sending and stop the background thread."""
        try:
            self.wait()
        finally:
            self._sender.shutdown()

    def _send(self, step: int, arrays: Mapping[str, np.ndarray], old: list[int]) -> None:
        write_tensors(self._path(step), arrays, {name: checksum(array) for name, array in arrays.items()})
        for before in old:
            files.remove(self._path(before))

    def _path(self, step: int) -> str:
        return os.path.join(self._folder, f"{step}{STATE_ENDING}")


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their path in it, in the order of `jax.tree`."""
    return {"/".join(key.key for key in path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
