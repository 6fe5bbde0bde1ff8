# SPDX-License-Identifier: Apache-2.0
"""The metadata files of both kinds of tasks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.features.classification import TextWindows
from jaxbert.features.squad import WindowSettings
from jaxbert.io.files import write_text
from jaxbert.tfrecord.metadata import ClassificationMetaData, SquadMetaData, TaggingMetaData, read_meta_data

CLASSIFICATION = ClassificationMetaData(
    "XNLI", 100, 128, 3, eval_data_size=7, test_data_size={"en": 3, "zh": 4}, label_list=("a", "b", "ü")
)
WINDOWS = dataclasses.replace(CLASSIFICATION, windows=TextWindows(63, "max"))
REGRESSION = ClassificationMetaData("STS-B", 100, 64, None, "float", test_data_size={"": 5}, has_sample_weights=True)


@pytest.mark.parametrize("meta", [CLASSIFICATION, WINDOWS, REGRESSION])
def test_round_trip(tmp_path: Path, meta: ClassificationMetaData) -> None:
    """What is written is read back the same."""
    path = str(tmp_path / "meta")
    write_text(path, meta.to_json())
    assert ClassificationMetaData.read(path) == meta


def test_keys_are_the_official_ones(tmp_path: Path) -> None:
    """Classification and regression have just the keys of the official script, and the names of the labels."""
    path = tmp_path / "meta"
    write_text(str(path), CLASSIFICATION.to_json())
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
    write_text(str(path), REGRESSION.to_json())
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
    meta = ClassificationMetaData.read(str(path))
    assert meta == ClassificationMetaData("MRPC", 24, 64, 2, eval_data_size=7, test_data_size={"": 7})
    write_text(str(tmp_path / "meta"), meta.to_json())
    assert (tmp_path / "meta").read_bytes() == path.read_bytes()


GOOD = {"train_data_size": 8, "max_seq_length": 16, "num_labels": 2}


@pytest.mark.parametrize("key", GOOD)
def test_missing_key(tmp_path: Path, key: str) -> None:
    """A key that the trainer needs and the file lacks is named."""
    path = tmp_path / "meta"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != key}))
    with pytest.raises(InputError, match=f"has no key `{key}`"):
        ClassificationMetaData.read(str(path))


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
        ({"long_texts": {"doc_stride": 0, "pooling": "max"}}, "`doc_stride` is `0`"),
        ({"long_texts": {"doc_stride": 4, "pooling": "sum"}}, "`long_texts` is `.*sum"),
        ({"label_list": ["a"]}, "1 names in `label_list` for `num_labels` 2"),
    ],
)
def test_wrong_values(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """A value of the wrong type, or that contradicts another, is named."""
    path = tmp_path / "meta"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(InputError, match=message):
        ClassificationMetaData.read(str(path))


@pytest.mark.parametrize("kind", [ClassificationMetaData, SquadMetaData])
@pytest.mark.parametrize(("content", "message"), [("", "is not JSON"), ("{", "is not JSON"), ("[]", "no JSON object")])
def test_not_an_object(
    tmp_path: Path, kind: type[ClassificationMetaData | SquadMetaData], content: str, message: str
) -> None:
    """What is no JSON object is refused with the path."""
    path = tmp_path / "meta"
    path.write_text(content)
    with pytest.raises(InputError, match=f"meta` .*{message}"):
        kind.read(str(path))


SQUAD = SquadMetaData(7, WindowSettings(384, 128, 64), True)
SQUAD_KEYS = {
    "task_type": "bert_squad",
    "train_data_size": 7,
    "max_seq_length": 384,
    "max_query_length": 64,
    "doc_stride": 128,
    "version_2_with_negative": True,
}


def test_squad_round_trip(tmp_path: Path) -> None:
    """What is written is read back, and has the official keys in the official order."""
    path = str(tmp_path / "meta")
    write_text(path, SQUAD.to_json())
    assert SquadMetaData.read(path) == SQUAD
    assert list(json.loads(Path(path).read_text()).items()) == list(SQUAD_KEYS.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_type": "bert_classification"}, "the task is `bert_classification`, expected `bert_squad`"),
        ({"doc_stride": None}, "has no key `doc_stride`"),
        ({"doc_stride": 0}, "`doc_stride` is `0`, expected a whole number"),
        ({"max_seq_length": "384"}, "`max_seq_length` is `384`, expected a whole number"),
        ({"train_data_size": True}, "`train_data_size` is `True`, expected a whole number"),
        ({"version_2_with_negative": 1}, "`version_2_with_negative` is `1`, expected true or false"),
    ],
)
def test_squad_wrong_keys(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A missing key, a wrong type or another task is refused by name."""
    keys = {key: value for key, value in (SQUAD_KEYS | change).items() if value is not None}
    (tmp_path / "meta").write_text(json.dumps(keys))
    with pytest.raises(InputError, match=message):
        SquadMetaData.read(str(tmp_path / "meta"))


TAGGING = TaggingMetaData(7, 64, ("O", "B-ä", "I-ä"), "document")


def test_tagging_round_trip(tmp_path: Path) -> None:
    """What is written is read back, by its kind; the labels tell the scheme."""
    path = str(tmp_path / "meta")
    write_text(path, TAGGING.to_json())
    assert TaggingMetaData.read(path) == read_meta_data(path) == TAGGING
    assert TAGGING.scheme == "iob2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_type": "bert_squad"}, "the task is `bert_squad`, expected `tagging`"),
        ({"label_list": ["O", 1]}, "`label_list` is"),
        ({"label_list": ["O", "O", "I-ä"]}, "`label_list` is"),
        ({"num_labels": 2}, "`num_labels` is 2"),
        ({"context": "book"}, "`context` is `book`"),
        ({"context": ["sentence"]}, "`context` is"),
        ({"max_seq_length": None}, "`max_seq_length` is `None`"),
    ],
)
def test_tagging_wrong_keys(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A wrong type, another task, or names that are not as many as their number."""
    (tmp_path / "meta").write_text(json.dumps(json.loads(TAGGING.to_json()) | change))
    with pytest.raises(InputError, match=message):
        TaggingMetaData.read(str(tmp_path / "meta"))


def test_official_squad_files(shared: Path, tmp_path: Path) -> None:
    """Official metadata are read, and written again byte for byte."""
    for version in ("v1.1", "v2.0"):
        source = shared / f"official/data/official-2.3/squad_{version}_meta_data"
        meta = SquadMetaData.read(str(source))
        assert meta.version_2_with_negative == (version == "v2.0")
        write_text(str(tmp_path / "meta"), meta.to_json())
        assert (tmp_path / "meta").read_bytes() == source.read_bytes()
