# SPDX-License-Identifier: Apache-2.0
"""The end of the pretraining part of the demo: the same fine-tuning from random and from pretrained weights.

python runs/demo_pretraining.py FOLDER; ends with an error when pretraining gave less than it always gives.
"""

import csv
import sys

from rich.console import Console
from rich.table import Table

EXPECTED_GAIN = 0.15  # of accuracy; see docs/log.md for what seeds gave
STARTS = ("random", "pretrained")


def main(folder: str) -> int:
    """Print the tables; returns the exit code."""
    reviews = f"{folder}/reviews"
    answers = column(f"{reviews}/SST-2/test_answers.tsv", "label")
    sentences = column(f"{reviews}/SST-2/test.tsv", "sentence")
    predicted = {start: column(f"{reviews}/{start}/predictions.tsv", "prediction") for start in STARTS}
    labelled = len(column(f"{reviews}/SST-2/train.tsv", "label"))
    accuracy = {start: share_right(predicted[start], answers) for start in STARTS}
    title = f"{labelled} labelled sentences, none with a word of praise or blame of the {len(answers)} to judge"
    table = Table("start", "accuracy on the test set", title=title)
    for start in STARTS:
        table.add_row(f"{start} weights", f"{accuracy[start]:.3f}")
    table.add_row("[bold]what pretraining gave[/]", f"{accuracy['pretrained'] - accuracy['random']:+.3f}")
    console = Console()
    console.print(table)
    console.print(examples(sentences, answers, predicted))
    if accuracy["pretrained"] - accuracy["random"] < EXPECTED_GAIN:
        print(f"error: pretraining gave less than {EXPECTED_GAIN}", file=sys.stderr)
        return 1
    return 0


def column(path: str, name: str) -> list[str]:
    """One column of a table with a header."""
    with open(path, encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def share_right(predicted: list[str], answers: list[str]) -> float:
    """Accuracy."""
    return sum(a == b for a, b in zip(predicted, answers, strict=True)) / len(answers)


def examples(sentences: list[str], answers: list[str], predicted: dict[str, list[str]], count: int = 6) -> Table:
    """The first few test sentences with what both models say."""
    table = Table("sentence", "praise", *(f"from {start}" for start in STARTS), title="Examples")
    for number in range(count):
        table.add_row(sentences[number], answers[number], *(predicted[start][number] for start in STARTS))
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
