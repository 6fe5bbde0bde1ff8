# SPDX-License-Identifier: Apache-2.0
"""Parquet, Arrow and folders of `datasets`: which files are read, what their values are."""

import json
import sys
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from jaxbert.errors import InputError
from jaxbert.examples.arrow import ArrowTable, find_splits, is_arrow, kind_of, open_arrow
from jaxbert.io import storage
from tests.examples.arrow_files import TEXT_TYPES, save_to_disk, write_parquet

TEXTS = ["Fine", "", "größer"]


def values(table: ArrowTable, *columns: str) -> list[list[object]]:
    """The values of all rows, whose numbers count from 1."""
    rows = list(table.rows(columns))
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    return [row for _, row in rows]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_text_is_text_in_every_type_and_format(kind: pyarrow.DataType, tmp_path: Path) -> None:
    """Texts are the same in each type that text has, in Parquet, in a file and in a stream of Arrow."""
    content = pyarrow.table({"other": [1, 2, 3], "text": pyarrow.array(TEXTS).cast(kind)})
    pyarrow.parquet.write_table(content, tmp_path / "a", row_group_size=2)
    pyarrow.feather.write_feather(content, str(tmp_path / "b"))
    with pyarrow.ipc.new_stream(str(tmp_path / "c"), content.schema) as stream:
        stream.write_table(content)
    kinds = [kind_of(str(tmp_path / name)) for name in "abc"]
    assert kinds == ["Parquet", "Arrow file", "Arrow stream"]
    for name in "abc":
        table = open_arrow(str(tmp_path / name), "train")
        assert values(table, "text", "other") == [["Fine", 1], ["", 2], ["größer", 3]]
        assert table.count() == 3


def test_classes_have_the_names_that_the_file_says(tmp_path: Path) -> None:
    """Numbers of classes are names, alone and in lists; -1 is none; a number without a name is refused."""
    columns = {"label": [1, -1, 0], "several": [[0, 1], [], [1]], "number": [1, -1, 0]}
    path = tmp_path / "a.parquet"
    write_parquet(path, columns, {"label": ["bad", "good"], "several": ["x", "y"]})
    table = open_arrow(str(path), "train")
    assert table.class_names == {"label": ("bad", "good"), "several": ("x", "y")}
    assert values(table, "label", "several", "number") == [["good", ["x", "y"], 1], [None, [], -1], ["bad", ["y"], 0]]
    write_parquet(path, {"label": [2]}, {"label": ["bad", "good"]})
    with pytest.raises(InputError, match="`label` holds class 2, but names 2: bad, good"):
        values(open_arrow(str(path), "train"), "label")


def test_lists_of_classes_in_every_way_that_datasets_says_them(tmp_path: Path) -> None:
    """Versions of `datasets` say a list of classes as a Sequence, a List, or a list of one."""
    one = {"names": ["x", "y"], "_type": "ClassLabel"}
    for feature in ({"feature": one, "_type": "Sequence"}, {"feature": one, "_type": "List"}, [one]):
        said = json.dumps({"info": {"features": {"several": feature}}})
        content = pyarrow.table({"several": [[1]]}).replace_schema_metadata({"huggingface": said})
        pyarrow.parquet.write_table(content, tmp_path / "a.parquet")
        assert values(open_arrow(str(tmp_path / "a.parquet"), "train"), "several") == [[["y"]]]


def test_numbers_are_the_shortest_that_mean_the_same(tmp_path: Path) -> None:
    """A float32 of 3.8 is 3.8; what is no number, and null, are none; decimals are read."""
    content = pyarrow.table(
        {
            "f": pyarrow.array([3.8, float("nan"), None], pyarrow.float32()),
            "d": pyarrow.array(["1.50", "2.00", None]).cast(pyarrow.decimal128(5, 2)),
            "b": [True, False, None],
        }
    )
    pyarrow.parquet.write_table(content, tmp_path / "a.parquet")
    found = values(open_arrow(str(tmp_path / "a.parquet"), "train"), "f", "d", "b")
    assert found == [[3.8, "1.50", True], [None, "2.00", False], [None, None, None]]


def test_rows_are_a_stream(tmp_path: Path) -> None:
    """While all rows are read less than half of the text is in memory at any time."""
    count = 100_000
    path = tmp_path / "a.parquet"
    write_parquet(path, {"text": [f"{number:040}" for number in range(count)]}, rows=10_000)
    before = pyarrow.total_allocated_bytes()
    rows = open_arrow(str(path), "train").rows(["text"])
    most = 0
    for number, _ in rows:
        if number % 5000 == 1:
            most = max(most, pyarrow.total_allocated_bytes() - before)
    assert number == count
    assert most < 40 * count / 2


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"],
        ["c/train-00000-of-00002-0123456789abcdef.parquet", "c/train-00001-of-00002-0123456789abcdef.parquet"],
        ["train/0000.parquet", "train/0001.parquet", "validation/0000.parquet"],
        ["default/train/0000.parquet", "default/train/0001.parquet"],
        ["glue-train-00000-of-00002.arrow", "glue-train-00001-of-00002.arrow", "glue-validation.arrow"],
    ],
)
def test_layouts_of_folders(names: list[str], tmp_path: Path) -> None:
    """Files of the hub, of its conversion to Parquet and of the cache are found by split, all parts in order."""
    for number, name in enumerate(names):
        write_parquet(tmp_path / name, {"text": [str(number)]})
    (tmp_path / "README.md").write_text("")
    assert find_splits(str(tmp_path))["train"] == tuple(str(tmp_path / name) for name in names[:2])
    assert values(open_arrow(str(tmp_path), "train"), "text") == [["0"], ["1"]]
    assert len(find_splits(str(tmp_path))) == 1 + (len(names) > 2)


def test_saved_folders(tmp_path: Path) -> None:
    """`save_to_disk` lists its files; their classes are in `dataset_info.json`; a dictionary lists the splits."""
    for split, labels in (("train", [[0, 1], [1]]), ("validation", [[0]])):
        save_to_disk(tmp_path / "d" / split, [{"label": part} for part in labels], {"label": ["x", "y"]})
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    for path in (tmp_path / "d", tmp_path / "d/train"):
        table = open_arrow(str(path), "train")
        assert table.class_names == {"label": ("x", "y")}
        assert values(table, "label") == [["x"], ["y"], ["y"]]
    assert values(open_arrow(str(tmp_path / "d"), "eval"), "label") == [["x"]]
    with pytest.raises(InputError, match="has no split for this: it has train, validation"):
        open_arrow(str(tmp_path / "d"), "test")
    state = tmp_path / "d/train/state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_indices_data_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(InputError, match="chooses rows by a table of indices"):
        open_arrow(str(tmp_path / "d/train"), "train")


def test_a_pattern_is_all_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern reads all files; one part alone is read, and that there are others is said."""
    for number in range(2):
        write_parquet(tmp_path / f"train-0000{number}-of-00002.parquet", {"text": [str(number)]})
    assert values(open_arrow(f"{tmp_path}/train-*.parquet", "train"), "text") == [["0"], ["1"]]
    assert values(open_arrow(f"{tmp_path}/train-00000-of-00002.parquet", "train"), "text") == [["0"]]
    assert "is one of 2 files" in capsys.readouterr().err


def test_a_folder_that_is_not_whole(tmp_path: Path) -> None:
    """A split of which a file lacks, several data sets, and a folder without any are refused."""
    write_parquet(tmp_path / "one/train-00000-of-00002.parquet", {"text": [""]})
    with pytest.raises(InputError, match="has 1 of 2 files of the split train"):
        open_arrow(str(tmp_path / "one"), "train")
    for name in ("a", "b"):
        write_parquet(tmp_path / "two" / name / "train.parquet", {"text": [""]})
    with pytest.raises(InputError, match="holds several data sets: a, b"):
        open_arrow(str(tmp_path / "two"), "train")
    (tmp_path / "none").mkdir()
    for wrong in ({}, {"splits": 3}, {"splits": [3]}):
        (tmp_path / "one/dataset_dict.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=r"dataset_dict.json` names no splits"):
            open_arrow(str(tmp_path / "one"), "train")
    with pytest.raises(InputError, match="holds no Parquet or Arrow files"):
        open_arrow(str(tmp_path / "none"), "train")


def test_mistakes(tmp_path: Path) -> None:
    """A column that does not exist, one that holds no text, and a damaged file are refused by name."""
    path = tmp_path / "a.parquet"
    write_parquet(path, {"text": ["x" * 1000] * 100, "raw": [b"x"] * 100})
    with pytest.raises(InputError, match="has no column `label`; it has `text`, `raw`"):
        values(open_arrow(str(path), "train"), "label")
    with pytest.raises(InputError, match="the column `raw` is of type binary"):
        values(open_arrow(str(path), "train"), "raw")
    nested = [{"at": {"page": [7]}, "of": "x"}]
    own = write_parquet(tmp_path / "nested.parquet", {"known": nested, "raw": [{"inside": [b"x"]}]})
    assert values(open_arrow(own, "train"), "known") == [[nested[0]]]
    with pytest.raises(InputError, match="the column `raw` is of type struct"):
        values(open_arrow(own, "train"), "raw")
    assert ArrowTable("", (str(path), write_parquet(tmp_path / "b.parquet", {"raw": [b"x"] * 7}))).count() == 107
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"a.parquet` \(Parquet\) cannot be read: "):
        values(open_arrow(str(path), "train"), "text")
    content = pyarrow.table({"text": ["x" * 1000]})
    with pyarrow.ipc.new_stream(str(path), content.schema) as stream:
        stream.write_table(content)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a.parquet` \(Arrow stream\) cannot be read: "):
        values(open_arrow(str(path), "train"), "text")
    assert not is_arrow(str(tmp_path / "missing.parquet"))


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    """A text that is none in UTF-8 is refused, as those of other tables are."""
    column = pyarrow.array([b"\xff"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a")
    with pytest.raises(InputError, match=r"a` \(Parquet\) cannot be read: 'utf-8' codec"):
        values(open_arrow(str(tmp_path / "a"), "train"), "text")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is missing it is named, with how to install it."""
    path = write_parquet(tmp_path / "a.parquet", {"text": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"a.parquet` \(Parquet\) needs the package `pyarrow`") as caught:
        values(open_arrow(path, "train"), "text")
    assert caught.value.hint == "`pip install pyarrow`"


def test_remote_files(tmp_path: Path) -> None:
    """A folder in a remote storage is read like one on disk."""
    columns = {"label": [0, 1, 1]}
    save_to_disk(tmp_path / "train", [columns], {"label": ["x", "y"]})
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    write_parquet(tmp_path / "hub/train-00000-of-00001.parquet", columns, {"label": ["x", "y"]}, rows=1)
    storage.send_all(str(tmp_path), "memory://arrow")
    for folder in ("memory://arrow", "memory://arrow/hub", "memory://arrow/hub/train-*.parquet"):
        table = open_arrow(folder, "train")
        assert all(path.startswith("memory://") for path in table.paths)
        assert values(table, "label") == [["x"], ["y"], ["y"]]
