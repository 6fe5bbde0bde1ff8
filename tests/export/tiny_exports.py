# SPDX-License-Identifier: Apache-2.0
"""Tiny models of every kind to export, inputs for them, and what our own model computes from these."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.export.network import IDS, MASK, POSITIONS, TYPES, Exported, Kind, choose_weights
from jaxbert.model.encoder import encode
from jaxbert.model.heads import answer_spans, classify, pool, pretrain
from jaxbert.model.weights import Tree, unflatten
from tests.checkpoints.random_models import random_weights

KINDS: tuple[Kind, ...] = ("encoder", "classifier", "squad", "pretrainer")
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nblue\n"
_HEADS: dict[Kind, str] = {"encoder": "none", "classifier": "classifier", "squad": "squad", "pretrainer": "pretraining"}
_PER_POSITION = ("sequence_output", "start_positions", "end_positions", "mlm_logits")
Arrays = Mapping[str, np.ndarray]


def exported(kind: Kind, activation: Activation = "gelu", vocab: str | None = VOCAB) -> Exported:
    """A model with odd sizes and weights around 1, so that every part of it counts in the results."""
    config = BertConfig(11, 6, 2, 2, 8, activation, max_position_embeddings=7, type_vocab_size=3)
    weights = choose_weights(random_weights(config, _HEADS[kind]), kind, config.num_hidden_layers)
    return Exported(kind, config, weights, vocab, None if vocab is None else True)


def random_inputs(config: BertConfig, seed: int) -> dict[str, np.ndarray]:
    """3 sequences of different lengths, padded, as official models take them: int32 [B, S], with all positions."""
    random = np.random.default_rng(seed)
    shape = 3, config.max_position_embeddings
    positions = np.broadcast_to(np.arange(shape[1]), shape)
    mask = positions < random.integers(1, shape[1], (shape[0], 1), endpoint=True)
    inputs = {
        IDS: random.integers(0, config.vocab_size, shape) * mask,
        MASK: mask,
        TYPES: random.integers(0, config.type_vocab_size, shape) * mask,
        POSITIONS: positions,
    }
    return {name: array.astype(np.int32) for name, array in inputs.items()}


def our_results(model: Exported, inputs: Arrays) -> dict[str, np.ndarray]:
    """Results of jaxbert.model by their official names, [B, ...]; where the mask is 0 they may be anything."""
    number = np.arange(1, len(inputs[MASK]) + 1, dtype=np.int32)[:, None]  # every row is a sequence of its own
    rows = {
        "input_ids": inputs[IDS],
        "type_ids": inputs[TYPES],
        "positions": inputs[POSITIONS],
        "sequences": inputs[MASK] * number,
        "masked_lm_positions": inputs[POSITIONS],
        "cls_positions": np.zeros_like(number),
    }
    # Not compiled: that takes longer than these few rows, and layers share their operations.
    weights, rows = jax.tree.map(jnp.asarray, (unflatten(model.weights), rows))
    results = _compute(model, weights, rows)
    return {name: np.asarray(result) for name, result in results.items() if result is not None}


def _compute(model: Exported, weights: Tree, rows: dict[str, jax.Array]) -> dict[str, jax.Array | None]:
    config = model.config
    if model.kind == "classifier":
        return {"sentence_prediction": classify(weights, config, rows)[:, 0]}
    if model.kind == "squad":
        start, end = jnp.moveaxis(answer_spans(weights, config, rows), -1, 0)
        return {"start_positions": start, "end_positions": end}
    if model.kind == "pretrainer":
        masked_lm, pair = pretrain(weights, config, rows, next_sentence=model.has_next_sentence)
        next_sentence = None if pair is None else pair[:, 0]
        return {"mlm_logits": masked_lm[:, :, : config.vocab_size], "next_sentence": next_sentence}
    h = encode(weights["bert"], config, rows)
    return {"sequence_output": h, "pooled_output": pool(weights["bert"]["pooler"], h[:, :1])[:, 0]}


def assert_close(found: Arrays, ours: Arrays, mask: np.ndarray) -> None:
    """The same results where `mask` [B, S] is not 0, but for rounding.

    That is some hundred operations on numbers around 1, in float32.
    """
    assert found.keys() == ours.keys()
    for name in ours:
        one, other = (x[name][mask > 0] if name in _PER_POSITION else x[name] for x in (found, ours))
        difference = np.abs(one - other).max()
        assert difference < 100 * np.finfo(np.float32).eps, name  # which also refuses NaN
