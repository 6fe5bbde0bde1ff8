# SPDX-License-Identifier: Apache-2.0
"""SQuAD's training records: read by number, wrong ones named; official ones of both eras."""

from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.squad import WindowRecords
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import write_records
from jaxbert.tfrecord.metadata import SquadMetaData
from jaxbert.tfrecord.schema import squad_schema

BOUNDS = Bounds(10, 2, 8)


def features() -> dict[str, np.ndarray]:
    """Three good windows of 8 positions, the last of them with 5 tokens."""
    mask = np.ones((3, 8), np.int64)
    mask[2, 5:] = 0
    return {
        "unique_ids": np.arange(3),
        "input_ids": np.full((3, 8), 7),
        "input_mask": mask,
        "segment_ids": np.ones((3, 8), np.int64),
        "start_positions": np.array([0, 3, 4]),
        "end_positions": np.array([0, 7, 4]),
        "is_impossible": np.array([1, 0, 0]),
    }


def written(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """The path of a record file with these features."""
    write_records(str(path), encode(arrays, squad_schema(8)))
    return str(path)


def test_reading(tmp_path: Path) -> None:
    """Records come by number, from all files as one list; lengths are counts of real tokens."""
    paths = [written(tmp_path / name, features()) for name in ("a", "b")]
    records = WindowRecords(paths, 8, BOUNDS)
    assert records.lengths.tolist() == [8, 8, 5] * 2
    np.testing.assert_array_equal(records.read(np.array([5, 1]))["start_positions"], [4, 3])


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("start_positions", 8, "has `start_positions` outside of its window"),
        ("end_positions", -1, "has `end_positions` outside of its window"),
        ("end_positions", 5, "has `end_positions` outside of its window"),
        ("end_positions", 2, "has an answer that ends before it starts"),
        ("input_ids", 10, "it needs `vocab_size` above 10"),
    ],
)
def test_wrong_records_are_named(name: str, value: int, problem: str, tmp_path: Path) -> None:
    """A position outside of the window, an answer backwards, an id the model does not have: file, record, reason."""
    arrays = features()
    arrays[name][2] = value
    path = written(tmp_path / "records", arrays)
    with pytest.raises(InputError, match="record 2") as error:
        WindowRecords([path], 8, BOUNDS)
    assert path in error.value.message
    assert problem in error.value.message


def test_no_records(tmp_path: Path) -> None:
    """An empty file is an error."""
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="holds no records"):
        WindowRecords([str(tmp_path / "empty")], 8, BOUNDS)


@pytest.mark.parametrize("era", ["official-2.3", "official-2.20"])
@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_official_records(era: str, version: str, shared: Path) -> None:
    """Records of official versions before and after 2.5, which added features, are read and pass every check."""
    data = shared / "official" / "data" / era
    meta = SquadMetaData.read(str(data / f"squad_v{version}_meta_data"))
    paths = [str(data / f"squad_v{version}_train.tf_record")]
    records = WindowRecords(paths, meta.settings.max_seq_length, Bounds(525, 2, 128))
    assert len(records) == meta.train_data_size
