# SPDX-License-Identifier: Apache-2.0
"""What the process finds out about its machine."""

from pathlib import Path

import jax
import pytest

from jaxbert.train.devices import FLOAT32_FLAGS, multiplies_bfloat16, prepare


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


def test_what_is_asked_of_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags for float32 stand before the user's, once; not for other types, nor beside a file, nor where untried."""
    given = "--xla_force_host_platform_device_count=2"
    environment = {"XLA_FLAGS": given}
    prepare(environment, dtype="bf16")
    assert environment == {"XLA_FLAGS": given}
    for _ in range(2):
        prepare(environment)
        assert environment == {"XLA_FLAGS": f"{FLOAT32_FLAGS} {given}"}
    in_file = {"XLA_FLAGS": "/etc/xla_flags"}
    prepare(in_file)
    assert in_file == {"XLA_FLAGS": "/etc/xla_flags"}
    monkeypatch.setattr(jax, "__version_info__", (0, 99, 0))
    untried: dict[str, str] = {}
    prepare(untried)
    assert not untried
