# SPDX-License-Identifier: Apache-2.0
"""Presets of keras-hub: a folder with `config.json`, `model.weights.h5`, `assets/tokenizer/vocabulary.txt`; only read.

A preset of a task also has `task.json`, `task.weights.h5` (its head) and `preprocessor.json`. Source: keras-hub 0.32,
`src/models/bert` and `src/tokenizers/word_piece_tokenizer.py`. The encoder computes as Google's; the masked LM's head
takes the exact GELU and an epsilon of its own.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.contents import Contents, Tensor
from jaxbert.checkpoints.other_formats import refuse_pointer
from jaxbert.checkpoints.sentence_transformers import Pooling
from jaxbert.checkpoints.tokenizer_files import as_library
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.files import is_file, local_copy, read_json_object
from jaxbert.text.tokenizer import Rules
from jaxbert.text.vocab import UNK, read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData

FILES = WEIGHTS_FILE, _TASK_WEIGHTS = "model.weights.h5", "task.weights.h5"
VOCAB_FILE = "assets/tokenizer/vocabulary.txt"
_CONFIG, _TASK, _TOKENIZER, _PREPROCESSOR = "config.json", "task.json", "tokenizer.json", "preprocessor.json"
_MOST_CLASSES = 1 << 20
_LONGEST_WORD = 100  # bytes; our rules count characters
_SIZES = {
    "vocabulary_size": "vocab_size",
    "hidden_dim": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
_OF_ANY_LAYER = ("name", "trainable", "dtype")
_CLASSIFIER, _MASKED_LM, _EMBEDDER = "BertTextClassifier", "BertMaskedLM", "BertTextEmbedder"
_HEAD_ACTIVATION, _HEAD_EPSILON = "gelu_erf", 1e-5  # of the masked LM
# Where the weights are, as paths of Keras; the two of a module are numbered, kernel or gamma first.
_TABLES = {
    "bert/embeddings/word_embeddings": "layers/reversible_embedding/vars/0",
    "bert/embeddings/position_embeddings": "layers/position_embedding/vars/0",
    "bert/embeddings/token_type_embeddings": "layers/embedding/vars/0",
}
_MODULES = {
    "bert/embeddings/LayerNorm": "layers/layer_normalization",
    "bert/pooler/dense": "layers/dense",
}
_LAYER_MODULES = {
    "attention/self/query": "_self_attention_layer/query_dense",
    "attention/self/key": "_self_attention_layer/key_dense",
    "attention/self/value": "_self_attention_layer/value_dense",
    "attention/output/dense": "_self_attention_layer/output_dense",
    "attention/output/LayerNorm": "_self_attention_layer_norm",
    "intermediate/dense": "_feedforward_intermediate_dense",
    "output/dense": "_feedforward_output_dense",
    "output/LayerNorm": "_feedforward_layer_norm",
}
_HEADS: dict[str, dict[str, str]] = {
    _CLASSIFIER: dict(zip(names.CLASSIFIER, ("layers/dense/vars/0", "layers/dense/vars/1"), strict=True)),
    _MASKED_LM: {
        "cls/predictions/transform/dense/kernel": "layers/masked_lm_head/_intermediate_dense/vars/0",
        "cls/predictions/transform/dense/bias": "layers/masked_lm_head/_intermediate_dense/vars/1",
        "cls/predictions/transform/LayerNorm/gamma": "layers/masked_lm_head/_intermediate_layer_norm/vars/0",
        "cls/predictions/transform/LayerNorm/beta": "layers/masked_lm_head/_intermediate_layer_norm/vars/1",
        names.MASKED_LM_BIAS: "layers/masked_lm_head/vars/0",
    },
    _EMBEDDER: {},
}
_DAMAGE = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # as damaged HDF5 files show


def read_config(folder: str) -> BertConfig:
    """Sizes and activations. Raises InputError for another network, and for settings that are not understood."""
    path = os.path.join(folder, _CONFIG)
    content = _settings(path, "BertBackbone", {*_SIZES, "dropout"})
    if missing := [key for key in _SIZES if type(content.get(key)) is not int]:
        raise InputError(f"`{path}`: `{missing[0]}` is `{content.get(missing[0])}`", "expected a whole number")
    sizes = {ours: content[theirs] for theirs, ours in _SIZES.items()}
    dropout = _number(content, "dropout", path)
    head: dict[str, Any] = {}
    if _task(folder)[0] == _MASKED_LM:
        head = {"masked_lm_act": _HEAD_ACTIVATION, "masked_lm_layer_norm_eps": _HEAD_EPSILON}
    return BertConfig(**sizes, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **head)


def read_rules(folder: str) -> Rules | None:
    """How its text becomes tokens, None for a preset without a tokenizer.

    keras-hub lower-cases by NFKC case folding, which our rules do not have; this is said to the user.
    Raises InputError for settings that are not understood.
    """
    path = os.path.join(folder, _TOKENIZER)
    if not is_file(path):
        return None
    fixed = {
        "vocabulary": None,
        "sequence_length": None,
        "split": True,
        "suffix_indicator": "##",
        "oov_token": UNK,
        "special_tokens": None,
        "config_file": _TOKENIZER,
    }
    choices = {key: False for key in ("lowercase", "strip_accents", "special_tokens_in_strings")}
    content = _settings(path, "BertTokenizer", {*fixed, *choices})
    for key, value in content.items():
        if (key in fixed and value != fixed[key]) or (key in choices and type(value) is not bool):
            expected = "true or false" if key in choices else f"only `{json.dumps(fixed[key])}` is supported"
            raise InputError(f"`{path}`: `{key}` is `{json.dumps(value)[:100]}`", expected)
    lower_case, strip_accents, special = (content.get(key, default) for key, default in choices.items())
    if lower_case:
        say("note: keras-hub lower-cases by NFKC case folding; `ß`, full-width and decomposed letters differ here")
    added = as_library(Rules(), read_vocab(os.path.join(folder, VOCAB_FILE))).added if special else ()
    return Rules(lower_case, _LONGEST_WORD, library=True, strip_accents=strip_accents, added=added, round_robin=True)


def read_max_seq_length(folder: str) -> int | None:
    """The longest sequence in tokens, where the preset says it. Raises InputError for another way to cut pairs."""
    path = os.path.join(folder, _PREPROCESSOR)
    if not is_file(path):
        return None
    content = read_json_object(path, "what keras-hub writes").get("config")
    settings = content if isinstance(content, dict) else {}
    if (way := settings.get("truncate", "round_robin")) != "round_robin":
        raise InputError(f"`{path}`: `truncate` is `{way}`", "only `round_robin` is supported")
    length = settings.get("sequence_length")
    return length if type(length) is int and length > 0 else None


def read_task(folder: str, max_seq_length: int) -> ClassificationMetaData | None:
    """What a classifier was trained for, None for other presets; its classes are called `LABEL_0` and so on.

    One output without activation is a number, several are one class each, or with a sigmoid several at once.
    Raises InputError for another activation.
    """
    kind, content = _task(folder)
    if kind != _CLASSIFIER:
        return None
    path = os.path.join(folder, _TASK)
    classes, activation = content.get("num_classes"), content.get("activation")
    if type(classes) is not int or not 1 <= classes <= _MOST_CLASSES:
        raise InputError(f"`{path}`: `num_classes` is `{json.dumps(classes)[:100]}`", "expected a whole number")
    if activation not in ("linear", "sigmoid", "softmax") or (activation == "softmax" and classes == 1):
        raise InputError(
            f"`{path}`: `activation` is `{json.dumps(activation)[:100]}` with {classes} classes",
            "expected `linear`, `sigmoid`, or `softmax` of several classes",
        )
    dropout, of_encoder = _number(content, "dropout", path), read_config(folder).hidden_dropout_prob
    if dropout != of_encoder:
        say(f"note: training takes the encoder's dropout {of_encoder:g} for the classifier too; its own is {dropout:g}")
    if activation == "linear" and classes == 1:
        return ClassificationMetaData("", 0, max_seq_length, None, "float")
    labels = tuple(f"LABEL_{number}" for number in range(classes))
    several = activation == "sigmoid"
    return ClassificationMetaData("", 0, max_seq_length, classes, label_list=labels, is_multi_label=several)


def read_pooling(folder: str) -> Pooling | None:
    """How an embedder makes the vector of a text, None for other presets."""
    kind, content = _task(folder)
    if kind != _EMBEDDER:
        return None
    mode, normalize = content.get("pooling_mode"), content.get("normalize")
    if mode not in ("mean", "cls", "max") or type(normalize) is not bool:
        path = os.path.join(folder, _TASK)
        raise InputError(
            f"`{path}`: `pooling_mode` is `{mode}`, `normalize` is `{normalize}`",
            "expected mean, cls or max, and true or false",
        )
    return Pooling((mode,), normalize)


def contents(folder: str) -> Contents:
    """What is in the files of weights; no weight is read. Raises InputError where they are damaged."""
    found = {f"{WEIGHTS_FILE}/{path}": both for path, both in _datasets(os.path.join(folder, WEIGHTS_FILE)).items()}
    heads = _HEADS.get(_task(folder)[0] or "", {})
    head_file = os.path.join(folder, _TASK_WEIGHTS)
    if is_file(head_file):
        found |= {f"{_TASK_WEIGHTS}/{path}": both for path, both in _datasets(head_file).items()}
    tensors = {key: tensor for key, (_, tensor) in found.items()}
    layers = 0
    while any(key.startswith(f"{WEIGHTS_FILE}/{_layer(layers)}/") for key in tensors):
        layers += 1
    keys = {name: f"{WEIGHTS_FILE}/{path}" for name, path in _paths(layers).items()}
    keys |= {name: f"{_TASK_WEIGHTS}/{path}" for name, path in heads.items()}
    keys = {name: key for name, key in keys.items() if key in tensors}
    projection = tensors[keys[names.FIRST_QUERY]].shape if names.FIRST_QUERY in keys else ()

    def read(name: str, key: str) -> np.ndarray:
        try:
            weight = np.asarray(found[key][0][()])
        except _DAMAGE as error:
            raise InputError(f"`{key}` in `{folder}` cannot be read: {error}", "copy the file again") from error
        if tensors[key].dtype == "bfloat16":
            weight = weight.view(ml_dtypes.bfloat16) if weight.dtype.kind == "V" else weight.astype(ml_dtypes.bfloat16)
        return names.to_tf1(names.form_of(name), weight)

    return Contents(
        source=os.path.join(folder, WEIGHTS_FILE),
        layout="keras-hub preset",
        tensors=tensors,
        keys=keys,
        shapes={name: names.tf1_shape(names.form_of(name), tensors[key].shape) for name, key in keys.items()},
        attention_heads=projection[1] if len(projection) == 3 else None,
        read=read,
    )


def _layer(layer: int) -> str:
    return f"layers/transformer_encoder_{layer}" if layer else "layers/transformer_encoder"


def _paths(layers: int) -> dict[str, str]:
    """TF1 name -> path of every weight of an encoder with so many layers."""
    paths = dict(_TABLES)
    for name in names.encoder_names(layers)[len(_TABLES) :]:
        module, _, leaf = name.rpartition("/")
        layer = names.layer_of(name)
        inside = module.removeprefix(f"bert/encoder/layer_{layer}/")
        path = _MODULES[module] if layer is None else f"{_layer(layer)}/{_LAYER_MODULES[inside]}"
        paths[name] = f"{path}/vars/{0 if leaf in ('kernel', 'gamma') else 1}"
    return paths


def _datasets(path: str) -> dict[str, tuple[Any, Tensor]]:
    """Path in the file -> array of h5py that is there, and what it is; nothing outside of the file is followed."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"`{path}` is read with the package `h5py`: {error}", "pip install h5py") from error
    found: dict[str, Any] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    refuse_pointer(path)
    try:
        with local_copy(path) as here:
            file = h5py.File(here, "r")
        file.visititems(keep)
        outside = [name for name, item in found.items() if item.external or item.is_virtual]
        tensors = {name: Tensor(tuple(item.shape), _dtype(item)) for name, item in found.items()}
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole HDF5 file: {error}", "copy the file again") from error
    if outside:
        raise InputError(f"`{path}`: the values of `{outside[0]}` are in another file", "give a file that is whole")
    return {name: (item, tensors[name]) for name, item in found.items()}


def _dtype(data: Any) -> str:
    """The type's name; bfloat16, which HDF5 does not have, is noted beside the values."""
    return "bfloat16" if data.attrs.get("dtype") == "bfloat16" else str(data.dtype)


def _task(folder: str) -> tuple[str | None, Mapping[str, Any]]:
    """The class of a preset's task and its settings; None where it is an encoder alone."""
    path = os.path.join(folder, _TASK)
    if not is_file(path):
        return None, {}
    kind = read_json_object(path, "what keras-hub writes").get("class_name")
    known = {
        _CLASSIFIER: {"num_classes", "activation", "dropout"},
        _MASKED_LM: set[str](),
        _EMBEDDER: {"pooling_mode", "normalize"},
    }
    if not isinstance(kind, str) or kind not in known:
        raise InputError(f"`{path}`: the task is a `{kind}`", f"expected one of {', '.join(known)}")
    return kind, _settings(path, kind, {"backbone", "preprocessor", *known[kind]})


def _settings(path: str, kind: str, known: set[str]) -> Mapping[str, Any]:
    """The settings of an object of Keras. Raises InputError for another class and for settings that are not `known`."""
    content = read_json_object(path, "what keras-hub writes")
    found, settings = content.get("class_name"), content.get("config")
    if found != kind or not isinstance(settings, dict):
        raise InputError(f"`{path}` is of the class `{found}`", f"expected `{kind}`: only presets of BERT are read")
    if unknown := settings.keys() - known - set(_OF_ANY_LAYER):
        raise InputError(f"`{path}`: the setting `{min(unknown)}` is not understood", "give a preset of BERT")
    policy = settings.get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") != "DTypePolicy":
        raise InputError(f"`{path}`: the weights are stored as `{policy.get('class_name')}`", "save it unquantized")
    return settings


def _number(content: Mapping[str, Any], key: str, path: str) -> float:
    value = content.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"`{path}`: `{key}` is `{json.dumps(value)[:100]}`", "expected a number")
    return float(value)
