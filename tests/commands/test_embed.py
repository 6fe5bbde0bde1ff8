# SPDX-License-Identifier: Apache-2.0
"""`jaxbert embed`, `extract_features` and `predict`: what the library gives, in files of each kind."""

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import jaxbert
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.cli import main
from jaxbert.tfrecord.metadata import ClassificationMetaData
from tests.checkpoints.random_models import random_weights
from tests.commands.damage import assert_refused
from tests.commands.test_library import BERT, LABELS, model_folder, some_texts
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
    table = pyarrow.parquet.read_table(embed(folder, "a.parquet"))
    assert table["id"].to_pylist() == [str(number) for number in range(len(TEXTS))]
    assert table["vector"].type == pyarrow.list_(pyarrow.float32(), expected.shape[1])
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), expected)
    several = model.embed(texts, layers=[1, 0], pooling="max")  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.load(embed(folder, "b.npy", layers="1,0", pooling="max")), several, strict=True)
    table = pyarrow.parquet.read_table(embed(folder, "b.parquet", layers="1,0", pooling="max"))
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), several)


@pytest.mark.filterwarnings("ignore::jaxbert.library.model.TextsCutWarning")
def test_features_are_written_as_google_research_writes_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each text: its tokens, and of each the values of the layers, rounded to six digits."""
    texts = [stripped(text) for text in TEXTS]
    model = jaxbert.load(folder / "model", compile_cache="")
    capsys.readouterr()
    output = embed(folder, "f.jsonl", "extract_features", layers="-1,0", max_seq_length=8)
    assert f"`{folder}/texts.txt`: 16 of 24 texts are longer than 8 tokens and are cut" in capsys.readouterr().err
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


def test_features_equal_those_of_google_research(shared: Path, tmp_path: Path) -> None:
    """Its own script wrote lines for this checkpoint: tokens are the same, values up to the rounding of the last digit.

    Float32 sums in another order differ by up to 1e-6, which may round to the next digit or the one after it.
    """
    golden = Path(__file__).parents[1] / "golden"
    inputs = shared / "official/inputs"
    given: dict[str, object] = {
        "init_checkpoint": shared / "official/tf1/plain/bert_model.ckpt",
        "vocab_file": inputs / "vocab.txt",
        "bert_config_file": inputs / "bert_config.json",
        "input_file": golden / "extract_features.txt",
        "layers": "-1,-2",
        "max_seq_length": 8,
    }
    output = embed(tmp_path, "features.jsonl", "extract_features", **given)
    written = (output, golden / "extract_features.jsonl")
    lines, expected = ([json.loads(line) for line in path.read_text().splitlines()] for path in written)
    for line, other in zip(lines, expected, strict=True):
        own, others = (np.array([values(feature) for feature in one["features"]]) for one in (line, other))
        np.testing.assert_allclose(own, others, rtol=0, atol=2.5e-6)
        assert _without_values(line) == _without_values(other)


def values(feature: dict[str, list[dict[str, list[float]]]]) -> list[list[float]]:
    """Of each layer."""
    return [layer["values"] for layer in feature["layers"]]


def _without_values(line: dict[str, Any]) -> str:
    """Everything else in a line, in its order."""
    for feature in line["features"]:
        for layer in feature["layers"]:
            layer["values"] = len(layer["values"])
    return json.dumps(line)


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
        ({"pooling": "tokens", "output_file": "x.parquet"}, "different numbers of tokens", "`.jsonl`"),
        ({"id_column": "id"}, "`--id_column` is of a table", "give both"),
        ({"layers": "a"}, "`--layers=a`", "`-1,-2`"),
        ({"layers": "7"}, "`layers` is (7,)", "from 0 to 1"),
        ({"input_file": "nothing"}, "nothing", ""),
        ({"input_file": "/dev/null"}, "`/dev/null` is empty", "one example a line"),
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


def test_features_of_a_model_with_few_positions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the flag is not given, the script's 128 tokens are as many as the model has positions, which is said."""
    of_all = embed(folder, "f.jsonl", "extract_features", layers="-1")
    assert "texts are read up to 32 tokens, the model's positions" in capsys.readouterr().err
    given = embed(folder, "g.jsonl", "extract_features", layers="-1", max_seq_length=32)
    assert of_all.read_text() == given.read_text()


@pytest.mark.parametrize("command", ["embed", "extract_features", "predict"])
def test_texts_are_not_written_over(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output that is the input is refused, before the model is read."""
    model = flags(**{"model" if command == "predict" else "init_checkpoint": folder / "model"})
    texts = folder / "texts.txt"
    code = main([command, *model, *flags(input_file=texts, output_file=f"{folder}/./texts.txt")])
    assert_refused((code, *capsys.readouterr()), "is read, and would be written over", "another file")
    assert texts.read_text() == LINES


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t"])
def test_a_table_is_not_read_as_lines(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its header or its bytes would be texts: without the name of a column it is refused, whatever it is called."""
    if name in ("t.parquet", "t"):
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").table({"one": ["red"]}), folder / name)
    else:
        (folder / name).write_text('{"one": "red"}\n' if name == "t.jsonl" else "one\nred\n")
    given = flags(init_checkpoint=folder / "model", input_file=folder / name, output_file=folder / "x.jsonl")
    code = main(["embed", *given, "--compile_cache="])
    assert_refused((code, *capsys.readouterr()), "which of its columns", "`--text_a_column`")


def test_lines_that_are_no_text_are_refused(
    task: Task, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are not UTF-8 would be left out of a text, in a file as on standard input."""
    (folder / "latin.txt").write_bytes("red\ncaf\u00e9\n".encode("latin-1"))
    given = flags(init_checkpoint=folder / "model", input_file=folder / "latin.txt", output_file=folder / "x.jsonl")
    code = main(["embed", *given, "--compile_cache="])
    assert_refused((code, *capsys.readouterr()), "line 2 is not UTF-8", "iconv")
    model_folder(folder / "classes", task, "classifier", LABELS)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red\ncaf\xe9\n")))
    code = main(["predict", f"--model={folder}/classes", "--compile_cache="])
    assert_refused((code, *capsys.readouterr()), "line 2 of standard input is not UTF-8", "iconv")


def test_texts_are_predicted_from_anywhere(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given in the command, on standard input, and in a file: the lines are the same; a run's folder is enough."""
    (tmp_path / "run").mkdir()
    model_folder(tmp_path / "run" / "best", task, "classifier", LABELS)
    texts = ["red blue", "green ||| pink", "teal"]
    expected = jaxbert.load(tmp_path / "run", compile_cache="").predict(["red blue", ("green", "pink"), "teal"])
    given = flags(model=tmp_path / "run", compile_cache="")
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    capsys.readouterr()
    assert main(["predict", *given, *texts]) == 0
    found = capsys.readouterr().out
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line["label"] for line in lines] == [one.label for one in expected]  # type: ignore[union-attr]
    for line, one in zip(lines, expected, strict=True):
        assert line["probabilities"] == pytest.approx(one.probabilities, abs=1e-7)  # type: ignore[union-attr]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(texts).encode())))
    assert main(["predict", *given]) == 0
    assert capsys.readouterr().out == found
    keyboard = io.BytesIO(b"")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(keyboard))
    assert main(["predict", *given]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "write a text a line, then Ctrl-D" in err
    assert err.splitlines()[-1] == "there are no texts on standard input: nothing is predicted"
    files = flags(input_file=tmp_path / "texts.txt", output_file=tmp_path / "out.jsonl")
    assert main(["predict", *given, *files, "--with_text"]) == 0
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line.pop("text") for line in written] == ["red blue", ["green", "pink"], "teal"]
    assert written == lines


def test_pairs_have_any_text_and_what_is_none_is_named(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text of a pair may have several lines; in many lines the one that is a single text is named."""
    model = model_folder(tmp_path / "model", task, "classifier", dataclasses.replace(LABELS, pairs=True))
    given = flags(model=model, compile_cache="")
    assert main(["predict", *given, "red\nblue ||| teal"]) == 0
    (expected,) = jaxbert.load(model, compile_cache="").predict([("red\nblue", "teal")])
    assert json.loads(capsys.readouterr().out)["label"] == expected.label  # type: ignore[union-attr]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red ||| blue\n" * 1100 + b"red\n")))
    assert main(["predict", *given]) == 2
    assert "trained with pairs of texts, `red` is a single text: line 1101\nhint: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        (["red", "--input_file=x"], "there are texts, and `--input_file=x`", "give one of them"),
        (["--text_a_column=a"], "`--text_a_column` is of a table", "`--input_file`"),
        (["red", "--text_a_column=a"], "`--text_a_column` is of a table", "`--input_file`"),
        (["--input_file=x", "--text_b_column=b"], "`--text_b_column` is of a table", "give both"),
    ],
)
def test_flags_of_predict_that_would_be_passed_over_are_refused(
    given: list[str], problem: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a model is loaded."""
    assert_refused((main(["predict", "--model=none", *given]), *capsys.readouterr()), problem, hint)


def test_numbers_are_predicted(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A regressor gives one for each text; a model without classes is refused."""
    meta = ClassificationMetaData("", 0, 32, None, "float")
    weights = random_weights(BERT, "classifier", classes=1)
    (tmp_path / "model").mkdir()
    write_model(str(tmp_path / "model"), weights, {"meta_data": meta.to_json()}, {})
    for name in ("vocab.txt", "bert_config.json"):
        shutil.copy(task.model / name, tmp_path / "model")
    assert main(["predict", f"--model={tmp_path}/model", "--compile_cache=", "red"]) == 0
    (number,) = jaxbert.load(tmp_path / "model", compile_cache="").predict(["red"])
    assert json.loads(capsys.readouterr().out) == {"id": "0", "number": pytest.approx(float(number), abs=1e-6)}  # type: ignore[arg-type]
    model_folder(tmp_path / "encoder", task, "none")
    code = main(["predict", f"--model={tmp_path}/encoder", "--compile_cache=", "red"])
    assert_refused((code, *capsys.readouterr()), "has no classifier", "ask `embed`; or give a model that has one")
