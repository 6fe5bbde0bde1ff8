# SPDX-License-Identifier: Apache-2.0
"""Hosts that look at records together find what one finds, each in its own part."""

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
    """What `scan_together` gives on each of `count` hosts, which check by `checks`."""
    sent: dict[int, bytes] = {}

    def call(index: int) -> Found | InputError:
        monkeypatch.setattr(jax, "process_index", lambda: index)
        try:
            return hosts.scan_together(checks[index], len(LENGTHS))
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
