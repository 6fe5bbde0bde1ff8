# SPDX-License-Identifier: Apache-2.0
"""What the process finds out about its machine."""

from pathlib import Path

import pytest

from jaxbert.train.runtime import multiplies_bfloat16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n", False),
        ("", False),
    ],
)
def test_products_of_bfloat16_are_in_the_list_of_flags(text: str, expected: bool, tmp_path: Path) -> None:
    """A CPU multiplies bfloat16 fast when Linux lists its unit; other lists, and no list, say no."""
    listed = tmp_path / "cpuinfo"
    listed.write_text(text)
    assert multiplies_bfloat16(str(listed)) == expected
    assert not multiplies_bfloat16(str(tmp_path / "missing"))
