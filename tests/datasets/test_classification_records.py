# SPDX-License-Identifier: Apache-2.0
"""Records are checked as a whole before the first is used, and a misfit names the record."""

from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import ClassificationRecords
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import write_records
from jaxbert.tfrecord.metadata import ClassificationMetaData
from jaxbert.tfrecord.schema import classification_schema

S = 6
SIZES = Bounds(vocab_size=50, type_vocab_size=2, max_position_embeddings=4)
META = ClassificationMetaData("sts-b", 3, S, None, label_type="float", has_sample_weights=True)


def written(folder: Path, **changed: tuple[int | tuple[int, int], float]) -> ClassificationRecords:
    """Three records of four tokens; `feature=(index, value)` changes one number."""
    arrays = {
        "input_ids": np.full((3, S), 7),
        "input_mask": np.tile(np.arange(S) < 4, (3, 1)).astype(np.int64),
        "segment_ids": np.zeros((3, S), np.int64),
        "label_ids": np.array([0.5, 1.0, 4.5], np.float32),
        "is_real_example": np.ones(3, np.int64),
        "weight": np.ones(3, np.float32),
    }
    for name, (index, value) in changed.items():
        arrays[name][index] = value
    path = str(folder / "train.tf_record")
    write_records(path, encode(arrays, classification_schema(S, "float", has_weights=True)))
    return ClassificationRecords([path], META, SIZES)


def test_good_records_are_known_by_length_and_label(tmp_path: Path) -> None:
    """Lengths count real tokens, labels come in the order of the file, padding may hold any id."""
    records = written(tmp_path, input_ids=((1, S - 1), 99))
    np.testing.assert_array_equal(records.lengths, [4, 4, 4])
    np.testing.assert_array_equal(records.labels, np.array([0.5, 1.0, 4.5], np.float32))


@pytest.mark.parametrize(
    ("feature", "index", "value", "problem"),
    [
        ("label_ids", 1, float("nan"), "`label_ids` that is not a finite number"),
        ("weight", 1, float("inf"), "`weight` that is not a finite number"),
        ("input_ids", (1, 2), 50, "`vocab_size` above 50"),
        ("segment_ids", (1, 2), -1, "does not fit the model"),
        ("input_mask", (1, 4), 1, "`max_position_embeddings` above 4"),
        ("input_mask", (1, 0), 0, "starts with padding"),
    ],
)
def test_misfit_names_the_record(
    feature: str, index: int | tuple[int, int], value: float, problem: str, tmp_path: Path
) -> None:
    """One wrong number in record 1 (of 0 to 2) is refused with the file and that number."""
    with pytest.raises(InputError, match=f"train.tf_record.*record 1 .*{problem}"):
        written(tmp_path, **{feature: (index, value)})
