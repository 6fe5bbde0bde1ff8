# SPDX-License-Identifier: Apache-2.0
"""One vector for each sequence of a row, from the vectors of its tokens (Reimers and Gurevych, arXiv 1908.10084)."""

import jax
import jax.numpy as jnp

from jaxbert.model.encoder import Rows


def at_cls(h: jax.Array, rows: Rows) -> jax.Array:
    """The vector at `[CLS]`: [B, S, H] -> [B, N, H]."""
    return jnp.take_along_axis(h, rows["cls_positions"][:, :, None], axis=1)


def mean(h: jax.Array, rows: Rows) -> jax.Array:
    """The mean over all tokens of each sequence, special ones too: [B, S, H] -> [B, N, H] float32; 0 for none."""
    member = _members(rows).astype(jnp.float32)
    sums = jnp.einsum("bns,bsh->bnh", member, h.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)
    return sums / jnp.maximum(member.sum(axis=-1, keepdims=True), 1)


def largest(h: jax.Array, rows: Rows) -> jax.Array:
    """The largest value of each component over all tokens of each sequence: [B, S, H] -> [B, N, H] float32."""
    member = _members(rows)
    size, slots = h.shape[0], member.shape[1]
    slot = jnp.where(member.any(axis=1), jnp.argmax(member, axis=1), slots)
    groups = (slot + (slots + 1) * jnp.arange(size)[:, None]).reshape(-1)
    flat = h.astype(jnp.float32).reshape(-1, h.shape[-1])
    found = jax.ops.segment_max(flat, groups, num_segments=size * (slots + 1))
    by_slot: jax.Array = found.reshape(size, slots + 1, -1)[:, :slots]
    return jnp.where(member.any(axis=-1, keepdims=True), by_slot, 0.0)


def unit(vectors: jax.Array) -> jax.Array:
    """Vectors [..., H] at length 1."""
    return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _members(rows: Rows) -> jax.Array:
    """Whether each position [S] of a row belongs to the sequence in each slot: [B, N, S]."""
    of_slot = jnp.take_along_axis(rows["sequences"], rows["cls_positions"], axis=1)
    used = rows["examples"] >= 0
    return (of_slot[:, :, None] == rows["sequences"][:, None, :]) & used[:, :, None]
