# SPDX-License-Identifier: Apache-2.0
"""The architecture of an encoder: `bert_config.json` of the released models, read strictly and written back."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from jaxbert.errors import InputError
from jaxbert.io import files

Activation = Literal["gelu", "gelu_erf", "relu", "relu6", "tanh", "linear", "swish", "hard_swish", "hard_sigmoid"]

# Names the official code takes, lower-cased, and the function each one means there. Its `gelu` is the tanh form;
# `gelu_erf`, the exact one, is our name for what the `gelu` of Hugging Face means.
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_erf": "gelu_erf",
    "relu": "relu",
    "relu6": "relu6",
    "tanh": "tanh",
    "linear": "linear",
    "identity": "linear",
    "": "linear",
    "swish": "swish",
    "silu": "swish",
    "simple_swish": "swish",
    "hard_swish": "hard_swish",
    "hard_sigmoid": "hard_sigmoid",
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """Sizes and constants of one encoder; keys and defaults are those of google-research/bert `modeling.BertConfig`.

    Attributes:
        hidden_act: `gelu` is the tanh approximation, as in every official release.
        hidden_dropout_prob: share of outputs dropped, 0 <= p < 1; the classifier head uses it too.
        type_vocab_size: 16 when the file does not say; every released model says 2.
        initializer_range: standard deviation of the truncated normal that fills new weights.
        classifier_dropout: share that the classifier's head drops where it is another (Hugging Face's key); None:
            `hidden_dropout_prob`, as in Google's code.
        masked_lm_act: activation in the masked LM's head where it is another; None: `hidden_act`, as in Google's code.
        masked_lm_layer_norm_eps: epsilon of the normalization there; None: 1e-12, as everywhere else.
        extra: keys of the file that mean nothing here (`directionality`, `pooler_fc_size`, ...), kept for writing.
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: Activation = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02
    classifier_dropout: float | None = None
    masked_lm_act: Activation | None = None
    masked_lm_layer_norm_eps: float | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Raise `InputError` for sizes that describe no encoder."""
        for key in _INTEGERS:
            if getattr(self, key) < 1:
                raise InputError(f"`{key}` is `{getattr(self, key)}`: expected at least 1")
        for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if not 0 <= (getattr(self, key) or 0.0) < 1:
                raise InputError(f"`{key}` is `{getattr(self, key)}`: expected 0 <= p < 1")
        if not 0 < self.initializer_range < float("inf"):
            raise InputError(f"`initializer_range` is `{self.initializer_range}`: expected a number above 0")
        if self.masked_lm_layer_norm_eps is not None and not 0 < self.masked_lm_layer_norm_eps < 1:
            raise InputError(
                f"`masked_lm_layer_norm_eps` is `{self.masked_lm_layer_norm_eps}`: expected 0 < epsilon < 1"
            )
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"`hidden_size` is `{self.hidden_size}`: expected a multiple of"
                f" `num_attention_heads`, which is `{self.num_attention_heads}`"
            )

    @property
    def head_dropout_prob(self) -> float:
        """Share of the pooled output that a classifier's head drops in training."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    @property
    def head_size(self) -> int:
        """D, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads


def read(path: str, tokens: int | None = None) -> BertConfig:
    """The configuration in the JSON file `path`; anything wrong in it is an `InputError` that names the file.

    `tokens` is the size of the vocabulary, for a file that does not say it.
    """
    content = files.read_json_object(path, "a bert_config.json")
    if tokens is not None:
        content = {"vocab_size": tokens, **content}
    try:
        return from_dict(content)
    except InputError as error:
        raise InputError(f"`{path}`: {error.message}", error.hint) from error


def from_dict(content: Mapping[str, Any]) -> BertConfig:
    """A configuration from the keys of a `bert_config.json`; unknown keys are kept in `extra`."""
    if "vocab_size" not in content:
        raise InputError(
            "`vocab_size` is missing", "it is the number of lines of the vocabulary: write it, or give `--vocab_file`"
        )
    if content.get("embedding_size") not in (None, content.get("hidden_size", 768)):
        raise InputError(
            f"`embedding_size` is `{content['embedding_size']}`: factorised embeddings are not supported",
            "only encoders whose embeddings are as wide as their hidden layers can be used",
        )
    known = {key: _value(key, content[key]) for key in (*_INTEGERS, *_NUMBERS, "hidden_act") if key in content}
    known |= {key: _value(key, content[key]) for key in _OF_HEADS if content.get(key) is not None}
    return BertConfig(**known, extra={key: value for key, value in content.items() if key not in known})


def to_json(config: BertConfig) -> str:
    """The text of a `bert_config.json`, keys in alphabetical order as in the released files."""
    content = {**config.extra, **{key: getattr(config, key) for key in (*_INTEGERS, *_NUMBERS, "hidden_act")}}
    content |= {key: getattr(config, key) for key in _OF_HEADS if getattr(config, key) is not None}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


_INTEGERS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_NUMBERS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
# Only in files of models whose head is another.
_OF_HEADS = ("classifier_dropout", "masked_lm_act", "masked_lm_layer_norm_eps")


def _value(key: str, value: Any) -> Any:
    """One checked entry. A whole number may be written `768.0`, as some writers do; true and false are no numbers."""
    if key.endswith("_act"):
        return _activation(key, value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in (*_NUMBERS, *_OF_HEADS) and number:
        return float(value)
    if number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    expected = "a whole number" if key in _INTEGERS else "a number"
    raise InputError(f"`{key}` is `{json.dumps(value)}`: expected {expected}")


def _activation(key: str, value: Any) -> Activation:
    if value is None:
        return "linear"
    if not isinstance(value, str) or value.lower() not in ACTIVATIONS:
        names = ", ".join(name for name in ACTIVATIONS if name)
        raise InputError(f"`{key}` is `{json.dumps(value)}`: expected one of {names}")
    return ACTIVATIONS[value.lower()]
