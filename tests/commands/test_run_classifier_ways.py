# SPDX-License-Identifier: Apache-2.0
"""What may change how `run_classifier` computes, and what it trains on; measured against one plain run."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxbert.train import devices
from tests.commands.conftest import Run
from tests.commands.same_runs import assert_same_model, losses
from tests.commands.tiny_task import PLAIN, SIZES, Task, flags, start


@pytest.fixture
def training(task: Task, tmp_path: Path) -> list[str]:
    """The flags of a training in a folder of its own."""
    return [*task.records, *PLAIN, *flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path)]


@pytest.mark.parametrize("flag", ["--gradient_accumulation_steps=2", "--scan_layers", "--remat", "--steps_per_loop=2"])
def test_same_arithmetic(flag: str, training: list[str], classify: Run, plain: Path, tmp_path: Path) -> None:
    """Micro-batches, a compiled loop over layers or steps, and recomputing layers train the same model."""
    code, _, err = classify(*training, flag)
    assert code == 0, err
    assert_same_model("last", plain, tmp_path)


def test_devices(training: list[str], plain: Path, tmp_path: Path) -> None:
    """Four devices train the same model as one."""
    process = start(*training, XLA_FLAGS=f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4")
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert_same_model("last", plain, tmp_path)


def test_optimized_as_for_users(training: list[str], task: Task, classify: Run, plain: Path, tmp_path: Path) -> None:
    """Programs that XLA optimizes as it does for users train and predict as those of the tests, and are kept."""
    kept = flags(compile_cache=tmp_path / "programs")
    for more in ([], ["--mode=predict"]):
        process = start(*training, *kept, *more, XLA_FLAGS="")
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert_same_model("last", plain, tmp_path)
    assert any((tmp_path / "programs").iterdir())
    as_here = flags(predict_checkpoint_path=plain / "best", model_dir=tmp_path / "here")
    assert classify("--mode=predict", *task.records, *as_here)[0] == 0
    scores = [np.loadtxt(folder / "test_results.tsv") for folder in (tmp_path, tmp_path / "here")]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision(dtype: str, training: list[str], classify: Run, plain: Path, tmp_path: Path) -> None:
    """Products in half precision (relative errors of at most 2**-9) leave losses near ln 2 as they are, to 1 %."""
    code, _, err = classify(*training, f"--dtype={dtype}")
    assert code == 0, err
    np.testing.assert_allclose(losses(tmp_path), losses(plain), rtol=0, atol=0.01)
    assert losses(tmp_path) != losses(plain)


@pytest.mark.parametrize("is_faster", [True, False])
def test_auto(
    is_faster: bool, training: list[str], classify: Run, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training is in bfloat16 where the device is faster in it, as is said then; evaluation is in float32 always."""
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: is_faster)
    code, _, err = classify(*training, "--dtype=auto")
    assert code == 0, err
    assert ("training in bfloat16, in which this device is faster; `--dtype=fp32`" in err) == is_faster
    assert (losses(tmp_path) == losses(plain)) == (not is_faster)
    np.testing.assert_allclose(losses(tmp_path), losses(plain), rtol=0, atol=0.01)
    code, out, _ = classify(*training, "--mode=eval", f"--predict_checkpoint_path={tmp_path}/last", "--dtype=fp32")
    assert code == 0
    in_training = json.loads((tmp_path / "last/eval_results.json").read_text())
    assert json.loads(out) == {name: value for name, value in in_training.items() if name != "step"}


def test_several_record_files(training: list[str], task: Task, classify: Run, plain: Path, tmp_path: Path) -> None:
    """A glob reads all files as one list; the meta data knows of half of them, which is said."""
    parts = tmp_path / "parts"
    parts.mkdir()
    for number in range(2):
        shutil.copy(task.folder / "train.tf_record", parts / f"train-{number}")
    code, _, err = classify(*training, f"--train_data_path={parts}/train-*", "--mode=train")
    assert code == 0, err
    assert f"note: the metadata says {SIZES['train']} records, there are {2 * SIZES['train']} in" in err
    assert len(losses(tmp_path)) == 2 * len(losses(plain))


def test_part_of_the_data_and_evaluations_within_an_epoch(training: list[str], classify: Run, tmp_path: Path) -> None:
    """Sixteen records evaluated twice an epoch: two epochs are four steps, each followed by an evaluation."""
    code, _, err = classify(*training, "--train_data_size=16", "--num_eval_per_epoch=2", "--num_train_epochs=2")
    assert code == 0, err
    assert len(losses(tmp_path)) == len(losses(tmp_path, "validation")) == 4
