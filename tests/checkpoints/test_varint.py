# SPDX-License-Identifier: Apache-2.0
"""Base-128 numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.tf_table import read_varint, write_varint


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_number_is_read_back_and_the_place_after_it(number: int, before: bytes) -> None:
    """Writing then reading gives the same number, wherever it stands."""
    written = write_varint(number)
    assert read_varint(before + written + b"\xff", len(before)) == (number, len(before) + len(written))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80" * 10 + b"\x01", b"\x85\x00"])
def test_a_cut_endless_or_padded_number_is_refused(data: bytes) -> None:
    """A number without its last digit, with more digits than 64 bits need, or with idle ones, is an error."""
    with pytest.raises(ValueError, match="at byte 0 is cut or damaged"):
        read_varint(data, 0)
