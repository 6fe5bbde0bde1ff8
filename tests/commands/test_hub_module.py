# SPDX-License-Identifier: Apache-2.0
"""Training from hub modules, archives and folders of Hugging Face, which bring sizes, vocabulary and casing."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.tf_bundle import open_bundle, write_bundle
from jaxbert.checkpoints.tf_graph import write_tf2
from jaxbert.checkpoints.tokenizer_files import write_tokenizer
from jaxbert.config import bert_config
from jaxbert.text.tokenizer import Rules
from tests.commands.conftest import Run
from tests.commands.tiny_task import CONFIG, Task, flags

_CASE_RULE = "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture
def module(task: Task, tmp_path: Path) -> Path:
    """The tiny encoder as a hub module whose text keeps its case."""
    folder = tmp_path / "module"
    weights = read_initial(str(task.model)).weights
    prefix = str(folder / "variables/variables")
    write_tf2(prefix, weights, CONFIG["num_attention_heads"])
    bundle = open_bundle(prefix)
    write_bundle(prefix, {key: bundle.read(key).copy() for key in bundle.entries} | {_CASE_RULE: np.array(False)})
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "assets").mkdir()
    shutil.copy(task.model / "vocab.txt", folder / "assets")
    return folder


def _train(classify: Run, task: Task, folder: Path, *more: str) -> str:
    code, _, err = classify(*flags(data_dir=task.text, model_dir=folder, num_train_epochs=1, max_seq_length=16), *more)
    assert code == 0, err
    return err


def test_a_module_brings_all_it_needs(
    module: Path, task: Task, classify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other flag is needed; the trained model remembers the case rule and, unlike official ones, predicts alone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
        archive.add(module, ".")
    err = _train(classify, task, tmp_path / "run", f"--hub_module_url={tmp_path}/module.tar.gz")
    assert "loaded 23 of 25 expected tensors" in err
    assert "note: the sizes are those of the module's weights (1 layers, hidden 16, 2 heads)" in err
    best = tmp_path / "run/best"
    assert json.loads((best / "tokenizer_config.json").read_text()) == {"do_lower_case": False}
    assert json.loads((best / "bert_config.json").read_text())["num_attention_heads"] == 2
    (tmp_path / "module.tar.gz").unlink()
    code, _, err = classify("--mode=predict", *flags(data_dir=task.text, model_dir=tmp_path / "run", max_seq_length=16))
    assert code == 0, err


def test_a_folder_of_hugging_face_trains(task: Task, classify: Run, tmp_path: Path) -> None:
    """Its configuration, vocabulary and case rule are used; the exact GELU stays with the model."""
    config = bert_config.from_dict(CONFIG | {"hidden_act": "gelu_erf"})
    folder = tmp_path / "theirs"
    write_huggingface(str(folder), read_initial(str(task.model)).weights, config)
    shutil.copy(task.model / "vocab.txt", folder)
    write_tokenizer(str(folder), Rules(lower_case=True), 32)
    err = _train(classify, task, tmp_path / "run", f"--init_checkpoint={folder}")
    assert "loaded 23 of 25 expected tensors" in err
    assert json.loads((tmp_path / "run/best/bert_config.json").read_text())["hidden_act"] == "gelu_erf"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--do_lower_case"], "`--do_lower_case=true`, but the model in"),
        (["--init_checkpoint=other"], "both say where the weights come from"),
    ],
)
def test_contradictions_are_refused(
    more: list[str], problem: str, module: Path, task: Task, classify: Run, tmp_path: Path
) -> None:
    """Another case rule than the module's, and two sources of weights."""
    run = flags(data_dir=task.text, model_dir=tmp_path / "run", hub_module_url=module)
    code, _, err = classify(*run, *more)
    assert code == 2
    assert problem in err


def test_a_module_that_is_not_here_is_said_at_once(task: Task, classify: Run, tmp_path: Path) -> None:
    """Before any record is made."""
    code, _, err = classify(*flags(data_dir=task.text, model_dir=tmp_path / "run", hub_module_url="https://x.org/m/1"))
    assert code == 2
    assert "names no model that can be fetched" in err
    assert not (tmp_path / "run").exists()
