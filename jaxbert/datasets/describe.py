# SPDX-License-Identifier: Apache-2.0
"""What a file of data is, detected from its content: TFRecords, their metadata, a table, SQuAD, a vocabulary."""

import json
from collections.abc import Iterator
from typing import Any

from jaxbert.datasets.describe_tables import describe_json_lines, describe_squad, describe_table
from jaxbert.errors import InputError
from jaxbert.io.files import open_input, read_text, view_input
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.example import parse_example
from jaxbert.tfrecord.files import is_records, stream
from jaxbert.tfrecord.metadata import MultipleChoiceMetaData, SquadMetaData, TaggingMetaData, read_meta_data

_MOST_TEXT = 1 << 25  # bytes; vocabularies and JSON files are smaller


def describe_data(path: str) -> list[str]:
    """The lines that say what is in a file; none where it is nothing of these.

    Raises InputError where it is one of them and damaged.
    """
    if is_records(path):
        return list(_describe_records(path))
    with open_input(path) as file:
        beginning = file.read(12)
    if lines := describe_table(path):
        return lines
    if len(view_input(path)) > _MOST_TEXT:
        return describe_json_lines(path) if beginning.lstrip()[:1] == b"{" else []
    if (content := json_object(path)) is not None:
        return _describe_metadata(path, content) if "task_type" in content else describe_squad(path, content)
    if beginning.lstrip()[:1] == b"{" and (lines := describe_json_lines(path)):
        return lines
    try:
        vocab = read_vocab(path)
    except InputError:
        return []
    casing = "keeps its case" if vocab.is_cased else "is lower-cased"
    share = f"{vocab.cased_share:.1%} of its words have capitals or accents"
    return [f"{path}: vocabulary of {len(vocab)} tokens; {share}: text {casing}"]


def json_object(path: str) -> dict[str, Any] | None:
    """The JSON object that a file consists of; None for anything else. Raises InputError where it is not UTF-8."""
    with open_input(path) as file:
        if file.read(12).lstrip()[:1] != b"{" or len(view_input(path)) > _MOST_TEXT:
            return None
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _describe_records(path: str) -> Iterator[str]:
    """The number of records and the features of the first one."""
    count, first = 0, b""
    for payload in stream(path):
        first = first if count else payload
        count += 1
    yield f"{path}: TFRecords, {count} of them, all checksums right"
    try:
        features = parse_example(first)
    except InputError as error:
        yield f"features        {error.message}"
        return
    for name, values in sorted(features.items()):
        yield f"  {name:24} {'bytes' if isinstance(values, list) else values.dtype} [{len(values)}]"


def _describe_metadata(path: str, content: dict[str, Any]) -> list[str]:
    found = type(read_meta_data(path))  # which checks every key
    kinds = {
        SquadMetaData: "SQuAD records",
        TaggingMetaData: "a tagger",
        MultipleChoiceMetaData: "a model that chooses",
    }
    return [
        f"{path}: metadata of {kinds.get(found, 'classification or regression records')}",
        *(f"  {key:24} {value}" for key, value in content.items()),
    ]
