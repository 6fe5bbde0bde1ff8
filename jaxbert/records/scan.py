# SPDX-License-Identifier: Apache-2.0
"""Every record looked at once before the first is used, a block at a time."""

from collections.abc import Callable

import numpy as np

_BLOCK = 4096  # records decoded at a time

Found = dict[str, np.ndarray]
"""What is kept of some records: arrays with an element for each."""

CheckPart = Callable[[int, int], Found]
"""What is found in the records from a number to before another; raises InputError for the first that is wrong."""

Scan = Callable[[CheckPart, int], Found]
"""(check, number of records, at least one) -> what is found in all of them."""


def scan_part(check: CheckPart, first: int, end: int) -> Found:
    """What `check` finds in the records from `first` to before `end`, at least one."""
    blocks = [check(start, min(start + _BLOCK, end)) for start in range(first, end, _BLOCK)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def scan_all(check: CheckPart, size: int) -> Found:
    """What `check` finds in all records, looked at here."""
    return scan_part(check, 0, size)
