# SPDX-License-Identifier: Apache-2.0
"""What stands on the encoder for questions: where answers start and end, and the best such places of each window."""

import jax
import jax.numpy as jnp

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import FLOAT32, Compute, Rows, encode
from jaxbert.model.weights import Tree


def answer_spans(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    noise: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits of start and end at every position, [B, S, 2] float32: one dense layer, as in `run_squad.py`."""
    h = encode(weights["bert"], config, rows, noise=noise, compute=compute)
    head = weights["cls"]["squad"]
    logits: jax.Array = h.astype(jnp.float32) @ head["output_weights"].T + head["output_bias"][None, None]
    return logits


def within_windows(logits: jax.Array, rows: Rows) -> jax.Array:
    """Logits [B, S, 2] seen from each window of a row: [B, N, 2, S], -inf at the positions of others and of none.

    A place without a window is seen as the window that stands first in the row; nothing may be read there.
    """
    sequences = rows["sequences"]
    of_place = jnp.take_along_axis(sequences, rows["cls_positions"], axis=1)
    own = of_place[:, :, None] == sequences[:, None, :]
    return jnp.where(own[:, :, None], logits.transpose(0, 2, 1)[:, None], -jnp.inf)


def best_positions(logits: jax.Array, rows: Rows, count: int) -> dict[str, jax.Array]:
    """The best starts and ends of each window, best first, equal ones by position.

    Positions count from the window's `[CLS]`. Where a window has fewer than `count` positions, those of no window
    follow, with logit -inf.

    Returns:
        `starts`, `ends` int32 and `start_logits`, `end_logits` float32 [B, N, K], K the smaller of `count` and S;
        `null_logits` float32 [B, N, 2], start and end at `[CLS]`.
    """
    cls = rows["cls_positions"]
    values, positions = jax.lax.top_k(within_windows(logits, rows), min(count, logits.shape[1]))
    positions = positions - cls[:, :, None, None]
    return {
        "starts": positions[:, :, 0],
        "start_logits": values[:, :, 0],
        "ends": positions[:, :, 1],
        "end_logits": values[:, :, 1],
        "null_logits": jnp.take_along_axis(logits, cls[:, :, None], axis=1),
    }
