# SPDX-License-Identifier: Apache-2.0
"""The JSON beside record files: sizes, labels, and for SQuAD how windows were cut."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from jaxbert.errors import InputError
from jaxbert.examples.glue import TASKS
from jaxbert.features.squad import WindowSettings
from jaxbert.io.files import read_json_object, write_text

_CLASSIFICATION, _REGRESSION = "bert_classification", "bert_regression"
_TEST_SIZE = re.compile(r"test_(?:(.+)_)?data_size")


@dataclasses.dataclass(frozen=True)
class ClassificationMetaData:
    """What a trainer must know of the records.

    Attributes:
        processor_type: name of the task.
        train_data_size: number of training records.
        max_seq_length: S.
        num_labels: classes; None for regression.
        label_type: type of the labels in the records, "int" or "float".
        eval_data_size: number of evaluation records; None when none were made.
        test_data_size: number of test records by language, "" for the only test set.
        has_sample_weights: whether records hold `weight`.
        label_list: names of the classes in the order of their ids; empty when the file does not say. Official files do
            not have this key, and official trainers do not look for it.
    """

    processor_type: str
    train_data_size: int
    max_seq_length: int
    num_labels: int | None
    label_type: Literal["int", "float"] = "int"
    eval_data_size: int | None = None
    test_data_size: Mapping[str, int] = dataclasses.field(default_factory=dict)
    has_sample_weights: bool = False
    label_list: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether labels are numbers."""
        return self.num_labels is None

    @property
    def class_names(self) -> tuple[str, ...]:
        """C names in the order of the class ids: `label_list`, those of the known task, or the ids as text."""
        of_task = next((task.labels.names for task in TASKS if task.name == self.processor_type.upper()), ())
        names = self.label_list or of_task
        return names if len(names) == self.num_labels else tuple(map(str, range(self.num_labels or 0)))


def write_meta_data(path: str, meta: ClassificationMetaData) -> None:
    """Write the JSON file."""
    write_text(path, to_json(meta))


def to_json(meta: ClassificationMetaData) -> str:
    """The text of the JSON file."""
    return json.dumps(_keys(meta), indent=4, ensure_ascii=False) + "\n"


def read_meta_data(path: str) -> ClassificationMetaData:
    """Read the JSON file of `create_finetuning_data`, the official one's too.

    Raises:
        InputError: not JSON, not of a classification or regression task, a key is missing or of the wrong type.
    """
    return _from_keys(read_json_object(path, "the file of `--meta_data_file_path`"), path)


def _keys(meta: ClassificationMetaData) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "processor_type": meta.processor_type,
        "train_data_size": meta.train_data_size,
        "max_seq_length": meta.max_seq_length,
    }
    if meta.is_regression:  # official trainers know regression by the absence of `num_labels`
        keys |= {"task_type": _REGRESSION, "label_type": meta.label_type}
    else:
        keys |= {"task_type": _CLASSIFICATION, "num_labels": meta.num_labels}
    if meta.has_sample_weights:
        keys["has_sample_weights"] = True
    if meta.eval_data_size is not None:
        keys["eval_data_size"] = meta.eval_data_size
    for language, size in meta.test_data_size.items():
        keys[f"test_{language}_data_size" if language else "test_data_size"] = size
    if meta.label_list:
        keys["label_list"] = list(meta.label_list)
    return keys


def _from_keys(content: dict[str, Any], path: str) -> ClassificationMetaData:
    task = content.get("task_type", _CLASSIFICATION)
    if task not in (_CLASSIFICATION, _REGRESSION):
        raise InputError(f"`{path}`: the task is `{task}`", f"expected `{_CLASSIFICATION}` or `{_REGRESSION}`")
    is_regression = task == _REGRESSION
    tests = {key: _TEST_SIZE.fullmatch(key) for key in content}
    label_type = content.get("label_type", "int")
    if label_type not in ("int", "float"):
        raise InputError(f"`{path}`: `label_type` is `{label_type}`, expected `int` or `float`")
    return ClassificationMetaData(
        processor_type=str(content.get("processor_type", "")),
        train_data_size=_size(content, "train_data_size", path),
        max_seq_length=_size(content, "max_seq_length", path),
        num_labels=None if is_regression else _size(content, "num_labels", path),
        label_type=label_type,
        eval_data_size=_size(content, "eval_data_size", path) if "eval_data_size" in content else None,
        test_data_size={match[1] or "": _size(content, key, path) for key, match in tests.items() if match},
        has_sample_weights=bool(content.get("has_sample_weights", False)),
        label_list=_names(content, path),
    )


def _size(content: dict[str, Any], key: str, path: str) -> int:
    if key not in content:
        raise InputError(
            f"`{path}` has no key `{key}`; it has {', '.join(content)}", "make it again with `create_finetuning_data`"
        )
    value = content[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"`{path}`: `{key}` is `{value}`, expected a whole number", "repair or make the file again")
    return value


def _names(content: dict[str, Any], path: str) -> tuple[str, ...]:
    """`label_list`, checked against `num_labels`."""
    names = content.get("label_list", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"`{path}`: `label_list` is `{names}`, expected a list of names")
    if names and len(names) != content.get("num_labels"):
        raise InputError(f"`{path}`: {len(names)} names in `label_list` for `num_labels` {content.get('num_labels')}")
    return tuple(names)


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


def squad_to_json(meta: SquadMetaData) -> str:
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
    write_text(path, squad_to_json(meta))


def read_squad_meta_data(path: str) -> SquadMetaData:
    """Read the JSON file of `create_finetuning_data`, the official one's too.

    Raises:
        InputError: not JSON, not of SQuAD, a key is missing or of the wrong type.
    """
    content = read_json_object(path, "the file of `--meta_data_file_path`")
    if content.get("task_type", _TASK) != _TASK:
        raise InputError(
            f"`{path}`: the task is `{content['task_type']}`, expected `{_TASK}`",
            "give the file of `--meta_data_file_path`",
        )
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
