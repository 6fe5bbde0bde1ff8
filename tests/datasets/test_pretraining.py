# SPDX-License-Identifier: Apache-2.0
"""Pretraining records tell their sizes, are checked whenever they are read, and a misfit names the record."""

from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.describe_records import describe_examples
from jaxbert.datasets.pretraining import PretrainingRecords
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import stream, write_records
from jaxbert.tfrecord.schema import pretraining_schema

S, P = 6, 2
BOUNDS = Bounds(vocab_size=50, type_vocab_size=2, max_position_embeddings=8)


def written(path: Path, *, masked: bool = True, **changed: tuple[tuple[int, ...], float]) -> str:
    """Three records of four tokens; `feature=(index, value)` changes one number."""
    arrays = {
        "input_ids": np.full((3, S), 7),
        "input_mask": np.tile(np.arange(S) < 4, (3, 1)).astype(np.int64),
        "segment_ids": np.zeros((3, S), np.int64),
        "masked_lm_positions": np.tile([1, 0], (3, 1)),
        "masked_lm_ids": np.tile([9, 0], (3, 1)),
        "masked_lm_weights": np.tile(np.array([1, 0], np.float32), (3, 1)),
        "next_sentence_labels": np.array([0, 1, 0]),
    }
    for name, (index, value) in changed.items():
        arrays[name][index] = value
    write_records(str(path), encode(arrays, pretraining_schema(S, P if masked else None)))
    return str(path)


def test_sizes_come_from_the_records(tmp_path: Path) -> None:
    """With and without masks; what is behind the masks and the tokens may be anything."""
    path = written(tmp_path / "a", masked_lm_ids=((0, 1), 99), input_ids=((1, 5), 99))
    records = PretrainingRecords([path, path], BOUNDS, True)
    assert (len(records), records.max_seq_length, records.max_predictions) == (6, S, P)
    assert records.read(np.array([4, 0]))["next_sentence_labels"].tolist() == [1, 0]
    unmasked = PretrainingRecords([written(tmp_path / "b", masked=False)], BOUNDS, False)
    assert unmasked.max_predictions is None
    assert set(unmasked.read(np.arange(3))) == {"input_ids", "input_mask", "segment_ids"}


def test_an_empty_file_beside_others_is_left_out(tmp_path: Path) -> None:
    """A shard may hold no record; all of them may not."""
    (tmp_path / "empty").write_bytes(b"")
    path = written(tmp_path / "a")
    assert len(PretrainingRecords([str(tmp_path / "empty"), path], BOUNDS, True)) == 3
    with pytest.raises(InputError, match="holds no records"):
        PretrainingRecords([str(tmp_path / "empty")], BOUNDS, True)


@pytest.mark.parametrize(
    ("feature", "index", "value", "problem"),
    [
        ("input_ids", (1, 2), 50, "`vocab_size` above 50"),
        ("segment_ids", (1, 2), 2, "`type_vocab_size` above 2"),
        ("masked_lm_positions", (1, 0), 4, "masks a position without a token"),
        ("masked_lm_positions", (1, 0), -1, "masks a position without a token"),
        ("masked_lm_ids", (1, 0), 50, "it masks token 50"),
        ("masked_lm_weights", (1, 1), float("nan"), "`masked_lm_weights` that are no weights"),
        ("masked_lm_weights", (1, 1), -1.0, "`masked_lm_weights` that are no weights"),
        ("next_sentence_labels", (1,), 2, "`next_sentence_labels` that is not 0 or 1"),
    ],
)
def test_misfit_names_the_record(
    feature: str, index: tuple[int, ...], value: float, problem: str, tmp_path: Path
) -> None:
    """One wrong number in record 1 (of 0 to 2) is refused when it is read, with the file and that number."""
    records = PretrainingRecords([written(tmp_path / "shard", **{feature: (index, value)})], BOUNDS, True)
    records.read(np.array([0, 2]))
    with pytest.raises(InputError, match=f"shard.*record 1 .*{problem}"):
        records.read(np.array([2, 1]))


def test_a_hole_where_masks_are_drawn_is_refused(tmp_path: Path) -> None:
    """Fresh masks count positions from the start, so a record without masks has its padding at the end."""
    records = PretrainingRecords([written(tmp_path / "a", masked=False, input_mask=((1, 2), 0))], BOUNDS, True)
    with pytest.raises(InputError, match="record 1 has a hole"):
        records.read(np.arange(3))


def test_records_without_next_sentences_name_the_flag(tmp_path: Path) -> None:
    """Records that do not say whether the next sentence is one are read where it is not asked."""
    arrays = {"input_ids": np.full((3, S), 7), "input_mask": np.ones((3, S), np.int64)}
    arrays["segment_ids"] = np.zeros((3, S), np.int64)
    write_records(str(tmp_path / "a"), encode(arrays, pretraining_schema(S, None, has_next_sentence=False)))
    assert len(PretrainingRecords([str(tmp_path / "a")], BOUNDS, False).read(np.arange(3))["input_ids"]) == 3
    with pytest.raises(InputError, match="record 0 has no feature `next_sentence_labels`") as caught:
        PretrainingRecords([str(tmp_path / "a")], BOUNDS, True)
    assert "`--nouse_next_sentence_label`" in caught.value.hint


def test_records_of_other_masks_are_told(tmp_path: Path) -> None:
    """A file whose records have several numbers of masks is no file to train on, and `inspect` says which differs."""
    path = written(tmp_path / "a")
    assert not any("not looked at" in line for line in describe_examples(path, None, None))
    arrays = {
        "input_ids": np.full((1, S), 7), "input_mask": np.ones((1, S), np.int64),
        "segment_ids": np.zeros((1, S), np.int64),
        "masked_lm_positions": np.ones((1, 3), np.int64), "masked_lm_ids": np.ones((1, 3), np.int64),
        "masked_lm_weights": np.ones((1, 3), np.float32), "next_sentence_labels": np.zeros(1, np.int64),
    }  # fmt: skip
    write_records(path, [*stream(path), *encode(arrays, pretraining_schema(S, 3))])
    (told,) = describe_examples(path, None, None)
    assert "record 3 has 3 values in `masked_lm_positions`; expected 2" in told


def test_other_records_are_refused(tmp_path: Path) -> None:
    """Records of another task, or no records at all, are named with what they have."""
    write_records(
        str(tmp_path / "a"), encode({"next_sentence_labels": np.zeros(2, np.int64)}, pretraining_schema(S, P))
    )
    with pytest.raises(InputError, match="has no feature `input_ids`; it has next_sentence_labels"):
        PretrainingRecords([str(tmp_path / "a")], BOUNDS, True)
    write_records(str(tmp_path / "b"), [b"\x0b"])
    with pytest.raises(InputError, match=r"b` record 0 is no tf\.train\.Example"):
        PretrainingRecords([str(tmp_path / "b")], BOUNDS, True)
