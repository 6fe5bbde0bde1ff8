# SPDX-License-Identifier: Apache-2.0
"""Made-up questions in the layout of SQuAD 2.0 about the animals of the sample task.

    The fox was washed by the horse near the river.
    Who washed the other animal?    horse
    Who was washed?                 fox
    Where was that?                 near the river
    When was that?                  (the text does not say)

Which animal answers is in active or passive and in the order of words. Half of the texts say where, half when, and each
question for what the text does not say has no answer.
"""

import itertools
import json
import random
import re
from typing import Any

from runs.sample_events import ANIMALS, PLACES, TIMES, USUAL, VERBS, event_sentence

QUESTIONS = ("Who {verb} the other animal?", "Who was {verb}?", "Where was that?", "When was that?")
TEXTS = {"train": 1000, "dev": 100, "test": 100}


def make_questions(seed: int) -> dict[str, str]:
    """The JSON text of each set, four questions a text; no event is in two sets."""
    chance = random.Random(seed)
    events = list(itertools.product(itertools.permutations(ANIMALS, 2), VERBS, PLACES + TIMES))
    chance.shuffle(events)
    files, first = {}, 0
    for name, count in TEXTS.items():
        chosen = events[first : first + count]
        paragraphs = [_paragraph(f"{name}-{number}", event, chance) for number, event in enumerate(chosen)]
        files[name] = json.dumps({"version": "v2.0", "data": [{"title": name, "paragraphs": paragraphs}]}, indent=1)
        first += count
    return files


def _paragraph(id_: str, event: tuple[tuple[str, str], str, str], chance: random.Random) -> dict[str, Any]:
    """One text with its four questions."""
    (doer, undergoer), verb, where = event
    active, where_last = (chance.random() < USUAL for _ in range(2))
    context = event_sentence(doer, undergoer, verb, where, active=active, where_last=where_last)
    answers = (doer, undergoer, *((where, "") if where in PLACES else ("", where)))
    asked = zip(QUESTIONS, answers, strict=True)
    questions = [
        _question(f"{id_}-{number}", question.format(verb=verb), context, answer)
        for number, (question, answer) in enumerate(asked)
    ]
    return {"context": context, "qas": questions}


def _question(id_: str, question: str, context: str, answer: str) -> dict[str, Any]:
    """One question; "" is no answer."""
    found = re.search(rf"\b{answer}\b", context, re.IGNORECASE) if answer else None
    answers = [{"text": found[0], "answer_start": found.start()}] if found else []
    return {"id": id_, "question": question, "answers": answers, "is_impossible": not answer}
