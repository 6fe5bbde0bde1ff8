# SPDX-License-Identifier: Apache-2.0
"""Host batches -> arrays on the devices of a mesh, of which other hosts may have some, and back to the host.

A mesh has the axes `data`, `fsdp` and `tensor`. Rows of a batch are spread over data x fsdp and are the same along
`tensor`; how weights are spread is the matter of train/sharding.py.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

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


def shard_rows(batch: Mapping[str, np.ndarray], mesh: Mesh, row_axis: int) -> dict[str, jax.Array]:
    """This host's rows of a batch on its devices, split along `row_axis`; those of all hosts are the whole batch."""
    sharding = row_sharding(mesh, row_axis)
    sharded: dict[str, jax.Array] = jax.make_array_from_process_local_data(sharding, dict(batch))
    return sharded


def shard_whole(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """The same for a batch [B, ...] of which every host has all rows."""
    rows = own_rows(mesh, len(next(iter(batch.values()))))
    return shard_rows({name: array[rows] for name, array in batch.items()}, mesh, 0)


def to_devices(tree: Any, shardings: Any) -> Any:
    """A tree of host arrays, the same on every host, on the devices as a tree of shardings says."""

    def on_devices(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(lambda array, sharding: on_devices(np.asarray(array), sharding), tree, shardings)


def replicate(array: jax.Array) -> jax.Array:
    """The array with all of it on every host, wherever its parts are; all hosts must call it together."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return array
    assert isinstance(array.sharding, NamedSharding)  # as all arrays that a trainer spreads
    gathered: jax.Array = _gather(array.sharding.mesh)(array)
    return gathered


@functools.cache
def _gather(mesh: Mesh) -> "jax.stages.Wrapped":
    return jax.jit(lambda array: array, out_shardings=replicated(mesh))
