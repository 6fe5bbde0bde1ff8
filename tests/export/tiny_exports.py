# SPDX-License-Identifier: Apache-2.0
"""Tiny models of every kind to export, and inputs for them."""

import numpy as np

from jaxbert.commands.result_comparison import Arrays, largest_difference
from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.export.network import Exported, Kind, choose_weights
from tests.checkpoints.random_models import random_weights

KINDS: tuple[Kind, ...] = ("encoder", "classifier", "squad", "pretrainer")
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nblue\n"
_HEADS: dict[Kind, str] = {"encoder": "none", "classifier": "classifier", "squad": "squad", "pretrainer": "pretraining"}


def exported(kind: Kind, activation: Activation = "gelu", vocab: str | None = VOCAB) -> Exported:
    """A model with odd sizes and weights around 1, so that every part of it counts in the results."""
    config = BertConfig(11, 6, 2, 2, 8, activation, max_position_embeddings=7, type_vocab_size=3)
    weights = choose_weights(random_weights(config, _HEADS[kind]), kind, config.num_hidden_layers)
    return Exported(kind, config, weights, vocab, None if vocab is None else True)


def assert_close(found: Arrays, ours: Arrays, mask: np.ndarray) -> None:
    """The same results but for rounding: some hundred operations on numbers around 1, in float32."""
    assert largest_difference(found, ours, mask) < 100 * np.finfo(np.float32).eps
