# SPDX-License-Identifier: Apache-2.0
"""The table of weights: for each path its shape, its initializer, whether it decays; everything else derives from it.

Paths are the variable names of google-research/bert (`bert/encoder/layer_0/attention/self/query/kernel`), in memory as
in files, so a TF1 checkpoint is the identity map. A tree of weights is plain nested dicts, one level per path
component.
"""

import functools
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.config.bert_config import BertConfig

Tree = dict[str, Any]

_PART = re.compile(r"bert/(?:encoder/)?(embeddings|layer_\d+|pooler)/")


@dataclass(frozen=True)
class Weight:
    """One row of the table. Kernels are [in, out]; all weights are float32."""

    shape: tuple[int, ...]
    initializer: Literal["normal", "zeros", "ones"]
    decays: bool


Table = dict[str, Weight]


def _kernel(*shape: int) -> Weight:
    return Weight(shape, "normal", decays=True)


def _dense(path: str, inputs: int, outputs: int) -> Table:
    return {f"{path}/kernel": _kernel(inputs, outputs), f"{path}/bias": Weight((outputs,), "zeros", decays=False)}


def _layer_norm(path: str, size: int) -> Table:
    return {
        f"{path}/LayerNorm/gamma": Weight((size,), "ones", decays=False),
        f"{path}/LayerNorm/beta": Weight((size,), "zeros", decays=False),
    }


def _outputs(path: str, outputs: int, hidden: int) -> Table:
    """The last dense layer of a head, whose kernel is [C, H]."""
    return {
        f"{path}output_weights": _kernel(outputs, hidden),
        f"{path}output_bias": Weight((outputs,), "zeros", decays=False),
    }


def _layer_table(config: BertConfig, path: str) -> Table:
    hidden = config.hidden_size
    table: Table = {}
    for name in ("query", "key", "value"):
        table |= _dense(f"{path}/attention/self/{name}", hidden, hidden)
    table |= _dense(f"{path}/attention/output/dense", hidden, hidden) | _layer_norm(f"{path}/attention/output", hidden)
    table |= _dense(f"{path}/intermediate/dense", hidden, config.intermediate_size)
    return (
        table | _dense(f"{path}/output/dense", config.intermediate_size, hidden) | _layer_norm(f"{path}/output", hidden)
    )


def encoder_table(config: BertConfig) -> Table:
    """Embeddings, layers and pooler: 5 + 16 L + 2 weights."""
    hidden = config.hidden_size
    table = {
        "bert/embeddings/word_embeddings": _kernel(config.vocab_size, hidden),
        "bert/embeddings/token_type_embeddings": _kernel(config.type_vocab_size, hidden),
        "bert/embeddings/position_embeddings": _kernel(config.max_position_embeddings, hidden),
    } | _layer_norm("bert/embeddings", hidden)
    for layer in range(config.num_hidden_layers):
        table |= _layer_table(config, f"bert/encoder/layer_{layer}")
    return table | _dense("bert/pooler/dense", hidden, hidden)


def classifier_table(config: BertConfig, num_labels: int) -> Table:
    """The encoder and the sentence classifier of run_classifier.py: `output_weights` is [C, H]."""
    return encoder_table(config) | _outputs("", num_labels, config.hidden_size)


def pretraining_table(config: BertConfig, *, next_sentence: bool) -> Table:
    """The encoder and the heads of run_pretraining.py; the masked LM's output kernel is the word embeddings.

    Without `next_sentence` the pooler and the head on it get no gradient, and do not decay.
    """
    hidden, head = config.hidden_size, "cls/predictions"
    table = encoder_table(config) | _dense(f"{head}/transform/dense", hidden, hidden)
    table |= _layer_norm(f"{head}/transform", hidden)
    table[f"{head}/output_bias"] = Weight((config.vocab_size,), "zeros", decays=False)
    table |= _outputs("cls/seq_relationship/", 2, hidden)
    return table if next_sentence else _with_idle(table, "bert/pooler", "cls/seq_relationship")


def squad_table(config: BertConfig) -> Table:
    """The encoder and the head of run_squad.py; the pooler, which answers do not need, gets no gradient, nor decay."""
    return _with_idle(encoder_table(config) | _outputs("cls/squad/", 2, config.hidden_size), "bert/pooler")


def tagger_table(config: BertConfig, num_labels: int) -> Table:
    """The encoder and a dense layer on each position: `output_weights` is [C, H]; the pooler is idle as with SQuAD."""
    return _with_idle(encoder_table(config) | _outputs("cls/tagging/", num_labels, config.hidden_size), "bert/pooler")


def choice_table(config: BertConfig) -> Table:
    """The encoder and one output on the pooler, as BertForMultipleChoice: `output_weights` is [1, H]."""
    return encoder_table(config) | _outputs("cls/choice/", 1, config.hidden_size)


def _with_idle(table: Table, *modules: str) -> Table:
    """The table with the weights of these modules kept as they are."""
    return {
        path: replace(weight, decays=weight.decays and not path.startswith(modules)) for path, weight in table.items()
    }


def part_of(path: str) -> str:
    """The part of the model that a weight belongs to: `embeddings`, `layer_0` and so on, `pooler`, or `head`."""
    match = _PART.match(path)
    return match[1] if match else "head"


def shapes(table: Table) -> dict[str, tuple[int, ...]]:
    """Path -> shape, what a complete set of weights must look like."""
    return {path: weight.shape for path, weight in table.items()}


def initialize(
    table: Table, seed: int, stddev: float, shardings: Mapping[str, jax.sharding.Sharding] | None = None
) -> Tree:
    """Fresh weights: normal ones are drawn from N(0, stddev²) cut at two standard deviations, as TF's TruncatedNormal.

    A weight's random key depends on the seed and its own path, so adding a head changes no other weight. With
    `shardings` (path -> sharding) each device makes its own part of a weight, whose values are the same anyhow.
    """
    whole = dict.fromkeys(table, None) if shardings is None else shardings
    return unflatten({path: _initialize(path, weight, seed, stddev, whole[path]) for path, weight in table.items()})


def _initialize(
    path: str, weight: Weight, seed: int, stddev: float, sharding: jax.sharding.Sharding | None
) -> jax.Array:
    if weight.initializer == "normal":
        number = np.uint32(zlib.crc32(path.encode()))
        normal: jax.Array = _truncated_normal(weight.shape, sharding)(np.uint32(seed), number)
        return normal * stddev
    return jnp.full(weight.shape, 1.0 if weight.initializer == "ones" else 0.0, jnp.float32, device=sharding)


@functools.cache
def _truncated_normal(shape: tuple[int, ...], sharding: jax.sharding.Sharding | None) -> "jax.stages.Wrapped":
    """Compiled: (seed, number of the weight, both uint32) -> float32 of this shape from N(0, 1) cut at -2 and 2."""

    def drawn(seed: jax.Array, number: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(seed), number)
        return jax.random.truncated_normal(key, -2.0, 2.0, shape, jnp.float32)

    return jax.jit(drawn, out_shardings=sharding)


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """{path: leaf}, the form of files; the inverse of `unflatten`."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}/{path}": leaf for path, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> Tree:
    """Nested dicts, one level per path component; the inverse of `flatten`."""
    tree: Tree = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = leaf
    return tree
