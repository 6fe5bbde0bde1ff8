# SPDX-License-Identifier: Apache-2.0
"""Records looked at by all hosts together: each takes its part, and all learn what was found or what is wrong."""

import io
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxbert.errors import InputError
from jaxbert.records.scan import CheckPart, Found, scan_part

_WRONG = "wrong"  # name of a message and its hint among what is sent


def scan_together(check: CheckPart, size: int) -> Found:
    """See `Scan`; all hosts call it together and get the same.

    Raises:
        InputError: that of the first record that is wrong, on all hosts, whichever of them found it.
    """
    hosts, index = jax.process_count(), jax.process_index()
    first, end = size * index // hosts, size * (index + 1) // hosts
    if hosts == 1:
        return scan_part(check, first, end)
    parts = [part for part in map(_unpacked, from_all(_packed(_part(check, first, end)))) if part]
    for part in parts:
        if _WRONG in part:
            raise InputError(*part[_WRONG].tolist())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(check: CheckPart, first: int, end: int) -> Found:
    """What is found in these records, nothing where there are none, or what is wrong."""
    try:
        return scan_part(check, first, end) if first < end else {}
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


def from_all(content: bytes) -> list[bytes]:
    """What each host gives, in the order of hosts, on all of them; all call it together."""
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(content))))
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]
