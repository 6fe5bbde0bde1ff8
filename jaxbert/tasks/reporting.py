# SPDX-License-Identifier: Apache-2.0
"""What a task tells its report: the model, and examples as texts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxbert.checkpoints.resolve import Model
from jaxbert.config.trainers import TrainingFlags
from jaxbert.model.weights import Table
from jaxbert.reports import run as reports
from jaxbert.text.vocab import Vocab
from jaxbert.train import hosts


def of_model(model: Model, table: Table) -> dict[str, Any]:
    """What the model is, by name."""
    config = model.config
    return {
        "name": "random weights" if model.source is None else model.source.path,
        "parameters": sum(math.prod(weight.shape) for weight in table.values()),
        "layers": config.num_hidden_layers,
        "hidden size": config.hidden_size,
        "attention heads": config.num_attention_heads,
        "positions": config.max_position_embeddings,
        "tokens in the vocabulary": config.vocab_size,
        "text is lower-cased": "not known" if model.rules is None else model.rules.lower_case,
        "computed on": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }


def of_training(flags: TrainingFlags, kind: str, model: Model, table: Table, data: Mapping[str, Any]) -> None:
    """Write the report on a training without evaluation: curves, data, model and flags."""
    if hosts.is_first():
        results = {"metrics": {}, "note": "Nothing was evaluated."}
        reports.write(flags, kind, of_model(model, table), data, {"results": results})


def texts(features: Mapping[str, np.ndarray], vocab: Vocab) -> list[list[str]]:
    """The one or two texts of each example, as the model reads them: features [n, S] -> tokens, pieces joined."""
    keep = (features["input_mask"] != 0) & ~np.isin(features["input_ids"], (vocab.cls, vocab.sep))
    is_second = np.cumsum(features["input_ids"] == vocab.sep, axis=1) > 0  # types of tokens may all be 0
    parts = [keep & (is_second == second) for second in (False, True)]
    found = [[_joined(row[own], vocab) for row, own in zip(features["input_ids"], part, strict=True)] for part in parts]
    return [[text for text in both if text] for both in zip(*found, strict=True)]


def _joined(ids: Sequence[int] | np.ndarray, vocab: Vocab) -> str:
    return " ".join(vocab.tokens[id_] if id_ < len(vocab.tokens) else f"[{id_}]" for id_ in ids).replace(" ##", "")
