# SPDX-License-Identifier: Apache-2.0
"""Classification records: made from examples, and checked before the first is used."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets import building, classification
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import (
    ClassificationRecords,
    Recipe,
    RecordPaths,
    write_dataset,
    write_text_records,
)
from jaxbert.errors import InputError
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.text_examples import TextDataset, TextExample
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.example import decode, encode
from jaxbert.tfrecord.files import TFRecords, write_records
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
        ("is_real_example", 1, 0, "is no example: `is_real_example` is 0"),
    ],
)
def test_misfit_names_the_record(
    feature: str, index: int | tuple[int, int], value: float, problem: str, tmp_path: Path
) -> None:
    """One wrong number in record 1 (of 0 to 2) is refused with the file and that number."""
    with pytest.raises(InputError, match=f"train.tf_record.*record 1 .*{problem}"):
        written(tmp_path, **{feature: (index, value)})


VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n"


def ignore(*_: object) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Two classes and a vocabulary of three words, 8 tokens a record."""
    (tmp_path / "vocab.txt").write_text(VOCAB)
    return Recipe(str(tmp_path / "vocab.txt"), Rules(), 8, ("no", "yes"))


def load(path: Path, length: int, label_type: str = "int") -> dict[str, np.ndarray]:
    """All arrays of a record file."""
    records = TFRecords([str(path)])
    return decode(records.read(np.arange(len(records))), classification_schema(length, label_type), records.locate)


def examples(count: int) -> Iterator[TextExample]:
    """Many examples, no two next to each other alike."""
    words = "abc"
    return (
        TextExample(" ".join(words[n // k % 3] for k in (1, 3, 9, 27)), "b", ("no", "yes")[n % 2]) for n in range(count)
    )


def test_record(tmp_path: Path, recipe: Recipe) -> None:
    """Ids, mask, segments and label of a pair, with zeros to the end."""
    path = tmp_path / "records"
    counts: list[int] = []
    pair = TextExample("a b", "c", "yes")
    assert write_text_records(str(path), iter([pair]), recipe, 1, counts.append) == 1
    assert counts == [1]
    assert {name: array.tolist() for name, array in load(path, 8).items()} == {
        "input_ids": [[2, 5, 6, 3, 7, 3, 0, 0]],
        "input_mask": [[1, 1, 1, 1, 1, 1, 0, 0]],
        "segment_ids": [[0, 0, 0, 0, 1, 1, 0, 0]],
        "label_ids": [1],
        "is_real_example": [1],
    }


def test_workers_do_not_change_bytes(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers write the file that one process writes, in the same order, and the count grows as they do."""
    monkeypatch.setattr(classification, "_CHUNK", 7)
    monkeypatch.setattr(classification, "_WORTH_WORKERS", 50)
    counts: list[int] = []
    for workers in (1, 2):
        assert write_text_records(str(tmp_path / f"{workers}"), examples(100), recipe, workers, counts.append) == 100
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert counts == [*range(7, 100, 7), 100] * 2


def test_few_examples_start_no_workers(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the number from which workers pay, everything happens in this process."""
    monkeypatch.setattr(building.concurrent.futures, "ProcessPoolExecutor", None)
    assert write_text_records(str(tmp_path / "records"), examples(30), recipe, 8, ignore) == 30


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_example_leaves_no_file(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """When reading fails in the middle, the message arrives and nothing is left behind, with and without workers."""
    monkeypatch.setattr(classification, "_CHUNK", 7)
    monkeypatch.setattr(classification, "_WORTH_WORKERS", 20)

    def broken() -> Iterator[TextExample]:
        yield from examples(60)
        raise InputError("line 61 is bad")

    with pytest.raises(InputError, match="line 61 is bad"):
        write_text_records(str(tmp_path / "records"), broken(), recipe, workers, ignore)
    assert [entry.name for entry in tmp_path.iterdir()] == ["vocab.txt"]


def test_dataset(tmp_path: Path, recipe: Recipe) -> None:
    """Every wanted set is written, test sets by language, and the metadata says how many."""
    dataset = TextDataset(
        "task",
        recipe.labels,
        train=lambda: examples(5),
        dev=lambda: examples(4),
        test={"en": lambda: examples(3), "de": lambda: examples(2)},
    )
    paths = RecordPaths(*(str(tmp_path / name) for name in ("train", "eval", "test_{}", "meta")))
    told: list[tuple[str, int]] = []
    meta = write_dataset(dataset, recipe, paths, 1, lambda name, count: told.append((name, count)))
    assert told == [("train", 5), ("eval", 4), ("test en", 3), ("test de", 2)]
    assert ClassificationMetaData.read(paths.meta_data) == meta
    assert (meta.train_data_size, meta.eval_data_size, meta.test_data_size) == (5, 4, {"en": 3, "de": 2})
    for name, size in {"train": 5, "eval": 4, "test_en": 3, "test_de": 2}.items():
        assert len(load(tmp_path / name, 8)["label_ids"]) == size


def test_unwanted_and_missing_sets(tmp_path: Path, recipe: Recipe) -> None:
    """Sets without a path are not made; a path for a set that does not exist, or for several, is an error."""
    dataset = TextDataset("task", recipe.labels, train=lambda: examples(5), dev=None, test={})
    meta_path = str(tmp_path / "meta")
    meta = write_dataset(dataset, recipe, RecordPaths(str(tmp_path / "train"), meta_data=meta_path), 1, ignore)
    assert (meta.eval_data_size, meta.test_data_size) == (None, {})
    with pytest.raises(InputError, match="no eval examples"):
        write_dataset(dataset, recipe, RecordPaths(eval=str(tmp_path / "eval"), meta_data=meta_path), 1, ignore)
    with pytest.raises(InputError, match="no test examples"):
        write_dataset(dataset, recipe, RecordPaths(test=str(tmp_path / "test"), meta_data=meta_path), 1, ignore)
    several = TextDataset("task", recipe.labels, None, None, {"en": lambda: examples(1), "de": lambda: examples(1)})
    with pytest.raises(InputError, match="a test set for each of en, de"):
        write_dataset(several, recipe, RecordPaths(test=str(tmp_path / "test"), meta_data=meta_path), 1, ignore)


def test_regression(tmp_path: Path, recipe: Recipe) -> None:
    """Numbers are written as floats, and the metadata has no classes."""
    dataset = TextDataset("task", (), lambda: iter([TextExample("a", None, 2.5), TextExample("b")]), None, {})
    numbers = Recipe(recipe.vocab_file, Rules(), 8, ())
    paths = RecordPaths(str(tmp_path / "train"), meta_data=str(tmp_path / "meta"))
    meta = write_dataset(dataset, numbers, paths, 1, ignore)
    assert (meta.num_labels, meta.label_type, meta.label_list) == (None, "float", ())
    labels = load(tmp_path / "train", 8, "float")["label_ids"]
    assert labels.dtype == np.float32
    assert labels.tolist() == [2.5, 0.0]


def test_official_mrpc(shared: Path, tmp_path: Path) -> None:
    """From the same TSV files, records with the values of the official script's, and its metadata."""
    official = shared / "official/data/official-2.3"
    dataset = glue_dataset(find_task("MRPC"), str(shared / "official/inputs/MRPC"))
    recipe = Recipe(str(shared / "official/inputs/vocab.txt"), Rules(), 64, dataset.labels)
    paths = RecordPaths(*(str(tmp_path / name) for name in ("train", "eval", "test", "meta")))
    meta = write_dataset(dataset, recipe, paths, 1, ignore)
    for name in ("train", "eval", "test"):
        ours, theirs = load(tmp_path / name, 64), load(official / f"MRPC_{name}.tf_record", 64)
        for feature, values in theirs.items():
            np.testing.assert_array_equal(ours[feature], values)
    theirs = ClassificationMetaData.read(str(official / "MRPC_meta_data"))
    assert (meta.train_data_size, meta.eval_data_size, meta.test_data_size) == (24, 7, {"": 7})
    assert (theirs.num_labels, theirs.max_seq_length, theirs.processor_type) == (2, 64, "MRPC")
    assert (meta.num_labels, meta.max_seq_length, meta.processor_type) == (2, 64, "MRPC")
