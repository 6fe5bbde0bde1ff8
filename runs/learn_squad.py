# SPDX-License-Identifier: Apache-2.0
"""The two ends of runs/learn_squad.sh: the articles held out, and the table of scores.

python runs/learn_squad.py split QUESTIONS FOLDER
python runs/learn_squad.py table FOLDER; ends with an error where fine-tuning did not lift F1 clearly.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxbert.examples.corpus import split_sentences
from jaxbert.examples.squad import Paragraph, read_squad
from jaxbert.metrics.squad import score_v1

HELD_OUT = 0.1  # of the articles, the last ones
CLEARLY = 5.0  # points of F1


def split(questions: str, folder: str) -> int:
    """Write `train.json` and `held_out.json`, where they are not there yet; no article is in both."""
    content = json.loads(Path(questions).read_text(encoding="utf-8"))
    articles = content["data"]
    first = len(articles) - max(1, round(HELD_OUT * len(articles)))
    for name, part in (("train", articles[:first]), ("held_out", articles[first:])):
        path = Path(folder, f"{name}.json")
        if not path.exists():
            path.write_text(json.dumps({**content, "data": part}), encoding="utf-8")
    return 0


def table(folder: str) -> int:
    """Print the scores on the held-out questions; returns the exit code."""
    paragraphs = list(read_squad(f"{folder}/held_out.json"))
    questions = [question for paragraph in paragraphs for question in paragraph.questions]
    ways = {
        "the first sentence": dict(answers(paragraphs, all_of_it=False)),
        "the whole context": dict(answers(paragraphs, all_of_it=True)),
    }
    for name in ("untrained", "fine-tuned"):
        ways[name] = json.loads(Path(folder, name, "predictions.json").read_text(encoding="utf-8"))
    scores = {name: score_v1(questions, predictions) for name, predictions in ways.items()}
    shown = Table("answered by", "exact match", "F1", title=f"{len(questions)} held-out questions")
    for name, of_way in scores.items():
        shown.add_row(name, f"{of_way['exact_match']:.1f}", f"{of_way['f1']:.1f}")
    Console().print(shown)
    best, *others = sorted((of_way["f1"] for of_way in scores.values()), reverse=True)
    if scores["fine-tuned"]["f1"] != best or best < max(others) + CLEARLY:
        print("error: fine-tuning did not lift F1 clearly", file=sys.stderr)
        return 1
    return 0


def answers(paragraphs: list[Paragraph], *, all_of_it: bool) -> Iterator[tuple[str, str]]:
    """The same answer to all questions of a paragraph."""
    for paragraph in paragraphs:
        text = paragraph.context if all_of_it else next(iter(split_sentences(paragraph.context)), "")
        yield from ((question.id, text) for question in paragraph.questions)


if __name__ == "__main__":
    sys.exit({"split": split, "table": table}[sys.argv[1]](*sys.argv[2:]))
