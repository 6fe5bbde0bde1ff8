# SPDX-License-Identifier: Apache-2.0
"""JSON in which something else stands in some place is read, or refused with a message, wherever JSON is read."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jaxbert.checkpoints import huggingface, keras_hub, sentence_transformers
from jaxbert.checkpoints.tokenizer_files import read_rules
from jaxbert.config import bert_config
from jaxbert.errors import InputError
from jaxbert.examples.arrow import find_splits
from jaxbert.tfrecord.metadata import read_meta_data

VALUES: tuple[Any, ...] = (None, True, -1, 3.5, 10**30, "x", [], ["x"], [[]], {}, {"x": 1})
VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")
SIZES = {
    "vocab_size": 8,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 4,
    "hidden_act": "gelu",
}
TEXT = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
TEXT += [{"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
PAIR = [*TEXT, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
TOKENIZER = {
    "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
    "normalizer": {"type": "BertNormalizer", "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing", "single": TEXT, "pair": PAIR},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {token: id_ for id_, token in enumerate(VOCAB)}},
}
PROCESSOR = {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}
MODULES = [
    {"path": folder, "type": f"sentence_transformers.models.{name}"}
    for folder, name in (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
]


def _read_preset(folder: str) -> None:
    keras_hub.read_config(folder)
    keras_hub.read_max_seq_length(folder)
    keras_hub.read_task(folder, 5)
    keras_hub.read_pooling(folder)


def _read_huggingface(folder: str) -> None:
    content = json.loads(Path(folder, "config.json").read_text())
    if isinstance(content, dict):
        huggingface.from_huggingface_config(content)
        huggingface.classification_task(content, 2, 5)


def _preset(kind: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": settings}


# The files of a folder, and what reads them.
FOLDERS: dict[str, tuple[dict[str, Any], Callable[[str], Any]]] = {
    "tokenizer": (
        {
            "tokenizer.json": TOKENIZER,
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": ["x"]},
        },
        read_rules,
    ),
    "tokenizer of version 4": (
        {
            "tokenizer.json": TOKENIZER | {"post_processor": PROCESSOR},
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True},
            "special_tokens_map.json": {"cls_token": {"content": "[CLS]"}, "additional_special_tokens": ["y"]},
            "added_tokens.json": {"z": 6},
        },
        read_rules,
    ),
    "sentence-transformers": (
        {
            "modules.json": MODULES,
            "1_Pooling/config.json": {"pooling_mode": ["cls"], "include_prompt": True},
            "2_Normalize/config.json": {},
            "config_sentence_transformers.json": {"prompts": {"a": "b"}, "default_prompt_name": "a"},
            "sentence_bert_config.json": {"max_seq_length": 5, "do_lower_case": False},
        },
        lambda folder: (sentence_transformers.encoder_folder(folder), str(sentence_transformers.read_pooling(folder))),
    ),
    "transformers": (
        {"config.json": {"model_type": "bert", **SIZES, "id2label": {"0": "a", "1": "b"}}},
        _read_huggingface,
    ),
    "keras-hub": (
        {
            "config.json": _preset(
                "BertBackbone",
                **dict.fromkeys(("vocabulary_size", "hidden_dim", "num_layers", "num_heads"), 2),
                **dict.fromkeys(("intermediate_dim", "max_sequence_length", "num_segments"), 2),
                dropout=0.1,
            ),
            "task.json": _preset("BertTextClassifier", num_classes=2, activation="linear", dropout=0.1),
            "preprocessor.json": {"config": {"sequence_length": 5, "truncate": "round_robin"}},
        },
        _read_preset,
    ),
    "datasets": (
        {"dataset_dict.json": {"splits": ["a"]}, "a/state.json": {"_data_files": [{"filename": "a"}]}},
        find_splits,
    ),
    "ours": (
        {
            "bert_config.json": SIZES,
            "meta_data": {
                "task_type": "bert_classification",
                "problem_type": "multi_label_classification",
                **dict.fromkeys(("num_labels", "train_data_size", "max_seq_length"), 2),
                **{"label_list": ["a", "b"], "pairs": True, "thresholds": [0.1, 0.2]},
            },
        },
        lambda folder: (bert_config.read(f"{folder}/bert_config.json"), read_meta_data(f"{folder}/meta_data")),
    ),
}


def with_others(content: Any) -> Iterator[Any]:
    """The content with each of `VALUES` in each of its places."""
    yield from VALUES
    places = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for place in places:
        for other in with_others(content[place]):
            changed = copy.copy(content)
            changed[place] = other
            yield changed


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_ends_in_a_traceback(name: str, tmp_path: Path) -> None:
    """As it is a folder is read; with any other value in any place of a file it is read or refused."""
    contents, read = FOLDERS[name]
    for file, content in contents.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content))
    read(str(tmp_path))
    refused = 0
    for file, content in contents.items():
        for other in with_others(content):
            (tmp_path / file).write_text(json.dumps(other))
            try:
                read(str(tmp_path))
            except InputError:
                refused += 1
        (tmp_path / file).write_text(json.dumps(content))
    assert refused
