# SPDX-License-Identifier: Apache-2.0
"""BERT and its heads, written into a graph of plain operations.

The same arithmetic as jaxbert.model computes, but on padded batches as the official code takes them: a row holds one
sequence, and what is not masked is seen from all positions of its row. Between attentions, rows and positions are
one axis, so that products are of two matrices: [BS, H].
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxbert.checkpoints import names
from jaxbert.config.bert_config import BertConfig
from jaxbert.export.operations import Operations, Value

IDS, MASK, TYPES, POSITIONS = "input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions"
LAYER_NORM_EPSILON = 1e-12
_MASKED = 1e9  # taken from the scores of masked positions, as in official code

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Output:
    """A result of the network; sizes that change from call to call are named by their letters: B, S, P."""

    value: Value
    shape: Shape


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives: outputs of all layers [BS, H], the rows B and the positions S."""

    layers: tuple[Value, ...]
    rows: Value
    positions: Value


def encode(g: Operations, config: BertConfig, inputs: Mapping[str, Value]) -> Encoded:
    """The encoder; `inputs` are int32 or int64 [B, S] under the names of hub modules, IDS, MASK and TYPES."""
    rows, positions = (g.size(inputs[IDS], axis) for axis in (0, 1))
    x = g.apply("gather", g.weight(names.WORD_EMBEDDINGS), inputs[IDS])
    types = g.apply("gather", g.weight("bert/embeddings/token_type_embeddings"), inputs[TYPES])
    table = g.weight("bert/embeddings/position_embeddings")
    x = g.apply("add", g.apply("add", x, types), g.first_rows(table, positions, config.hidden_size))
    x = _layer_norm(g, "bert/embeddings", g.reshape(x, (-1, config.hidden_size)))
    x = g.dropout(x, config.hidden_dropout_prob)
    hidden = g.apply("subtract", g.to_float(inputs[MASK]), g.constant(1.0))  # 0 or -1
    bias = g.reshape(g.apply("multiply", hidden, g.constant(_MASKED)), (rows, 1, 1, positions))
    layers = []
    for layer in range(config.num_hidden_layers):
        x = _layer(g, config, f"bert/encoder/layer_{layer}", x, bias, (rows, positions))
        layers.append(x)
    return Encoded(tuple(layers), rows, positions)


def _layer(g: Operations, config: BertConfig, path: str, x: Value, bias: Value, sizes: tuple[Value, Value]) -> Value:
    """One transformer layer, [BS, H] -> [BS, H]; `bias` [B, 1, 1, S] is added to all scores."""
    context = _attention(g, config, f"{path}/attention/self", x, bias, sizes)
    h = g.dropout(_dense(g, f"{path}/attention/output/dense", context), config.hidden_dropout_prob)
    h = _layer_norm(g, f"{path}/attention/output", g.apply("add", x, h))
    f = ACTIVATIONS[config.hidden_act](g, _dense(g, f"{path}/intermediate/dense", h))
    f = g.dropout(_dense(g, f"{path}/output/dense", f), config.hidden_dropout_prob)
    return _layer_norm(g, f"{path}/output", g.apply("add", h, f))


def _attention(
    g: Operations, config: BertConfig, path: str, x: Value, bias: Value, sizes: tuple[Value, Value]
) -> Value:
    split = (*sizes, config.num_attention_heads, config.head_size)
    q, k, v = (
        g.transpose(g.reshape(_dense(g, f"{path}/{name}", x), split), axes)
        for name, axes in (("query", (0, 2, 1, 3)), ("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3)))
    )
    scores = g.apply("multiply", g.apply("batch_matmul", q, k), g.constant(config.head_size**-0.5))
    probabilities = g.apply("softmax", g.apply("add", scores, bias))
    probabilities = g.dropout(probabilities, config.attention_probs_dropout_prob)
    context = g.apply("batch_matmul", probabilities, v)
    return g.reshape(g.transpose(context, (0, 2, 1, 3)), (-1, config.hidden_size))


def sequence_output(g: Operations, config: BertConfig, encoded: Encoded, layer: int) -> Output:
    """The output of one layer, [B, S, H]."""
    shape = (encoded.rows, encoded.positions, config.hidden_size)
    return Output(g.reshape(encoded.layers[layer], shape), ("B", "S", config.hidden_size))


def pool(g: Operations, config: BertConfig, last: Output) -> Output:
    """The pooled output [B, H] from the last layer's."""
    pooled = g.apply("tanh", _dense(g, "bert/pooler/dense", g.select(last.value, 1, 0)))
    return Output(pooled, ("B", config.hidden_size))


def classify(g: Operations, config: BertConfig, pooled: Output, head: tuple[str, str], classes: int) -> Output:
    """Logits [B, C]; `head` names weights [C, H] and bias [C]."""
    x = g.dropout(pooled.value, config.hidden_dropout_prob)
    return Output(_project(g, head, x), ("B", classes))


def answer_spans(g: Operations, encoded: Encoded) -> tuple[Output, Output]:
    """Logits [B, S] of the first and the last token of an answer."""
    logits = g.reshape(_project(g, names.SQUAD, encoded.layers[-1]), (encoded.rows, encoded.positions, 2))
    start, end = (Output(g.select(logits, 2, index), ("B", "S")) for index in (0, 1))
    return start, end


def masked_lm(g: Operations, config: BertConfig, last: Output, positions: Value | None) -> Output:
    """Logits of the vocabulary at `positions` [B, P], or at all S where there are none: [B, P, V]."""
    read, count = last.value, "S"
    if positions is not None:
        read, count = g.at_positions(read, positions), "P"
    rows, places = (g.size(read, axis) for axis in (0, 1))
    x = _dense(g, "cls/predictions/transform/dense", g.reshape(read, (-1, config.hidden_size)))
    x = _layer_norm(g, "cls/predictions/transform", ACTIVATIONS[config.hidden_act](g, x))
    logits = _project(g, (names.WORD_EMBEDDINGS, names.MASKED_LM_BIAS), x)
    return Output(g.reshape(logits, (rows, places, config.vocab_size)), ("B", count, config.vocab_size))


def _project(g: Operations, head: tuple[str, str], x: Value) -> Value:
    kernel = g.transpose(g.weight(head[0]), (1, 0))
    return g.apply("add", g.apply("matmul", x, kernel), g.weight(head[1]))


def _dense(g: Operations, path: str, x: Value) -> Value:
    return g.apply("add", g.apply("matmul", x, g.weight(f"{path}/kernel")), g.weight(f"{path}/bias"))


def _layer_norm(g: Operations, path: str, x: Value) -> Value:
    return g.layer_norm(x, g.weight(f"{path}/LayerNorm/gamma"), g.weight(f"{path}/LayerNorm/beta"), LAYER_NORM_EPSILON)


def _gelu(g: Operations, x: Value) -> Value:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))."""
    cube = g.apply("multiply", g.apply("multiply", g.apply("multiply", x, x), x), g.constant(0.044715))
    inner = g.apply("multiply", g.apply("add", x, cube), g.constant(math.sqrt(2 / math.pi)))
    return _half_plus(g, x, g.apply("tanh", inner))


def _gelu_erf(g: Operations, x: Value) -> Value:
    """x / 2 * (1 + erf(x / sqrt(2)))."""
    return _half_plus(g, x, g.apply("erf", g.apply("multiply", x, g.constant(math.sqrt(0.5)))))


def _half_plus(g: Operations, x: Value, y: Value) -> Value:
    return g.apply("multiply", g.apply("multiply", x, g.constant(0.5)), g.apply("add", y, g.constant(1.0)))


def _relu6(g: Operations, x: Value) -> Value:
    return g.apply("minimum", g.apply("relu", x), g.constant(6.0))


def _hard_sigmoid(g: Operations, x: Value) -> Value:
    return g.apply("multiply", _relu6(g, g.apply("add", x, g.constant(3.0))), g.constant(1 / 6))


# By the names of `BertConfig.hidden_act`.
ACTIVATIONS: dict[str, Callable[[Operations, Value], Value]] = {
    "gelu": _gelu,
    "gelu_erf": _gelu_erf,
    "relu": lambda g, x: g.apply("relu", x),
    "relu6": _relu6,
    "tanh": lambda g, x: g.apply("tanh", x),
    "linear": lambda g, x: x,
    "swish": lambda g, x: g.apply("multiply", x, g.apply("sigmoid", x)),
    "hard_swish": lambda g, x: g.apply("multiply", x, _hard_sigmoid(g, x)),
    "hard_sigmoid": _hard_sigmoid,
}
