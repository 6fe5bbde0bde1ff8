# SPDX-License-Identifier: Apache-2.0
"""Devices: settings of the process, the mesh, arrays onto it and back."""

import ctypes
import functools
import math
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxbert.errors import InputError
from jaxbert.io.storage import is_remote

# Names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


# With these float32 is faster on CPUs: wide vectors, and products by Eigen in place of YNNPACK, which is the faster one
# for bfloat16. XLA ends a process that gives it a flag it does not know: only versions that were tried are given them.
FLOAT32_FLAGS = "--xla_cpu_prefer_vector_width=512 --xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
_TRIED = ((0, 10), (0, 11), (0, 12))


def prepare(environment: MutableMapping[str, str], compile_cache: str = "", dtype: str = "fp32") -> None:
    """Keep freed memory, compile for `dtype`, keep compiled programs in the folder `compile_cache` ("" for nowhere)."""
    _keep_freed_memory()
    given = environment.get("XLA_FLAGS", "")
    names_file = given and not given.startswith("-")  # the other form of XLA_FLAGS
    if dtype == "fp32" and jax.__version_info__[:2] in _TRIED and not names_file and FLOAT32_FLAGS not in given:
        environment["XLA_FLAGS"] = f"{FLOAT32_FLAGS} {given}"  # the later ones win: those that were given
    if is_remote(compile_cache):
        raise InputError(f"`--compile_cache={compile_cache}` is not on this machine", "give a folder that is")
    if compile_cache:
        jax.config.update("jax_compilation_cache_dir", os.path.expanduser(compile_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def multiplies_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this CPU has units for products of bfloat16 that XLA uses (AMX), as far as Linux says."""
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            return any("amx_bf16" in line.split() for line in file if line.startswith("flags"))
    except OSError:
        return False


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks; by default each goes back to the system, and every step pays for new pages."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
        libc.mallopt(_M_ARENA_MAX, 1)  # the only one whose memory is kept


AXES = ("data", "fsdp", "tensor")
ROWS = ("data", "fsdp")


def device_mesh(devices: Sequence[jax.Device], fsdp: int = 1, tensor: int = 1) -> Mesh:
    """A mesh of all `devices`, whose number fsdp x tensor divides; a host's devices are neighbours in it."""
    by_host = sorted(devices, key=lambda device: (device.process_index, device.id))
    shape = (-1, fsdp, tensor)
    return Mesh(np.array(by_host).reshape(shape), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def row_parts(mesh: Mesh) -> int:
    """Into how many parts the rows of a batch are split."""
    return math.prod(mesh.shape[axis] for axis in ROWS)


def row_units(mesh: Mesh) -> tuple[int, int]:
    """What a row's length is to be a multiple of, as vector or matrix units like it, and what the number of rows."""
    return 8 if mesh.devices.flat[0].platform == "cpu" else 128, row_parts(mesh)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def row_sharding(mesh: Mesh, row_axis: int) -> NamedSharding:
    """Split along the rows of a batch."""
    return NamedSharding(mesh, PartitionSpec(*[None] * row_axis, ROWS))


def own_rows(mesh: Mesh, rows: int) -> np.ndarray:
    """Which of a batch's rows lie on this host's devices, ascending; `row_parts` divides `rows`."""
    parts = row_sharding(mesh, 0).addressable_devices_indices_map((rows,)).values()
    return np.unique(np.concatenate([np.arange(rows)[part] for part in parts]))


def place(batch: Mapping[str, np.ndarray], mesh: Mesh, row_axis: int) -> dict[str, jax.Array]:
    """Put this host's rows of a batch on its devices, split along `row_axis`; together they are the whole batch."""
    sharding = row_sharding(mesh, row_axis)
    placed: dict[str, jax.Array] = jax.make_array_from_process_local_data(sharding, dict(batch))
    return placed


def place_whole(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """The same for a batch [B, ...] of which every host has all rows."""
    rows = own_rows(mesh, len(next(iter(batch.values()))))
    return place({name: array[rows] for name, array in batch.items()}, mesh, 0)


def put(tree: Any, shardings: Any) -> Any:
    """A tree of host arrays, the same on every host, on the devices as a tree of shardings says."""

    def on_devices(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lambda array, sharding: on_devices(np.asarray(array), sharding), tree, shardings)


def whole(array: jax.Array) -> jax.Array:
    """The array with all of it on every host, wherever its parts are; all hosts must call it together."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return array
    assert isinstance(array.sharding, NamedSharding)  # as all arrays that a trainer spreads
    gathered: jax.Array = _gather(array.sharding.mesh)(array)
    return gathered


@functools.cache
def _gather(mesh: Mesh) -> "jax.stages.Wrapped":
    return jax.jit(lambda array: array, out_shardings=replicated(mesh))
