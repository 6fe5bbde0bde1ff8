# SPDX-License-Identifier: Apache-2.0
"""The meta data of SQuAD records."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.features.squad import WindowSettings
from jaxbert.tfrecord.metadata import SquadMetaData, read_squad_meta_data, write_squad_meta_data

META = SquadMetaData(7, WindowSettings(384, 128, 64), True)
KEYS = {
    "task_type": "bert_squad",
    "train_data_size": 7,
    "max_seq_length": 384,
    "max_query_length": 64,
    "doc_stride": 128,
    "version_2_with_negative": True,
}


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read back, and has the official keys in the official order."""
    path = str(tmp_path / "meta")
    write_squad_meta_data(path, META)
    assert read_squad_meta_data(path) == META
    assert list(json.loads(Path(path).read_text()).items()) == list(KEYS.items())


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
def test_wrong_keys(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A missing key, a wrong type or another task is refused by name."""
    keys = {key: value for key, value in (KEYS | change).items() if value is not None}
    (tmp_path / "meta").write_text(json.dumps(keys))
    with pytest.raises(InputError, match=message):
        read_squad_meta_data(str(tmp_path / "meta"))


@pytest.mark.parametrize(("text", "message"), [("x", "is not JSON"), ("[]", "holds no JSON object")])
def test_other_files(text: str, message: str, tmp_path: Path) -> None:
    """Files that are no meta data are refused."""
    (tmp_path / "meta").write_text(text)
    with pytest.raises(InputError, match=message):
        read_squad_meta_data(str(tmp_path / "meta"))


def test_official_files(shared: Path, tmp_path: Path) -> None:
    """Official meta data are read, and written again byte for byte."""
    for version in ("v1.1", "v2.0"):
        source = shared / f"official/data/official-2.3/squad_{version}_meta_data"
        meta = read_squad_meta_data(str(source))
        assert meta.version_2_with_negative == (version == "v2.0")
        write_squad_meta_data(str(tmp_path / "meta"), meta)
        assert (tmp_path / "meta").read_bytes() == source.read_bytes()
