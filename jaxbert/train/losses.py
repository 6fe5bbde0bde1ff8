# SPDX-License-Identifier: Apache-2.0
"""Losses as sums over targets that carry their share of the whole batch, so parts of a batch add up to its loss."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label] in float32: logits [..., C], labels [...] int32 -> [...]."""
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    return -jnp.take_along_axis(log_probabilities, labels[..., None], axis=-1)[..., 0]


def classification_loss(logits: jax.Array, labels: jax.Array, shares: jax.Array) -> jax.Array:
    """Sum of share x cross entropy: logits [B, N, C], labels [B, N] int32, shares [B, N]."""
    return jnp.sum(shares * cross_entropy(logits, labels))


def regression_loss(logits: jax.Array, labels: jax.Array, shares: jax.Array) -> jax.Array:
    """Sum of share x squared error: logits [B, N, 1], labels [B, N] float32, shares [B, N]."""
    return jnp.sum(shares * jnp.square(logits[..., 0].astype(jnp.float32) - labels))
