# SPDX-License-Identifier: Apache-2.0
"""export from folder to folder: what is written, that it is read back, what is refused; and from run_classifier."""

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.resolve import find_model, find_source
from jaxbert.cli import main
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.export import model as export_model
from jaxbert.export.network import NAMES, Exported, Kind
from tests.checkpoints.random_models import assert_same, random_weights
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_task import Task, flags

CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2)
VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nblue\n"
FILES = {
    "saved_model": ["assets", "bert_config.json", "saved_model.pb", "variables"],
    "onnx": ["bert_config.json", "model.onnx", "tokenizer_config.json", "vocab.txt"],
    "huggingface": ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"],
}
Export = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Export:
    """Runs `export` with flags: exit code, standard output, standard error."""

    def run(**values: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["export", *flags(**values)])
        return code, *capsys.readouterr()

    return run


def _model(folder: Path, *heads: str) -> Path:
    """A model folder of ours with these heads and a vocabulary."""
    weights = {name: weight for head in heads for name, weight in random_weights(CONFIG, head).items()}
    texts = {"bert_config.json": bert_config.to_json(CONFIG), "vocab.txt": VOCAB}
    write_model(str(folder), weights, texts, {})
    return folder


@pytest.mark.parametrize("to", FILES)
@pytest.mark.parametrize(
    ("head", "kind"),
    [("none", "encoder"), ("classifier", "classifier"), ("squad", "squad"), ("pretraining", "pretrainer")],
)
def test_every_kind_goes_into_every_format(head: str, kind: Kind, to: str, run: Export, tmp_path: Path) -> None:
    """The heads tell the kind, the last line says what was checked, and the folder has all that belongs to it."""
    source = _model(tmp_path / "model", head)
    code, out, err = run(init_checkpoint=source, format=to, output_dir=tmp_path / "out")
    assert (code, out) == (0, "")
    checked = "are finite" if to == "onnx" else "are finite and read back bitwise identical"
    assert err.splitlines()[-1] == f"wrote the {NAMES[kind]} to {tmp_path / 'out'}; its weights {checked}"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES[to]


def test_a_decoder_of_its_own_is_named(run: Export, tmp_path: Path) -> None:
    """A masked LM whose decoder is not the table of word embeddings is refused with what can be done instead."""
    source = _model(tmp_path / "model", "pretraining")
    assert run(init_checkpoint=source, format="huggingface", output_dir=tmp_path / "untied")[0] == 0
    file = tmp_path / "untied" / "model.safetensors"
    weights = load_file(file)
    decoder = "cls.predictions.decoder.weight"
    save_file(weights | {decoder: weights["bert.embeddings.word_embeddings.weight"] + 1}, file)
    given = {"init_checkpoint": tmp_path / "untied", "format": "onnx"}
    code, _, err = run(**given, model="pretrainer", output_dir=tmp_path / "out")
    assert code == 2
    assert f"has a decoder of its own (`{decoder}`)" in err
    assert "`--model=encoder`" in err
    assert run(**given, model="encoder", output_dir=tmp_path / "out")[0] == 0


@pytest.mark.parametrize("to", ["saved_model", "huggingface"])
def test_what_is_exported_can_be_started_from(to: str, run: Export, tmp_path: Path) -> None:
    """The same weights and configuration come back."""
    source = _model(tmp_path / "model", "classifier")
    assert run(init_checkpoint=source, format=to, output_dir=tmp_path / "out")[0] == 0
    found, expected = (read_initial(str(path)) for path in (tmp_path / "out", source))
    assert_same(found.weights, expected.weights)
    assert find_source(str(tmp_path / "out")).config == find_source(str(source)).config
    found, expected = (find_model(str(path)) for path in (tmp_path / "out", source))
    assert found.source
    assert expected.source
    assert_same(read_initial(found.source).weights, read_initial(expected.source).weights)
    assert found.config == expected.config


@pytest.mark.parametrize("to", FILES)
@pytest.mark.parametrize(("head", "kind"), [("masked LM", "pretrainer"), ("none", "encoder"), ("tagger", "encoder")])
def test_what_nothing_stands_on_may_be_missing(head: str, kind: Kind, to: str, run: Export, tmp_path: Path) -> None:
    """Without a pooler, as many models of `transformers` are, an encoder and a masked LM are exported all the same."""
    source = _model(tmp_path / "model", head)
    weights = {name: one for name, one in read_initial(str(source)).weights.items() if name not in names.POOLER}
    write_model(str(source), weights, {}, {})
    code, _, err = run(init_checkpoint=source, format=to, output_dir=tmp_path / "out", model=kind)
    assert code == 0
    assert "there is no pooler, so what is written has none" in err
    assert ("`add_pooling_layer=False`" in err) == (to == "huggingface" and kind == "encoder")
    if to != "onnx":
        kept = {name: one for name, one in weights.items() if kind != "encoder" or name.startswith("bert/")}
        assert_same(read_initial(str(tmp_path / "out")).weights, kept)


def test_one_of_several_heads_is_chosen(run: Export, tmp_path: Path) -> None:
    """By `--model`, and without it nothing is guessed."""
    source = _model(tmp_path / "model", "classifier", "squad")
    assert_refused(run(init_checkpoint=source, format="onnx", output_dir=tmp_path / "a"), "several heads", "--model")
    kinds: tuple[Kind, ...] = ("squad", "classifier", "encoder")
    for kind in kinds:
        code, _, err = run(init_checkpoint=source, format="onnx", output_dir=tmp_path / kind, model=kind)
        assert code == 0
        assert f"wrote the {NAMES[kind]} to" in err
    assert not (tmp_path / "a").exists()


def test_a_head_that_is_not_there_is_refused(run: Export, tmp_path: Path) -> None:
    """With the names of what is missing, and nothing is written."""
    source = _model(tmp_path / "model", "classifier")
    result = run(init_checkpoint=source, format="saved_model", output_dir=tmp_path / "out", model="squad")
    hint = "choose what there is: `--model=encoder`, `--model=classifier`"
    assert_refused(result, "there is no SQuAD model: cls/squad/output_weights", hint)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["saved_model", "onnx", "huggingface"])
def test_a_model_that_diverged_is_refused(to: str, run: Export, tmp_path: Path) -> None:
    """Weights that are no numbers are named, and nothing is written."""
    source = _model(tmp_path / "model", "none")
    weights = {name: weight.copy() for name, weight in read_initial(str(source)).weights.items()}
    weights["bert/pooler/dense/bias"][1] = np.nan
    write_model(str(source), weights, {}, {})
    result = run(init_checkpoint=source, format=to, output_dir=tmp_path / "out")
    assert_refused(result, "`bert/pooler/dense/bias` in", "give another checkpoint")
    assert not (tmp_path / "out").exists()


def test_a_filled_folder_is_refused(run: Export, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    source = _model(tmp_path / "model", "none")
    assert_refused(run(init_checkpoint=source, format="onnx", output_dir=source), "is not empty", "another folder")


def test_a_failure_leaves_nothing(run: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When what was written does not read back the same, it is a failure of ours, and no folder stays."""
    written = export_model.write_saved_model

    def damaged(folder: str, model: Exported) -> None:
        bias = {"bert/pooler/dense/bias": -model.weights["bert/pooler/dense/bias"]}
        written(folder, dataclasses.replace(model, weights={**model.weights, **bias}))

    monkeypatch.setattr(export_model, "write_saved_model", damaged)
    source = _model(tmp_path / "model", "none")
    code, _, err = run(init_checkpoint=source, format="saved_model", output_dir=tmp_path / "out")
    assert code == 1
    assert "does not read back the same in ['bert/pooler/dense/bias']" in err
    assert not (tmp_path / "out").exists()


def test_onnxruntime_tunes_what_is_exported(run: Export, tmp_path: Path) -> None:
    """With both flags, each says what it did and how the results changed; the folder has the same files."""
    source = _model(tmp_path / "model", "classifier")
    code, out, err = run(
        init_checkpoint=source, format="onnx", output_dir=tmp_path / "out", optimize=True, quantize="int8"
    )
    assert (code, out) == (0, "")
    optimized, quantized = err.splitlines()[-3:-1]
    assert re.match(
        r"optimized by onnxruntime .* 2 Attention, .*; largest difference .*, smallest cosine 1\.0000", optimized
    )
    assert re.match(r"quantized by onnxruntime .*; largest difference .*, smallest cosine (1\.0|0\.9)\d*, ", quantized)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES["onnx"]


@pytest.mark.parametrize("flag", [{"optimize": True}, {"quantize": "int8"}])
def test_other_formats_are_not_tuned(flag: dict[str, object], run: Export, tmp_path: Path) -> None:
    """The flags are refused by name, before anything is read or written."""
    result = run(init_checkpoint=tmp_path / "none", format="huggingface", output_dir=tmp_path / "out", **flag)
    assert_refused(result, f"`--{next(iter(flag))}` is for ONNX files, not for `--format=huggingface`", "--format=onnx")
    assert not (tmp_path / "out").exists()


def test_onnxruntime_is_asked_for(run: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed the extra is named, and nothing is written."""
    monkeypatch.delitem(sys.modules, "jaxbert.export.onnx_tuning", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    source = _model(tmp_path / "model", "none")
    result = run(init_checkpoint=source, format="onnx", output_dir=tmp_path / "out", optimize=True)
    assert_refused(result, "need onnxruntime", "pip install onnx 'onnxruntime[symbolic]'")
    assert not (tmp_path / "out").exists()


def test_run_classifier_exports_what_it_trained(task: Task, classify: Run, tmp_path: Path) -> None:
    """After training to --model_export_path, later by --mode=export_only: the same files, which hold the best model."""
    model_dir, first, second = tmp_path / "run", tmp_path / "a", tmp_path / "b"
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=model_dir, num_train_epochs=1)
    code, _, err = classify(*task.records, *start, f"--model_export_path={first}")
    assert code == 0, err
    assert f"wrote the classifier to {first}" in err
    code, _, err = classify(*flags(model_dir=model_dir, mode="export_only", model_export_path=second))
    assert code == 0, err
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    assert_same(read_initial(str(first)).weights, read_initial(str(model_dir / "best")).weights)
    assert names.CLASSIFIER[0] in read_initial(str(first)).weights


def test_export_only_needs_a_folder(classify: Run, tmp_path: Path) -> None:
    """And one that holds nothing."""
    assert_refused(
        classify(*flags(model_dir=tmp_path, mode="export_only")), "--mode=export_only", "--model_export_path"
    )
    (tmp_path / "file").write_text("")
    result = classify(*flags(model_dir=tmp_path, mode="export_only", model_export_path=tmp_path))
    assert_refused(result, "is not empty", "another folder")
