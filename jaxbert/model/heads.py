# SPDX-License-Identifier: Apache-2.0
"""What stands on the encoder: the pooler and the sentence classifier (or regressor)."""

import jax
import jax.numpy as jnp

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.dropout import Place, at, dropout
from jaxbert.model.encoder import FLOAT32, Compute, Rows, encode
from jaxbert.model.layers import dense
from jaxbert.model.weights import Tree


def pool(p: Tree, cls: jax.Array) -> jax.Array:
    """tanh of a dense layer on the outputs at [CLS]: [B, N, H] -> [B, N, H]."""
    return jnp.tanh(dense(p["dense"], cls))


def classify(
    weights: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    noise: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """Logits [B, N, C] float32 of the sequences whose [CLS] stand at rows["cls_positions"] [B, N]."""
    read = rows["cls_positions"]
    cls = encode(weights["bert"], config, rows, read=read, noise=noise, compute=compute)
    pooled = pool(weights["bert"]["pooler"], cls)
    head_noise = None if noise is None else jnp.take_along_axis(noise, read, axis=1)
    pooled = dropout(pooled, at(head_noise, config.num_hidden_layers, Place.HEAD), config.hidden_dropout_prob)
    logits: jax.Array = pooled.astype(jnp.float32) @ weights["output_weights"].T + weights["output_bias"][None, None]
    return logits
