# SPDX-License-Identifier: Apache-2.0
"""The JSON file beside the records of SQuAD, with the keys of the official script."""

import dataclasses
import json
from typing import Any

from jaxbert.errors import InputError
from jaxbert.features.squad import WindowSettings
from jaxbert.files import read_text, write_text

_TASK = "bert_squad"


@dataclasses.dataclass(frozen=True)
class SquadMetaData:
    """What a trainer and predictions must know of the records.

    Attributes:
        train_data_size: number of records, that is of windows, not of questions.
        settings: how windows were cut; predictions cut theirs in the same way.
        version_2_with_negative: whether questions may have no answer.
    """

    train_data_size: int
    settings: WindowSettings
    version_2_with_negative: bool


def to_json(meta: SquadMetaData) -> str:
    """The text of the JSON file."""
    keys = {
        "task_type": _TASK,
        "train_data_size": meta.train_data_size,
        "max_seq_length": meta.settings.max_seq_length,
        "max_query_length": meta.settings.max_query_length,
        "doc_stride": meta.settings.doc_stride,
        "version_2_with_negative": meta.version_2_with_negative,
    }
    return json.dumps(keys, indent=4) + "\n"


def write_squad_meta_data(path: str, meta: SquadMetaData) -> None:
    """Write the JSON file."""
    write_text(path, to_json(meta))


def read_squad_meta_data(path: str) -> SquadMetaData:
    """Read the JSON file of `create_finetuning_data`, the official one's too.

    Raises:
        InputError: not JSON, not of SQuAD, a key is missing or of the wrong type.
    """
    hint = "give the file of `--meta_data_file_path`"
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"`{path}` is not JSON: {error}", hint) from error
    if not isinstance(content, dict):
        raise InputError(f"`{path}`: expected a JSON object", hint)
    if content.get("task_type", _TASK) != _TASK:
        raise InputError(f"`{path}`: the task is `{content['task_type']}`, expected `{_TASK}`", hint)
    lengths = (_get(content, key, int, path) for key in ("max_seq_length", "doc_stride", "max_query_length"))
    return SquadMetaData(
        _get(content, "train_data_size", int, path),
        WindowSettings(*lengths),
        _get(content, "version_2_with_negative", bool, path),
    )


def _get(content: dict[str, Any], key: str, kind: type[int], path: str) -> Any:
    """A checked value: true or false, or a whole number of 1 or more (0 for the number of records)."""
    if key not in content:
        raise InputError(
            f"`{path}` has no key `{key}`; it has {', '.join(content)}", "make it again with `create_finetuning_data`"
        )
    value: Any = content[key]
    smallest = 0 if kind is bool or key == "train_data_size" else 1
    if type(value) is not kind or value < smallest:
        expected = "true or false" if kind is bool else "a whole number"
        raise InputError(f"`{path}`: `{key}` is `{value}`, expected {expected}", "repair or make the file again")
    return value
