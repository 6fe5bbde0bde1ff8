# SPDX-License-Identifier: Apache-2.0
"""The BERT encoder (arXiv 1810.04805) on packed rows: several sequences share a row, each sees only itself.

Rows are a mapping of int32 arrays [B, S]: `input_ids`, `type_ids`, `positions` (counted within each sequence) and
`sequences` (the number of the sequence in the batch, from 1; 0 is padding).
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.dropout import Place, at, attention_dropout, dropout
from jaxbert.model.layers import ACTIVATIONS, dense, layer_norm, product
from jaxbert.model.weights import Tree

Rows = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Compute:
    """How the layers are computed; results differ by rounding only.

    Attributes:
        dtype: of products and activations; weights, softmax and LayerNorm statistics are float32.
        scan: compile one layer in place of all of them, at the price of stacking the weights in every step.
        remat: keep only what goes into each layer for the backward pass, and compute the rest again there.
    """

    dtype: jax.typing.DTypeLike = jnp.float32
    scan: bool = False
    remat: bool = False


FLOAT32 = Compute()


def encode(
    p: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    read: jax.Array | None = None,
    noise: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """The last layer's output [B, S, H]; with `read` [B, P] computed only at those positions: [B, P, H].

    `p` is the tree below `bert`; `noise` [B, S] as `dropout.step_noise` makes it, None for evaluation.
    """
    x = embed(p["embeddings"], config, rows, noise).astype(compute.dtype)
    layer = jax.checkpoint(_layer, static_argnums=1) if compute.remat else _layer
    *inner, last = (p["encoder"][f"layer_{number}"] for number in range(config.num_hidden_layers))
    if compute.scan and inner:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *inner)
        numbers = jnp.arange(len(inner), dtype=jnp.uint32)
        x, _ = jax.lax.scan(lambda x, pn: (layer(pn[0], config, x, rows, noise, pn[1]), None), x, (stacked, numbers))
    else:
        for number, p_layer in enumerate(inner):
            x = layer(p_layer, config, x, rows, noise, number)
    return layer(last, config, x, rows, noise, config.num_hidden_layers - 1, read)


def embed(p: Tree, config: BertConfig, rows: Rows, noise: jax.Array | None) -> jax.Array:
    """Word + type + position embeddings, normalized: [B, S, H] float32."""
    x = p["word_embeddings"][rows["input_ids"]]
    x = x + p["token_type_embeddings"][rows["type_ids"]] + p["position_embeddings"][rows["positions"]]
    x = layer_norm(p["LayerNorm"], x)
    return dropout(x, at(noise, config.num_hidden_layers, Place.EMBEDDINGS), config.hidden_dropout_prob)


def _layer(
    p: Tree,
    config: BertConfig,
    x: jax.Array,
    rows: Rows,
    noise: jax.Array | None,
    number: jax.Array | int,
    read: jax.Array | None = None,
) -> jax.Array:
    """One transformer layer [B, S, H] -> [B, S, H]; with `read` [B, P] only those positions query: -> [B, P, H]."""
    q, q_noise, q_sequences = x, noise, rows["sequences"]
    if read is not None:
        q = jnp.take_along_axis(x, read[:, :, None], axis=1)
        q_noise = None if noise is None else jnp.take_along_axis(noise, read, axis=1)
        q_sequences = jnp.take_along_axis(q_sequences, read, axis=1)
    visible = q_sequences[:, :, None] == rows["sequences"][:, None, :]

    rate = config.hidden_dropout_prob
    probabilities_noise = (at(q_noise, number, Place.PROBABILITIES), at(noise, number, Place.PROBABILITIES))
    context = _attention(p["attention"]["self"], config, q, x, visible, *probabilities_noise)
    h = dense(p["attention"]["output"]["dense"], context)
    h = layer_norm(
        p["attention"]["output"]["LayerNorm"], q + dropout(h, at(q_noise, number, Place.ATTENTION_OUTPUT), rate)
    )
    f = dense(p["intermediate"]["dense"], h)
    f = ACTIVATIONS[config.hidden_act](f.astype(jnp.float32)).astype(f.dtype)  # its cube overflows float16
    f = dropout(dense(p["output"]["dense"], f), at(q_noise, number, Place.OUTPUT), rate)
    return layer_norm(p["output"]["LayerNorm"], h + f)


def _attention(
    p: Tree,
    config: BertConfig,
    q_in: jax.Array,
    x: jax.Array,
    visible: jax.Array,
    q_noise: jax.Array | None,
    k_noise: jax.Array | None,
) -> jax.Array:
    """Attention from q_in [B, Q, H] to x [B, S, H] where `visible` [B, Q, S]: -> [B, Q, H]; softmax in float32."""
    heads = config.num_attention_heads
    q, k, v = (_split(dense(p[name], y), heads) for name, y in (("query", q_in), ("key", x), ("value", x)))
    scores = product("baqd,bakd->baqk", q, k, jnp.float32) * (q.shape[-1] ** -0.5)
    probabilities = jax.nn.softmax(jnp.where(visible[:, None], scores, -1e30), axis=-1).astype(x.dtype)
    probabilities = attention_dropout(probabilities, q_noise, k_noise, config.attention_probs_dropout_prob)
    context = product("baqk,bakd->baqd", probabilities, v, x.dtype)
    return context.transpose(0, 2, 1, 3).reshape(q_in.shape)


def _split(x: jax.Array, heads: int) -> jax.Array:
    """[B, S, H] -> [B, A, S, D]."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(0, 2, 1, 3)
