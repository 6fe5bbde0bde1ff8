# SPDX-License-Identifier: Apache-2.0
"""Host batches -> arrays on the devices: rows are spread over all of them, everything else is on each."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def data_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """All devices in one axis, `data`."""
    return Mesh(np.array(devices), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on each device."""
    return NamedSharding(mesh, PartitionSpec())


def place(batch: Mapping[str, np.ndarray], mesh: Mesh, row_axis: int) -> dict[str, jax.Array]:
    """Put arrays on the devices of `mesh`, split along `row_axis`, whose size the number of devices divides."""
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * row_axis, "data"))
    placed: dict[str, jax.Array] = jax.device_put(dict(batch), sharding)
    return placed
