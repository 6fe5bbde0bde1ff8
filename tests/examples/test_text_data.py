# SPDX-License-Identifier: Apache-2.0
"""From flags to examples: which data is meant, and what must be said of it."""

from pathlib import Path
from typing import Any

import pytest

from jaxbert.config.data import TextDataFlags, TextFlags
from jaxbert.errors import InputError
from jaxbert.examples.text_data import source_files, text_dataset
from jaxbert.examples.text_examples import LabelKind, TextExample
from tests.examples.arrow_files import write_parquet

MRPC = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta\tb\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder called MRPC with a training set, and a table beside it."""
    (tmp_path / "MRPC").mkdir()
    (tmp_path / "MRPC/train.tsv").write_text(MRPC)
    (tmp_path / "own.csv").write_text("text,stars\nFine,5\nDull,1\n")
    return tmp_path


def test_own_tables_come_first(folder: Path) -> None:
    """Where a table is given it is read, whatever folder there is; labels are those of the training file."""
    flags = TextFlags(train_file=str(folder / "own.csv"), text_a_column="text", label_column="stars")
    dataset = text_dataset(flags, str(folder / "MRPC"), None, "classification")
    assert (dataset.name, dataset.labels, dataset.dev, dataset.test) == ("own.csv", ("1", "5"), None, {})
    assert dataset.train is not None
    assert list(dataset.train()) == [TextExample("Fine", None, "5", "0"), TextExample("Dull", None, "1", "1")]


def test_classes_of_a_model_serve_where_no_training_file_says_them(folder: Path) -> None:
    """A table to predict needs no label column: names come from the model; for numbers there are none."""
    flags: dict[str, Any] = {"test_file": str(folder / "own.csv"), "text_a_column": "text"}
    assert text_dataset(TextFlags(**flags), None, None, "classification", ("bad", "good")).labels == ("bad", "good")
    assert text_dataset(TextFlags(**flags, labels="x,y"), None, None, "classification").labels == ("x", "y")
    numbers = text_dataset(TextFlags(**flags), None, None, "regression")
    assert numbers.is_regression
    assert [example.text_a for example in numbers.test[""]()] == ["Fine", "Dull"]


def test_columns_of_several_labels_are_known_as_such(tmp_path: Path) -> None:
    """Where a forgotten flag makes one name of theirs, it is named, as the command calls it."""
    (tmp_path / "own.csv").write_text("text,red,blue\nFine,1,0\n")
    given: dict[str, Any] = {"train_file": str(tmp_path / "own.csv"), "text_a_column": "text"}
    for kind, flag in ((TextFlags, "--fine_tuning_task_type=multi_label"), (TextDataFlags, "--multi_label")):
        with pytest.raises(InputError, match="`--label_column=red,blue` names 2 columns of") as caught:
            text_dataset(kind(**given, label_column="red,blue"), None, None, "classification")
        assert f"give `{flag}` where each says by 1 or 0" in caught.value.hint


def test_the_folder_says_the_task(folder: Path) -> None:
    """The name of the folder is that of the task where none is given, in any case and with a slash behind."""
    for path in (folder / "MRPC", f"{folder / 'MRPC'}/"):
        dataset = text_dataset(TextFlags(), str(path), None, "classification")
        assert dataset.name == "MRPC"
        assert dataset.train is not None
        assert list(dataset.train()) == [TextExample("a", "b", "1", "0")]
    assert text_dataset(TextFlags(), str(folder / "mrpc"), None, "classification").name == "MRPC"
    assert text_dataset(TextFlags(), str(folder / "MRPC"), "RTE", "classification").name == "RTE"
    assert text_dataset(TextFlags(), str(folder), "STS-B", "regression").is_regression


@pytest.mark.parametrize(
    ("flags", "task", "kind", "message"),
    [
        ({"eval_file": "x.csv"}, None, "classification", "`--text_a_column` and `--label_column` must be given"),
        ({"train_file": "x.csv", "text_a_column": "a"}, None, "classification", "^`--label_column` must be given"),
        ({"test_file": "x.csv"}, None, "classification", "^`--text_a_column` must be given"),
        (
            {"train_file": "x.csv", "text_a_column": "0", "label_column": "1,"},
            None,
            "multi_label",
            "`--label_column=1,` names an empty column",
        ),
        ({}, None, "classification", "the task in `.*` is not known"),
        ({"xnli_language": "xx"}, "XNLI", "classification", "XNLI has no language `xx`"),
        ({}, "MRPC", "regression", "the labels of MRPC are known"),
        ({}, "STS-B", "multi_label", "the labels of STS-B are known"),
    ],
)
def test_mistakes(flags: dict[str, Any], task: str | None, kind: LabelKind, message: str, tmp_path: Path) -> None:
    """Flags that say too little or contradict each other are refused before anything is read."""
    with pytest.raises(InputError, match=message):
        text_dataset(TextFlags(**flags), str(tmp_path), task, kind)


def test_nothing_to_read() -> None:
    """Neither tables nor a folder is an error."""
    with pytest.raises(InputError, match="there is nothing to read"):
        text_dataset(TextFlags(), None, "MRPC", "classification")


def test_names_of_folders_of_datasets(tmp_path: Path) -> None:
    """Folders are called as on the hub, without hyphens; a folder of several tasks needs the name of one."""
    columns = {"sentence": ["Fine"], "label": [1], "idx": [0]}
    write_parquet(tmp_path / "glue/sst2/train.parquet", columns, {"label": ["negative", "positive"]})
    write_parquet(tmp_path / "glue/cola/train.parquet", columns, {"label": ["unacceptable", "acceptable"]})
    for folder, name in (("glue/sst2", None), ("glue", "SST-2")):
        dataset = text_dataset(TextFlags(), str(tmp_path / folder), name, "classification")
        assert dataset.name == "SST-2"
        assert dataset.train is not None
        assert list(dataset.train()) == [TextExample("Fine", None, "1", "0")]
    with pytest.raises(InputError, match=r"the task in `.*/glue` is not known") as refused:
        text_dataset(TextFlags(), str(tmp_path / "glue"), None, "classification")
    assert "for a task of your own `--train_file`" in refused.value.hint


def test_splits_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    """One folder serves for training, evaluation and prediction, each by its split."""
    for split in ("train", "validation", "test"):
        columns = {"text": [split], "label": [-1 if split == "test" else 0]}
        write_parquet(tmp_path / f"own/data/{split}-00000-of-00001.parquet", columns, {"label": ["bad", "good"]})
    folder = str(tmp_path / "own")
    flags = TextFlags(train_file=folder, eval_file=folder, test_file=folder, text_a_column="text", label_column="label")
    dataset = text_dataset(flags, None, None, "classification")
    assert (dataset.name, dataset.labels) == ("own", ("bad", "good"))
    assert dataset.train is not None
    assert dataset.dev is not None
    found = [*dataset.train(), *dataset.dev(), *dataset.test[""]()]
    assert [(one.text_a, one.label) for one in found] == [("train", "bad"), ("validation", "bad"), ("test", None)]


def test_files_that_are_read(folder: Path) -> None:
    """Of a folder its data, of a pattern its files, and files as they are."""
    write_parquet(folder / "hub/a/train.parquet", {"x": [1]})
    (folder / "hub/README.md").write_text("")
    own = str(folder / "own.csv")
    assert source_files(own, None, str(folder / "MRPC")) == [own, str(folder / "MRPC/train.tsv")]
    expected = [str(folder / "hub/a/train.parquet")]
    assert source_files(str(folder / "hub")) == source_files(str(folder / "hub/a/*.parquet")) == expected
