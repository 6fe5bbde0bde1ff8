# SPDX-License-Identifier: Apache-2.0
"""The BERT encoder (arXiv 1810.04805) on packed rows: several sequences share a row, each sees only itself.

Rows are a mapping of int32 arrays [B, S]: `input_ids`, `type_ids`, `positions` (counted within each sequence) and
`sequences` (the number of the sequence in the batch, from 1; 0 is padding).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.attention import Tokens, attention, row_axes, suits_tpu
from jaxbert.model.dropout import Site, dropout, site_bits
from jaxbert.model.layers import ACTIVATIONS, dense, dense_together, layer_norm, look_up, recomputed
from jaxbert.model.weights import Tree

Rows = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Compute:
    """How the layers are computed; results differ by rounding only.

    Attributes:
        dtype: of products and activations; weights, softmax and LayerNorm statistics are float32.
        scan: compile one layer in place of all of them, at the price of stacking the weights in every step.
        remat: keep only what goes into each layer for the backward pass, and compute the rest again there.
        mesh: the devices; None where they are not known, as in a program that is written to a file.
    """

    dtype: jax.typing.DTypeLike = jnp.float32
    scan: bool = False
    remat: bool = False
    mesh: Mesh | None = None


FLOAT32 = Compute()


A = TypeVar("A", np.ndarray, jax.Array)


def rounded(path: str, weight: A, compute: Compute) -> A:
    """A stored weight for computing only: a kernel of the layers has their dtype, to which each call would round it."""
    is_kernel = path.startswith("bert/encoder/") and path.endswith("/kernel")
    return weight.astype(compute.dtype) if is_kernel else weight


def encode(
    p: Tree,
    config: BertConfig,
    rows: Rows,
    *,
    read: jax.Array | None = None,
    dropout_bits: jax.Array | None = None,
    compute: Compute = FLOAT32,
) -> jax.Array:
    """The last layer's output [B, S, H]; with `read` [B, P] computed only at those positions: [B, P, H].

    `p` is the tree below `bert`; `dropout_bits` [B, S] as `dropout.token_bits` makes it, None for evaluation.
    """
    x = embed(p["embeddings"], config, rows, dropout_bits, compute.mesh).astype(compute.dtype)
    layer = _recomputed_layer if compute.remat else _layer
    if compute.mesh is None or compute.mesh.devices.flat[0].platform == "cpu":
        # Layers that are alike are traced once; compiled for a TPU a step needs 3 % more traffic by that.
        layer = jax.jit(layer, static_argnums=(1, 2))
    *inner, last = (p["encoder"][f"layer_{number}"] for number in range(config.num_hidden_layers))
    if compute.scan and inner:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *inner)
        numbers = jnp.arange(len(inner), dtype=jnp.uint32)

        def one(x: jax.Array, weights_and_number: tuple[Tree, jax.Array]) -> tuple[jax.Array, None]:
            p_layer, number = weights_and_number
            return layer(p_layer, config, compute.mesh, x, rows, dropout_bits, number), None

        x, _ = jax.lax.scan(one, x, (stacked, numbers))
    else:
        for number, p_layer in enumerate(inner):
            x = layer(p_layer, config, compute.mesh, x, rows, dropout_bits, number)
    return layer(last, config, compute.mesh, x, rows, dropout_bits, config.num_hidden_layers - 1, read)


def hidden_states(
    p: Tree, config: BertConfig, rows: Rows, layers: Sequence[int], compute: Compute = FLOAT32
) -> list[jax.Array]:
    """The outputs [B, S, H] of these layers, counted from 1; 0 are the embeddings. No layer above them is computed."""
    outputs = [embed(p["embeddings"], config, rows, None, compute.mesh).astype(compute.dtype)]
    for number in range(max(layers)):
        p_layer = p["encoder"][f"layer_{number}"]
        outputs.append(_layer(p_layer, config, compute.mesh, outputs[-1], rows, None, number))
    return [outputs[number] for number in layers]


def embed(p: Tree, config: BertConfig, rows: Rows, dropout_bits: jax.Array | None, mesh: Mesh | None) -> jax.Array:
    """Word + type + position embeddings, normalized: [B, S, H] float32."""
    x = look_up(p["word_embeddings"], rows["input_ids"])
    if mesh is not None:  # each device may have a part of the table, and looks up that of all rows
        x = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(row_axes(mesh))))
    x = x + p["token_type_embeddings"][rows["type_ids"]] + p["position_embeddings"][rows["positions"]]
    x = layer_norm(p["LayerNorm"], x)
    return dropout(x, site_bits(dropout_bits, config.num_hidden_layers, Site.EMBEDDINGS), config.hidden_dropout_prob)


def _layer(
    p: Tree,
    config: BertConfig,
    mesh: Mesh | None,
    x: jax.Array,
    rows: Rows,
    dropout_bits: jax.Array | None,
    number: jax.Array | int,
    read: jax.Array | None = None,
) -> jax.Array:
    """One transformer layer [B, S, H] -> [B, S, H]; with `read` [B, P] only those positions query: -> [B, P, H]."""
    q_in, bits, sequences = x, dropout_bits, rows["sequences"]
    if read is not None:
        q_in = jnp.take_along_axis(x, read[:, :, None], axis=1)
        bits = None if dropout_bits is None else jnp.take_along_axis(dropout_bits, read, axis=1)
        sequences = jnp.take_along_axis(sequences, read, axis=1)
    keys = Tokens(rows["sequences"], site_bits(dropout_bits, number, Site.PROBABILITIES))
    queries = keys if read is None else Tokens(sequences, site_bits(bits, number, Site.PROBABILITIES))

    rate = config.hidden_dropout_prob
    context = _context(p["attention"]["self"], config, mesh, q_in, x, queries, keys)
    h = dense(p["attention"]["output"]["dense"], context)
    h = q_in + dropout(h, site_bits(bits, number, Site.ATTENTION_OUTPUT), rate)
    h, f = recomputed(_intermediate, (p["attention"]["output"]["LayerNorm"], p["intermediate"]["dense"]), h)
    f = _output(p["output"]["dense"], f, config.hidden_act)
    f = dropout(f, site_bits(bits, number, Site.OUTPUT), rate)
    return recomputed(layer_norm, p["output"]["LayerNorm"], h + f)


def _recomputed_layer(p: Tree, config: BertConfig, mesh: Mesh | None, x: jax.Array, *others: Any) -> jax.Array:
    """`_layer`, of which only what goes in is kept for the backward pass."""

    def layer(p_and_others: tuple[Any, ...], x: jax.Array) -> jax.Array:
        p, *others = p_and_others
        return _layer(p, config, mesh, x, *others)

    output: jax.Array = recomputed(layer, (p, *others), x, elsewhere=jax.checkpoint(layer))
    return output


def _intermediate(p: tuple[Tree, Tree], h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """h [B, S, H] normalized, and made as wide as a layer gets: [B, S, F]."""
    h = layer_norm(p[0], h)
    return h, dense(p[1], h)


def _output(p: Tree, f: jax.Array, name: str) -> jax.Array:
    """f [B, S, F] through the activation of this name and the second product: [B, S, H].

    The activation is computed in float32: its cube overflows float16. What goes into the product is computed again for
    the backward pass in float32 only: in bfloat16 it is half as large, and takes longer (docs/log.md, 2026-11-30).
    """

    def activated(_: tuple[()], f: jax.Array) -> jax.Array:
        return ACTIVATIONS[name](f.astype(jnp.float32)).astype(f.dtype)

    if f.dtype != jnp.float32:
        return dense(p, recomputed(activated, (), f))
    return recomputed(lambda p, f: dense(p, activated((), f)), p, f)


def _context(
    p: Tree, config: BertConfig, mesh: Mesh | None, q_in: jax.Array, x: jax.Array, queries: Tokens, keys: Tokens
) -> jax.Array:
    """Attention from q_in [B, Q, H] to x [B, S, H], in which `queries` and `keys` are one where q_in is x."""
    heads, rate = config.num_attention_heads, config.attention_probs_dropout_prob
    if queries is keys and mesh is not None and suits_tpu(x, heads, mesh):
        from jaxbert.model.fused_attention import fused_attention  # Pallas takes half a second to import

        return fused_attention(dense_together([p[name] for name in _INPUTS], x), heads, keys, rate, mesh)
    q, k, v = (dense(p[name], y) for name, y in zip(_INPUTS, (q_in, x, x), strict=True))
    return attention(q, k, v, heads, queries, keys, rate)


_INPUTS = ("query", "key", "value")
