# SPDX-License-Identifier: Apache-2.0
"""The end of the questions of the demo: answers on the test set with their scores, beside two simple ways to answer.

python runs/demo_questions.py FOLDER; ends with an error when the score is below what the task's model always learns.
"""

import json
import random
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jaxbert.examples.squad import Paragraph, read_squad
from jaxbert.metrics.squad import score_v2

EXPECTED_EXACT = 95.0


def main(folder: str) -> int:
    """Print the tables; returns the exit code."""
    path = f"{folder}/questions/test.json"
    paragraphs = list(read_squad(path))
    questions = [question for paragraph in paragraphs for question in paragraph.questions]
    model = json.loads(Path(folder, "answers", "predictions.json").read_text(encoding="utf-8"))
    ways = {"never an answer": dict.fromkeys(model, ""), "any word": any_word(paragraphs), "this model": model}
    scores = {name: score_v2(questions, predictions) for name, predictions in ways.items()}
    table = Table("on the test set", "exact", "F1", title=f"What was learnt ({len(questions)} questions)")
    for name, of_way in scores.items():
        table.add_row(name, f"{of_way['exact']:.1f}", f"{of_way['f1']:.1f}")
    console = Console()
    console.print(table)
    console.print(examples(paragraphs[:2], model))
    exact = scores["this model"]["exact"]
    if exact < EXPECTED_EXACT:
        print(f"error: exact match {exact:.1f} is below {EXPECTED_EXACT}", file=sys.stderr)
        return 1
    return 0


def any_word(paragraphs: list[Paragraph]) -> dict[str, str]:
    """A word of the text, chosen at random, for each question."""
    chance = random.Random(0)
    return {
        question.id: chance.choice(paragraph.context.split())
        for paragraph in paragraphs
        for question in paragraph.questions
    }


def examples(paragraphs: list[Paragraph], predictions: dict[str, str]) -> Table:
    """Texts with their questions, answers and what the model says."""
    table = Table("text", "question", "answer", "predicted", title="Examples")
    for paragraph in paragraphs:
        for question in paragraph.questions:
            gold = question.answers[0].text if question.answers else "-"
            table.add_row(paragraph.context, question.text, gold, predictions[question.id] or "-")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
