# SPDX-License-Identifier: Apache-2.0
"""Commands whose files are all in a remote storage: the same results as on disk, stopped or not."""

import os
from pathlib import Path

import pytest

from jaxbert import files
from jaxbert.__main__ import main
from jaxbert.train import loop
from tests.commands.conftest import Run
from tests.commands.tiny_task import Task, flags

TRAINING = ["--num_train_epochs=4", "--save_checkpoints_steps=2", "--log_steps=1", "--learning_rate=1e-3"]


def copied(task: Task, folder: str) -> list[str]:
    """The flags of the tiny task's records and checkpoint, copied to a remote folder."""
    for path in (*task.folder.glob("*.tf_record"), task.folder / "meta_data", *task.model.iterdir()):
        with files.whole_file(f"{folder}/{path.name}") as file:
            file.write(path.read_bytes())
    return [
        *flags(input_meta_data_path=f"{folder}/meta_data", bert_config_file=f"{folder}/bert_config.json"),
        *flags(train_data_path=f"{folder}/train.tf_*", eval_data_path=f"{folder}/eval.tf_record"),
        *flags(init_checkpoint=f"{folder}/bert_model.ckpt"),
    ]


@pytest.fixture(scope="module")
def on_disk(task: Task, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a run on disk."""
    folder = tmp_path_factory.mktemp("on_disk")
    given = [*task.records, *TRAINING, *flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)]
    assert main(["run_classifier", *flags(compile_cache=cache, train_batch_size=8, eval_batch_size=8), *given]) == 0
    return folder


def test_a_run_in_remote_folders(task: Task, classify: Run, on_disk: Path) -> None:
    """Records, checkpoint and model folder are remote: what is written is what a run on disk writes, bit for bit."""
    training = [*copied(task, "memory://whole"), *TRAINING, "--model_dir=memory://whole/run"]
    code, _, err = classify(*training)
    assert code == 0, err
    for name in ("best/model.safetensors", "last/model.safetensors", "last/eval_results.json"):
        assert files.read_bytes(f"memory://whole/run/{name}") == (on_disk / name).read_bytes()
