#!/usr/bin/env bash
# Versions: libtpu 0.0.42.1 by jax 0.10.2, on a machine without a TPU.
# Behaviour: a sum over chips of which each chip keeps its own part (`psum_scatter`, or a gradient that is wanted in parts)
#   is compiled as an all-reduce of the whole array, which sends twice as much, where the mesh has one axis over all
#   chips of v5e with 16 chips or more, or of v5p with 8 or more. With an axis of the mesh for each axis of the slice,
#   and one sum after the other, it stays what it is. For tpu7x it does in both cases.
# Output seen: v5e 8 chips: reduce-scatter; by axes reduce-scatter, reduce-scatter
#   v5e 16 chips: all-reduce; by axes reduce-scatter, reduce-scatter
#   v5p 8 chips: all-reduce; by axes reduce-scatter, reduce-scatter, reduce-scatter
#   tpu7x 8 chips: reduce-scatter; by axes reduce-scatter, reduce-scatter, reduce-scatter
# Way round: name the axes of the slice in the mesh, and sum over them one by one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 libtpu==0.0.42.1
export JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 ALLOW_MULTIPLE_LIBTPU_LOAD=1
"$folder/venv/bin/python" - 2>"$folder/errors" <<'PYTHON' || { cat "$folder/errors"; exit 1; }
import re

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def compiled(devices, shape):
    """The sums over chips in a program whose chips keep a part of a product each."""
    names = tuple("zyx"[-len(shape) :])
    mesh = Mesh(np.array(devices).reshape(shape), names)

    def part(x, dy):
        sums = x.T @ dy
        for name in names:
            sums = jax.lax.psum_scatter(sums, name, scatter_dimension=0, tiled=True)
        return sums

    rows = PartitionSpec(names)
    program = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=rows, out_specs=rows))
    like = jax.ShapeDtypeStruct((512 * len(devices), 1024), np.float32, sharding=NamedSharding(mesh, rows))
    text = program.trace(like, like).lower().compile().as_text()
    return re.findall(r"= \S+ (all-reduce|reduce-scatter)(?:-start)?\(", text)


found = {}
for name, shape in (("v5e:2x4", (4, 2)), ("v5e:4x4", (4, 4)), ("v5p:2x2x2", (2, 2, 2)), ("tpu7x:2x2x1", (2, 2, 2))):
    devices = topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    devices = sorted(devices, key=lambda device: (*device.coords[::-1], device.core_on_chip))
    one, several = compiled(devices, (len(devices),)), compiled(devices, shape)
    print(f"{name.split(':')[0]} {len(devices)} chips: {', '.join(one)}; by axes {', '.join(several)}")
    assert {*several} == {"reduce-scatter"}, several
    found[name] = one
assert found["v5e:2x4"] == found["tpu7x:2x2x1"] == ["reduce-scatter"], found
assert found["v5e:4x4"] == found["v5p:2x2x2"] == ["all-reduce"], found
PYTHON
