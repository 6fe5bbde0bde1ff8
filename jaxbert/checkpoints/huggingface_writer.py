# SPDX-License-Identifier: Apache-2.0
"""Writing a model as a folder that `transformers` loads: weights, configuration, and how its tokenizer treats text."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save

from jaxbert import files
from jaxbert.checkpoints import huggingface_config, names
from jaxbert.checkpoints.huggingface_names import ENCODER_PREFIX, to_huggingface
from jaxbert.checkpoints.model_folder import OUR_FILE, TOKENIZER_FILE
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError

_WITHOUT_POOLER = ("BertForQuestionAnswering", "BertForMaskedLM")
_TASKS = {
    "classification": names.CLASSIFIER[0],
    "SQuAD": names.SQUAD[0],
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
    drops_pooler = huggingface_config.architecture(weights) in _WITHOUT_POOLER
    return [name for name in weights if not (drops_pooler and name in names.POOLER)]


def write_huggingface(
    folder: str, weights: Mapping[str, np.ndarray], config: BertConfig, labels: Sequence[str] = ()
) -> None:
    """Write config.json and model.safetensors from `weights` (TF1 names and shapes), as far as they are stored.

    `labels` are the names of a classifier's classes, if known. Raises InputError as `stored_names` does.
    """
    architecture = huggingface_config.architecture(weights)
    if names.CLASSIFIER[0] in weights and len(labels) != len(weights[names.CLASSIFIER[0]]):
        labels = [f"LABEL_{number}" for number in range(len(weights[names.CLASSIFIER[0]]))]
    tensors = dict(to_huggingface(name, weights[name]) for name in sorted(stored_names(weights)))
    if architecture == "BertModel":
        tensors = {name.removeprefix(ENCODER_PREFIX): tensor for name, tensor in tensors.items()}
    settings = huggingface_config.to_huggingface(config, architecture, labels)
    _write_json(os.path.join(folder, "config.json"), settings)
    with files.whole_file(os.path.join(folder, OUR_FILE)) as file:
        file.write(save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {"format": "pt"}))


def write_tokenizer(folder: str, config: BertConfig, lower_case: bool) -> None:
    """Write the tokenizer's settings, which go with a `vocab.txt`."""
    settings = {
        "do_lower_case": lower_case,
        "model_max_length": config.max_position_embeddings,
        "tokenizer_class": "BertTokenizer",
    }
    _write_json(os.path.join(folder, TOKENIZER_FILE), settings)


def _write_json(path: str, content: Mapping[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
