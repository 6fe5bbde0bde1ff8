# SPDX-License-Identifier: Apache-2.0
"""Weight names: ours, which are those of google-research/bert (TF1), and the paths of the same weights in TF2.

A path is a chain of edges in the object graph (see `tf_graph`), joined by `/` as in TensorFlow's keys.
"""

import enum
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_LAYER_MODULES = (
    "attention/self/query",
    "attention/self/key",
    "attention/self/value",
    "attention/output/dense",
    "attention/output/LayerNorm",
    "intermediate/dense",
    "output/dense",
    "output/LayerNorm",
)
_DENSE_HEADS = ("cls/seq_relationship/output", "cls/squad/output", "cls/tagging/output", "cls/choice/output", "output")

NEXT_SENTENCE, SQUAD, TAGGER, CHOICE, CLASSIFIER = ((f"{head}_weights", f"{head}_bias") for head in _DENSE_HEADS)
MASKED_LM_BIAS = "cls/predictions/output_bias"
WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"
FIRST_QUERY = "bert/encoder/layer_0/attention/self/query/kernel"


def leaves(module: str) -> tuple[str, str]:
    """The two weights of a module, in every layout: normalizations have gamma and beta, the rest kernel and bias."""
    kinds = ("gamma", "beta") if module.endswith("LayerNorm") else ("kernel", "bias")
    return f"{module}/{kinds[0]}", f"{module}/{kinds[1]}"


POOLER = leaves("bert/pooler/dense")


def encoder_names(layers: int) -> list[str]:
    """The names of all weights of an encoder with its pooler, in the order of the network: 7 + 16 per layer."""
    modules = ["bert/embeddings/LayerNorm"]
    modules += [f"bert/encoder/layer_{layer}/{module}" for layer in range(layers) for module in _LAYER_MODULES]
    modules += ["bert/pooler/dense"]
    return [f"bert/embeddings/{table}" for table in _TABLES] + [name for module in modules for name in leaves(module)]


_HEAD_MODULES = ("cls/predictions/transform/dense", "cls/predictions/transform/LayerNorm")
_HEAD_NAMES = (
    *(name for module in _HEAD_MODULES for name in leaves(module)),
    MASKED_LM_BIAS,
    *NEXT_SENTENCE,
    *SQUAD,
    *TAGGER,
    *CHOICE,
    *CLASSIFIER,
)


def weight_names(layers: int) -> list[str]:
    """The names of all weights of an encoder with this many layers and of every head, official or of `transformers`."""
    return [*encoder_names(layers), *_HEAD_NAMES]


_WEIGHT_NAMES = frozenset(weight_names(1))
_LAYER = re.compile(r"^bert/encoder/layer_(0|[1-9]\d{0,3})/")


def is_weight(name: str) -> bool:
    """Whether `name` is the TF1 name of a weight of BERT or of one of its heads."""
    return _LAYER.sub("bert/encoder/layer_0/", name) in _WEIGHT_NAMES


def layer_of(name: str) -> int | None:
    """The number of the encoder layer that the weight `name` belongs to."""
    found = _LAYER.match(name)
    return int(found[1]) if found else None


def count_layers(weights: Iterable[str]) -> int:
    """The number of encoder layers that the weights belong to."""
    return len({layer_of(name) for name in weights} - {None})


class Form(enum.Enum):
    """How TF2 stores a weight (left) that TF1 stores in the shape on the right: A heads of size D make up H."""

    SAME = "as in TF1"
    PROJECTION = "[H, A, D] -> [H, H]"
    PROJECTION_BIAS = "[A, D] -> [H]"
    ATTENTION_OUTPUT = "[A, D, H] -> [H, H]"
    TRANSPOSED = "[H, C] -> [C, H]"


_FORMS = (
    (re.compile(r"attention/self/(query|key|value)/kernel$"), Form.PROJECTION),
    (re.compile(r"attention/self/(query|key|value)/bias$"), Form.PROJECTION_BIAS),
    (re.compile(r"attention/output/dense/kernel$"), Form.ATTENTION_OUTPUT),
    (re.compile(r"output_weights$"), Form.TRANSPOSED),
)


def form_of(name: str) -> Form:
    """How TF2 stores the weight with the TF1 name `name`."""
    return next((form for pattern, form in _FORMS if pattern.search(name)), Form.SAME)


def tf1_shape(form: Form, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in TF1 of a weight that TF2 stores in `shape`; [H, H], as in the 2019 layout, stays as it is."""
    if form is Form.TRANSPOSED:
        return shape[::-1]
    if form is Form.PROJECTION and len(shape) == 3:
        return shape[0], math.prod(shape[1:])
    if form is Form.PROJECTION_BIAS:
        return (math.prod(shape),)
    if form is Form.ATTENTION_OUTPUT and len(shape) == 3:
        return math.prod(shape[:2]), shape[2]
    return shape


def to_tf1(form: Form, weight: np.ndarray) -> np.ndarray:
    """A view of `weight` in its TF1 shape."""
    return weight.T if form is Form.TRANSPOSED else weight.reshape(tf1_shape(form, weight.shape))


def to_tf2(form: Form, weight: np.ndarray, heads: int) -> np.ndarray:
    """A view of `weight`, given in its TF1 shape, as the functional and layer-style TF2 layouts store it."""
    if form is Form.TRANSPOSED:
        return weight.T
    if form is Form.PROJECTION:
        return weight.reshape(weight.shape[0], heads, -1)
    if form is Form.PROJECTION_BIAS:
        return weight.reshape(heads, -1)
    if form is Form.ATTENTION_OUTPUT:
        return weight.reshape(heads, -1, weight.shape[1])
    return weight


@dataclass(frozen=True)
class Layout:
    """Where one generation of official code keeps the weights, as paths from the encoder's node.

    `{n}` in a path stands for a number: `first` + layer for the layers, `first` + number of layers for the pooler. In
    `FUNCTIONAL_A` with 12 layers, for example, `bert/encoder/layer_2/output/dense/bias` is at
    `layer_with_weights-6/_output_dense/bias` and the pooler's kernel at `layer_with_weights-16/kernel`.
    """

    name: str
    tables: tuple[str, str, str]  # word, position and token type embeddings
    norm: str
    layer: str
    first: int
    modules: tuple[str, ...]  # in the order of _LAYER_MODULES
    pooler: str

    def layer_paths(self, layer: int) -> dict[str, str]:
        """TF1 names and paths of the weights of one layer."""
        node = self.layer.format(n=self.first + layer)
        paths: dict[str, str] = {}
        for module, path in zip(_LAYER_MODULES, self.modules, strict=True):
            paths |= _module_paths(f"bert/encoder/layer_{layer}/{module}", f"{node}/{path}")
        return paths

    def paths(self, layers: int) -> dict[str, str]:
        """TF1 names and paths of all weights of an encoder with this many layers."""
        paths = {f"bert/embeddings/{table}": path for table, path in zip(_TABLES, self.tables, strict=True)}
        paths |= _module_paths("bert/embeddings/LayerNorm", self.norm)
        for layer in range(layers):
            paths |= self.layer_paths(layer)
        return paths | _module_paths("bert/pooler/dense", self.pooler.format(n=self.first + layers))


def _module_paths(module: str, path: str) -> dict[str, str]:
    return {name: f"{path}/{name.rsplit('/', 1)[1]}" for name in leaves(module)}


_EARLY_MODULES = (
    "_attention_layer/_query_dense",
    "_attention_layer/_key_dense",
    "_attention_layer/_value_dense",
    "_attention_output_dense",
    "_attention_layer_norm",
    "_intermediate_dense",
    "_output_dense",
    "_output_layer_norm",
)
_LATE_MODULES = (*_EARLY_MODULES[:3], "_attention_layer/_output_dense", *_EARLY_MODULES[4:])
_NUMBERED = (
    ("layer_with_weights-0/embeddings", "layer_with_weights-1/embeddings", "layer_with_weights-2/embeddings"),
    "layer_with_weights-3",
    "layer_with_weights-{n}",
    4,
)

# The letters are the names under which these layouts are known in this project; versions are those of
# tf-models-official whose files have the layout.
FUNCTIONAL_A = Layout("functional layout A (official 2.1 to 2.3)", *_NUMBERED, _EARLY_MODULES, "layer_with_weights-{n}")
FUNCTIONAL_B = Layout(
    "functional layout B (official 2.4 and later)", *_NUMBERED, _LATE_MODULES, "layer_with_weights-{n}"
)
LAYER_STYLE_C = Layout(
    "layer-style layout C (BertEncoderV2)",
    ("_embedding_layer/embeddings", "_position_embedding_layer/embeddings", "_type_embedding_layer/embeddings"),
    "_embedding_norm_layer",
    "_transformer_layers/{n}",
    0,
    _LATE_MODULES,
    "_pooler_layer",
)
STACKED = Layout(  # the first TF2 code, 2019; its attention kernels are [H, H]
    "stacked layout of 2019",
    (
        "embedding_lookup/embeddings",
        "embedding_postprocessor/position_embeddings",
        "embedding_postprocessor/type_embeddings",
    ),
    "embedding_postprocessor/output_layer_norm",
    "encoder/layers/{n}",
    0,
    (
        "attention_layer/query_dense",
        "attention_layer/key_dense",
        "attention_layer/value_dense",
        "attention_output_dense",
        "attention_layer_norm",
        "intermediate_dense",
        "output_dense",
        "output_layer_norm",
    ),
    "pooler_transform",
)
LAYOUTS = (FUNCTIONAL_A, FUNCTIONAL_B, LAYER_STYLE_C, STACKED)


def _masked_lm(dense: str, norm: str, bias: str) -> dict[str, str]:
    return {
        **_module_paths("cls/predictions/transform/dense", dense),
        **_module_paths("cls/predictions/transform/LayerNorm", norm),
        MASKED_LM_BIAS: bias,
    }


# The masked LM head, as paths from its node: a layer of its own since 2.3, a network of three layers in 2.2.
MASKED_LM: tuple[Mapping[str, str], ...] = (
    _masked_lm("dense", "layer_norm", "bias"),
    _masked_lm("layer_with_weights-0", "layer_with_weights-1", "layer_with_weights-2/bias"),
)
# The one dense layer of the other heads (`kernel` [H, C] and `bias`), as paths from the head's node.
DENSE_HEAD = "layer_with_weights-0"
CLASSIFIER_HEAD = "out_proj"  # of classifiers since 2.5
# Since 2.4 or 2.5 models also have edges to their heads that say what they are.
CLASSIFIER_EDGE, SQUAD_EDGE, NEXT_SENTENCE_EDGE = "classifier", "span_labeling", "classification"
# The newer pretrainer has its heads in a list. They have a pooler of their own, as a classifier may have, which is also
# saved by the name of the head with this behind it.
HEADS_EDGE, POOLER_EDGE, NEXT_SENTENCE_POOLER = "classification_heads", ".pooler_dense", "next_sentence.pooler_dense"
HUB_EDGE = "_func"  # from the layer that holds a hub module to the module
HEAD_EDGES = {CLASSIFIER_EDGE: CLASSIFIER, SQUAD_EDGE: SQUAD, NEXT_SENTENCE_EDGE: NEXT_SENTENCE}
