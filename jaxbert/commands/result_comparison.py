# SPDX-License-Identifier: Apache-2.0
"""What we compute for random inputs, and how far the results of an exported model are from it."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.config.bert_config import BertConfig
from jaxbert.export.network import IDS, MASK, POSITIONS, TYPES, Exported
from jaxbert.model.encoder import encode
from jaxbert.model.heads import answer_spans, classify, pool, pretrain
from jaxbert.model.weights import Tree, unflatten

Arrays = Mapping[str, np.ndarray]
_ROWS, _MOST_POSITIONS = 3, 24
_PER_POSITION = ("sequence_output", "start_positions", "end_positions", "mlm_logits")
_LIMIT = 1e-4  # beside the largest result; rounding alone is far below


def random_inputs(config: BertConfig, seed: int) -> dict[str, np.ndarray]:
    """Sequences of different lengths, padded, as official models take them: int32 [B, S], with all positions [B, S]."""
    random = np.random.default_rng(seed)
    shape = _ROWS, min(_MOST_POSITIONS, config.max_position_embeddings)
    places = np.broadcast_to(np.arange(shape[1]), shape)
    mask = places < random.integers(1, shape[1], (_ROWS, 1), endpoint=True)
    inputs = {
        IDS: random.integers(0, config.vocab_size, shape) * mask,
        MASK: mask,
        TYPES: random.integers(0, config.type_vocab_size, shape) * mask,
        POSITIONS: places,
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
    # Not compiled as a whole: that takes longer than these few rows, and layers share their operations.
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


def largest_difference(found: Arrays, ours: Arrays, mask: np.ndarray) -> float:
    """Between results of the same names, where `mask` [B, S] is not 0.

    Raises RuntimeError where it is not small beside the results themselves.
    """
    if found.keys() != ours.keys():
        raise RuntimeError(f"what was written gives {sorted(found)}, not {sorted(ours)}")
    largest = 0.0
    for name in ours:
        one, other = (x[name][mask > 0] if name in _PER_POSITION else x[name] for x in (found, ours))
        difference = float(np.abs(one - other).max())
        if not difference <= _LIMIT * max(1.0, float(np.abs(other).max())):
            raise RuntimeError(f"what was written computes another `{name}`: off by {difference}")
        largest = max(largest, difference)
    return largest
