# SPDX-License-Identifier: Apache-2.0
"""Text to pretrain on from Parquet, Arrow and folders of `datasets`: the documents and cuts of JSON lines."""

import itertools
import json
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.corpus import Rows, Shard, TextFile, read_documents, read_sentences, shards, text_files
from jaxbert.io import storage
from jaxbert.io.files import expand
from tests.examples.arrow_files import TEXT_TYPES, save_to_disk, write_parquet

TEXTS = ["One is here. Two is\nthere.\n\nA heading", "", "Größe. \ufeffVier!", " \n", 'a "b"\tc'] * 40
NO_CUT = 1 << 40


def wikipedia(texts: list[str]) -> dict[str, list[str]]:
    """The columns that Wikipedia is published with."""
    numbers = [str(number) for number in range(len(texts))]
    return {"id": numbers, "url": numbers, "title": numbers, "text": texts}


def write_json_lines(path: Path, texts: list[str]) -> str:
    """The same documents as JSON lines."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def documents(cut: list[Shard]) -> list[list[str]]:
    """Those of all shards."""
    return [document for shard in cut for document in read_documents(shard)[0]]


def read(*paths: str, size: int = NO_CUT) -> list[list[str]]:
    """The documents of files whose format is seen, through shards of a size."""
    return documents(list(shards(text_files(paths), size)))


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_documents_are_those_of_json_lines(kind: pyarrow.DataType, tmp_path: Path) -> None:
    """In each type that text has, in Parquet, in a file and in a stream of Arrow, cut or not."""
    expected = read(write_json_lines(tmp_path / "lines", TEXTS))
    assert len(expected) == len(TEXTS)
    content = pyarrow.table(wikipedia(TEXTS)).set_column(3, "text", pyarrow.array(TEXTS).cast(kind))
    pyarrow.parquet.write_table(content, tmp_path / "a", row_group_size=7)
    pyarrow.feather.write_feather(content, str(tmp_path / "b"), chunksize=9)
    with pyarrow.ipc.new_stream(str(tmp_path / "c"), content.schema) as stream:
        stream.write_table(content, max_chunksize=5)
    for name, size in itertools.product("abc", (1, 300, NO_CUT)):
        assert read(str(tmp_path / name), size=size) == expected


def test_a_dictionary_of_views(tmp_path: Path) -> None:
    """A dictionary whose texts are views, which other libraries write, is text too."""
    texts = pyarrow.array(["One.", "Two."], pyarrow.string_view())
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([1, 0, 1], pyarrow.int32()), texts)
    content = pyarrow.table({"text": column})
    with pyarrow.ipc.new_stream(str(tmp_path / "a"), content.schema) as stream:
        stream.write_table(content)
    assert read(str(tmp_path / "a")) == [["Two."], ["One."], ["Two."]]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.text("aé", max_size=20), max_size=12), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(1, 80),
)
def test_cuts_change_nothing(tmp_path: Path, tables: list[list[str]], rows: int, size: int) -> None:
    """Shards hold every row once, in order; each but the last of a file is no larger than its last row makes it."""
    paths = [
        write_parquet(tmp_path / f"{number}.parquet", {"text": pyarrow.array(texts, pyarrow.string())}, rows=rows)
        for number, texts in enumerate(tables)
    ]
    found = list(shards([TextFile(path, "table") for path in paths], size))
    texts = [text for table in tables for text in table]
    assert documents(found) == [[text] if text else [] for text in texts]
    assert sum(map(len, found)) == sum(len(text.encode()) for text in texts)
    for shard in found[:-1]:
        assert len(shard) >= size
        last = shard.parts[-1]
        assert isinstance(last, Rows)
        final = tables[paths.index(last.path)][last.end - 1]
        assert len(shard) - len(final.encode()) < size


def test_documents_of_one_length_are_cut_as_json_lines_are(tmp_path: Path) -> None:
    """Shards hold the same documents where a size means the same number of them, also over two files."""
    texts = [f"{number:07}." for number in range(100)]
    tables = [write_parquet(tmp_path / name, wikipedia(part), rows=9) for name, part in _halves(texts)]
    lines = [write_json_lines(tmp_path / f"{name}.jsonl", part) for name, part in _halves(texts)]
    line = len('{"text": "0000000."}\n')
    of_tables, of_lines = shards(text_files(tables), 7 * 8), shards(text_files(lines), 7 * line - 1)
    found = [[list(read_documents(shard)[0]) for shard in cut] for cut in (of_tables, of_lines)]
    assert found[0] == found[1]
    assert [len(shard) for shard in found[0]] == [7] * 14 + [2]


def _halves(texts: list[str]) -> list[tuple[str, list[str]]]:
    return [("one", texts[:46]), ("two", texts[46:])]


def test_only_a_little_is_in_memory(tmp_path: Path) -> None:
    """Cutting, and reading a shard, of a file with one group of rows holds a fraction of its text at a time."""
    count, length = 40_000, 1000
    path = write_parquet(tmp_path / "a", {"text": [f"{number:0{length}}" for number in range(count)]})
    before = pyarrow.total_allocated_bytes()
    most = 0
    for shard in shards([TextFile(path, "table")], 50 * length):
        most = max(most, pyarrow.total_allocated_bytes() - before)
        if shard.number % 100 == 99:
            read_documents(shard)
    assert shard.number == count // 50 - 1
    assert most < count * length / 4


def test_several_formats_are_one_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text and tables go into one shard, each read as its own; a row ends a document also where files are joined."""
    (tmp_path / "a").write_text("One\n")
    write_parquet(tmp_path / "b", {"text": ["Two.", "Three."]})
    write_parquet(tmp_path / "c", {"text": ["Four."]})
    (tmp_path / "d").write_text("Five\n")
    (shard,) = shards(text_files([str(tmp_path / name) for name in "abcd"]), NO_CUT)
    assert "2 as lines, 2 as table" in capsys.readouterr().err
    for join_files in (False, True):
        found = list(read_documents(shard, join_files=join_files)[0])
        assert found == [["One"], ["Two."], ["Three."], ["Four."], ["Five"]]
    files = text_files([str(tmp_path / name) for name in "ab"], "documents")
    assert [file.form for file in files] == ["documents", "table"]
    assert "b` is a table and read as one; `--input_format=documents` is about text" in capsys.readouterr().err


def test_folders_of_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands for the files of its training split, here or remote."""
    for number in range(2):
        write_parquet(tmp_path / f"hub/20231101.en/train-0000{number}-of-00002.parquet", wikipedia([f"Text {number}."]))
    for split in ("train", "test"):
        save_to_disk(tmp_path / "saved" / split, [wikipedia([f"Saved {split}."]), wikipedia(["Two."])])
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    storage.send_all(str(tmp_path), "memory://corpus-tables")
    for folder in (str(tmp_path), "memory://corpus-tables"):
        found = read(f"{folder}/hub", f"{folder}/saved", f"{folder}/saved/test", size=5)
        assert found == [["Text 0."], ["Text 1."], ["Saved train."], ["Two."], ["Saved test."], ["Two."]]
    assert "the split train is read, of train, test" in capsys.readouterr().err


def test_a_folder_of_text(tmp_path: Path) -> None:
    """A folder without tables is refused, with a pattern for its files that serves."""
    (tmp_path / "a.txt").write_text("One\n")
    with pytest.raises(InputError, match="is a folder without a data set") as caught:
        text_files([str(tmp_path)])
    assert read(*expand(caught.value.hint.split("`")[1])) == [["One"]]


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        ({"body": ["a"], "id": [1]}, "has no column `text`; it has `body`, `id`", "to `text`"),
        ({"text": [1]}, "`text` is of type int64, expected text", "write it as text"),
        ({"text": [["a"]]}, r"`text` is of type list<.*, expected text", "write it as text"),
        ({"text": [b"a"]}, "`text` is of type binary, expected text", "write it as text"),
        ({"text": ["a"] * 205 + [None]}, "row 206 has no `text`", "without such rows"),
    ],
)
def test_what_holds_no_text(columns: dict[str, list[object]], message: str, hint: str, tmp_path: Path) -> None:
    """Another column, another type and rows without a text are named before anything is made of the text."""
    path = write_parquet(tmp_path / "a.parquet", columns, rows=100)
    with pytest.raises(InputError, match=message) as caught:
        list(shards(text_files([path]), NO_CUT))
    assert hint in caught.value.hint


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """They are left out and counted, as those of text are."""
    column = pyarrow.array([b"caf\xc3\xa9 \xff\xfe b", b"c"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a")
    (shard,) = shards(text_files([str(tmp_path / "a")]), NO_CUT)
    found, wrong = read_documents(shard)
    assert (list(found), wrong) == ([["caf\u00e9  b"], ["c"]], 2)


@pytest.mark.parametrize("texts", [["One."], ["One.", "Other."]])
def test_a_table_that_changes(texts: list[str], tmp_path: Path) -> None:
    """A table that is another one than when it was cut is named."""
    path = write_parquet(tmp_path / "a", {"text": ["One.", "Two."]})
    (shard,) = shards(text_files([path]), NO_CUT)
    write_parquet(tmp_path / "a", {"text": texts})
    with pytest.raises(InputError, match="changed while it was read"):
        read_documents(shard)


def test_a_damaged_table(tmp_path: Path) -> None:
    """A file that was cut off is named."""
    path = Path(write_parquet(tmp_path / "a", {"text": ["One."] * 1000}))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"a` \(Parquet\) cannot be read"):
        text_files([str(path)])


def test_sentences_for_a_vocabulary(tmp_path: Path) -> None:
    """What a vocabulary is learnt from is the same for a table and JSON lines."""
    table, lines = write_parquet(tmp_path / "a", wikipedia(TEXTS)), write_json_lines(tmp_path / "b", TEXTS)
    assert list(read_sentences(text_files([table]))) == list(read_sentences(text_files([lines])))
