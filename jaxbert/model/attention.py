# SPDX-License-Identifier: Apache-2.0
"""Attention on packed rows (arXiv 1706.03762): each token sees the tokens of its own sequence.

This is the plain form, the reference. On TPUs, where memory is what limits, `fused_attention` takes its place, which
keeps scores on the chip.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxbert.model.dropout import attention_dropout
from jaxbert.model.layers import product

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
    """From q [B, Q, H] to k and v [B, S, H], heads side by side in H: -> [B, Q, H]; softmax in float32."""
    shape = q.shape
    q, k, v = (_split(x, heads) for x in (q, k, v))
    visible = queries.sequences[:, :, None] == keys.sequences[:, None, :]
    scores = product("baqd,basd->baqs", q, k, jnp.float32) * (q.shape[-1] ** -0.5)
    scores = jnp.where(visible[:, None], scores, -1e30)
    if queries.bits is None:
        context = _mean(scores, v)
    else:
        probabilities = jax.nn.softmax(scores, axis=-1).astype(q.dtype)
        probabilities = attention_dropout(probabilities, queries.bits, keys.bits, rate)
        context = product("baqs,basd->baqd", probabilities, v, q.dtype)
    return context.transpose(0, 2, 1, 3).reshape(shape)


def _mean(scores: jax.Array, v: jax.Array) -> jax.Array:
    """softmax(scores) @ v. Sums are divided, which are fewer than probabilities; with gradients this is slower."""
    shares = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
    sums = product("baqs,basd->baqd", shares.astype(v.dtype), v, jnp.float32)
    return (sums / jnp.sum(shares, axis=-1, keepdims=True)).astype(v.dtype)


def _split(x: jax.Array, heads: int) -> jax.Array:
    """[B, S, H] -> [B, A, S, D]."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(0, 2, 1, 3)


def suits_tpu(x: jax.Array, heads: int, mesh: Mesh | None) -> bool:
    """Whether the devices are TPUs, and `fused_attention` takes rows like x [B, S, H]."""
    if mesh is None or mesh.devices.flat[0].platform != "tpu":
        return False
    _, positions, hidden = x.shape
    parts = mesh.shape["tensor"]
    is_cut_well = heads % parts == 0 and hidden // parts % 128 == 0
    is_short = positions % 128 == 0 and positions <= LONGEST
    return is_cut_well and is_short and hidden // heads in (32, 64, 128) and x.dtype in (jnp.bfloat16, jnp.float32)
