# SPDX-License-Identifier: Apache-2.0
"""The questions of the sample task: right, deterministic, and never about an event of another set."""

import json
import re
from pathlib import Path

from jaxbert.examples.squad import check_version, read_squad
from runs.sample_events import ANIMALS, PLACES, TIMES, vocabulary
from runs.sample_questions import TEXTS, make_questions


def solve(context: str, question: str) -> str:
    """The answer by reading the text."""
    words = context.lower().split()
    first, second = (word for word in words if word in ANIMALS)
    doer, undergoer = (second, first) if "was" in words else (first, second)
    if question.startswith("Who"):
        return undergoer if question.startswith("Who was ") else doer
    phrases = PLACES if question.startswith("Where") else TIMES
    return next((phrase for phrase in phrases if phrase in context.lower()), "")


def test_answers_follow_from_the_texts(tmp_path: Path) -> None:
    """An independent reader finds every answer, at the place that the file says; half of where and when have none."""
    for name, text in make_questions(3).items():
        path = tmp_path / name
        path.write_text(text)
        paragraphs = list(check_version(read_squad(str(path)), True, name))
        assert len(paragraphs) == TEXTS[name]
        for paragraph in paragraphs:
            for question in paragraph.questions:
                answer = question.answers[0] if question.answers else None
                assert solve(paragraph.context, question.text) == (answer.text.lower() if answer else "")
                assert question.is_impossible == (answer is None)
                if answer:
                    assert paragraph.context[answer.start :].startswith(answer.text)
            assert sum(question.is_impossible or False for question in paragraph.questions) == 1


def test_sets_share_no_text() -> None:
    """No text stands in two sets; the same seed makes the same files."""
    files = make_questions(4)
    texts = [{entry["context"] for entry in json.loads(file)["data"][0]["paragraphs"]} for file in files.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert make_questions(4) == files != make_questions(5)


def test_every_word_is_in_the_vocabulary() -> None:
    """No question needs a piece of one letter."""
    content = json.loads(make_questions(0)["train"])
    known = {word.removesuffix("ed") for word in vocabulary()}
    for paragraph in content["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            assert {word.removesuffix("ed") for word in re.findall(r"\w+", question["question"].lower())} <= known
