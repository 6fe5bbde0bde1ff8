# SPDX-License-Identifier: Apache-2.0
"""`run_classifier` on what the official program wrote, and on real tasks."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands.conftest import Run
from tests.commands.tiny_task import flags

# A small encoder for the released vocabulary; wide initial weights, as narrow models start better from them.
SMALL = {
    "vocab_size": 30522,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
    "initializer_range": 0.05,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture
def official(shared: Path) -> Path:
    """Inputs and outputs of the official programs."""
    return shared / "official"


@pytest.fixture
def mrpc(official: Path) -> list[str]:
    """The flags that name the official records of its small MRPC."""
    data = official / "data" / "official-2.3"
    return flags(
        input_meta_data_path=data / "MRPC_meta_data",
        train_data_path=data / "MRPC_train.tf_record",
        eval_data_path=data / "MRPC_eval.tf_record",  # what the official run predicted
        bert_config_file=official / "inputs" / "bert_config.json",
    )


def test_official_predictions(mrpc: list[str], official: Path, classify: Run, tmp_path: Path) -> None:
    """The official program's fine-tuned classifier gives the probabilities that it gave there."""
    folder = official / "runs" / "cls-2.3-mirrored"
    code, _, err = classify("--mode=predict", *mrpc, *flags(predict_checkpoint_path=folder, model_dir=tmp_path))
    assert code == 0, err
    ours, theirs = (np.loadtxt(path / "test_results.tsv") for path in (tmp_path, folder))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


def test_every_layout_starts_the_same_training(mrpc: list[str], official: Path, classify: Run, tmp_path: Path) -> None:
    """One encoder in four layouts of checkpoints: 39 tensors are loaded, and the first step has the same loss."""
    sources = ("tf1/plain", "tf2/official-2.3_model", "tf2/official-2.20_encoder", "tf2/official-2.20_BertEncoderV2")
    losses = []
    for number, source in enumerate(sources):
        folder = official / source
        prefix = folder / "encoder.ckpt-1" if source.endswith("V2") else folder
        one_step = ["--mode=train", "--train_data_size=8", "--num_train_epochs=1", "--log_steps=1"]
        where = flags(init_checkpoint=prefix, model_dir=tmp_path / str(number))
        code, _, err = classify(*mrpc, *one_step, *where)
        assert code == 0, err
        assert "loaded 39 of 41 expected tensors (99.8 % of the values)" in err, source
        assert "stay at their initial value: output_weights, output_bias (" in err
        losses.append(json.loads((tmp_path / str(number) / "summaries" / "metrics.jsonl").read_text())["loss"])
    assert losses == [losses[0]] * len(sources)


def test_learns_a_real_task(shared: Path, classify: Run, tmp_path: Path) -> None:
    """From random weights, a small encoder learns 192 real pairs: it knows 58 of the first 64, 39 are of one class."""
    lines = (shared / "data/glue/MRPC/train.tsv").read_text(encoding="utf-8-sig").splitlines(keepends=True)
    folder = tmp_path / "MRPC"
    folder.mkdir()
    for name, count in (("train.tsv", 192), ("dev.tsv", 64)):
        (folder / name).write_text("".join(lines[: 1 + count]), encoding="utf-8")
    config, vocab = tmp_path / "bert_config.json", shared / "data" / "vocab" / "uncased_en" / "vocab.txt"
    config.write_text(json.dumps(SMALL))
    where = flags(data_dir=folder, bert_config_file=config, vocab_file=vocab, model_dir=tmp_path / "model")
    how = flags(train_batch_size=16, num_train_epochs=10, learning_rate=1e-3)
    code, _, err = classify(*where, *how)
    assert code == 0, err
    assert json.loads((tmp_path / "model" / "best" / "eval_results.json").read_text())["accuracy"] > 0.9, err
