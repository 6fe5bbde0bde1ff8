# SPDX-License-Identifier: Apache-2.0
"""What the process finds out about its machine."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxbert.batches.devices import device_mesh
from jaxbert.config.bert_config import BertConfig
from jaxbert.train import devices
from jaxbert.train.devices import compiler_options, fastest, multiplies_bfloat16

WIDE = {"xla_cpu_prefer_vector_width": 512}
EIGEN = WIDE | {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("processor\t: 0\nother\t\t: avx512_bf16\n", False),
        ("", False),
    ],
)
def test_products_of_bfloat16_are_in_the_list_of_flags(text: str, expected: bool, tmp_path: Path) -> None:
    """A CPU multiplies bfloat16 fast when Linux lists its unit; other lists, and no list, say no."""
    listed = tmp_path / "cpuinfo"
    listed.write_text(text)
    assert multiplies_bfloat16(str(listed)) == expected
    assert not multiplies_bfloat16(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("platform", "capability", "cpu_multiplies", "expected"),
    [
        ("cpu", None, True, "bf16"),
        ("cpu", None, False, "fp32"),
        ("tpu", None, False, "bf16"),
        ("gpu", "9.0", False, "bf16"),
        ("gpu", "7.5", True, "fp32"),
    ],
)
def test_auto_is_the_faster_dtype(
    monkeypatch: pytest.MonkeyPatch, platform: str, capability: str | None, cpu_multiplies: bool, expected: str
) -> None:
    """It is bf16 where the device multiplies that fast; what is named is kept."""
    device = (
        SimpleNamespace(platform=platform)
        if capability is None
        else SimpleNamespace(platform=platform, compute_capability=capability)
    )
    monkeypatch.setattr(jax, "devices", lambda: [device])
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: cpu_multiplies)
    assert fastest("auto") == expected
    assert [fastest(name) for name in ("fp32", "bf16", "fp16")] == ["fp32", "bf16", "fp16"]


def compile_in(folder: Path, name: str) -> dict[str, int]:
    """Let a process compile something, or find it, with this path of the cache; the size of each program then."""
    code = """
import jax, sys
from jaxbert.train.devices import prepare
prepare(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x @ x.T + 1)(jax.numpy.ones((8, 8)))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-Werror", "-c", code, name], cwd=folder, env=environment, check=True)
    return {path.name: path.stat().st_size for path in (folder / name).glob("*-cache")}


def test_kept_programs_are_found(tmp_path: Path) -> None:
    """Whatever the folder is called, and from wherever its path begins; one that is cut off is written again."""
    first = compile_in(tmp_path, "programs")
    assert first
    (tmp_path / "programs").rename(tmp_path / "moved")
    assert compile_in(tmp_path, str(tmp_path / "moved")) == first
    for path in (tmp_path / "moved").glob("*-cache"):
        path.write_bytes(path.read_bytes()[:-40])
    assert compile_in(tmp_path, "moved") == first


@pytest.mark.parametrize(
    ("hidden", "features", "dtype", "expected"),
    [
        (384, "avx512f", jnp.float32, WIDE),
        (384, "avx512f amx_bf16", jnp.float32, EIGEN),
        (768, "avx512f", jnp.float32, EIGEN),
        (768, "avx512f", jnp.bfloat16, {}),
    ],
)
def test_who_multiplies(
    hidden: int, features: str, dtype: jax.typing.DTypeLike, expected: dict[str, str | int], tmp_path: Path
) -> None:
    """Vectors of float32 are wide, Eigen multiplies for wide layers or where there is AMX, and XLA takes that."""
    listed = tmp_path / "cpuinfo"
    listed.write_text(f"flags\t\t: fpu {features}\n")
    config = BertConfig(vocab_size=9, hidden_size=hidden)
    options = compiler_options(config, device_mesh(jax.devices()[:1]), dtype, str(listed))
    assert options == expected
    square = jax.jit(lambda x: x @ x, compiler_options=options)
    assert float(square(jnp.ones((2, 2)))[0, 0]) == 2.0


def test_nothing_is_asked_of_what_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another jax, whose XLA might refuse an option that it does not know, is given none."""
    mesh = device_mesh(jax.devices()[:1])
    assert compiler_options(BertConfig(vocab_size=9), mesh, jnp.float32)
    monkeypatch.setattr(jax, "__version_info__", (0, 99, 0))
    assert not compiler_options(BertConfig(vocab_size=9), mesh, jnp.float32)


def test_a_call_on_a_cpu_returns_when_it_is_done() -> None:
    """The results are there at once, so the memory of two calls is never taken at one time."""
    long = (
        jax.jit(lambda x: jax.lax.fori_loop(0, 200, lambda _, y: jnp.tanh(y @ y), x))
        .lower(jnp.ones((256, 256)))
        .compile()
    )
    assert all(long(jnp.ones((256, 256))).is_ready() for _ in range(3))
