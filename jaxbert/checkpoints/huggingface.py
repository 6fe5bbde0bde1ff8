# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's names, config.json and folders, in both directions.

Source: modeling_bert.py and configuration_bert.py of transformers 4 and 5. For example `output/dense/kernel` [F, H] of
`bert/encoder/layer_3` is `bert.encoder.layer.3.output.dense.weight` [H, F] there: PyTorch stores dense kernels
transposed, and calls gamma and beta of a normalization weight and bias. TF1's heads are [C, H] on both sides.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.model_folder import OUR_FILE
from jaxbert.checkpoints.sentence_transformers import ACTIVATION
from jaxbert.checkpoints.tensors import write_tensors
from jaxbert.config import bert_config
from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.tfrecord.metadata import ClassificationMetaData, TaggingMetaData

ENCODER_PREFIX = "bert."  # absent where the encoder alone was saved
_PARTS_OF_ENCODER = ("embeddings.", "encoder.", "pooler.")

_HEADS = {
    "cls.predictions.bias": names.MASKED_LM_BIAS,
    "cls.seq_relationship.weight": names.NEXT_SENTENCE[0],
    "cls.seq_relationship.bias": names.NEXT_SENTENCE[1],
    "qa_outputs.weight": names.SQUAD[0],
    "qa_outputs.bias": names.SQUAD[1],
    "classifier.weight": names.CLASSIFIER[0],
    "classifier.bias": names.CLASSIFIER[1],
}
# Heads whose names there are those of a classifier: the class of the model tells what they are.
CHOICE_CLASS, TAGGER_CLASS = "BertForMultipleChoice", "BertForTokenClassification"
CLASSIFIER_CLASS = "BertForSequenceClassification"
_OTHER_HEADS = {
    CHOICE_CLASS: dict(zip(names.CLASSIFIER, names.CHOICE, strict=True)),
    TAGGER_CLASS: dict(zip(names.CLASSIFIER, names.TAGGER, strict=True)),
}
_OF_HEADS = {ours: theirs for theirs, ours in _HEADS.items()}
_OF_HEADS |= {ours: _OF_HEADS[name] for head in _OTHER_HEADS.values() for name, ours in head.items()}
# The masked LM's decoder shares these weights; some files hold them a second time, or only, under the decoder's names.
TIED = {
    "cls.predictions.decoder.weight": names.WORD_EMBEDDINGS,
    "cls.predictions.decoder.bias": names.MASKED_LM_BIAS,
}

# What wrappers put before every name: `DataParallel`, `torch.compile`, sentence-transformers, an attribute `model`.
_PREFIX = re.compile(
    r"^((?:module\.|_orig_mod\.|model\.|auto_model\.|\d+\.)+)(?:bert\.)?embeddings\.word_embeddings\.weight$"
)
_LEAVES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
_OLD_LEAVES = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}
_LAYER = re.compile(r"^bert\.encoder\.layer\.(\d{1,4})\.")


def huggingface_name(name: str) -> str:
    """The name that transformers gives the weight with the TF1 name `name`, which `names.is_weight` knows."""
    if name in _OF_HEADS:
        return _OF_HEADS[name]
    module, _, leaf = name.rpartition("/")
    dotted = re.sub(r"/layer_(\d+)/", r"/layer.\1/", f"{module}/").replace("/", ".")
    return dotted + _LEAVES.get(leaf, f"{leaf}.weight")


def tf1_name(name: str, architecture: str | None = None) -> str | None:
    """The TF1 name of the weight with the Hugging Face name `name` in a model of this class; None if it is not BERT's.

    The encoder's names are known with and without their prefix, normalizations also by their old names (`gamma`).
    """
    full = ENCODER_PREFIX + name if name.startswith(_PARTS_OF_ENCODER) else name
    for old, new in _OLD_LEAVES.items():
        full = full.removesuffix(old) + new if full.endswith(old) else full
    layer = _LAYER.match(full)
    of_first_layer = _LAYER.sub("bert.encoder.layer.0.", full)
    ours = _OURS.get(of_first_layer)
    if ours is None or layer is None:
        return _OTHER_HEADS.get(architecture or "", {}).get(ours or "", ours)
    ours = ours.replace("/layer_0/", f"/layer_{layer[1]}/")
    return ours if names.is_weight(ours) else None  # a number like 007 is no layer


def prefix_of(keys: Collection[str]) -> str:
    """What stands in front of all names of the encoder, `module.` for example; empty where nothing does.

    Other prefixes, such as `roberta.`, are names of other networks.
    """
    found = {match[1] for key in keys if (match := _PREFIX.match(key))}
    return found.pop() if len(found) == 1 else ""


def to_huggingface(name: str, weight: np.ndarray) -> tuple[str, np.ndarray]:
    """Name and shape with which transformers stores the weight `name` of TF1: a view, kernels transposed."""
    return huggingface_name(name), weight.T if name.endswith("/kernel") else weight


def in_tf1_shape(name: str, weight: np.ndarray) -> np.ndarray:
    """A view of `weight`, as transformers stores it, in the shape of TF1's weight `name`."""
    return weight.T if name.endswith("/kernel") else weight


_OURS = {
    huggingface_name(name): name for name in names.weight_names(layers=1) if name not in (*names.CHOICE, *names.TAGGER)
}


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
_HEAD_DROPOUT = "classifier_dropout"  # only where it is another than `hidden_dropout_prob`
# Keys whose other values describe a network that is not BERT.
_REQUIRED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
    "add_cross_attention": False,
}
# Keys that are there, and not empty, only where the weights are not those of a whole BERT in floating point.
_ABSENT = {"pruned_heads": "attention heads were cut out", "quantization_config": "weights are stored in few bits"}
_OF_LIBRARY = {"model_type", "architectures", "transformers_version"}  # no bert_config.json of Google has these
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


_ONE_LABEL, _SEVERAL_LABELS, _NUMBER = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def is_config(content: Mapping[str, Any]) -> bool:
    """Whether this is the content of a `config.json` of transformers, not of a `bert_config.json`."""
    return bool(_OF_LIBRARY & content.keys())


def from_huggingface_config(content: Mapping[str, Any]) -> BertConfig:
    """The configuration in the content of a `config.json`; InputError where it describes another network."""
    for key, needed in _REQUIRED.items():
        if content.get(key, needed) != needed:
            raise InputError(
                f"`{key}` is `{content[key]}`: only `{needed}` is supported",
                "only encoders of the original BERT are read",
            )
    for key, meaning in _ABSENT.items():
        if content.get(key):
            raise InputError(f"`{key}` is `{json.dumps(content[key])[:100]}`: {meaning}", "give the model before that")
    content = {**_DEFAULTS, **content}
    known = {key: content[key] for key in (*_SAME_KEYS, _HEAD_DROPOUT) if key in content}
    activation = content["hidden_act"]
    if isinstance(activation, str):
        activation = _ACTIVATIONS.get(activation.lower(), activation)
    return bert_config.from_dict({**known, "hidden_act": activation})


def to_huggingface_config(
    config: BertConfig,
    architecture: str,
    task: ClassificationMetaData | TaggingMetaData | None = None,
    stated: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of a `config.json` for a model class of transformers, `task` that of a classifier or tagger.

    For `stated` see `stated_outputs`: pipelines of transformers put a sigmoid on one output that is not said to be a
    number.

    Raises InputError for an activation that transformers does not know.
    """
    if config.hidden_act not in _THEIR_ACTIVATIONS:
        raise InputError(f"`hidden_act` is `{config.hidden_act}`, which transformers does not know", "")
    content: dict[str, Any] = {"architectures": [architecture], "pad_token_id": 0, **_REQUIRED}
    content |= {key: getattr(config, key) for key in _SAME_KEYS}
    if config.classifier_dropout is not None:
        content[_HEAD_DROPOUT] = config.classifier_dropout
    content["hidden_act"] = _THEIR_ACTIVATIONS[config.hidden_act]
    if task is not None:
        is_number = isinstance(task, ClassificationMetaData) and task.is_regression
        labels = ("LABEL_0",) if is_number else task.class_names
        content["id2label"] = {str(number): label for number, label in enumerate(labels)}
        content["label2id"] = {label: number for number, label in enumerate(labels)}
        if isinstance(task, ClassificationMetaData):
            content["problem_type"] = _problem_type(task)
        if is_number and stated is not None:
            content = {**content, "problem_type": None, **stated}
    return content


def _problem_type(task: ClassificationMetaData) -> str | None:
    """What a `config.json` calls it; a score is not called anything."""
    if task.is_regression:
        return None if task.is_score else _NUMBER
    return _SEVERAL_LABELS if task.is_multi_label else _ONE_LABEL


def stated_outputs(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a `config.json` says of the outputs of a classifier, for other programs to read."""
    return {key: content[key] for key in ("id2label", "label2id", "problem_type") if key in content}


def architecture_of(weights: Collection[str]) -> str:
    """The class of transformers for weights with these TF1 names: by their heads, or the encoder alone."""
    classes = {
        names.CLASSIFIER[0]: CLASSIFIER_CLASS,
        names.TAGGER[0]: TAGGER_CLASS,
        names.CHOICE[0]: CHOICE_CLASS,
        names.SQUAD[0]: "BertForQuestionAnswering",
        names.MASKED_LM_BIAS: "BertForMaskedLM",
        names.NEXT_SENTENCE[0]: "BertForNextSentencePrediction",
    }
    if {names.MASKED_LM_BIAS, names.NEXT_SENTENCE[0]} <= set(weights):
        return "BertForPreTraining"
    return next((name for head, name in classes.items() if head in weights), "BertModel")


def classification_task(content: Mapping[str, Any], outputs: int, max_seq_length: int) -> ClassificationMetaData:
    """What a classifier with so many outputs was trained for by its `config.json`, as transformers decides it.

    `LABEL_0` and so on are what transformers calls classes without names.

    Raises InputError for a kind of problem that is not known, a regression of several numbers, and names that are not
    as many as the outputs.
    """
    stated = content.get("problem_type") or (_NUMBER if outputs == 1 else _ONE_LABEL)
    if stated not in (_ONE_LABEL, _SEVERAL_LABELS, _NUMBER) or (stated == _NUMBER and outputs != 1):
        raise InputError(
            f"`problem_type` is `{stated}` with {counted(outputs, 'output')}",
            f"expected one of {_ONE_LABEL}, {_SEVERAL_LABELS}, {_NUMBER}, and one output for a regression",
        )
    if stated == _NUMBER:
        return ClassificationMetaData("", 0, max_seq_length, None, "float", is_score=not content.get("problem_type"))
    labels, several = _labels(content, outputs), stated == _SEVERAL_LABELS
    return ClassificationMetaData("", 0, max_seq_length, outputs, label_list=labels, is_multi_label=several)


def tagging_task(content: Mapping[str, Any], outputs: int, max_seq_length: int) -> TaggingMetaData:
    """What a tagger with so many outputs was trained for by its `config.json`; raises InputError for wrong names."""
    return TaggingMetaData(0, max_seq_length, _labels(content, outputs))


def _labels(content: Mapping[str, Any], outputs: int) -> tuple[str, ...]:
    """A name for each output."""
    labels = _class_names(content) or tuple(f"LABEL_{number}" for number in range(outputs))
    if len(labels) != outputs:
        raise InputError(
            f"`id2label` has {counted(len(labels), 'name')}, the classifier {counted(outputs, 'output')}",
            "are the files from one model?",
        )
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise InputError(f"`id2label` names several classes `{twice[0]}`", "give each class a name of its own there")
    return labels


def _class_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in the order of their ids; empty where there are none. A name may be a whole number."""
    named = content.get("id2label") or {}
    found = [named.get(str(number)) for number in range(len(named))] if isinstance(named, Mapping) else [None]
    if not all(type(name) in (str, int) for name in found):
        raise InputError(f"`id2label` is `{str(named)[:100]}`", "expected a name for each number from 0 on")
    return tuple(map(str, found))


_WITHOUT_POOLER = ("BertForQuestionAnswering", "BertForMaskedLM", TAGGER_CLASS)
_TASKS = {
    "classification": names.CLASSIFIER[0],
    "SQuAD": names.SQUAD[0],
    "tags": names.TAGGER[0],
    "multiple choice": names.CHOICE[0],
    "masked LM": names.MASKED_LM_BIAS,
    "next sentence": names.NEXT_SENTENCE[0],
}


def stored_names(weights: Mapping[str, np.ndarray]) -> list[str]:
    """Those TF1 names among `weights` that the class of transformers for them has: some have no pooler.

    Raises InputError where no class has all of the heads.
    """
    tasks = [task for task, head in _TASKS.items() if head in weights]
    if len(tasks) > 1 and tasks != ["masked LM", "next sentence"]:
        raise InputError(
            f"there are heads of several tasks ({', '.join(tasks)}), and no class of `transformers` has them all",
            "choose another format",
        )
    drops_pooler = architecture_of(weights) in _WITHOUT_POOLER
    return [name for name in weights if not (drops_pooler and name in names.POOLER)]


def write_huggingface(
    folder: str,
    weights: Mapping[str, np.ndarray],
    config: BertConfig,
    task: ClassificationMetaData | TaggingMetaData | None = None,
    stated: Mapping[str, Any] | None = None,
    activation: str | None = None,
) -> None:
    """Write config.json and model.safetensors from `weights` (TF1 names and shapes), as far as they are stored.

    `task` is what a classifier or tagger was trained for, if known, and `activation` the class that
    sentence-transformers puts on a classifier's outputs. For `stated` see `stated_outputs`. Raises InputError as
    `stored_names` does.
    """
    architecture = architecture_of(weights)
    for head, unnamed in ((names.CLASSIFIER, classification_task), (names.TAGGER, tagging_task)):
        if task is None and head[0] in weights:
            outputs = len(weights[head[0]])
            said = {"problem_type": _NUMBER} if outputs == 1 else {}
            task = unnamed(said, outputs, config.max_position_embeddings)
    if names.CLASSIFIER[0] not in weights and names.TAGGER[0] not in weights:
        task = None
    tensors = dict(to_huggingface(name, weights[name]) for name in sorted(stored_names(weights)))
    if architecture == "BertModel":
        tensors = {name.removeprefix(ENCODER_PREFIX): tensor for name, tensor in tensors.items()}
    settings = to_huggingface_config(config, architecture, task, stated)
    if activation is not None and names.CLASSIFIER[0] in weights:
        settings[ACTIVATION] = activation
    _write_json(os.path.join(folder, "config.json"), settings)
    write_tensors(os.path.join(folder, OUR_FILE), tensors, {"format": "pt"})


def _write_json(path: str, content: Mapping[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
