# SPDX-License-Identifier: Apache-2.0
"""What the official code computed with a tiny model; README.md beside this file says how."""

from pathlib import Path

import numpy as np

from jaxbert.config.bert_config import BertConfig

CONFIG = BertConfig(
    vocab_size=525, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=128, type_vocab_size=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip

with np.load(Path(__file__).with_name("official.npz")) as _file:
    _ARRAYS = dict(_file)


def arrays(group: str) -> dict[str, np.ndarray]:
    """All arrays whose name starts with `group/`, by the rest of their name."""
    return {name.removeprefix(f"{group}/"): array for name, array in _ARRAYS.items() if name.startswith(f"{group}/")}
