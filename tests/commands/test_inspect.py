# SPDX-License-Identifier: Apache-2.0
"""What `inspect` says of files and folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.names import FUNCTIONAL_B, form_of, to_tf2
from jaxbert.checkpoints.tf_bundle import open_bundle, write_bundle
from jaxbert.checkpoints.tf_graph import write_objects
from jaxbert.cli import main
from jaxbert.export.onnx import write_onnx
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import write_records
from jaxbert.tfrecord.schema import squad_schema
from tests.commands.tiny_task import Task
from tests.examples.arrow_files import write_parquet
from tests.export.tiny_exports import exported


def _inspect(capsys: pytest.CaptureFixture[str], path: Path | str, *flags: str) -> str:
    capsys.readouterr()
    code = main(["inspect", str(path), *flags])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def test_a_checkpoint_is_told_in_full(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kind, sizes, heads, what fits, what is left over, and every tensor with name, shape and type."""
    folder = shutil.copytree(task.model, tmp_path / "bert")
    bundle = open_bundle(str(folder))
    heads = {"output_weights": np.ones((3, 16), np.float32), "output_bias": np.ones(3, np.float32)}
    others = {"mystery": np.zeros(2, np.int64), "output_bias/adam_m": np.ones(3, np.float32)}
    write_bundle(f"{folder}/bert_model.ckpt", {key: bundle.read(key) for key in bundle.entries} | heads | others)
    out = _inspect(capsys, folder)
    for line in (
        "bert_model.ckpt: TF1 name-based\n",
        "1 layers, hidden 16, intermediate 32, vocabulary 13, 32 positions, 2 token types\n",
        "classifier (3 outputs)\n",
        "beside the weights: fits; gelu, 2 heads, dropout 0.1 and 0.1\n",
        "vocab.txt: 13 tokens, fits; text is lower-cased, by its vocabulary\n",
        "27: 25 weights of BERT with",
        "1 optimizer slots\n",
        "unaccounted     mystery\n",
    ):
        assert line in out
    rows = out.split("\n\n")[1].splitlines()
    assert len(rows) == 27
    assert rows[0].split() == ["bert/embeddings/word_embeddings", "[13,", "16]", "float32"]
    assert rows[-2].split() == ["-", "[2]", "int64", "mystery"]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("model/layer_with_weights-1", "a dense one with 2 outputs, classifier or tagger\n"),
        ("model/layer_with_weights-1/layer_with_weights-0", "a dense one with 2 outputs, classifier or SQuAD\n"),
        ("model/classifier", "tagger (2 outputs)\n"),
    ],
)
def test_a_head_of_official_code_is_told_as_far_as_it_shows(
    head: str, told: str, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two kinds are named where the objects that were saved do not tell them apart."""
    weights = read_initial(str(task.model)).weights
    root = "model/layer_with_weights-0"
    paths = {name: f"{root}/{path}" for name, path in FUNCTIONAL_B.paths(1).items()}
    objects = [([paths[name]], to_tf2(form_of(name), weight, 2)) for name, weight in weights.items()]
    objects += [([f"{head}/kernel"], np.ones((16, 2), np.float32)), ([f"{head}/bias"], np.ones(2, np.float32))]
    write_objects(f"{tmp_path}/bert_model.ckpt", objects)
    assert f"heads           {told}" in _inspect(capsys, tmp_path)


def test_what_does_not_fit_is_said(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A given configuration and vocabulary are compared with the weights, setting by setting."""
    config = json.loads((task.model / "bert_config.json").read_text()) | {"hidden_size": 32, "num_hidden_layers": 3}
    (tmp_path / "c.json").write_text(json.dumps(config))
    (tmp_path / "v.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[MASK]\nRed\n")
    flags = (f"--bert_config_file={tmp_path}/c.json", f"--vocab_file={tmp_path}/v.txt")
    out = _inspect(capsys, task.model, *flags)
    assert "does not fit: hidden_size is 32, the weights have 16; num_hidden_layers is 3, the weights have 1" in out
    assert "5 tokens, fits, 8 rows unused; text keeps its casing, by its vocabulary" in out


def test_data_is_told(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Records with their features, metadata, a vocabulary, a configuration."""
    records = _inspect(capsys, task.folder / "train.tf_record")
    assert "TFRecords, 24 of them" in records
    assert "input_ids                int64 [16]" in records
    assert "metadata of classification" in _inspect(capsys, task.folder / "meta_data")
    assert "vocabulary of 13 tokens; 0.0% of its words have capitals or accents: text is lower-cased" in _inspect(
        capsys, task.model / "vocab.txt"
    )
    assert "bert_config.json\nsizes           1 layers, hidden 16, 2 heads" in _inspect(
        capsys, task.model / "bert_config.json"
    )


def test_examples_in_records_are_counted(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of tables: classes by the names of the metadata, lengths, what comes twice, what is in both files."""
    rows = [line.split("\t") for line in (task.text / "train.tsv").read_text().splitlines()[1:]]
    texts = {(row[3], row[4]) for row in rows}
    ones = sum(row[0] == "1" for row in rows)
    sizes = [len(row[3].split()) + len(row[4].split()) + 3 for row in rows]
    twice = tmp_path / "twice.tf_record"
    twice.write_bytes(2 * (task.folder / "train.tf_record").read_bytes())
    meta = json.loads((task.folder / "meta_data").read_text())
    (tmp_path / "meta_data").write_text(json.dumps({**meta, "label_list": ["other", "same"]}))
    given = (f"--eval_file={task.folder}/eval.tf_record", f"--input_meta_data_path={tmp_path}/meta_data")
    train, held_out = _inspect(capsys, twice, *given).split(f"{task.folder}/eval.tf_record:\n")
    for line in (
        "texts           48 examples\n",
        f"`same` {2 * ones}",
        f"tokens          {min(sizes)} to {max(sizes)} an example",
        f"fill all {meta['max_seq_length']}, as cut ones do\n",
        f"duplicates      {48 - len(texts)} examples have the texts of an earlier one",
    ):
        assert line in train
    assert "texts           12 examples\n" in held_out
    dev = {tuple(line.split("\t")[3:5]) for line in (task.text / "dev.tsv").read_text().splitlines()[1:]}
    assert f"in both         {len(dev & texts)} different texts are in both files" in held_out


def test_answers_in_records_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of SQuAD have an answer or none; equal ones with another answer are told."""
    arrays = {
        "unique_ids": np.arange(3),
        "input_ids": np.array([[2, 7, 3, 9, 3, 0]] * 3),
        "input_mask": np.array([[1, 1, 1, 1, 1, 0]] * 3),
        "segment_ids": np.array([[0, 0, 0, 1, 1, 0]] * 3),
        "start_positions": np.array([3, 0, 3]),
        "end_positions": np.array([3, 0, 3]),
        "is_impossible": np.array([0, 1, 0]),
    }
    path = tmp_path / "squad.tf_record"
    write_records(str(path), encode(arrays, squad_schema(6)))
    out = _inspect(capsys, path)
    assert "labels          `an answer` 2, `no answer` 1\n" in out
    assert "duplicates      2 examples have the texts of an earlier one, 1 of them with another label\n" in out


TABLES = {
    "a.csv": ('text;label\n"Fine, really";good\nDull;bad\n', "CSV, separated by semicolons, 2 rows below the first"),
    "a.tsv": ("text\tlabel\nFine\tgood\nDull\tbad\n", "TSV, 2 rows below the first"),
    "b.tsv": ('text\tlabel\n"A\nB"\tgood\nDull\tbad\n', "TSV with the quotes of a spreadsheet, 2 rows"),
    "A.TSV": ("text\tlabel\nFine\tgood\nDull\tbad\n", "TSV, 2 rows below the first"),
    "A.JSONL": ('{"text": "Fine", "label": "good"}\n', "JSON lines, 1 row;"),
    "c.csv": ("question id,text,label\n7,Fine,good\n8,Dull,bad\n", "CSV, separated by commas, 2 rows"),
    "a.jsonl": ('{"text": "Fine", "label": "good"}\n', "JSON lines, 1 row;"),
    "a.json": ('{"text": "Fine", "label": "good"}\n{"text": "Dull", "label": "bad"}\n', "JSON lines, 2 rows"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What kind of table, its columns, its rows, and a command that works with the flags for it."""
    content, kind = TABLES[name]
    (tmp_path / name).write_text(content)
    out = _inspect(capsys, tmp_path / name)
    assert f"{name}: {kind}" in out
    assert "\n  text     " in out
    assert "'good'\n" in out
    use = f"jaxbert run_classifier --train_file={tmp_path / name} --text_a_column=text --label_column=label"
    assert use in out
    assert "not looked at" not in out


def test_a_table_without_a_row_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank lines are none."""
    (tmp_path / "blank.csv").write_text("\n\n")
    assert "blank.csv: CSV, separated by commas, without a row" in _inspect(capsys, tmp_path / "blank.csv")


def test_files_and_folders_of_datasets_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns with their types and classes, and the splits of a folder; SQuAD as JSON and as Parquet."""
    columns = {"sentence1": ["a"], "sentence2": ["b"], "label": [0]}
    for split in ("train", "test"):
        path = write_parquet(tmp_path / f"own/{split}.parquet", columns, {"label": ["bad", "good"]})
    out = _inspect(capsys, path)
    assert f"{path}: Parquet, 1 row\n" in out
    assert "label                    int64: bad, good\n" in out
    assert "--text_a_column=sentence1 --text_b_column=sentence2 --label_column=label\n" in out
    out = _inspect(capsys, tmp_path / "own")
    assert "own: split train, 1 row" in out
    assert "own: split test, 1 row" in out
    questions = {"id": ["1"], "context": ["c"], "question": ["q"], "answers": [{"text": ["c"], "answer_start": [0]}]}
    path = write_parquet(tmp_path / "squad.parquet", questions)
    assert f"jaxbert run_squad --train_file={path}" in _inspect(capsys, path)
    content = {
        "data": [{"paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q", "is_impossible": True}]}]}]
    }
    (tmp_path / "squad.json").write_text(json.dumps(content))
    out = _inspect(capsys, tmp_path / "squad.json")
    assert "squad.json: SQuAD, 1 question, 0 with answers, 1 that have none\n" in out


def test_a_released_model_is_told_before_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sizes, where to download it and where to put it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    out = _inspect(capsys, "bert-large-cased")
    assert "24 layers, hidden 1024, 16 heads" in out
    assert "cased_L-24_H-1024_A-16.tar.gz" in out
    assert "https://huggingface.co/google-bert/bert-large-cased" in out
    assert f"unpack into     {tmp_path}/.cache/jaxbert/models/bert-large-cased" in out


@pytest.mark.parametrize(
    ("name", "problem"), [("notes.txt", "is no model in a known format"), ("nothing", "there is no model")]
)
def test_other_files_end_in_a_message(
    name: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of no known kind, and one that is not there."""
    (tmp_path / "notes.txt").write_text("Remember the milk.\n")
    assert main(["inspect", str(tmp_path / name)]) == 2
    assert problem in capsys.readouterr().err


def test_damaged_records_end_in_a_message(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every checksum is verified."""
    content = bytearray((task.folder / "train.tf_record").read_bytes())
    content[-10] ^= 1
    (tmp_path / "r").write_bytes(content)
    assert main(["inspect", str(tmp_path / "r")]) == 2
    assert "record" in capsys.readouterr().err


def test_every_official_file_is_accounted_for(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoints and modules of every version have no tensor left over, and the number of weights that are loaded."""
    for index in sorted((shared / "official").rglob("*.index")):
        out = _inspect(capsys, index)
        assert "unaccounted     none\n" in out, index
        weights = read_initial(str(index)).weights
        assert f" {len(weights)} weights of BERT with {sum(weight.size for weight in weights.values()):,} values" in out


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("index_tf1_chinese_base", "206: 206 weights of BERT with 102,882,442 values"),
        ("index_tf1_with_optimizer", "412 optimizer slots, 1 optimizer settings and counters"),
    ],
)
def test_indexes_of_released_models_are_accounted_for(
    name: str, counted: str, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real index files, which are there without their data, are read in full, and fit their configuration."""
    folder = shared / "data/checkpoints" / name
    out = _inspect(capsys, folder)
    assert "unaccounted     none\n" in out
    assert "beside the weights: fits" in out
    assert counted in out
    rows = out.split("\n\n")[1].splitlines()
    listed = [line.split("\t") for line in (folder / "KEYS_generated.tsv").read_text().splitlines()]
    assert len(rows) == len(listed)
    for key, dtype, shape, *_ in listed:
        assert any(key in row.split() and f" {shape} " in row and f" {dtype}" in row for row in rows), key


def test_it_answers_at_once(task: Task, tmp_path: Path) -> None:
    """No jax is loaded for the help text, models, data, ONNX files and folders of runs."""
    write_onnx(str(tmp_path / "onnx"), exported("encoder"))
    (tmp_path / "run/checkpoints/7").mkdir(parents=True)
    paths = (task.model, task.folder / "train.tf_record", tmp_path / "onnx", tmp_path / "run")
    calls = [["inspect", "--help"], *(["inspect", str(path)] for path in paths)]
    code = f"import sys; from jaxbert.cli import main; print([main(x) for x in {calls}], 'jax' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "folder of a run of jaxbert, with training states after steps 7\n" in done.stdout
    assert done.stdout.endswith("[0, 0, 0, 0, 0] False\n")
