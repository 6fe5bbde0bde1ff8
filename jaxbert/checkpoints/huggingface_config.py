# SPDX-License-Identifier: Apache-2.0
"""`config.json` of Hugging Face and `bert_config.json`, in both directions.

The sizes have the same names; defaults, the meaning of `gelu` and what may vary beside the sizes differ
(configuration_bert.py and activations.py of transformers).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxbert.checkpoints import names
from jaxbert.config import bert_config
from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.errors import InputError

# What transformers assumes for keys that are not in the file, where google-research/bert assumes something else.
_DEFAULTS = {"vocab_size": 30522, "type_vocab_size": 2, "hidden_act": "gelu"}
_SAME_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
)
# Keys whose other values describe a network that is not BERT.
_REQUIRED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
    "add_cross_attention": False,
}
# Their names of activations that mean something else with us, or that we write under another name.
_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu_erf",
    "gelu_python": "gelu_erf",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
}
_THEIR_ACTIVATIONS: dict[Activation, str] = {
    "gelu_erf": "gelu",
    "gelu": "gelu_new",
    "relu": "relu",
    "relu6": "relu6",
    "tanh": "tanh",
    "linear": "linear",
    "swish": "silu",
}


def from_huggingface(content: Mapping[str, Any]) -> BertConfig:
    """The configuration in the content of a `config.json`; InputError where it describes another network."""
    for key, needed in _REQUIRED.items():
        if content.get(key, needed) != needed:
            raise InputError(
                f"`{key}` is `{content[key]}`: only `{needed}` is supported",
                "only encoders of the original BERT are read",
            )
    content = {**_DEFAULTS, **content}
    known = {key: content[key] for key in _SAME_KEYS if key in content}
    activation = content["hidden_act"]
    if isinstance(activation, str):
        activation = _ACTIVATIONS.get(activation.lower(), activation)
    return bert_config.from_dict({**known, "hidden_act": activation})


def to_huggingface(config: BertConfig, architecture: str, labels: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a `config.json` for a model class of transformers; `labels` are a classifier's class names."""
    if config.hidden_act not in _THEIR_ACTIVATIONS:
        raise InputError(f"`hidden_act` is `{config.hidden_act}`, which transformers does not know", "")
    content: dict[str, Any] = {"architectures": [architecture], "pad_token_id": 0, **_REQUIRED}
    content |= {key: getattr(config, key) for key in _SAME_KEYS}
    content["hidden_act"] = _THEIR_ACTIVATIONS[config.hidden_act]
    if labels:
        content["id2label"] = {str(number): label for number, label in enumerate(labels)}
        content["label2id"] = {label: number for number, label in enumerate(labels)}
    return content


def architecture(weights: Collection[str]) -> str:
    """The class of transformers for weights with these TF1 names: by their heads, or the encoder alone."""
    classes = {
        names.CLASSIFIER[0]: "BertForSequenceClassification",
        names.SQUAD[0]: "BertForQuestionAnswering",
        names.MASKED_LM_BIAS: "BertForMaskedLM",
        names.NEXT_SENTENCE[0]: "BertForNextSentencePrediction",
    }
    if {names.MASKED_LM_BIAS, names.NEXT_SENTENCE[0]} <= set(weights):
        return "BertForPreTraining"
    return next((name for head, name in classes.items() if head in weights), "BertModel")


def class_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a classifier's classes in a `config.json`, in the order of their ids; empty where it has none."""
    named = content.get("id2label")
    if not isinstance(named, Mapping):
        return ()
    found = [name for number in range(len(named)) if isinstance(name := named.get(str(number)), str)]
    invented = any(name.startswith("LABEL_") for name in found)
    return () if invented or len(found) < len(named) else tuple(found)
