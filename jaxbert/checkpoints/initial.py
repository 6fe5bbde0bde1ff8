# SPDX-License-Identifier: Apache-2.0
"""Reading initial weights from whatever a user points at: what it is, is recognised by looking at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.contents import NOTES, Contents, groups
from jaxbert.checkpoints.source import find_source, read_config, read_contents
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError

DenseHead = Literal["classifier", "squad"]
_DENSE_HEADS: dict[DenseHead, tuple[str, str]] = {"classifier": names.CLASSIFIER, "squad": names.SQUAD}
_FLOATS = frozenset(np.dtype(kind) for kind in ("f2", "f4", "f8", ml_dtypes.bfloat16))
_MASKED_LM = frozenset(names.MASKED_LM[0])


@dataclass(frozen=True)
class InitialWeights:
    """Weights read from a file, and what is known of the file.

    `weights` have TF1 names and shapes and are float32; they may be read-only, unaligned views of a mapped file.
    `unused` names what is in the file besides: groups with their number of tensors, then single tensors.
    `attention_heads` is known only where kernels are stored per head. `config` is what the model comes with, if it
    comes with one.
    """

    weights: Mapping[str, np.ndarray]
    layout: str
    unused: tuple[str, ...]
    attention_heads: int | None
    config: BertConfig | None
    source: str


def read_initial(path: str, dense_head: DenseHead | None = None) -> InitialWeights:
    """The weights of BERT and its heads at `path`: whatever `find_source` knows.

    `dense_head` says what a dense head [H, 2] is where the file cannot tell; without it such a head is not used.
    Raises InputError where the file is damaged, of a kind that is not read, or has no BERT encoder.
    """
    source = find_source(path)
    contents = read_contents(source)
    if names.WORD_EMBEDDINGS not in contents.keys:
        raise _no_encoder(contents)
    keys = dict(contents.keys)
    if dense_head and contents.undecided:
        keys |= zip(_DENSE_HEADS[dense_head], contents.undecided, strict=True)
    weights = {name: _float32(contents.read(name, key), key, contents.source) for name, key in keys.items()}
    untied = _untied(contents, weights)
    if untied:
        weights = {name: weight for name, weight in weights.items() if name not in _MASKED_LM}
    return InitialWeights(
        weights=weights,
        layout=contents.layout,
        unused=_unused(contents, keys) + untied,
        attention_heads=contents.attention_heads,
        config=read_config(source),
        source=source.path,
    )


def check_source(path: str) -> None:
    """Raise InputError where nothing at `path` can be read as weights, by names and first bytes alone."""
    find_source(path)


def _untied(contents: Contents, weights: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Second copies of weights that are not copies: a masked LM whose decoder is not the embedding is not ours."""
    names_of = {key: name for name, key in contents.keys.items()}
    return tuple(
        f"masked LM with a decoder of its own ({copy})"
        for copy, key in contents.copies.items()
        if not np.array_equal(
            _float32(contents.read(names_of[key], copy), copy, contents.source), weights[names_of[key]]
        )
    )


def _unused(contents: Contents, keys: Mapping[str, str]) -> tuple[str, ...]:
    counts, others = groups(contents)
    used = set(keys.values())
    told = (f"{count} {group}" for group, count in counts.items() if group != NOTES)
    return (*told, *(key for key in others if key not in used))


def _float32(weight: np.ndarray, key: str, source: str) -> np.ndarray:
    if weight.dtype not in _FLOATS:
        raise InputError(f"tensor `{key}` in `{source}` is {weight.dtype}", "expected weights in floating point")
    return weight.astype(np.float32, copy=False)


def _no_encoder(contents: Contents) -> InputError:
    shown = ", ".join(f"`{key}`" for key in list(contents.tensors)[:4])
    return InputError(
        f"`{contents.source}` holds no BERT encoder: no {names.WORD_EMBEDDINGS} and no layers under the names that"
        f" official BERT code, Hugging Face or jaxbert use; it starts with {shown or 'nothing'}",
        "give a checkpoint of BERT",
    )
