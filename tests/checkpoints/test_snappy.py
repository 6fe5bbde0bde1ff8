# SPDX-License-Identifier: Apache-2.0
"""Decoding of Snappy blocks."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.tf_table import decompress, write_varint


def _literal(data: bytes, width: int) -> bytes:
    """An element with bytes of its own, their number in the tag (width 0) or in 1 to 4 bytes after it."""
    size = len(data) - 1
    tag = size if width == 0 else 59 + width
    return bytes([tag << 2]) + (size.to_bytes(width, "little") if width else b"") + data


def _copy(offset: int, size: int, width: int) -> bytes:
    """An element that copies decoded bytes, with an offset of 11 bits (width 1), 16 or 32 bits."""
    if width == 1:
        return bytes([1 | (size - 4) << 2 | offset >> 8 << 5, offset & 0xFF])
    return bytes([(2 if width == 2 else 3) | (size - 1) << 2]) + offset.to_bytes(width, "little")


@given(st.data())
def test_literals_and_copies_of_all_widths_are_decoded(data: st.DataObject) -> None:
    """Any sequence of elements decodes to what it describes, overlapping copies included."""
    decoded, encoded = bytearray(), b""
    for _ in range(data.draw(st.integers(1, 6))):
        if not decoded or data.draw(st.booleans()):
            literal = data.draw(st.binary(min_size=1, max_size=60))
            encoded += _literal(literal, data.draw(st.sampled_from([0, 1, 2, 3, 4])))
            decoded += literal
        else:
            width, size = data.draw(st.sampled_from([1, 2, 4])), data.draw(st.integers(4, 11))
            offset = data.draw(st.integers(1, len(decoded)))
            encoded += _copy(offset, size, width)
            for _ in range(size):
                decoded.append(decoded[-offset])
    assert decompress(write_varint(len(decoded)) + encoded) == bytes(decoded)


@given(st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    """Damage is a ValueError, never another exception, and never more output than was claimed."""
    with contextlib.suppress(ValueError):
        assert len(decompress(data)) <= 64 * len(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (write_varint(1 << 40), "claims to hold"),
        (b"\x03" + _literal(b"ab", 0), "another length"),
        (b"\x05" + _literal(b"a", 0) + _copy(2, 4, 1), "before its start"),
        (b"\x05" + _literal(b"a", 0) + b"\x01", "before its start"),
        (b"\x05" + _literal(b"a", 0) + _copy(1, 4, 2)[:2], "before its start"),
        (b"\x02\x04a", "is cut"),
    ],
)
def test_damage_is_named(data: bytes, problem: str) -> None:
    """Each kind of damage has its own message."""
    with pytest.raises(ValueError, match=problem):
        decompress(data)
