# SPDX-License-Identifier: Apache-2.0
"""BERT and its heads as a graph, written once for every format: kinds of models, operations, the network, its results.

The network calls `Operations` as if it computed; a format's `Operations` write a node per call and give its name:

    y = g.apply("add", g.apply("matmul", x, g.weight("w")), g.weight("b"))

writes to ONNX `MatMul_0 = MatMul(x, w)` and `Add_1 = Add(MatMul_0, b)`, and y is "Add_1". Sizes that are known only
when the graph is run are values too, from `Operations.size`.

Other programs replace groups of operations by single faster ones, and find only groups that they know. Scores are
divided by the root of the head size, and GELU has its first factor halved, as onnxruntime's optimizer and LiteRT's
converter look for them; the second has no other form of exact GELU.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError

Kind = Literal["encoder", "classifier", "squad", "tagger", "choice", "pretrainer"]

NAMES: dict[Kind, str] = {
    "encoder": "encoder",
    "classifier": "classifier",
    "squad": "SQuAD model",
    "tagger": "tagger",
    "choice": "model for multiple choice",
    "pretrainer": "pretrainer",
}
# The weight of its head that makes a model one of its kind.
_HEAD_WEIGHTS: dict[Kind, str] = {
    "squad": names.SQUAD[0],
    "tagger": names.TAGGER[0],
    "choice": names.CHOICE[0],
    "classifier": names.CLASSIFIER[0],
    "pretrainer": names.MASKED_LM_BIAS,
}


@dataclass(frozen=True)
class Exported:
    """A model to export.

    Attributes:
        kind: which results it gives.
        config: sizes of the encoder.
        weights: TF1 name -> float32 array, all that results are computed from and no others.
        vocab: content of the vocabulary file, if it is known.
        lower_case: whether its text is lower-cased, if the vocabulary is known.
    """

    kind: Kind
    config: BertConfig
    weights: Mapping[str, np.ndarray]
    vocab: str | None
    lower_case: bool | None

    @property
    def has_next_sentence(self) -> bool:
        """Whether a pretrainer also predicts next sentences."""
        return names.NEXT_SENTENCE[0] in self.weights

    @property
    def has_pooler(self) -> bool:
        """Whether an encoder gives its pooled output, too."""
        return names.POOLER[0] in self.weights

    @property
    def classes(self) -> int:
        """C, of a classifier."""
        return len(self.weights[names.CLASSIFIER[1]])


def kind_of(weights: Mapping[str, np.ndarray]) -> Kind:
    """What a model is, by the heads that it has; an encoder if it has none."""
    kinds = [kind for kind, weight in _HEAD_WEIGHTS.items() if weight in weights]
    if len(kinds) > 1:
        raise InputError(
            f"the model has several heads: {', '.join(f'`{kind}`' for kind in kinds)}", "choose one by `--model`"
        )
    return kinds[0] if kinds else "encoder"


def choose_weights(weights: Mapping[str, np.ndarray], kind: Kind, layers: int) -> dict[str, np.ndarray]:
    """The weights that a model of this kind computes with, in the order of the network.

    Raises InputError where one is missing; next sentence prediction may be, and a pooler on which nothing stands.
    """
    needed = _needed(weights, kind, layers)
    if missing := [name for name in needed if name not in weights]:
        others = [other for other in NAMES if weights.keys() >= set(_needed(weights, other, layers))]
        raise InputError(
            f"there is no {NAMES[kind]}: {', '.join(missing)} is missing",
            f"choose what there is: {', '.join(f'`--model={other}`' for other in others)}",
        )
    return {name: weights[name] for name in needed}


def _needed(weights: Mapping[str, np.ndarray], kind: Kind, layers: int) -> list[str]:
    heads: dict[Kind, Sequence[str]] = {
        "encoder": (),
        "classifier": names.CLASSIFIER,
        "squad": names.SQUAD,
        "tagger": names.TAGGER,
        "choice": names.CHOICE,
        "pretrainer": [*names.MASKED_LM[0], *(name for name in names.NEXT_SENTENCE if name in weights)],
    }
    head = heads[kind]
    pools = kind in ("classifier", "choice") or names.NEXT_SENTENCE[0] in head
    encoder = [name for name in names.encoder_names(layers) if pools or name not in names.POOLER or name in weights]
    return [*encoder, *head]


Value = str
"""The name of a tensor in the graph that is being written."""

Plain = Literal[
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "minimum",
    "matmul",
    "batch_matmul",
    "softmax",
    "tanh",
    "erf",
    "relu",
    "sigmoid",
    "gather",
]
"""Operations without settings, broadcast as in numpy: `matmul` takes what `rows` gives and a matrix, `batch_matmul` two
stacks of matrices, `softmax` is that of the last axis, `gather` takes a table and the indices of its rows."""


class Operations(Protocol):
    """A graph that grows by one operation with each call; every method gives the name of its result."""

    def weight(self, name: str) -> Value:
        """The weight with this TF1 name, in its TF1 shape."""
        ...

    def constant(self, value: float) -> Value:
        """A float32 scalar."""
        ...

    def apply(self, operation: Plain, *inputs: Value) -> Value:
        """An operation without settings."""
        ...

    def insert_axes(self, x: Value, axes: Sequence[int]) -> Value:
        """Integers with new axes of length 1 at these places, one after the other."""
        ...

    def to_float(self, x: Value) -> Value:
        """Integers as float32."""
        ...

    def size(self, x: Value, axis: int) -> Value:
        """How long an axis is: a vector of one integer."""
        ...

    def reshape(self, x: Value, shape: Sequence[int | Value]) -> Value:
        """`x` in another shape, whose sizes are known (one may be -1) or come from `size`."""
        ...

    def rows(self, x: Value, width: int) -> Value:
        """x [B, S, width] as [BS, width], or unchanged where `matmul` takes that too."""
        ...

    def unrows(self, x: Value, sizes: tuple[Value, Value], width: int) -> Value:
        """What `rows` gave, as [B, S, width] again; `sizes` are B and S."""
        ...

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """The axes of `x` in another order."""
        ...

    def select(self, x: Value, axis: int, index: int) -> Value:
        """`x` at one index of an axis, which is gone in the result."""
        ...

    def first_rows(self, table: Value, count: Value, width: int) -> Value:
        """The first `count` rows of a table [rows, width]; `count` comes from `size`."""
        ...

    def at_positions(self, x: Value, positions: Value) -> Value:
        """x [B, S, H] at positions [B, P] of each row: [B, P, H]."""
        ...

    def layer_norm(self, x: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
        """Normalization of the last axis."""
        ...

    def dropout(self, x: Value, rate: float) -> Value:
        """In a graph for training, `x` with a share `rate` of its values zero and the others scaled; else `x`."""
        ...


# The inputs, under the names that hub modules give them.
IDS, MASK, TYPES, POSITIONS = "input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions"
LAYER_NORM_EPSILON = 1e-12
_MASKED = 1e9  # subtracted from the scores of masked positions, as in official code

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Output:
    """A result of the network; sizes that are known only when the graph is run are letters: B, S, P."""

    value: Value
    shape: Shape


@dataclass(frozen=True)
class Encoded:
    """What the encoder gives: the outputs of all layers [B, S, H] as `Operations.rows`, and the sizes B and S."""

    layers: tuple[Value, ...]
    sizes: tuple[Value, Value]


def encode(g: Operations, config: BertConfig, inputs: Mapping[str, Value]) -> Encoded:
    """The encoder; `inputs` are int32 or int64 [B, S] under IDS, MASK and TYPES."""
    sizes = g.size(inputs[IDS], 0), g.size(inputs[IDS], 1)
    x = g.apply("gather", g.weight(names.WORD_EMBEDDINGS), inputs[IDS])
    types = g.apply("gather", g.weight("bert/embeddings/token_type_embeddings"), inputs[TYPES])
    table = g.weight("bert/embeddings/position_embeddings")
    x = g.apply("add", g.apply("add", x, types), g.first_rows(table, sizes[1], config.hidden_size))
    x = _layer_norm(g, "bert/embeddings", g.rows(x, config.hidden_size))
    x = g.dropout(x, config.hidden_dropout_prob)
    mask = g.to_float(g.insert_axes(inputs[MASK], (1, 2)))
    bias = g.apply("multiply", g.apply("subtract", g.constant(1.0), mask), g.constant(-_MASKED))
    layers = []
    for layer in range(config.num_hidden_layers):
        x = _layer(g, config, f"bert/encoder/layer_{layer}", x, bias, sizes)
        layers.append(x)
    return Encoded(tuple(layers), sizes)


def _layer(g: Operations, config: BertConfig, path: str, x: Value, bias: Value, sizes: tuple[Value, Value]) -> Value:
    """One transformer layer, of what `rows` gives; `bias` [B, 1, 1, S] is added to all scores, `sizes` are B and S."""
    context = _attention(g, config, f"{path}/attention/self", x, bias, sizes)
    h = g.dropout(_dense(g, f"{path}/attention/output/dense", context), config.hidden_dropout_prob)
    h = _layer_norm(g, f"{path}/attention/output", g.apply("add", x, h))
    f = ACTIVATIONS[config.hidden_act](g, _dense(g, f"{path}/intermediate/dense", h))
    f = g.dropout(_dense(g, f"{path}/output/dense", f), config.hidden_dropout_prob)
    return _layer_norm(g, f"{path}/output", g.apply("add", h, f))


def _attention(
    g: Operations, config: BertConfig, path: str, x: Value, bias: Value, sizes: tuple[Value, Value]
) -> Value:
    """Self-attention before its output projection, of what `rows` gives."""
    split = (*sizes, config.num_attention_heads, config.head_size)
    q, k, v = (
        g.transpose(g.reshape(_dense(g, f"{path}/{name}", x), split), axes)
        for name, axes in (("query", (0, 2, 1, 3)), ("key", (0, 2, 3, 1)), ("value", (0, 2, 1, 3)))
    )
    scores = g.apply("divide", g.apply("batch_matmul", q, k), g.constant(math.sqrt(config.head_size)))
    probabilities = g.apply("softmax", g.apply("add", scores, bias))
    probabilities = g.dropout(probabilities, config.attention_probs_dropout_prob)
    context = g.apply("batch_matmul", probabilities, v)
    context = g.reshape(g.transpose(context, (0, 2, 1, 3)), (*sizes, config.hidden_size))
    return g.rows(context, config.hidden_size)


def sequence_output(g: Operations, config: BertConfig, encoded: Encoded, layer: int) -> Output:
    """The output of one layer, [B, S, H]."""
    value = g.unrows(encoded.layers[layer], encoded.sizes, config.hidden_size)
    return Output(value, ("B", "S", config.hidden_size))


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
    logits = g.unrows(_project(g, names.SQUAD, encoded.layers[-1]), encoded.sizes, 2)
    start, end = (Output(g.select(logits, 2, index), ("B", "S")) for index in (0, 1))
    return start, end


def masked_lm(g: Operations, config: BertConfig, encoded: Encoded, positions: Value | None) -> Output:
    """Logits of the vocabulary at `positions` [B, P], or at all S where there are none: [B, P, V]."""
    x, sizes, letter = encoded.layers[-1], encoded.sizes, "S"
    if positions is not None:
        sizes, letter = (sizes[0], g.size(positions, 1)), "P"
        last = sequence_output(g, config, encoded, -1)
        x = g.rows(g.at_positions(last.value, positions), config.hidden_size)
    x = _dense(g, "cls/predictions/transform/dense", x)
    x = ACTIVATIONS[config.masked_lm_act or config.hidden_act](g, x)
    x = _layer_norm(g, "cls/predictions/transform", x, config.masked_lm_layer_norm_eps)
    logits = _project(g, (names.WORD_EMBEDDINGS, names.MASKED_LM_BIAS), x)
    return Output(g.unrows(logits, sizes, config.vocab_size), ("B", letter, config.vocab_size))


def _project(g: Operations, head: tuple[str, str], x: Value) -> Value:
    kernel = g.transpose(g.weight(head[0]), (1, 0))
    return g.apply("add", g.apply("matmul", x, kernel), g.weight(head[1]))


def _dense(g: Operations, path: str, x: Value) -> Value:
    return g.apply("add", g.apply("matmul", x, g.weight(f"{path}/kernel")), g.weight(f"{path}/bias"))


def _layer_norm(g: Operations, path: str, x: Value, epsilon: float | None = None) -> Value:
    gamma, beta = (g.weight(f"{path}/LayerNorm/{name}") for name in ("gamma", "beta"))
    return g.layer_norm(x, gamma, beta, epsilon or LAYER_NORM_EPSILON)


def _gelu(g: Operations, x: Value) -> Value:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))."""
    cube = g.apply("multiply", g.apply("power", x, g.constant(3.0)), g.constant(0.044715))
    inner = g.apply("multiply", g.apply("add", x, cube), g.constant(math.sqrt(2 / math.pi)))
    return _half_plus(g, x, g.apply("tanh", inner))


def _gelu_erf(g: Operations, x: Value) -> Value:
    """x / 2 * (1 + erf(x / sqrt(2)))."""
    return _half_plus(g, x, g.apply("erf", g.apply("divide", x, g.constant(math.sqrt(2)))))


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


Results = Mapping[str, Output | list[Output]]
Network = Callable[[Operations, Exported, Mapping[str, Value]], Results]
"""Writes what computes the results; inputs are named as in `encode`, and `POSITIONS` for the masked LM."""


def encoder_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> Results:
    """Those of hub modules /3 and /4, as far as there is a pooler."""
    return _encoder_results(g, model, encode(g, model.config, inputs))


def last_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """Those of the encoder's last layer."""
    last = sequence_output(g, model.config, encode(g, model.config, inputs), -1)
    pooled = {"pooled_output": pool(g, model.config, last)} if model.has_pooler else {}
    return {**pooled, "sequence_output": last}


def head_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """Those of official classifiers, SQuAD models and pretrainers, all of them logits.

    The masked LM is computed at the given positions [B, P], or everywhere where none are given.
    """
    return _head_results(g, model, encode(g, model.config, inputs), inputs.get(POSITIONS))


def served_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """What a user of the trained model wants: the head's, or the last layer's of an encoder alone."""
    return (last_results if model.kind == "encoder" else head_results)(g, model, inputs)


def all_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> Results:
    """Those of the encoder and of the head."""
    encoded = encode(g, model.config, inputs)
    return {**_encoder_results(g, model, encoded), **_head_results(g, model, encoded, inputs.get(POSITIONS))}


def _encoder_results(g: Operations, model: Exported, encoded: Encoded) -> Results:
    layers = [sequence_output(g, model.config, encoded, layer) for layer in range(len(encoded.layers))]
    results: dict[str, Output | list[Output]] = {"encoder_outputs": layers, "sequence_output": layers[-1]}
    if model.has_pooler:
        results["default"] = results["pooled_output"] = pool(g, model.config, layers[-1])
    return results


def _head_results(g: Operations, model: Exported, encoded: Encoded, positions: Value | None) -> dict[str, Output]:
    if model.kind == "squad":
        start, end = answer_spans(g, encoded)
        return {"start_positions": start, "end_positions": end}
    last = sequence_output(g, model.config, encoded, -1)
    if model.kind == "classifier":
        pooled = pool(g, model.config, last)
        return {"sentence_prediction": classify(g, model.config, pooled, names.CLASSIFIER, model.classes)}
    results = {"mlm_logits": masked_lm(g, model.config, encoded, positions)}
    if model.has_next_sentence:
        pooled = pool(g, model.config, last)
        results["next_sentence"] = classify(g, model.config, pooled, names.NEXT_SENTENCE, 2)
    return results
