# SPDX-License-Identifier: Apache-2.0
"""The end of the demo: the model's predictions of film reviews beside a lexicon's, and what can be done with it now.

python runs/demo_films.py FOLDER; ends with an error where the model is hardly better than the lexicon.
"""

import csv
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from film_reviews import read_lexicon

EXPECTED_ACCURACY = 0.80  # 0.84 to 0.87 was seen


def main(folder: Path) -> int:
    """Print the tables; returns the exit code."""
    test = rows(folder / "test.csv", ",")
    texts, labels = [row["text"] for row in test], np.array([row["label"] for row in test])
    predicted = rows(folder / "model" / "predictions.tsv", "\t")
    by_model = np.array([row["prediction"] for row in predicted])
    shares = np.array([float(row["positive"]) for row in predicted])
    lexicon = read_lexicon((folder / "lexicon.tsv").read_text(encoding="utf-8"))
    majority = max(set(labels), key=list(labels).count)
    by_lexicon = np.array([rate(text, lexicon) or majority for text in texts])
    table = Table("", "accuracy", title=f"On {len(test)} reviews that it has not seen")
    for name, found in (
        ("always the same", np.full_like(labels, majority)),
        ("lexicon", by_lexicon),
        ("model", by_model),
    ):
        table.add_row(name, f"{np.mean(found == labels):.3f}")
    console = Console()
    console.print(table)
    wrong = Table("review", "people", "model", title="What it is most sure of, and wrong about")
    sure = np.argsort(-np.abs(shares - 0.5), kind="stable")
    for number in [number for number in sure if by_model[number] != labels[number]][:5]:
        wrong.add_row(texts[number], str(labels[number]), f"{by_model[number]}, {abs(shares[number] - 0.5) + 0.5:.1%}")
    console.print(wrong)
    accuracy = float(np.mean(by_model == labels))
    if accuracy < EXPECTED_ACCURACY:
        print(f"error: accuracy {accuracy:.3f} is below {EXPECTED_ACCURACY}", file=sys.stderr)
        return 1
    return 0


def rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    """A table with a header."""
    with path.open(encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
        return list(csv.DictReader(file, delimiter=delimiter, quoting=quoting))


def rate(text: str, lexicon: Mapping[str, float]) -> str:
    """What the sum of the ratings of its words says of a text; empty where they say nothing."""
    total = sum(lexicon.get(word, 0.0) for word in re.findall(r"[\w'-]+", text.lower()))
    return "" if total == 0 else "positive" if total > 0 else "negative"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
