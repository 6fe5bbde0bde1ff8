# SPDX-License-Identifier: Apache-2.0
"""What is exported: an encoder alone or with one kind of head, with its vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError

Kind = Literal["encoder", "classifier", "squad", "pretrainer"]

NAMES: dict[Kind, str] = {
    "encoder": "encoder",
    "classifier": "classifier",
    "squad": "SQuAD model",
    "pretrainer": "pretrainer",
}
# The first weight of the head that makes a model one of its kind.
_SIGNS: dict[Kind, str] = {
    "squad": names.SQUAD[0],
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
    def classes(self) -> int:
        """C, of a classifier."""
        return len(self.weights[names.CLASSIFIER[1]])


def kind_of(weights: Mapping[str, np.ndarray]) -> Kind:
    """What a model is, by the heads that it has; an encoder if it has none."""
    kinds = [kind for kind, sign in _SIGNS.items() if sign in weights]
    if len(kinds) > 1:
        raise InputError(
            f"the model has several heads: {', '.join(f'`{kind}`' for kind in kinds)}", "choose one by `--model`"
        )
    return kinds[0] if kinds else "encoder"


def choose_weights(weights: Mapping[str, np.ndarray], kind: Kind, layers: int) -> dict[str, np.ndarray]:
    """The weights that a model of this kind computes with, in the order of the network.

    Raises InputError where one is missing; only next sentence prediction may be.
    """
    needed = names.encoder_names(layers)
    if kind == "squad":
        needed = [name for name in needed if name not in names.POOLER or name in weights]
        needed += names.SQUAD
    elif kind == "classifier":
        needed += names.CLASSIFIER
    elif kind == "pretrainer":
        needed += names.MASKED_LM[0]
        needed += [name for name in names.NEXT_SENTENCE if name in weights]
    if missing := [name for name in needed if name not in weights]:
        raise InputError(f"there is no {NAMES[kind]}: {', '.join(missing)} is missing", "choose another `--model`")
    return {name: weights[name] for name in needed}
