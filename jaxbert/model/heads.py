# SPDX-License-Identifier: Apache-2.0
"""What stands on the encoder: classifier, choices, tagger, spans of answers, masked language model, next sentence."""

import jax
import jax.numpy as jnp

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.dropout import Site, dropout, site_bits
from jaxbert.model.encoder import FLOAT32, Compute, Rows, encode
from jaxbert.model.layers import ACTIVATIONS, dense, layer_norm, product
from jaxbert.model.weights import Tree


def pool(p: Tree, cls: jax.Array) -> jax.Array:
    """tanh of a dense layer on the outputs at [CLS]: [B, N, H] -> [B, N, H]."""
    return jnp.tanh(dense(p["dense"], cls))


def _head_dropout(h: jax.Array, config: BertConfig, bits: jax.Array | None) -> jax.Array:
    """Dropout before the last dense layer: h [B, N, H], `bits` of its tokens [B, N]."""
    return dropout(h, site_bits(bits, config.num_hidden_layers, Site.HEAD), config.head_dropout_prob)


def _outputs(p: Tree, h: jax.Array) -> jax.Array:
    """The last dense layer, whose kernel is stored as [C, H]: [B, N, H] -> logits [B, N, C] float32."""
    logits: jax.Array = h.astype(jnp.float32) @ p["output_weights"].T + p["output_bias"][None, None]
    return logits


def classify(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits [B, N, C] float32 of the sequences whose [CLS] stand at rows["cls_positions"] [B, N]."""
    read = rows["cls_positions"]
    cls = encode(weights["bert"], config, rows, read=read, dropout_bits=dropout_bits, compute=compute)
    head_bits = None if dropout_bits is None else jnp.take_along_axis(dropout_bits, read, axis=1)
    pooled = _head_dropout(pool(weights["bert"]["pooler"], cls), config, head_bits)
    return _outputs(weights, pooled)


def tag(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits of tags at every position, [B, S, C] float32: dropout and one dense layer (arXiv 1810.04805, 5.3)."""
    h = encode(weights["bert"], config, rows, dropout_bits=dropout_bits, compute=compute)
    return _outputs(weights["cls"]["tagging"], _head_dropout(h, config, dropout_bits))


def choose(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits [B, N] float32, each of one choice with its question: a classifier with one output."""
    weights = {"bert": weights["bert"], **weights["cls"]["choice"]}
    return classify(weights, config, rows, dropout_bits=dropout_bits, compute=compute)[..., 0]


def answer_spans(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits of start and end at every position, [B, S, 2] float32: one dense layer, as in `run_squad.py`."""
    h = encode(weights["bert"], config, rows, dropout_bits=dropout_bits, compute=compute)
    return _outputs(weights["cls"]["squad"], h)


def within_windows(logits: jax.Array, rows: Rows) -> jax.Array:
    """Logits [B, S, 2] seen from each window of a row: [B, N, 2, S], -inf at the positions of others and of none.

    A slot without a window is seen as the window that stands first in the row; nothing may be read there.
    """
    sequences = rows["sequences"]
    of_slot = jnp.take_along_axis(sequences, rows["cls_positions"], axis=1)
    own = of_slot[:, :, None] == sequences[:, None, :]
    return jnp.where(own[:, :, None], logits.transpose(0, 2, 1)[:, None], -jnp.inf)


def best_positions(logits: jax.Array, rows: Rows, count: int) -> dict[str, jax.Array]:
    """The best starts and ends of each window, best first, equal ones by position.

    Positions count from the window's `[CLS]`. Where a window has fewer than `count` positions, those of no window
    follow, with logit -inf.

    Returns:
        `starts`, `ends` int32 and `start_logits`, `end_logits` float32 [B, N, k], k the smaller of `count` and S;
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


# Matrix units work on tiles of so many columns.
VOCABULARY_MULTIPLE = 128


def pretrain(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    next_sentence: bool,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> tuple[jax.Array, jax.Array | None]:
    """Logits of the vocabulary at rows["masked_lm_positions"] [B, P] and of the next sentence, label 1 = a random one.

    Returns [B, P, V'] float32, V' = V rounded up, with no probability for entries from V on; and [B, N, 2] float32 for
    the sequences whose [CLS] stand at rows["cls_positions"] [B, N], or None without `next_sentence`.
    """
    read = rows["masked_lm_positions"]
    if next_sentence:
        read = jnp.concatenate([rows["cls_positions"], read], axis=1)
    h = encode(weights["bert"], config, rows, read=read, dropout_bits=dropout_bits, compute=compute)
    if not next_sentence:
        return masked_lm(weights, config, h), None
    sequences = rows["cls_positions"].shape[1]
    pooled = pool(weights["bert"]["pooler"], h[:, :sequences])
    return masked_lm(weights, config, h[:, sequences:]), _outputs(weights["cls"]["seq_relationship"], pooled)


def masked_lm(weights: Tree, config: BertConfig, h: jax.Array) -> jax.Array:
    """Logits of the vocabulary, [B, P, H] -> [B, P, V'] float32; the output kernel is the table of word embeddings."""
    head = weights["cls"]["predictions"]
    h = dense(head["transform"]["dense"], h)
    h = ACTIVATIONS[config.masked_lm_act or config.hidden_act](h.astype(jnp.float32)).astype(h.dtype)
    h = layer_norm(head["transform"]["LayerNorm"], h, config.masked_lm_layer_norm_eps)
    padding = -config.vocab_size % VOCABULARY_MULTIPLE
    kernel = jnp.pad(weights["bert"]["embeddings"]["word_embeddings"], ((0, padding), (0, 0)))
    bias = jnp.pad(head["output_bias"], (0, padding), constant_values=-1e30)
    logits = product("bph,vh->bpv", h, kernel, jnp.float32)
    return logits + bias[None, None]
