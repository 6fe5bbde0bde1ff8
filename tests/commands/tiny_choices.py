# SPDX-License-Identifier: Apache-2.0
"""Tiny questions with choices in the layout of SWAG, whose right choice is the word that comes first in a list."""

import csv
import random
from pathlib import Path

from tests.commands.tiny_task import WORDS, flags

SIZES = {"train": 64, "val": 16, "test": 6}
BATCHES = flags(compile_cache="", train_batch_size=8, eval_batch_size=8, max_seq_length=12)
PLAIN = flags(learning_rate=1e-3, num_train_epochs=1, log_steps=1, dtype="fp32")


def write_swag(folder: Path, seed: int = 0) -> Path:
    """train.csv, val.csv and test.csv, the last without labels."""
    folder.mkdir()
    chance = random.Random(seed)
    names = ["sent1", "sent2", "ending0", "ending1", "ending2", "ending3"]
    for part, size in SIZES.items():
        with (folder / f"{part}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["", "video-id", *names, *(["label"] if part != "test" else [])])
            for number in range(size):
                choices = chance.sample(WORDS, 4)
                right = min(range(4), key=lambda place: WORDS.index(choices[place]))
                context = " ".join(chance.choices(WORDS, k=chance.randint(1, 5)))
                row = [number, f"v{number}", context, chance.choice(WORDS), *choices]
                table.writerow([*row, right] if part != "test" else row)
    return folder
