# SPDX-License-Identifier: Apache-2.0
"""The meta data file."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.tfrecord.metadata import ClassificationMetaData, read_meta_data, write_meta_data

CLASSIFICATION = ClassificationMetaData(
    "XNLI", 100, 128, 3, eval_data_size=7, test_data_size={"en": 3, "zh": 4}, label_list=("a", "b", "ü")
)
REGRESSION = ClassificationMetaData("STS-B", 100, 64, None, "float", test_data_size={"": 5}, has_sample_weights=True)


@pytest.mark.parametrize("meta", [CLASSIFICATION, REGRESSION])
def test_round_trip(tmp_path: Path, meta: ClassificationMetaData) -> None:
    """What is written is read back the same."""
    path = str(tmp_path / "meta")
    write_meta_data(path, meta)
    assert read_meta_data(path) == meta


def test_keys_are_the_official_ones(tmp_path: Path) -> None:
    """Classification and regression have just the keys of the official script, and the names of the labels."""
    path = tmp_path / "meta"
    write_meta_data(str(path), CLASSIFICATION)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "processor_type": "XNLI",
        "train_data_size": 100,
        "max_seq_length": 128,
        "task_type": "bert_classification",
        "num_labels": 3,
        "eval_data_size": 7,
        "test_en_data_size": 3,
        "test_zh_data_size": 4,
        "label_list": ["a", "b", "ü"],
    }
    write_meta_data(str(path), REGRESSION)
    assert json.loads(path.read_text()) == {
        "processor_type": "STS-B",
        "train_data_size": 100,
        "max_seq_length": 64,
        "task_type": "bert_regression",
        "label_type": "float",
        "has_sample_weights": True,
        "test_data_size": 5,
    }
    assert path.read_text().endswith("}\n")


def test_official_file(shared: Path, tmp_path: Path) -> None:
    """The official file is read, and written again byte for byte."""
    path = shared / "official/data/official-2.3/MRPC_meta_data"
    meta = read_meta_data(str(path))
    assert meta == ClassificationMetaData("MRPC", 24, 64, 2, eval_data_size=7, test_data_size={"": 7})
    write_meta_data(str(tmp_path / "meta"), meta)
    assert (tmp_path / "meta").read_bytes() == path.read_bytes()


GOOD = {"train_data_size": 8, "max_seq_length": 16, "num_labels": 2}


@pytest.mark.parametrize("key", GOOD)
def test_missing_key(tmp_path: Path, key: str) -> None:
    """A key that the trainer needs and the file lacks is named."""
    path = tmp_path / "meta"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != key}))
    with pytest.raises(InputError, match=f"has no key `{key}`"):
        read_meta_data(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_labels": "2"}, "`num_labels` is `2`, expected a whole number"),
        ({"train_data_size": -1}, "`train_data_size` is `-1`"),
        ({"max_seq_length": 1.5}, "`max_seq_length` is `1.5`"),
        ({"eval_data_size": True}, "`eval_data_size` is `True`"),
        ({"task_type": "bert_squad"}, "the task is `bert_squad`"),
        ({"label_type": "str"}, "`label_type` is `str`"),
        ({"label_list": "ab"}, "`label_list` is `ab`"),
        ({"label_list": ["a"]}, "1 names in `label_list` for `num_labels` 2"),
    ],
)
def test_wrong_values(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """A value of the wrong type, or that contradicts another, is named."""
    path = tmp_path / "meta"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(InputError, match=message):
        read_meta_data(str(path))


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_not_an_object(tmp_path: Path, content: str) -> None:
    """What is no JSON object is refused with the path."""
    path = tmp_path / "meta"
    path.write_text(content)
    with pytest.raises(InputError, match="JSON"):
        read_meta_data(str(path))


@pytest.mark.parametrize(
    ("task", "classes", "label_list", "expected"),
    [
        ("mine", 2, ("no", "yes"), ("no", "yes")),
        ("rte", 2, (), ("entailment", "not_entailment")),
        ("rte", 2, ("a", "b"), ("a", "b")),
        ("rte", 3, (), ("0", "1", "2")),
        ("mine", 2, (), ("0", "1")),
        ("STS-B", None, (), ()),
    ],
)
def test_classes_have_names(
    task: str, classes: int | None, label_list: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """The file's own names come first, then a known task's if their number fits, then numbers; regression has none."""
    assert ClassificationMetaData(task, 1, 8, classes, label_list=label_list).class_names == expected
