# SPDX-License-Identifier: Apache-2.0
"""Dropout as a pure function of (seed, step, place, sequence, position, unit).

Nothing random is stored and nothing depends on where a token lies in a batch: the same token of the same step loses
the same units whether it is packed or alone, in one batch or in micro-batches, on one device or many, before or after a
restart.
The bits come from a counter hash (32-bit, two multiply-xorshift rounds; constants by C. Wellons' search, "lowbias32"),
which XLA fuses into the element-wise code around it, so no random array is ever written to memory.
"""

import enum

import jax
import jax.numpy as jnp


class Place(enum.IntEnum):
    """Where in a layer units are dropped; embeddings and heads count as layers of their own."""

    EMBEDDINGS = 0
    PROBABILITIES = 1
    ATTENTION_OUTPUT = 2
    OUTPUT = 3
    HEAD = 4


PLACES_PER_LAYER = 8


def _mix(x: jax.Array) -> jax.Array:
    """A bijection on uint32 whose output bits each depend on all input bits."""
    x = x ^ (x >> 16)
    x = x * jnp.uint32(0x7FEB352D)
    x = x ^ (x >> 15)
    x = x * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _hashed_range(size: int) -> jax.Array:
    """A fixed hash per unit [size], uint32."""
    return _mix(jnp.arange(size, dtype=jnp.uint32) + jnp.uint32(0x9E3779B9))


def step_noise(seed: int, step: jax.Array, sequences: jax.Array, positions: jax.Array) -> jax.Array:
    """A hash per token [B, S] uint32, of seed, step, the sequence's number in the step's batch, and position."""
    key = _mix(_mix(jnp.uint32(seed & 0xFFFFFFFF)) ^ step.astype(jnp.uint32))
    sequence = _mix(key ^ sequences.astype(jnp.uint32))
    return _mix(sequence ^ (positions.astype(jnp.uint32) + jnp.uint32(1)))


def at(noise: jax.Array | None, layer: jax.Array | int, place: Place) -> jax.Array | None:
    """The noise [B, S] for one place of one layer (`layer` may be traced); None stays None, which means evaluation."""
    if noise is None:
        return None
    number = jnp.asarray(layer, jnp.uint32) * jnp.uint32(PLACES_PER_LAYER) + jnp.uint32(place)
    return _mix(noise ^ _mix(number + jnp.uint32(1)))


def dropout(x: jax.Array, noise: jax.Array | None, rate: float) -> jax.Array:
    """Zero a share `rate` of the units of x [B, S, U], scale the others by 1 / (1 - rate); noise [B, S] or None."""
    if noise is None or rate == 0.0:
        return x
    return _drop(x, _mix(noise[:, :, None] ^ _hashed_range(x.shape[-1])[None, None]), rate)


def attention_dropout(
    probabilities: jax.Array, query_noise: jax.Array | None, key_noise: jax.Array | None, rate: float
) -> jax.Array:
    """The same for probabilities [B, A, Q, K], by query noise [B, Q] and key noise [B, K]."""
    if query_noise is None or key_noise is None or rate == 0.0:
        return probabilities
    heads = _hashed_range(probabilities.shape[1])
    keys = _mix(key_noise[:, None, :] ^ heads[None, :, None])
    return _drop(probabilities, _mix(query_noise[:, None, :, None] ^ keys[:, :, None, :]), rate)


def _drop(x: jax.Array, bits: jax.Array, rate: float) -> jax.Array:
    kept = bits >= jnp.uint32(round(rate * 2**32))
    return jnp.where(kept, x * jnp.asarray(1.0 / (1.0 - rate), x.dtype), jnp.zeros((), x.dtype))
