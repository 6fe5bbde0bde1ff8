# SPDX-License-Identifier: Apache-2.0
"""A lost host is told from other failures; hosts that look at records together find what one finds."""

import atexit
import itertools

import jax
import numpy as np
import pytest

from jaxbert.datasets.checks import CheckRange, Found, check_all
from jaxbert.errors import InputError
from jaxbert.train import hosts

LENGTHS = np.arange(10, 21)


def check(first: int, end: int) -> Found:
    """Lengths and labels of eleven records."""
    return {"lengths": LENGTHS[first:end], "labels": LENGTHS[first:end].astype(np.float32) / 3}


def on_hosts(count: int, checks: list[CheckRange], monkeypatch: pytest.MonkeyPatch) -> list[Found | InputError]:
    """What `check_together` gives on each of `count` hosts, which check by `checks`."""
    sent: dict[int, bytes] = {}

    def call(index: int) -> Found | InputError:
        monkeypatch.setattr(jax, "process_index", lambda: index)
        try:
            return hosts.check_together(checks[index], len(LENGTHS))
        except InputError as error:
            return error

    def from_all(content: bytes) -> list[bytes]:
        sent[jax.process_index()] = content
        if len(sent) < count:
            raise InputError("not all are here")  # they are called a second time
        return list(sent.values())

    monkeypatch.setattr(jax, "process_count", lambda: count)
    monkeypatch.setattr(hosts, "from_all", from_all)
    for index in range(count):
        call(index)
    return [call(index) for index in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 13])
def test_each_record_is_looked_at_by_one_host(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All hosts have all lengths and labels, also where there are more hosts than records; none looks at all."""
    looked: list[set[int]] = [set() for _ in range(count)]

    def noting(index: int) -> CheckRange:
        def noted(first: int, end: int) -> Found:
            looked[index].update(range(first, end))
            return check(first, end)

        return noted

    expected = check_all(check, len(LENGTHS))
    for found in on_hosts(count, [noting(index) for index in range(count)], monkeypatch):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)
    assert sorted(itertools.chain(*looked)) == list(range(len(LENGTHS)))


def test_the_first_wrong_record_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong records in two parts: every host has the message and the hint of the first one."""

    def refuse(first: int, end: int) -> Found:
        if wrong := [number for number in (5, 10) if first <= number < end]:
            raise InputError(f"record {wrong[0]} is `ünreadable`", "make it again")
        return check(first, end)

    for found in on_hosts(3, [refuse] * 3, monkeypatch):
        assert isinstance(found, InputError)
        assert (found.message, found.hint) == ("record 5 is `ünreadable`", "make it again")


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the first of two, and may go on after a failure."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hosts, "_connect", lambda cluster: None)
    monkeypatch.setattr(hosts._Abort, "install", lambda: None)
    monkeypatch.setattr(hosts._Abort, "code", 0)
    monkeypatch.setattr(atexit, "register", lambda *action: None)


def caused_by(error: Exception, cause: Exception) -> Exception:
    """What `raise error from cause` makes."""
    error.__cause__ = cause
    return error


Runtime = jax.errors.JaxRuntimeError

LOST = [
    Runtime("UNKNOWN: Gloo all-reduce failed: [pair.cc:538] Read error [::1]:29061: Connection reset by peer"),
    ValueError("UNKNOWN: Gloo AllGather failed: [pair.cc:538] Read error [::1]:29061: Connection reset by peer"),
    Runtime("INTERNAL: NCCL operation ncclGroupEnd() failed: remote process exited or there was a network error"),
    Runtime("DEADLINE_EXCEEDED: Barrier timed out. Id: the end"),
    Runtime("INTERNAL: Barrier failed because: task is set to ERROR: UNAVAILABLE: Task 1 heartbeat timeout."),
    Runtime("FAILED_PRECONDITION: Agent must be in CONNECTED state. It is currently in ERROR."),
    caused_by(
        TimeoutError("async_commit_complete"), Runtime("UNAVAILABLE: Failed to send RPC to coordination service.")
    ),
]


@pytest.mark.parametrize("error", LOST, ids=str)
@pytest.mark.usefixtures("two_hosts")
def test_a_lost_host_is_told(error: Exception) -> None:
    """What collectives and coordination raise when a host is gone becomes one message, with the cause in brackets."""
    with pytest.raises(OSError, match=r"another host of this run is gone.* \(") as told, hosts.joined(None):
        raise error
    assert told.value.__cause__ is error


class ClientError(Exception):
    """As a storage's library has it."""


OTHERS = [
    OSError("cannot read `gs://bucket/train.tf_record`: Connection reset by peer"),
    ConnectionResetError(104, "Connection reset by peer"),
    ClientError("An error occurred (ServiceUnavailable) when calling the GetObject operation: UNAVAILABLE: try again"),
    ValueError("DEADLINE_EXCEEDED: reading local file; NCCL, gloo, coordination, heartbeat"),
    Runtime("RESOURCE_EXHAUSTED: Out of memory allocating 1024 bytes for Gloo all-reduce"),
    Runtime("INTERNAL: the connection of the operands failed"),
    caused_by(OSError("cannot write `s3://bucket/run`"), TimeoutError("UNAVAILABLE: the connection was closed")),
]


@pytest.mark.parametrize("error", OTHERS, ids=str)
@pytest.mark.usefixtures("two_hosts")
def test_other_failures_keep_their_message(error: Exception) -> None:
    """A storage that resets its connection, a device without memory: the same error comes out, whatever its words."""
    with pytest.raises(type(error)) as told, hosts.joined(None):
        raise error
    assert told.value is error
