# SPDX-License-Identifier: Apache-2.0
"""The JSON beside record files and trained models, with the keys of the official scripts: what the task is.

Of a trained model it is the description of what it was trained for.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from jaxbert.errors import InputError
from jaxbert.examples.glue import TASKS
from jaxbert.examples.tag_schemes import Scheme, scheme_of_labels
from jaxbert.features.classification import TextWindows
from jaxbert.features.squad import WindowSettings
from jaxbert.io.files import read_json_object

_CLASSIFICATION, _REGRESSION, _SQUAD, _TAGGING = "bert_classification", "bert_regression", "bert_squad", "tagging"
_CHOICE = "multiple_choice"
_TEST_SIZE = re.compile(r"test_(?:(.+)_)?data_size")
_EXPECTED = "the file of `--meta_data_file_path`"
_SEVERAL_LABELS = "multi_label_classification"  # as transformers calls it
Context = Literal["sentence", "document"]
"""What a tagger reads together."""


@dataclasses.dataclass(frozen=True)
class ClassificationMetaData:
    """What a trainer must know of the records of a classification or regression task, and a user of its model.

    Official files have no key for what follows `has_sample_weights`, and official trainers do not look for it.

    Attributes:
        processor_type: name of the task.
        train_data_size: number of training records.
        max_seq_length: S.
        num_labels: classes; None for regression.
        label_type: type of the labels in the records, "int" or "float".
        eval_data_size: number of evaluation records; None when none were made.
        test_data_size: number of test records by language, "" for the only test set.
        has_sample_weights: whether records hold `weight`.
        label_list: names of the classes in the order of their ids; empty when the file does not say.
        is_multi_label: whether an example may belong to several classes, or to none; each has an output of its own.
        pairs: whether examples are pairs of texts; None when the file does not say.
        thresholds: with several labels, the probability from which on each class counts; empty: 0.5.
        windows: of a trained model, how it reads texts that are too long; None: they are cut.
        is_score: of a model of Hugging Face with one output that its files do not call a number: other programs put a
            sigmoid on it.
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
    is_multi_label: bool = False
    pairs: bool | None = None
    thresholds: tuple[float, ...] = ()
    windows: TextWindows | None = None
    is_score: bool = False

    @property
    def is_regression(self) -> bool:
        """Whether labels are numbers."""
        return self.num_labels is None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of their ids: those of the file, of the known task, or numbers."""
        of_task = next((task.labels.names for task in TASKS if task.name == self.processor_type.upper()), ())
        names = self.label_list or of_task
        return names if len(names) == self.num_labels else tuple(map(str, range(self.num_labels or 0)))

    @property
    def kind(self) -> str:
        """In words, what an example has: a number, one of the classes, or several of them."""
        if self.is_regression:
            return "a number"
        return f"{'several' if self.is_multi_label else 'one'} of the classes {', '.join(self.class_names)}"

    def to_json(self) -> str:
        """The text of the file."""
        keys: dict[str, Any] = {
            "processor_type": self.processor_type,
            "train_data_size": self.train_data_size,
            "max_seq_length": self.max_seq_length,
        }
        if self.is_regression:  # official trainers know regression by the absence of `num_labels`
            keys |= {"task_type": _REGRESSION, "label_type": self.label_type}
        else:
            keys |= {"task_type": _CLASSIFICATION, "num_labels": self.num_labels}
        if self.has_sample_weights:
            keys["has_sample_weights"] = True
        if self.eval_data_size is not None:
            keys["eval_data_size"] = self.eval_data_size
        for language, size in self.test_data_size.items():
            keys[f"test_{language}_data_size" if language else "test_data_size"] = size
        if self.label_list:
            keys["label_list"] = list(self.label_list)
        if self.is_multi_label:
            keys["problem_type"] = _SEVERAL_LABELS
        if self.pairs is not None:
            keys["pairs"] = self.pairs
        if self.thresholds:
            keys["thresholds"] = list(self.thresholds)
        if self.windows:
            keys["long_texts"] = dataclasses.asdict(self.windows)
        if self.is_score:
            keys["is_score"] = True
        return json.dumps(keys, indent=4, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: str) -> "ClassificationMetaData":
        """Read the file of `create_finetuning_data`, the official one's too.

        Raises:
            InputError: not JSON, not of classification or regression, a key is missing or its value is wrong.
        """
        content = read_json_object(path, _EXPECTED)
        task = content.get("task_type", _CLASSIFICATION)
        if task not in (_CLASSIFICATION, _REGRESSION):
            hint = "; `run_squad` is for this one" if task == _SQUAD else ""
            raise InputError(
                f"`{path}`: the task is `{task}`", f"expected `{_CLASSIFICATION}` or `{_REGRESSION}`{hint}"
            )
        label_type = content.get("label_type", "int")
        if label_type not in ("int", "float"):
            raise InputError(f"`{path}`: `label_type` is `{label_type}`, expected `int` or `float`")
        num_labels = None if task == _REGRESSION else _value(content, "num_labels", path)
        names = content.get("label_list", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"`{path}`: `label_list` is `{names}`, expected a list of names")
        if names and len(names) != num_labels:
            raise InputError(f"`{path}`: {len(names)} names in `label_list` for `num_labels` {num_labels}")
        if content.get("problem_type") not in (None, _SEVERAL_LABELS):
            raise InputError(
                f"`{path}`: `problem_type` is `{content['problem_type']}`",
                f"expected `{_SEVERAL_LABELS}`, or no such key",
            )
        thresholds = content.get("thresholds", [])
        if thresholds != [] and not (
            isinstance(thresholds, list)
            and len(thresholds) == num_labels
            and all(isinstance(share, int | float) and 0 <= share <= 1 for share in thresholds)
        ):
            raise InputError(f"`{path}`: `thresholds` is `{thresholds}`", "expected a probability for each class")
        tests = {key: _TEST_SIZE.fullmatch(key) for key in content}
        return cls(
            processor_type=str(content.get("processor_type", "")),
            train_data_size=_value(content, "train_data_size", path),
            max_seq_length=_value(content, "max_seq_length", path),
            num_labels=num_labels,
            label_type=label_type,
            eval_data_size=_value(content, "eval_data_size", path) if "eval_data_size" in content else None,
            test_data_size={match[1] or "": _value(content, key, path) for key, match in tests.items() if match},
            has_sample_weights=bool(content.get("has_sample_weights", False)),
            label_list=tuple(names),
            is_multi_label="problem_type" in content,
            pairs=bool(_value(content, "pairs", path, kind=bool)) if "pairs" in content else None,
            thresholds=tuple(map(float, thresholds)),
            windows=_windows(content, path),
            is_score="is_score" in content and bool(_value(content, "is_score", path, kind=bool)),
        )


@dataclasses.dataclass(frozen=True)
class SquadMetaData:
    """What a trainer and predictions must know of the records of SQuAD.

    Attributes:
        train_data_size: number of records, that is of windows, not of questions.
        settings: how windows were cut; predictions cut theirs in the same way.
        version_2_with_negative: whether questions may have no answer.
    """

    train_data_size: int
    settings: WindowSettings
    version_2_with_negative: bool

    def to_json(self) -> str:
        """The text of the file."""
        keys = {
            "task_type": _SQUAD,
            "train_data_size": self.train_data_size,
            "max_seq_length": self.settings.max_seq_length,
            "max_query_length": self.settings.max_query_length,
            "doc_stride": self.settings.doc_stride,
            "version_2_with_negative": self.version_2_with_negative,
        }
        return json.dumps(keys, indent=4) + "\n"

    @classmethod
    def read(cls, path: str) -> "SquadMetaData":
        """Read the file of `create_finetuning_data`, the official one's too.

        Raises:
            InputError: not JSON, not of SQuAD, a key is missing or its value is wrong.
        """
        content = read_json_object(path, _EXPECTED)
        if content.get("task_type", _SQUAD) != _SQUAD:
            raise InputError(
                f"`{path}`: the task is `{content['task_type']}`, expected `{_SQUAD}`", f"give {_EXPECTED}"
            )
        lengths = (_value(content, key, path, 1) for key in ("max_seq_length", "doc_stride", "max_query_length"))
        return cls(
            _value(content, "train_data_size", path),
            WindowSettings(*lengths),
            bool(_value(content, "version_2_with_negative", path, kind=bool)),
        )


def _windows(content: Mapping[str, Any], path: str) -> TextWindows | None:
    """How long texts are read."""
    kept = content.get("long_texts")
    if kept is None:
        return None
    if isinstance(kept, dict) and kept.keys() == {"doc_stride", "pooling"} and kept["pooling"] in ("mean", "max"):
        return TextWindows(_value(kept, "doc_stride", path, 1), kept["pooling"])
    raise InputError(
        f"`{path}`: `long_texts` is `{json.dumps(kept)}`",
        "expected an object with `doc_stride` and `pooling`, mean or max",
    )


@dataclasses.dataclass(frozen=True)
class TaggingMetaData:
    """What a user of a model must know that gives each word a tag.

    Attributes:
        train_data_size: number of training examples, that is of windows.
        max_seq_length: tokens of a window.
        label_list: the tags in the order of their ids.
        context: what is read together, sentences or documents.
    """

    train_data_size: int
    max_seq_length: int
    label_list: tuple[str, ...]
    context: Context = "sentence"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The tags in the order of their ids."""
        return self.label_list

    @property
    def scheme(self) -> Scheme:
        """How the tags say where entities begin and end."""
        return scheme_of_labels(self.label_list)

    @property
    def kind(self) -> str:
        """In words, what each word has."""
        return f"one of the tags {', '.join(self.label_list)}"

    def to_json(self) -> str:
        """The text of the file."""
        keys = {
            "task_type": _TAGGING,
            "train_data_size": self.train_data_size,
            "max_seq_length": self.max_seq_length,
            "num_labels": len(self.label_list),
            "label_type": "int",
            "label_list": list(self.label_list),
            "context": self.context,
        }
        return json.dumps(keys, indent=4, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: str) -> "TaggingMetaData":
        """Read the file beside a trained model.

        Raises:
            InputError: not JSON, not of tags, a key is missing or its value is wrong.
        """
        content = read_json_object(path, _EXPECTED)
        if content.get("task_type") != _TAGGING:
            raise InputError(f"`{path}`: the task is `{content.get('task_type')}`, expected `{_TAGGING}`")
        names, context = content.get("label_list"), content.get("context", "sentence")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"`{path}`: `label_list` is `{names}`, expected a list of tags")
        if len(set(names)) != len(names) or len(names) != _value(content, "num_labels", path):
            raise InputError(
                f"`{path}`: `label_list` is `{names}`, `num_labels` is {content['num_labels']}",
                "expected as many different tags",
            )
        if context not in get_args(Context):
            raise InputError(f"`{path}`: `context` is `{context}`", f"expected one of {', '.join(get_args(Context))}")
        size, length = (_value(content, key, path) for key in ("train_data_size", "max_seq_length"))
        return cls(size, length, tuple(names), context)


@dataclasses.dataclass(frozen=True)
class MultipleChoiceMetaData:
    """What a user of a model must know that chooses among the answers to a question.

    Attributes:
        train_data_size: number of questions it was trained on.
        max_seq_length: tokens of a choice with its question and context.
    """

    train_data_size: int
    max_seq_length: int

    @property
    def kind(self) -> str:
        """In words, what a question has."""
        return "one of the choices of each question"

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps({"task_type": _CHOICE, **dataclasses.asdict(self)}, indent=4) + "\n"

    @classmethod
    def read(cls, path: str) -> "MultipleChoiceMetaData":
        """Read the file beside a trained model.

        Raises:
            InputError: not JSON, not of multiple choice, a key is missing or its value is wrong.
        """
        content = read_json_object(path, _EXPECTED)
        if content.get("task_type") != _CHOICE:
            raise InputError(f"`{path}`: the task is `{content.get('task_type')}`, expected `{_CHOICE}`")
        return cls(_value(content, "train_data_size", path), _value(content, "max_seq_length", path, 4))


MetaData = ClassificationMetaData | SquadMetaData | TaggingMetaData | MultipleChoiceMetaData
_KINDS: dict[object, type[MetaData]] = {
    _SQUAD: SquadMetaData,
    _TAGGING: TaggingMetaData,
    _CHOICE: MultipleChoiceMetaData,
}


def read_meta_data(path: str) -> MetaData:
    """What is in a file of any kind, which it says itself. Raises InputError as their `read` does."""
    task = read_json_object(path, _EXPECTED).get("task_type")
    return _KINDS.get(task if isinstance(task, str) else None, ClassificationMetaData).read(path)


def _value(content: Mapping[str, Any], key: str, path: str, smallest: int = 0, kind: type[int] = int) -> int:
    """A whole number that is not too small, or true or false."""
    if key not in content:
        raise InputError(
            f"`{path}` has no key `{key}`; it has {', '.join(content)}", "make it again with `create_finetuning_data`"
        )
    value = content[key]
    if type(value) is not kind or value < smallest:
        expected = "true or false" if kind is bool else f"a whole number from {smallest} on"
        raise InputError(f"`{path}`: `{key}` is `{value}`, expected {expected}", "repair or make the file again")
    return value
