# SPDX-License-Identifier: Apache-2.0
"""Several hosts as one program: joining them, who speaks, an agreed stop, and the end when one of them is lost."""

import atexit
import contextlib
import ctypes
import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbert.datasets.checks import CheckRange, Found, check_range
from jaxbert.errors import InputError, Interrupted

# A host that is silent for so long counts as lost; one whose connections break is noticed at once.
HEARTBEAT_SECONDS = 100
SHUTDOWN_SECONDS = 60
LOST = "another host of this run is gone, or ended with a message of its own; the same command on all hosts goes on"
# How jaxlib's message begins, with the status code of absl, where a call to another host failed. UNKNOWN, INTERNAL and
# FAILED_PRECONDITION stand before much else, so there the collective or the barrier must be named too.
_LOST_STATUS = re.compile(r"(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED): ")
_LOST_COLLECTIVE = re.compile(
    r"(UNKNOWN|INTERNAL|FAILED_PRECONDITION): .*(Gloo|NCCL|[Bb]arrier|Agent must be in CONNECTED state)"
)


@dataclass(frozen=True)
class Cluster:
    """The hosts of a run: `address` of the first one as host:port, how many there are, and which this one is."""

    address: str
    count: int
    index: int


@contextlib.contextmanager
def joined(cluster: Cluster | None) -> Iterator[None]:
    """While entered, `jax.devices()` are those of all hosts, and only the first host prints.

    Without `cluster` jax looks for one (SLURM, Open MPI, Kubernetes, Cloud TPU); where it finds none, this host is
    alone. When a host is lost the others end with exit code 1: by an `OSError` here, or where jax would abort.
    """
    _connect(cluster)
    with contextlib.ExitStack() as stack:
        if not is_first():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        with _lost_hosts() if jax.process_count() > 1 else contextlib.nullcontext():
            yield
            wait_for_all("the end")  # the first host may write for longer than the others would wait to shut down


def _connect(cluster: Cluster | None) -> None:
    # Its own handler would take SIGTERM away from the training loop, and knows nothing of Ctrl-C.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            cluster.address if cluster else None,
            cluster.count if cluster else None,
            cluster.index if cluster else None,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except ValueError:
        if cluster is not None:
            raise
    except RuntimeError as error:
        where = f" at `{cluster.address}`" if cluster else ""
        raise OSError(f"cannot meet the other hosts{where}: {_one_line(error)}") from error


@contextlib.contextmanager
def _lost_hosts() -> Iterator[None]:
    """Turn what jax does when a host is lost into one message and exit code 1."""
    _Abort.install()
    try:
        yield
    except InputError:
        _Abort.code = 2
        raise
    except Interrupted as stop:
        _Abort.code = 128 + stop.signal_number
        raise
    except Exception as error:
        _Abort.code = 1
        atexit.register(_leave, 1)  # jax's own exit would wait for the lost host
        if _tells_of_a_lost_host(error):
            raise OSError(f"{LOST} ({_one_line(error)})") from error
        raise


def _tells_of_a_lost_host(error: BaseException | None) -> bool:
    """Whether a collective or the coordination of hosts failed, or this error came of that.

    By the type of the error: the words of a storage that reset its connection, or is unavailable, are the same. A
    collective of a call that waits for its results raises a ValueError (jax 0.10.2 on CPUs).
    """
    while error is not None:
        is_runtime = isinstance(error, jax.errors.JaxRuntimeError)
        if is_runtime and _LOST_STATUS.match(str(error)):
            return True
        if (is_runtime or isinstance(error, ValueError)) and _LOST_COLLECTIVE.match(str(error)):
            return True
        error = error.__cause__  # Orbax raises a TimeoutError from it
    return False


class _Abort:
    """What happens on SIGABRT, by which jax ends a process that loses the others: a message, and exit code 1.

    Handlers made by `signal.signal` run in the main thread when it comes to it; an abort does not wait for that, so
    this one is given to the C library.
    """

    code = 0  # of the message that was given already, if any

    @staticmethod
    def install() -> None:
        libc = ctypes.CDLL(None)
        libc.signal.restype = ctypes.c_void_p
        libc.signal(signal.SIGABRT, _ABORT_HANDLER)


def _aborted(_: int) -> None:
    if not _Abort.code:
        os.write(2, f"error: {LOST}\n".encode())
    os._exit(_Abort.code or 1)


_ABORT_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)(_aborted)  # must live as long as the process


def _leave(code: int) -> None:
    """End the process without waiting for anything."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def is_first() -> bool:
    """Whether this host writes the files of the run, and speaks."""
    return bool(jax.process_index() == 0)


def wait_for_all(name: str) -> None:
    """Return when all hosts have called this with the same `name`."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def one_after_the_first() -> Iterator[None]:
    """The first host does what is inside before the others: they find the files that it made."""
    if not is_first():
        wait_for_all("the first host")
    yield
    if is_first():
        wait_for_all("the first host")


class AgreedStop:
    """The signal that any host received, which all of them learn at the same step: one call later.

    Each call sends this host's signal number (0 for none) into a maximum over all devices and returns that of the
    call before, which is there already: nobody waits.
    """

    def __init__(self) -> None:
        mesh = Mesh(np.array(jax.devices()), ("device",))
        self._sharding = NamedSharding(mesh, PartitionSpec("device"))
        self._largest = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._pending: jax.Array | None = None

    def __call__(self, received: int) -> int:
        """The largest signal number of all hosts, as of the last call; with one host that of this call."""
        if jax.process_count() == 1:
            return received
        votes = np.full(jax.local_device_count(), received, np.int32)
        before = self._pending
        self._pending = self._largest(jax.make_array_from_process_local_data(self._sharding, votes))
        return 0 if before is None else int(before)


_WRONG = "wrong"  # name of a message and its hint among what is sent


def check_together(check: CheckRange, size: int) -> Found:
    """See `CheckAll`; all hosts call it together and get the same.

    Raises:
        InputError: that of the first record that is wrong, on all hosts, whichever of them found it.
    """
    hosts, index = jax.process_count(), jax.process_index()
    first, end = size * index // hosts, size * (index + 1) // hosts
    if hosts == 1:
        return check_range(check, first, end)
    parts = [part for part in map(_unpacked, from_all(_packed(_part(check, first, end)))) if part]
    for part in parts:
        if _WRONG in part:
            raise InputError(*part[_WRONG].tolist())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(check: CheckRange, first: int, end: int) -> Found:
    """What is found in these records, nothing where there are none, or what is wrong."""
    try:
        return check_range(check, first, end) if first < end else {}
    except InputError as error:
        return {_WRONG: np.array([error.message, error.hint])}


def _packed(found: Found) -> bytes:
    target = io.BytesIO()
    arrays: dict[str, Any] = dict(found)
    np.savez(target, **arrays)
    return target.getvalue()


def _unpacked(content: bytes) -> Found:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def of_first(text: str) -> str:
    """The text that the first host has; all call it together."""
    return text if jax.process_count() == 1 else from_all(f"{text}\n".encode())[0].decode().removesuffix("\n")


def from_all(content: bytes) -> list[bytes]:
    """What each host gives, in the order of hosts, on all of them; all call it together."""
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(content))))
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]
