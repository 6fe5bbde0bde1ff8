# SPDX-License-Identifier: Apache-2.0
"""Reading initial weights from whatever a user points at: what it is, is recognised by looking at it."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from jaxbert.checkpoints import names
from jaxbert.checkpoints.object_graph import GRAPH_KEY, parse_graph
from jaxbert.checkpoints.other_kinds import refuse_other_kinds
from jaxbert.checkpoints.tf2_weights import FoundWeights, find_weights
from jaxbert.checkpoints.tf_bundle import Bundle, open_bundle
from jaxbert.checkpoints.tf_prefix import find_prefix
from jaxbert.errors import InputError
from jaxbert.files import read_text

OUR_FILE = "model.safetensors"
DenseHead = Literal["classifier", "squad"]
_DENSE_HEADS: dict[DenseHead, tuple[str, str]] = {"classifier": names.CLASSIFIER, "squad": names.SQUAD}
_FLOATS = frozenset(np.dtype(kind) for kind in ("f2", "f4", "f8", ml_dtypes.bfloat16))

_NOT_WEIGHTS = (  # in the order in which they are looked for
    ("optimizer slots", re.compile(r"/\.OPTIMIZER_SLOT/|/(adam|lamb)_[mv]$")),
    ("optimizer settings and counters", re.compile(r"(^|/)optimizer/|^(global_step|save_counter)(/\.ATTRIBUTES/|$)")),
)


@dataclass(frozen=True)
class InitialWeights:
    """Weights read from a file, and what is known of the file.

    `weights` have TF1 names and shapes and are float32; they may be read-only, unaligned views of a mapped file.
    `unused` names what is in the file besides: groups with their number of tensors, then single tensors.
    `attention_heads` is known only where kernels are stored per head. `config` is the content of the
    `bert_config.json` beside the file, if there is one.
    """

    weights: Mapping[str, np.ndarray]
    layout: str
    unused: tuple[str, ...]
    attention_heads: int | None
    config: dict[str, Any] | None
    source: str


def read_initial(path: str, dense_head: DenseHead | None = None) -> InitialWeights:
    """The weights of BERT and its heads at `path`: a TensorFlow checkpoint (1 or 2) or a folder of our own.

    TensorFlow checkpoints are given as prefix, any of their files, or folder. `dense_head` says what a dense head
    [H, 2] is where the file cannot tell; without it such a head is not used. Raises InputError where the file is
    damaged, of a kind that is not read, or has no BERT encoder.
    """
    check_source(path)
    if (ours := _our_file(path)) is not None:
        return _read_ours(ours)
    bundle = open_bundle(path)
    return _read_tf2(bundle, dense_head) if GRAPH_KEY in bundle.entries else _read_tf1(bundle)


def check_source(path: str) -> None:
    """Raise InputError where nothing at `path` can be read as weights, by names and first bytes alone."""
    refuse_other_kinds(path)
    if _our_file(path) is None:
        find_prefix(path)


def _our_file(path: str) -> str | None:
    file = os.path.join(path, OUR_FILE) if os.path.isdir(path) else path
    return file if os.path.basename(file) == OUR_FILE and os.path.isfile(file) else None


def _read_tf1(bundle: Bundle) -> InitialWeights:
    keys = {key: key for key in bundle.entries if names.is_weight(key)}
    return _from_bundle(bundle, keys, {key: bundle.read(key) for key in keys}, "TF1 name-based")


def _read_tf2(bundle: Bundle, dense_head: DenseHead | None) -> InitialWeights:
    shapes = {key: entry.shape for key, entry in bundle.entries.items()}
    content = bundle.read(GRAPH_KEY)
    try:
        if content.dtype != object or content.shape != ():
            raise ValueError("its object graph is not a string")
        found = find_weights(parse_graph(content.item(), shapes.keys()), shapes)
    except ValueError as error:
        raise InputError(
            f"checkpoint `{bundle.prefix}` cannot be used: {error}", "give a checkpoint of one BERT model"
        ) from error
    if found is None:
        raise _no_encoder(bundle)
    keys = dict(found.keys)
    if dense_head and found.undecided:
        keys |= zip(_DENSE_HEADS[dense_head], found.undecided, strict=True)
    weights = {name: names.to_tf1(names.form_of(name), bundle.read(key)) for name, key in keys.items()}
    return _from_bundle(bundle, keys, weights, _describe(found))


def _describe(found: FoundWeights) -> str:
    root = f"root `{found.place}`" if "/" not in found.place else f"encoder at `{found.place}`"
    return f"TF2 object-based, {found.layout.name}, {root if found.place else 'the encoder itself is the root'}"


def _from_bundle(
    bundle: Bundle, keys: Mapping[str, str], weights: Mapping[str, np.ndarray], layout: str
) -> InitialWeights:
    """The result for `weights`, which were read from the tensors `keys` (TF1 name -> key)."""
    if names.WORD_EMBEDDINGS not in keys:
        raise _no_encoder(bundle)
    projection = bundle.entries[keys[names.FIRST_QUERY]].shape if names.FIRST_QUERY in keys else ()
    used = {*keys.values(), GRAPH_KEY}
    return InitialWeights(
        weights={name: _float32(weight, keys[name], bundle.prefix) for name, weight in weights.items()},
        layout=layout,
        unused=_describe_unused(key for key in bundle.entries if key not in used),
        attention_heads=projection[1] if len(projection) == 3 else None,
        config=_config_beside(bundle.prefix),
        source=bundle.prefix,
    )


def _float32(weight: np.ndarray, key: str, source: str) -> np.ndarray:
    if weight.dtype not in _FLOATS:
        raise InputError(f"tensor `{key}` in `{source}` is {weight.dtype}", "expected weights in floating point")
    return weight.astype(np.float32, copy=False)


def _no_encoder(bundle: Bundle) -> InputError:
    shown = ", ".join(f"`{key}`" for key in list(bundle.entries)[:4])
    return InputError(
        f"checkpoint `{bundle.prefix}` holds no BERT encoder: no {names.WORD_EMBEDDINGS} and no layers under the names "
        f"that official BERT code uses; it starts with {shown or 'nothing'}",
        "give a checkpoint of google-research/bert or of official BERT in TensorFlow 2",
    )


def _describe_unused(keys: Iterable[str]) -> tuple[str, ...]:
    counts = {group: 0 for group, _ in _NOT_WEIGHTS}
    others = []
    for key in keys:
        group = next((group for group, pattern in _NOT_WEIGHTS if pattern.search(key)), None)
        if group:
            counts[group] += 1
        else:
            others.append(key)
    return (*(f"{count} {group}" for group, count in counts.items() if count), *others)


def _read_ours(path: str) -> InitialWeights:
    """Weights under their own names in a safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            weights = {name: _float32(file.get_tensor(name), name, path) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError) as error:
        raise InputError(f"`{path}` is not a whole safetensors file: {error}", "copy the file again") from error
    if names.WORD_EMBEDDINGS not in weights:
        shown = ", ".join(f"`{name}`" for name in list(weights)[:4])
        raise InputError(
            f"`{path}` holds no weights under jaxbert's names; it starts with {shown or 'nothing'}",
            "give a model folder written by jaxbert, or a TensorFlow checkpoint",
        )
    unused = tuple(name for name in weights if not names.is_weight(name))
    known = {name: weight for name, weight in weights.items() if names.is_weight(name)}
    return InitialWeights(known, "jaxbert safetensors", unused, None, _config_beside(path), path)


def _config_beside(path: str) -> dict[str, Any] | None:
    config_path = os.path.join(os.path.dirname(path), "bert_config.json")
    if not os.path.isfile(config_path):
        return None
    try:
        config = json.loads(read_text(config_path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"`{config_path}` is not JSON: {error}", "mend or remove the file") from error
    if not isinstance(config, dict):
        raise InputError(f"`{config_path}` holds no JSON object", "mend or remove the file")
    return config
