# SPDX-License-Identifier: Apache-2.0
"""The end of runs/learning_curve.sh: the held-out loss of a run beside the entropy of single tokens.

python runs/learning_curve.py FOLDER; ends with an error when the loss is not below the entropy.
"""

import glob
import json
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.pretraining import PretrainingRecords
from jaxbert.text.vocab import read_vocab


def main(folder: str) -> int:
    """Print the table; returns the exit code."""
    size = len(read_vocab(f"{folder}/vocab.txt"))
    counted = counts(f"{folder}/train-*.tfrecord", size) + 1.0  # a token that training never met counts once
    held_out = counts(f"{folder}/eval-*.tfrecord", size)
    unigram = -float(np.sum(held_out / held_out.sum() * np.log(counted / counted.sum())))
    evaluations = [line for line in lines(f"{folder}/model/summaries/metrics.jsonl") if line["part"] == "validation"]
    title = f"Held-out text: a token's share of the training text predicts it with {unigram:.3f} nats"
    table = Table("step", "masked LM loss", "below single tokens", "perplexity", "accuracy", title=title)
    for line in evaluations:
        loss, accuracy = line["masked_lm_loss"], line["masked_lm_accuracy"]
        values = (f"{loss:.3f}", f"{unigram - loss:.3f}", f"{line['perplexity']:.1f}", f"{accuracy:.3f}")
        table.add_row(str(line["step"]), *values)
    Console().print(table)
    if evaluations[-1]["masked_lm_loss"] >= unigram:
        print("error: the model knows no more than how frequent tokens are", file=sys.stderr)
        return 1
    return 0


def counts(pattern: str, size: int) -> np.ndarray:
    """How often each token [V] that may be masked stands in the records."""
    paths = sorted(glob.glob(pattern))
    vocab = Bounds(size, 2, 1 << 16)
    records = PretrainingRecords(paths, vocab, False)
    features = records.read(np.arange(len(records)))
    real = features["input_ids"][features["input_mask"] != 0]
    found = np.bincount(real, minlength=size).astype(np.float64)
    special = [features["input_ids"][0, 0], features["input_ids"][0, np.count_nonzero(features["input_mask"][0]) - 1]]
    found[special] = 0.0  # [CLS] and [SEP] are never masked
    return found


def lines(path: str) -> list[dict[str, float]]:
    """The lines of a JSON-lines file."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
