# SPDX-License-Identifier: Apache-2.0
"""Attention on packed rows (arXiv 1706.03762): each token sees the tokens of its own sequence.

The plain form is the reference. On TPUs, where memory is what limits, `fused_attention` takes its place, which keeps
scores on the chip; on CPUs, where nothing is dropped, blocks of queries do, whose scores stay in the cache.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxbert.model.dropout import attention_dropout
from jaxbert.model.layers import product, recomputed

_BLOCK = 128  # queries at a time on a CPU
LONGEST = 1024  # positions whose keys, values and their gradients fit a TPU core's memory; 2048 do not in float32


class Tokens(NamedTuple):
    """What attention has to know of tokens.

    Attributes:
        sequences: [B, S] int32, the number of each token's sequence; 0 is padding, which sees itself.
        bits: [B, S] uint32, those of `Site.PROBABILITIES` in this layer, None for evaluation.
    """

    sequences: jax.Array
    bits: jax.Array | None


def attention(
    q: jax.Array, k: jax.Array, v: jax.Array, heads: int, queries: Tokens, keys: Tokens, rate: float
) -> jax.Array:
    """From q [B, Q, H] to k and v [B, S, H], heads side by side in H: -> [B, Q, H]; softmax in float32.

    In some other orders of axes XLA's CPU multiplies bfloat16 as float32, or not at all (jax 0.10.2).
    """
    shape = q.shape
    q, k, v = (x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads) for x in (q, k, v))

    def plain(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        visible = queries.sequences[:, :, None] == keys.sequences[:, None, :]
        scores = product("bsad,bqad->baqs", k, q, jnp.float32) * (q.shape[-1] ** -0.5)
        probabilities = jax.nn.softmax(jnp.where(visible[:, None], scores, -1e30), axis=-1)
        return recomputed(weighted, (queries.bits, keys.bits), probabilities, v)

    def weighted(bits: tuple[jax.Array | None, jax.Array | None], probabilities: jax.Array, v: jax.Array) -> jax.Array:
        probabilities = attention_dropout(probabilities.astype(v.dtype), *bits, rate)
        return product("baqs,bsad->bqad", probabilities, v, v.dtype)

    def in_blocks(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        count = -(-q.shape[1] // _BLOCK)
        parts = zip(*(jnp.array_split(x, count, axis=1) for x in (q, queries.sequences)), strict=True)
        return jnp.concatenate([_block(q, k, v, sequences, keys.sequences) for q, sequences in parts], axis=1)

    context: jax.Array
    if queries.bits is None:
        context = jax.lax.platform_dependent(q, k, v, cpu=in_blocks, default=plain)
    else:
        context = plain(q, k, v)
    return context.reshape(shape)


def _block(q: jax.Array, k: jax.Array, v: jax.Array, queries: jax.Array, keys: jax.Array) -> jax.Array:
    """The same without dropout in a form that XLA's CPU compiles to one loop, whose scores stay in the cache.

    For that all but products is element-wise or a sum over keys: what is hidden is added, and sums are divided in place
    of probabilities. What several layers or blocks have in common would become an array [B, A, Q, S] in memory, so
    `zero`, which is always 0, makes them differ.
    """
    first = q[:, :1, 0, :1].astype(jnp.float32)
    zero = ((first > 1) & (first < -1)).astype(jnp.float32)
    hidden = jax.lax.optimization_barrier(jnp.where(queries[:, :, None] == keys[:, None, :], zero, -1e30))
    scale = q.shape[-1] ** -0.5 + zero[:, None]
    scores = product("bsad,bqad->baqs", k, q, jnp.float32) * scale + hidden[:, None]
    shares = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
    sums = product("baqs,bsad->baqd", shares.astype(v.dtype), v, jnp.float32)
    return (sums / jnp.sum(shares, axis=-1, keepdims=True)).astype(v.dtype).transpose(0, 2, 1, 3)


def row_axes(mesh: Mesh) -> tuple[str, ...]:
    """The axes of the mesh along which the rows of a batch lie."""
    return tuple(axis for axis in mesh.axis_names if axis != "tensor")


def suits_tpu(x: jax.Array, heads: int, mesh: Mesh | None) -> bool:
    """Whether the devices are TPUs, and `fused_attention` takes rows like x [B, S, H]."""
    if mesh is None or mesh.devices.flat[0].platform != "tpu":
        return False
    _, positions, hidden = x.shape
    parts = mesh.shape["tensor"]
    is_cut_well = heads % parts == 0 and hidden // parts % 128 == 0
    is_short = positions % 128 == 0 and positions <= LONGEST
    return is_cut_well and is_short and hidden // heads in (32, 64, 128) and x.dtype in (jnp.bfloat16, jnp.float32)
