# SPDX-License-Identifier: Apache-2.0
"""A tiny task in the layout of MRPC, a tiny encoder for it, and ways to run `run_classifier` on them."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.cli import main
from jaxbert.config import bert_config
from jaxbert.model.weights import encoder_table, flatten, initialize

WORDS = ("red", "blue", "green", "grey", "pink", "gold", "lime", "teal")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONFIG = {
    "vocab_size": len(SPECIAL + WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
}
SIZES = {"train": 24, "dev": 12, "test": 7}


def flags(**values: object) -> list[str]:
    """`flags(seed=1)` is `["--seed=1"]`."""
    return [f"--{name}={value}" for name, value in values.items()]


# tests/conftest.py says where compiled programs are kept
BATCHES = flags(compile_cache="", train_batch_size=8, eval_batch_size=8)
RATE = 1e-3
PLAIN = flags(learning_rate=RATE, num_train_epochs=1, log_steps=1, dtype="fp32")
"""One epoch in float32, as of the session's model that other ways to train are compared with."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Files of the tiny task.

    Attributes:
        folder: holds everything.
        text: folder called MRPC with the three tables.
        model: folder with `bert_model.ckpt`, `vocab.txt` and `bert_config.json`.
        records: flags that name the records and their meta data.
    """

    folder: Path
    text: Path
    model: Path
    records: list[str]


def make_task(folder: Path) -> Task:
    """Pairs of color words; the label says whether the second text is the first one again."""
    text, model = folder / "MRPC", folder / "bert"
    text.mkdir()
    model.mkdir()
    (model / "vocab.txt").write_text("\n".join(SPECIAL + WORDS) + "\n")
    (model / "bert_config.json").write_text(json.dumps(CONFIG))
    write_encoder(model / "bert_model.ckpt")
    chance = random.Random(0)
    for name, size in SIZES.items():
        (text / f"{name}.tsv").write_text(_mrpc(chance, size, with_label=name != "test"))
    outputs = {f"{name}_data_output_path": folder / f"{name}.tf_record" for name in ("train", "eval", "test")}
    vocab = model / "vocab.txt"
    made = flags(**outputs, meta_data_file_path=folder / "meta_data", input_data_dir=text, vocab_file=vocab)
    assert main(["create_finetuning_data", *made, "--classification_task_name=MRPC", "--max_seq_length=16"]) == 0
    records = flags(
        input_meta_data_path=folder / "meta_data",
        train_data_path=folder / "train.tf_record",
        eval_data_path=folder / "eval.tf_record",
        bert_config_file=model / "bert_config.json",
    )
    return Task(folder, text, model, records)


def write_encoder(prefix: Path) -> None:
    """A TensorFlow 1 checkpoint of a random encoder."""
    config = bert_config.from_dict(CONFIG)
    weights = jax.jit(lambda: initialize(encoder_table(config), seed=1, stddev=0.1))()
    write_bundle(str(prefix), {name: np.asarray(weight) for name, weight in flatten(weights).items()})


def _mrpc(chance: random.Random, size: int, with_label: bool) -> str:
    lines = ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"]
    for number in range(size):
        first = [chance.choice(WORDS) for _ in range(chance.randint(2, 6))]
        second = first if number % 3 else [chance.choice(WORDS) for _ in first]
        label = int(first == second) if with_label else number
        lines.append(f"{label}\t{number}\t{number}\t{' '.join(first)}\t{' '.join(second)}")
    return "\n".join(lines) + "\n"


def start_command(command: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start `python -m jaxbert command` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jaxbert", command, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start `python -m jaxbert run_classifier` as a process of its own, with batches of 8."""
    return start_command("run_classifier", *BATCHES, *arguments, **environment)
