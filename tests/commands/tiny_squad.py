# SPDX-License-Identifier: Apache-2.0
"""Tiny SQuAD files in the words of the tiny task, and ways to run `run_squad` on them."""

import json
import random
from pathlib import Path
from typing import Any

from jaxbert.cli import main
from tests.commands.tiny_task import WORDS, Task, flags

BATCHES = flags(compile_cache="", train_batch_size=8, predict_batch_size=8)
TRAINING = flags(learning_rate=1e-3, num_train_epochs=2, log_steps=1, dtype="fp32")
SETTINGS = flags(max_seq_length=16, doc_stride=4, max_query_length=4)


def write_squad(path: Path, count: int, *, version_2: bool = False, seed: int = 0, words: int = 12) -> Path:
    """`count` contexts of 3 to `words` words with a question each: which word stands before the one that is named?

    In version 2.0 some questions name a word that is not there.
    """
    chance = random.Random(seed)
    paragraphs = [_paragraph(chance, f"{path.stem}-{number}", version_2, words) for number in range(count)]
    path.write_text(json.dumps({"version": "2.0" if version_2 else "1.1", "data": [{"paragraphs": paragraphs}]}))
    return path


def _paragraph(chance: random.Random, id_: str, version_2: bool, words: int) -> dict[str, Any]:
    *known, absent = chance.sample(WORDS, len(WORDS))
    context = [chance.choice(known) for _ in range(chance.randint(3, words))]
    place = chance.randrange(1, len(context))
    impossible = version_2 and chance.random() < 0.4
    start = len(" ".join(context[: place - 1])) + (place > 1)
    answers = [] if impossible else [{"text": context[place - 1], "answer_start": start}]
    question: dict[str, Any] = {"id": id_, "question": absent if impossible else context[place], "answers": answers}
    return {"context": " ".join(context), "qas": [question | ({"is_impossible": impossible} if version_2 else {})]}


def without_answers(path: Path, target: Path) -> Path:
    """The same questions as in a test set."""
    content = json.loads(path.read_text())
    for paragraph in content["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            question.pop("answers")
            question.pop("is_impossible", None)
    target.write_text(json.dumps(content))
    return target


def squad_training(questions: Path, task: Task, version: int, folder: Path) -> list[str]:
    """The flags of a training from JSON to scores."""
    more = ["--version_2_with_negative"] if version == 2 else []
    sources = flags(
        train_file=questions / f"train-v{version}.json",
        predict_file=questions / f"dev-v{version}.json",
        init_checkpoint=task.model / "bert_model.ckpt",
        model_dir=folder,
    )
    return [*sources, *SETTINGS, *TRAINING, *more]


def run_squad(*arguments: str) -> int:
    """The exit code of `run_squad` in this process, with batches of 8."""
    return main(["run_squad", *BATCHES, *arguments])
