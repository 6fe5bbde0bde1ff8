# SPDX-License-Identifier: Apache-2.0
"""What `inspect` says of files that are no models: records, meta data, vocabularies, configurations."""

import json
from collections.abc import Iterator
from typing import Any

from jaxbert.checkpoints import huggingface
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.io.files import open_input, read_text, view_input
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.example import Values, parse_example
from jaxbert.tfrecord.files import masked_crc, stream
from jaxbert.tfrecord.metadata import ClassificationMetaData, SquadMetaData

_MOST_TEXT = 1 << 25  # bytes; vocabularies and JSON files are smaller
_HUGGINGFACE_KEYS = {"model_type", "architectures", "transformers_version"}


def describe_data(path: str) -> list[str]:
    """The lines that say what the file is; none where it is nothing of these.

    Raises InputError where it is one of them and damaged.
    """
    with open_input(path) as file:
        beginning = file.read(12)
    if len(beginning) == 12 and masked_crc(beginning[:8]) == int.from_bytes(beginning[8:], "little"):
        return list(_describe_records(path))
    if len(view_input(path)) > _MOST_TEXT:
        return []
    if beginning.lstrip()[:1] == b"{":
        return _describe_json(path)
    try:
        vocab = read_vocab(path)
    except InputError:
        return []
    case = "has capitals: text keeps its case" if vocab.is_cased else "has no capitals: text is lower-cased"
    return [f"{path}: vocabulary of {len(vocab)} tokens; it {case}"]


def listed_sizes(config: BertConfig, with_heads: bool = True) -> str:
    """The sizes of an encoder on one line."""
    heads = f", {config.num_attention_heads} heads" if with_heads else ""
    return (
        f"{config.num_hidden_layers} layers, hidden {config.hidden_size}{heads}, intermediate"
        f" {config.intermediate_size}, vocabulary {config.vocab_size}, {config.max_position_embeddings} positions,"
        f" {config.type_vocab_size} token types"
    )


def describe_config(config: BertConfig) -> str:
    """What a configuration says beside the sizes."""
    return (
        f"{config.hidden_act}, {config.num_attention_heads} heads,"
        f" dropout {config.hidden_dropout_prob:g} and {config.attention_probs_dropout_prob:g}"
    )


def _describe_records(path: str) -> Iterator[str]:
    """The number of records and the features of the first one."""
    count, first = 0, b""
    for payload in stream(path):
        first = first if count else payload
        count += 1
    yield f"{path}: TFRecords, {count} of them, all checksums right"
    try:
        features = parse_example(first, "the first record")
    except InputError as error:
        yield f"features        {error.message}"
        return
    for name, values in sorted(features.items()):
        yield f"  {name:24} {_kind(values)} [{len(values)}]"


def _kind(values: Values) -> str:
    return "bytes" if isinstance(values, list) else str(values.dtype)


def _describe_json(path: str) -> list[str]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return []
    if not isinstance(content, dict):
        return []
    if "hidden_size" in content:
        is_theirs = bool(_HUGGINGFACE_KEYS & content.keys())
        config = huggingface.from_huggingface_config(content) if is_theirs else bert_config.read(path)
        kind = "config.json of Hugging Face" if is_theirs else "bert_config.json"
        return [
            f"{path}: {kind}",
            f"sizes           {listed_sizes(config)}",
            f"rest            {describe_config(config)}",
        ]
    if "task_type" in content:
        return _describe_meta_data(path, content)
    return []


def _describe_meta_data(path: str, content: dict[str, Any]) -> list[str]:
    kind = "SQuAD" if "squad" in str(content["task_type"]) else "classification or regression"
    (SquadMetaData if kind == "SQuAD" else ClassificationMetaData).read(path)
    return [f"{path}: meta data of {kind} records", *(f"  {key:24} {value}" for key, value in content.items())]
