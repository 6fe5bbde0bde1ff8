# SPDX-License-Identifier: Apache-2.0
"""Prints how far attention on eight simulated devices is from that on one; a program of its own, see test_attention."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.devices import device_mesh
from jaxbert.model.attention import Tokens
from tests.model.test_attention import fused_form, results, rows


def main() -> None:
    """Four rows, four heads of 64."""
    sequences, bits = rows(128, [[128], [100, 20], [8] * 16, [30, 90]])
    arrays = [jax.random.normal(jax.random.key(number), (4, 128, 256), jnp.float32) for number in range(4)]
    found = []
    for devices, fsdp, tensor in ((1, 1, 1), (8, 2, 2)):
        mesh = device_mesh(jax.devices()[:devices], fsdp, tensor)
        form = fused_form(4, Tokens(sequences, bits), mesh)
        found.append([np.asarray(array) for array in results(form, arrays)])
    print(max(np.abs(one - many).max() for one, many in zip(*found, strict=True)))


if __name__ == "__main__":
    main()
