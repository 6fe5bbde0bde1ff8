# SPDX-License-Identifier: Apache-2.0
"""Losses as sums over targets that carry their share of the whole batch, so parts of a batch add up to its loss."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label] in float32: logits [..., C], labels [...] int32 -> [...]."""
    wide = logits.astype(jnp.float32)
    # A comparison, unlike an index, is fused into the sum, and its gradient into the softmax's.
    is_label = jax.lax.broadcasted_iota(labels.dtype, wide.shape, wide.ndim - 1) == labels[..., None]
    of_label = jnp.sum(jnp.where(is_label, wide, jnp.zeros((), jnp.float32)), axis=-1)
    return jax.nn.logsumexp(wide, axis=-1) - of_label


def smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: float, class_weights: Sequence[float] = ()
) -> jax.Array:
    """(1 - e) of the cross entropy and e of its mean over all classes: logits [..., C], labels [...] int32 -> [...].

    With the weight w of each class, the mean is that of w[c] / w[label] x the cross entropy of class c: with w[label]
    in the shares this is what PyTorch's `CrossEntropyLoss(weight=w, label_smoothing=e)` gives.
    """
    wide = logits.astype(jnp.float32)
    weights = jnp.array(class_weights or (1.0,) * wide.shape[-1], jnp.float32)
    of_each = jax.nn.logsumexp(wide, axis=-1, keepdims=True) - wide
    of_all = jnp.mean(jnp.broadcast_to(weights, wide.shape) * of_each, axis=-1) / weights[labels]
    return (1.0 - smoothing) * cross_entropy(logits, labels) + smoothing * of_all


def classification_loss(
    logits: jax.Array,
    labels: jax.Array,
    shares: jax.Array,
    smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
) -> jax.Array:
    """Sum of share x cross entropy: logits [B, N, C], labels [B, N] int32, shares [B, N].

    Shares hold the weights of the labels, if classes have any; `class_weights` are for the `smoothing` of labels, see
    `smoothed_cross_entropy`.
    """
    if smoothing:
        return jnp.sum(shares * smoothed_cross_entropy(logits, labels, smoothing, class_weights))
    return jnp.sum(shares * cross_entropy(logits, labels))


def choice_loss(logits: jax.Array, questions: jax.Array, shares: jax.Array) -> jax.Array:
    """Sum of share x cross entropy among the choices of the same question, which may lie in any rows.

    Args:
        logits: [B, N], one for each choice.
        questions: [B, N] int32, equal for the choices of one question.
        shares: [B, N], 0 but for right choices.
    """
    wide, number = logits.astype(jnp.float32).reshape(-1), questions.reshape(-1)
    same_question = number[:, None] == number[None]
    of_question = jax.nn.logsumexp(jnp.where(same_question, wide[None], -jnp.inf), axis=-1)
    return jnp.sum(shares.reshape(-1) * (of_question - wide))


def multi_label_loss(
    logits: jax.Array, labels: jax.Array, shares: jax.Array, positive_weights: Sequence[float] = ()
) -> jax.Array:
    """Sum of share x mean over classes of the cross entropy of each: logits and labels [B, N, C], shares [B, N].

    With `positive_weights` [C] that of a class which an example has counts so much, as in PyTorch's
    `BCEWithLogitsLoss(pos_weight=...)`.
    """
    wide, has = logits.astype(jnp.float32), labels.astype(jnp.float32)
    of_each = jax.nn.softplus(wide) - has * wide
    if positive_weights:
        weights = jnp.broadcast_to(jnp.array(positive_weights, jnp.float32), wide.shape)
        of_each = of_each * jnp.where(has > 0, weights, 1.0)
    return jnp.sum(shares * jnp.mean(of_each, axis=-1))


def pretraining_loss(masked: jax.Array, following: jax.Array | None, targets: Mapping[str, jax.Array]) -> jax.Array:
    """Cross entropy of masked tokens plus that of next sentences, if any, each a sum of shares.

    Args:
        masked: [B, P, V'], see `pretrain`.
        following: [B, N, 2] or None.
        targets: as `pretraining_targets` makes them, weights as shares.
    """
    loss = classification_loss(masked, targets["masked_lm_ids"], targets["masked_lm_weights"])
    if following is None:
        return loss
    return loss + classification_loss(following, targets["next_sentence_labels"], targets["next_sentence_weights"])


def score_sums(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums of the weights, of weight x cross entropy, and of the weights where the largest logit is the label's.

    Logits [..., C], labels [...] int32, weights [...].
    """
    right = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
    return jnp.sum(weights), jnp.sum(weights * cross_entropy(logits, labels)), jnp.sum(weights * right)


def regression_loss(logits: jax.Array, labels: jax.Array, shares: jax.Array) -> jax.Array:
    """Sum of share x squared error: logits [B, N, 1], labels [B, N] float32, shares [B, N]."""
    return jnp.sum(shares * jnp.square(logits[..., 0].astype(jnp.float32) - labels))


def span_loss(logits: jax.Array, starts: jax.Array, ends: jax.Array, shares: jax.Array) -> jax.Array:
    """Sum of share x loss of each window: `shares` [B, N], the others as of `span_losses`."""
    return jnp.sum(shares * span_losses(logits, starts, ends))


def span_losses(logits: jax.Array, starts: jax.Array, ends: jax.Array) -> jax.Array:
    """Mean cross entropy of start and end of each window [B, N], as `run_squad.py`.

    Args:
        logits: [B, N, 2, S], -inf where a window has no position.
        starts: positions in the row [B, N] int32, each one of its window.
        ends: as `starts`.
    """
    return jnp.mean(cross_entropy(logits, jnp.stack([starts, ends], axis=-1)), axis=-1)
