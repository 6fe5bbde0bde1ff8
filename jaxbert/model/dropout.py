# SPDX-License-Identifier: Apache-2.0
"""Dropout as a pure function of (seed, step, layer, site, sequence, position, unit).

Nothing random is stored and nothing depends on where a token lies in a batch: the same token of the same step loses the
same units whether it is packed or alone, in one batch or in micro-batches, on one device or many, before or after a
restart. The bits come from a counter hash (32-bit, two multiply-xorshift rounds; constants by C. Wellons' search,
"lowbias32"), which XLA fuses into the element-wise code around it: bits of tokens are written to memory, never those of
units.

How a unit gets its bits: seed and step are hashed to a key; the key with the number of the sequence, then the position
of the token in it, gives the bits of the token (`token_bits`, one for each token of a step); those with layer and site
give the bits of the token there (`site_bits`); those with the number of the unit give its own. With a rate of 0.1 the
unit is dropped where its 32 bits, read as a number, are below 0.1 * 2**32.
"""

import enum

import jax
import jax.numpy as jnp


class Site(enum.IntEnum):
    """Where in a layer units are dropped; embeddings and heads count as layers of their own."""

    EMBEDDINGS = 0
    PROBABILITIES = 1
    ATTENTION_OUTPUT = 2
    OUTPUT = 3
    HEAD = 4


SITES_PER_LAYER = 8


def mix(x: jax.Array) -> jax.Array:
    """A bijection on uint32 whose output bits each depend on all input bits."""
    x = x ^ (x >> 16)
    x = x * jnp.uint32(0x7FEB352D)
    x = x ^ (x >> 15)
    x = x * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def hashed_range(size: int) -> jax.Array:
    """A fixed hash per unit [size], uint32."""
    return mix(jnp.arange(size, dtype=jnp.uint32) + jnp.uint32(0x9E3779B9))


def token_bits(seed: jax.Array | int, step: jax.Array, sequences: jax.Array, positions: jax.Array) -> jax.Array:
    """A hash per token [B, S] uint32, of seed (below 2**32), step, the sequence's number in the batch, and position."""
    key = mix(mix(jnp.asarray(seed, jnp.uint32)) ^ step.astype(jnp.uint32))
    sequence = mix(key ^ sequences.astype(jnp.uint32))
    return mix(sequence ^ (positions.astype(jnp.uint32) + jnp.uint32(1)))


def site_bits(bits: jax.Array | None, layer: jax.Array | int, site: Site) -> jax.Array | None:
    """The bits of tokens [B, S] at one site of one layer (`layer` may be traced); None, evaluation, stays None."""
    if bits is None:
        return None
    number = jnp.asarray(layer, jnp.uint32) * jnp.uint32(SITES_PER_LAYER) + jnp.uint32(site)
    return _apart(mix(bits ^ mix(number + jnp.uint32(1))))


def dropout(x: jax.Array, bits: jax.Array | None, rate: float) -> jax.Array:
    """Zero a share `rate` of the units of x [B, S, U], scale the others by 1 / (1 - rate); bits [B, S] or None."""
    if bits is None or rate == 0.0:
        return x
    return _drop(x, mix(bits[:, :, None] ^ hashed_range(x.shape[-1])[None, None]), rate)


def attention_dropout(
    probabilities: jax.Array, query_bits: jax.Array | None, key_bits: jax.Array | None, rate: float
) -> jax.Array:
    """The same for probabilities [B, A, Q, S], by the bits of query tokens [B, Q] and of key tokens [B, S]."""
    if query_bits is None or key_bits is None or rate == 0.0:
        return probabilities
    heads = hashed_range(probabilities.shape[1])
    keys = _apart(mix(key_bits[:, None, :] ^ heads[None, :, None]))
    return _drop(probabilities, mix(query_bits[:, None, :, None] ^ keys[:, :, None, :]), rate)


def _apart(bits: jax.Array) -> jax.Array:
    """The same bits, as an array of its own.

    XLA's CPU computes what is a token's own again for each of its units, or pairs, so `mix` six times in place of once
    (jax 0.10.2, behind a barrier as well, findings/jax_barrier_on_cpu.sh); not what a reduction gives.
    """
    both = jnp.stack([bits, jnp.zeros_like(bits)])
    made: jax.Array = jax.lax.reduce(both, jnp.uint32(0), jax.lax.bitwise_or, (0,))
    return made


def _drop(x: jax.Array, bits: jax.Array, rate: float) -> jax.Array:
    return jnp.where(is_kept(bits, rate), x * jnp.asarray(1.0 / (1.0 - rate), x.dtype), jnp.zeros((), x.dtype))


def is_kept(bits: jax.Array, rate: float) -> jax.Array:
    """Which units with these bits, uint32 of any shape, are not dropped."""
    kept: jax.Array = bits >= jnp.uint32(round(rate * 2**32))
    return kept
