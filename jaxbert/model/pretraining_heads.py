# SPDX-License-Identifier: Apache-2.0
"""What stands on the encoder in pretraining: the masked language model and next sentence prediction."""

import jax
import jax.numpy as jnp

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import FLOAT32, Compute, Rows, encode
from jaxbert.model.heads import pool
from jaxbert.model.layers import ACTIVATIONS, dense, layer_norm, product
from jaxbert.model.weights import Tree

# Matrix units work on tiles of so many columns.
VOCABULARY_MULTIPLE = 128


def pretrain(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    next_sentence: bool,
    noise: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> tuple[jax.Array, jax.Array | None]:
    """Logits of the vocabulary at rows["masked_lm_positions"] [B, P] and of the next sentence, label 1 = a random one.

    Returns [B, P, V'] float32, V' = V rounded up, with no probability for entries from V on; and [B, N, 2] float32 for
    the sequences whose [CLS] stand at rows["cls_positions"] [B, N], or None without `next_sentence`.
    """
    read = rows["masked_lm_positions"]
    if next_sentence:
        read = jnp.concatenate([rows["cls_positions"], read], axis=1)
    h = encode(weights["bert"], config, rows, read=read, noise=noise, compute=compute)
    if not next_sentence:
        return masked_lm(weights, config, h), None
    sequences = rows["cls_positions"].shape[1]
    pooled = pool(weights["bert"]["pooler"], h[:, :sequences]).astype(jnp.float32)
    head = weights["cls"]["seq_relationship"]
    return (
        masked_lm(weights, config, h[:, sequences:]),
        pooled @ head["output_weights"].T + head["output_bias"][None, None],
    )


def masked_lm(weights: Tree, config: BertConfig, h: jax.Array) -> jax.Array:
    """Logits of the vocabulary, [B, P, H] -> [B, P, V'] float32; the output kernel is the table of word embeddings."""
    head = weights["cls"]["predictions"]
    h = dense(head["transform"]["dense"], h)
    h = ACTIVATIONS[config.hidden_act](h.astype(jnp.float32)).astype(h.dtype)
    h = layer_norm(head["transform"]["LayerNorm"], h)
    padding = -config.vocab_size % VOCABULARY_MULTIPLE
    kernel = jnp.pad(weights["bert"]["embeddings"]["word_embeddings"], ((0, padding), (0, 0)))
    bias = jnp.pad(head["output_bias"], (0, padding), constant_values=-1e30)
    logits = product("bph,vh->bpv", h, kernel, jnp.float32)
    return logits + bias[None, None]
