# SPDX-License-Identifier: Apache-2.0
"""`jaxbert embed` and `extract_features`: the vectors that the library gives, in files of each kind."""

import json
from pathlib import Path

import numpy as np
import pytest

import jaxbert
from jaxbert.cli import main
from tests.commands.damage import assert_refused
from tests.commands.test_library import model_folder, some_texts
from tests.commands.tiny_task import Task, flags

TEXTS = [*some_texts(20), ("red blue", "green"), "", "teal ||| ", "|||"]
LINES = "".join(f"{text if isinstance(text, str) else ' ||| '.join(text)}\n" for text in TEXTS)


@pytest.fixture
def folder(task: Task, tmp_path: Path) -> Path:
    """A folder with a model and a file of texts, a pair and odd lines among them."""
    model_folder(tmp_path / "model", task, "pretraining")
    (tmp_path / "texts.txt").write_text(LINES)
    return tmp_path


def embed(folder: Path, output: str, command: str = "embed", **more: object) -> Path:
    """Run the command; the path of what it wrote."""
    given = {"init_checkpoint": folder / "model", "input_file": folder / "texts.txt", "compile_cache": ""}
    assert main([command, *flags(**{**given, **more}, output_file=folder / output)]) == 0
    return folder / output


def stripped(text: object) -> object:
    """A line as the command reads it."""
    return text.strip() if isinstance(text, str) else text


def test_arrays_and_lines_hold_the_vectors_of_the_library(folder: Path) -> None:
    """Bitwise, in the order of the texts, of one layer and of several."""
    texts = [stripped(text) for text in TEXTS]
    model = jaxbert.load(folder / "model", compile_cache="")
    expected = model.embed(texts)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.load(embed(folder, "a.npy")), expected, strict=True)
    lines = [json.loads(line) for line in embed(folder, "a.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [str(number) for number in range(len(TEXTS))]
    np.testing.assert_array_equal(np.array([line["vector"] for line in lines], np.float32), expected)
    several = model.embed(texts, layers=[1, 0], pooling="max")  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.load(embed(folder, "b.npy", layers="1,0", pooling="max")), several, strict=True)


def test_features_are_written_as_google_research_writes_them(folder: Path) -> None:
    """One line for each text: its tokens, and of each the values of the layers, rounded to six digits."""
    texts = [stripped(text) for text in TEXTS]
    model = jaxbert.load(folder / "model", compile_cache="")
    output = embed(folder, "f.jsonl", "extract_features", layers="-1,0", max_seq_length=8)
    found = [json.loads(line) for line in output.read_text().splitlines()]
    short = jaxbert.load(folder / "model", compile_cache="", max_seq_length=8)
    vectors = short.embed(texts, pooling="tokens", layers=[-1, 0])  # type: ignore[arg-type]
    assert [line["linex_index"] for line in found] == list(range(len(TEXTS)))
    for line, tokens, expected in zip(found, short.tokens(texts), vectors, strict=True):  # type: ignore[arg-type]
        assert [feature["token"] for feature in line["features"]] == tokens
        assert len(tokens) <= 8
        for feature, own in zip(line["features"], expected, strict=True):
            assert [layer["index"] for layer in feature["layers"]] == [-1, 0]
            np.testing.assert_allclose([layer["values"] for layer in feature["layers"]], own, rtol=0, atol=6e-7)
    pair = TEXTS.index(("red blue", "green"))
    assert model.tokens([texts[pair]]) == [["[CLS]", "red", "blue", "[SEP]", "green", "[SEP]"]]  # type: ignore[list-item]


def test_a_table_is_read_by_its_columns(folder: Path) -> None:
    """Ids, and both texts of a pair."""
    (folder / "texts.csv").write_text('id,one,two\nx,red,"blue, green"\ny,teal,gold\n')
    columns = {"text_a_column": "one", "text_b_column": "two", "id_column": "id"}
    path = embed(folder, "t.jsonl", input_file=folder / "texts.csv", normalize=True, **columns)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["x", "y"]
    model = jaxbert.load(folder / "model", compile_cache="")
    expected = model.embed([("red", "blue, green"), ("teal", "gold")], normalize=True)
    np.testing.assert_array_equal(np.array([line["vector"] for line in lines], np.float32), expected)


@pytest.mark.parametrize(
    ("more", "problem", "hint"),
    [
        ({"pooling": "tokens", "output_file": "x.npy"}, "different numbers of tokens", "`.jsonl`"),
        ({"layers": "a"}, "`--layers=a`", "`-1,-2`"),
        ({"layers": "7"}, "`layers` is (7,)", "from 0 to 1"),
        ({"input_file": "nothing"}, "nothing", ""),
        ({"max_seq_length": 99}, "`max_seq_length` is 99", "the model's positions"),
    ],
)
def test_wrong_flags_end_in_a_message(
    more: dict[str, object], problem: str, hint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no file is written."""
    given = {"init_checkpoint": folder / "model", "input_file": folder / "texts.txt", "output_file": folder / "x.jsonl"}
    code = main(["embed", *flags(**{**given, "compile_cache": "", **more})])
    assert_refused((code, *capsys.readouterr()), problem, hint)
    assert not (folder / "x.jsonl").exists()
