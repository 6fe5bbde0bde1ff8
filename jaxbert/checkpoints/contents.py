# SPDX-License-Identifier: Apache-2.0
"""What is in a file of weights, before any value is read: all its tensors, and which of them are BERT's weights."""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError

_HEAD_SIZE = 64  # of every released model
NOTES = "notes about the model"
_NOT_WEIGHTS = (  # in the order in which they are looked for
    ("optimizer slots", re.compile(r"/\.OPTIMIZER_SLOT/|/(adam|lamb)_[mv]$")),
    ("optimizer settings and counters", re.compile(r"(^|/)optimizer/|^(global_step|save_counter)(/\.ATTRIBUTES/|$)")),
    ("lists of positions or types", re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")),
    (NOTES, re.compile(r"^_CHECKPOINTABLE_OBJECT_GRAPH$|(^|/)(do_lower_case|Variable:0)/\.ATTRIBUTES/")),
)
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
        undecided: keys of kernel and bias of a dense head [H, 2] that may be a classifier's or SQuAD's.
        copies: keys of second copies -> key of the first.
    """

    source: str
    layout: str
    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    attention_heads: int | None
    read: Callable[[str, str], np.ndarray]
    undecided: tuple[str, str] | None = None
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
    layers = len({names.layer_of(name) for name in contents.keys} - {None})
    config = BertConfig(vocab_size, hidden, layers, heads, intermediate)
    return dataclasses.replace(config, max_position_embeddings=positions, type_vocab_size=types)


def _unknown(contents: Contents, reason: str) -> InputError:
    return InputError(f"`{contents.source}` does not say the sizes of the model: {reason}", "give `--bert_config_file`")
