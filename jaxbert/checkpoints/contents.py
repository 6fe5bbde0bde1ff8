# SPDX-License-Identifier: Apache-2.0
"""What is in a file of weights, before any value is read: all its tensors, and which of them are BERT's weights.

`tf_contents` knows TensorFlow's checkpoints, `safetensors_contents` the files of Hugging Face and our own; `groups` and
`sizes` say what else is there and how large the model is.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jaxbert.checkpoints import huggingface, names
from jaxbert.checkpoints.other_formats import refuse_pointer
from jaxbert.checkpoints.tf_bundle import Bundle, dtype_name
from jaxbert.checkpoints.tf_graph import GRAPH_KEY, FoundWeights, UndecidedHead, find_weights, parse_graph
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.io.files import is_file, local_copy, read_json_object

INDEX_ENDING = ".safetensors.index.json"
NOTES = "notes about the model"
KERAS_3 = "a Keras 3 model"
_OF_KERAS_3 = re.compile(r"/_operations/\d+/|/_(kernel|embeddings)/\.ATTRIBUTES/")
_HEAD_SIZE = 64  # of every released model
_NOT_WEIGHTS = (  # in the order in which they are looked for
    ("optimizer slots", re.compile(r"/\.OPTIMIZER_SLOT/|/(adam|lamb)_[mv]$")),
    ("optimizer settings and counters", re.compile(r"(^|/)optimizer/|^(global_step|save_counter)(/\.ATTRIBUTES/|$)")),
    ("lists of positions or types", re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")),
    (NOTES, re.compile(r"^_CHECKPOINTABLE_OBJECT_GRAPH$|(^|/)(do_lower_case|Variable:0)/\.ATTRIBUTES/")),
)
_DAMAGE = (SafetensorError, OSError, TypeError, ValueError, KeyError, AttributeError)  # as damaged safetensors show
_SIZES = (  # the weights that tell the sizes of an encoder
    names.WORD_EMBEDDINGS,
    "bert/embeddings/position_embeddings",
    "bert/embeddings/token_type_embeddings",
    "bert/encoder/layer_0/intermediate/dense/kernel",
)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor as it is stored; `dtype` is the format's own name of its type."""

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Contents:
    """All tensors of one model, in one file or several that belong together.

    Attributes:
        source: the path that messages name.
        layout: what kind of file it is, in words.
        tensors: every tensor by its key in the file.
        keys: TF1 name of a weight -> its key.
        shapes: TF1 name of a weight -> its shape in TF1.
        attention_heads: known only where kernels are stored per head.
        read: (TF1 name, key) -> the weight in its TF1 shape, in the stored type; raises InputError for damage.
        undecided: a dense head that may be of several kinds.
        copies: keys of second copies -> key of the first.
    """

    source: str
    layout: str
    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    attention_heads: int | None
    read: Callable[[str, str], np.ndarray]
    undecided: UndecidedHead | None = None
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)


def groups(contents: Contents) -> tuple[dict[str, int], list[str]]:
    """Tensors that are no weights: how many there are of each known kind, and the keys of all others."""
    used = {*contents.keys.values(), *contents.copies}
    counts = {group: 0 for group, _ in _NOT_WEIGHTS}
    others = []
    for key in contents.tensors.keys() - used:
        group = next((group for group, pattern in _NOT_WEIGHTS if pattern.search(key)), None)
        if group:
            counts[group] += 1
        else:
            others.append(key)
    return {group: count for group, count in counts.items() if count}, sorted(others)


def unaccounted(contents: Contents) -> list[str]:
    """The keys of tensors of which nothing is known: they are not used."""
    undecided = contents.undecided.keys if contents.undecided else ()
    return [key for key in groups(contents)[1] if key not in undecided]


def sizes(contents: Contents, attention_heads: int | None = None) -> BertConfig:
    """The sizes that the weights show, with the constants of the released models.

    Where kernels are not stored per head there are `attention_heads`, or else they are as wide as in every released
    model. Raises InputError where the weights do not tell.
    """
    shapes = [contents.shapes.get(name, ()) for name in _SIZES]
    if any(len(shape) != 2 for shape in shapes):
        raise _unknown(contents, "its encoder is not whole")
    (vocab_size, hidden), (positions, _), (types, _), (_, intermediate) = shapes
    heads = contents.attention_heads or attention_heads or (hidden // _HEAD_SIZE if hidden % _HEAD_SIZE == 0 else None)
    if heads is None:
        raise _unknown(
            contents, f"the number of attention heads does not show, {hidden} is no multiple of {_HEAD_SIZE}"
        )
    layers = names.count_layers(contents.keys)
    return BertConfig(
        vocab_size, hidden, layers, heads, intermediate, max_position_embeddings=positions, type_vocab_size=types
    )


def _unknown(contents: Contents, reason: str) -> InputError:
    return InputError(f"`{contents.source}` does not say the sizes of the model: {reason}", "give `--bert_config_file`")


def tf_contents(bundle: Bundle) -> Contents:
    """What is in a checkpoint, heads and optimizer included; without an encoder no keys of weights are known.

    Raises InputError for a damaged object graph, and where there are several encoders.
    """
    tensors = {key: Tensor(entry.shape, dtype_name(entry.dtype)) for key, entry in bundle.entries.items()}
    found = _find(bundle) if GRAPH_KEY in bundle.entries else None
    if found:
        keys, layout = found.keys, _describe(found)
        shapes = {name: names.tf1_shape(names.form_of(name), tensors[key].shape) for name, key in keys.items()}
    else:
        keys, layout = {key: key for key in tensors if names.is_weight(key)}, _layout_without_encoder(tensors)
        shapes = {key: tensors[key].shape for key in keys}

    def read(name: str, key: str) -> np.ndarray:
        weight = bundle.read(key)
        return names.to_tf1(names.form_of(name), weight) if found else weight

    projection = tensors[keys[names.FIRST_QUERY]].shape if names.FIRST_QUERY in keys else ()
    return Contents(
        source=bundle.prefix,
        layout=layout,
        tensors=tensors,
        keys=keys,
        shapes=shapes,
        attention_heads=projection[1] if len(projection) == 3 else None,
        read=read,
        undecided=found.undecided if found else None,
    )


def _layout_without_encoder(tensors: Mapping[str, Tensor]) -> str:
    if GRAPH_KEY not in tensors:
        return "TF1 name-based"
    return f"TF2 object-based, of {KERAS_3 if any(map(_OF_KERAS_3.search, tensors)) else 'an unknown model'}"


def _find(bundle: Bundle) -> FoundWeights | None:
    shapes = {key: entry.shape for key, entry in bundle.entries.items()}
    content = bundle.read(GRAPH_KEY)
    try:
        if content.dtype != object or content.shape != ():
            raise ValueError("its object graph is not a string")
        return find_weights(parse_graph(content.item(), shapes.keys()), shapes)
    except ValueError as error:
        raise InputError(
            f"checkpoint `{bundle.prefix}` cannot be used: {error}",
            "give a checkpoint of one BERT model, or of its encoder alone",
        ) from error


def _describe(found: FoundWeights) -> str:
    root = f"root `{found.path}`" if "/" not in found.path else f"encoder at `{found.path}`"
    return f"TF2 object-based, {found.layout.name}, {root if found.path else 'the encoder itself is the root'}"


def safetensors_files(path: str) -> list[str]:
    """The safetensors file at `path`, or an index there and all those that it names."""
    return [path, *dict.fromkeys(_read_index(path).values())] if path.endswith(INDEX_ENDING) else [path]


def safetensors_contents(path: str, architecture: str | None = None) -> Contents:
    """What is in the safetensors file at `path`, or in all those that an index at `path` names.

    `architecture` is the class of transformers that wrote them, if known. Raises InputError for damaged files.
    """
    indexed = _read_index(path) if path.endswith(INDEX_ENDING) else {}
    opened: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    file_of: dict[str, str] = {}
    for file in dict.fromkeys(indexed.values() if indexed else [path]):
        opened[file], found = _open(file)
        tensors |= found
        file_of |= dict.fromkeys(found, file)
    for key, file in indexed.items():
        if file_of.get(key) != file:
            raise InputError(f"`{path}` says that `{key}` is in `{file}`, where it is not", "download the model again")
    is_ours = names.WORD_EMBEDDINGS in tensors
    keys = {key: key for key in tensors if names.is_weight(key)} if is_ours else _keys(path, tensors, architecture)
    prefix = "" if is_ours else huggingface.prefix_of(tensors)
    copies = (
        {}
        if is_ours
        else {prefix + key: keys[name] for key, name in huggingface.TIED.items() if prefix + key in tensors}
    )

    told_prefix = f", names with `{prefix}` in front, which is left out" if prefix else ""

    def read(name: str, key: str) -> np.ndarray:
        if tensors[key].dtype.startswith("F8"):
            raise InputError(
                f"tensor `{key}` of `{file_of[key]}` is stored in 8 bits (`{tensors[key].dtype}`)",
                "give the model in float32, bfloat16 or float16",
            )
        try:
            tensor: np.ndarray = opened[file_of[key]].get_tensor(key)
        except _DAMAGE as error:
            raise InputError(
                f"tensor `{key}` of `{file_of[key]}` cannot be read: {error}", "copy the file again"
            ) from error
        return tensor if is_ours else huggingface.in_tf1_shape(name, tensor)

    return Contents(
        source=path,
        layout="jaxbert safetensors" if is_ours else "Hugging Face safetensors" + told_prefix,
        tensors=tensors,
        keys=keys,
        shapes={
            name: tensors[key].shape if is_ours or not name.endswith("/kernel") else tensors[key].shape[::-1]
            for name, key in keys.items()
        },
        attention_heads=None,
        read=read,
        copies={key: original for key, original in copies.items() if key != original},
    )


def _keys(path: str, tensors: Mapping[str, Tensor], architecture: str | None) -> dict[str, str]:
    """TF1 name -> key of every weight under one of Hugging Face's names."""
    keys: dict[str, str] = {}
    prefix = huggingface.prefix_of(tensors)
    for key in tensors:
        name = huggingface.tf1_name(key.removeprefix(prefix), architecture)
        if name is None:
            continue
        if name in keys:
            raise InputError(f"`{path}` holds the same weight as `{keys[name]}` and as `{key}`", "remove one of them")
        keys[name] = key
    for key, name in huggingface.TIED.items():
        if prefix + key in tensors:
            keys.setdefault(name, prefix + key)
    return keys


def _read_index(path: str) -> dict[str, str]:
    """Key -> path of its file, which lies in the same folder."""
    files = read_json_object(path, "an index of safetensors files").get("weight_map")
    if not isinstance(files, dict) or not files:
        raise InputError(f"`{path}` names no weights in `weight_map`", "download the model again")
    for key, file in files.items():
        if not isinstance(file, str) or os.path.basename(file) != file or not file.endswith(".safetensors"):
            raise InputError(
                f"`{path}` says that `{key}` is in `{file}`, which is no safetensors file of the same folder",
                "download the model again",
            )
    return {key: os.path.join(os.path.dirname(path), file) for key, file in files.items()}


def _open(path: str) -> tuple[Any, dict[str, Tensor]]:
    """The file for reading tensors, and what its header says of them."""
    if not is_file(path):
        raise InputError(f"`{path}` is missing", "download the model again")
    refuse_pointer(path)
    try:
        with local_copy(path) as here:
            opened: Any = safe_open(here, framework="numpy")
        slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
        return opened, {key: Tensor(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    except _DAMAGE as error:
        raise InputError(f"`{path}` is not a whole safetensors file: {error}", "copy the file again") from error
