# SPDX-License-Identifier: Apache-2.0
"""A tiny corpus as pretraining records, with masks and without, and ways to run `run_pretraining` on them."""

import dataclasses
import json
import random
from pathlib import Path

from jaxbert.cli import main
from tests.commands.tiny_task import CONFIG, SPECIAL, WORDS, flags

S, P = 24, 4
STEPS = 12


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Files made once.

    Attributes:
        folder: holds everything: `text.txt`, `vocab.txt`, `bert_config.json`.
        masked: two record files of one corpus, as a pattern.
        whole: records without masks.
    """

    folder: Path
    masked: str
    whole: str


def make_corpus(folder: Path) -> Corpus:
    """Sentences in which colors follow each other in a fixed order, from a random one on."""
    chance = random.Random(0)
    sentences = []
    for number in range(60):
        first, size = chance.randrange(len(WORDS)), chance.randint(3, 9)
        sentences.append(" ".join(WORDS[(first + k) % len(WORDS)] for k in range(size)))
        sentences += [""] if number % 4 == 3 else []
    (folder / "text.txt").write_text("\n".join(sentences) + "\n")
    (folder / "vocab.txt").write_text("\n".join(SPECIAL + WORDS) + "\n")
    (folder / "bert_config.json").write_text(json.dumps(CONFIG))
    make_records(folder, "static", f"{folder}/masked-0,{folder}/masked-1")
    make_records(folder, "dynamic", f"{folder}/whole")
    return Corpus(folder, f"{folder}/masked-*", f"{folder}/whole")


def make_records(folder: Path, masking: str, outputs: str, source: Path | None = None, **other: object) -> None:
    """Records of the corpus, which is in `folder` unless another is given."""
    folder = source or folder
    sizes = {"max_seq_length": S, "dupe_factor": 2, "num_workers": 1, **other}
    if masking == "static":
        sizes.setdefault("max_predictions_per_seq", P)
    text = flags(input_file=folder / "text.txt", vocab_file=folder / "vocab.txt")
    assert main(["create_pretraining_data", *text, *flags(output_file=outputs, masking=masking, **sizes)]) == 0


def training(corpus: Corpus, records: str, model_dir: Path, **other: object) -> list[str]:
    """The flags of a short run: two epochs, each followed by an evaluation on the records themselves."""
    values = {
        "input_files": records,
        "eval_files": records,
        "vocab_file": corpus.folder / "vocab.txt",
        "bert_config_file": corpus.folder / "bert_config.json",
        "model_dir": model_dir,
        "num_steps_per_epoch": STEPS // 2,
        "num_train_epochs": 2,
        "warmup_steps": 2,
        "learning_rate": 1e-3,
        "train_batch_size": 8,
        "eval_batch_size": 16,
        "log_steps": 1,
        "dtype": "fp32",  # hosts and devices are compared to the last digits
    }
    return flags(**(values | other))
