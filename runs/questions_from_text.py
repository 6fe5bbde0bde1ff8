# SPDX-License-Identifier: Apache-2.0
"""Questions made from plain text, in the layout of SQuAD 1.1, to learn to look for what a question names.

python runs/questions_from_text.py FOLDER WIKIPEDIA NOVELS

Writes `short.json` and `long.json` into the folder, where they are not there yet. A question asks for a part of a
sentence by some words around it, "what" instead of it or in front (arXiv 1906.04980 makes questions in this way), or
is the answer itself, an easier kind from which the other is learnt. Both globs may be several, separated by commas:
files as WikiExtractor writes them, and plain text.
"""

import dataclasses
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxbert.examples.corpus import read_documents, shards, text_files
from jaxbert.io.files import expand

SHARD = 1 << 26  # bytes read together
FEWEST_WORDS = 6  # of a sentence that is asked about
FILLED = 0.6  # of the words a context may have, at least
ASKED_NAMES = 0.65  # share of questions for a name or a number, where there is one
NAME = re.compile(r"(?<!^)\b(?:[A-Z][\w'\u2019-]*(?: (?:of |the )?[A-Z][\w'\u2019-]*)*|\d(?:[\d,.]*\d)?)\b")
WORD = re.compile(r"\b\w[\w'\u2019-]*")


@dataclasses.dataclass(frozen=True)
class Kind:
    """Which questions a file has.

    Attributes:
        words: at most so many in a context.
        rounds: questions about each context.
        repeated: share of questions that give the answer itself.
    """

    words: int
    rounds: int
    repeated: float


KINDS = {"short": Kind(32, 3, 0.4), "long": Kind(110, 8, 0.1)}


def main(folder: str, wikipedia: str, novels: str) -> None:
    """Write the files."""
    for name, kind in KINDS.items():
        path = Path(folder, f"{name}.json")
        if path.exists():
            continue
        chance = random.Random(name)
        contexts = [*_contexts(wikipedia, "wikiextractor", kind), *_contexts(novels, "documents", kind)]
        asked = [_ask(sentences, kind, chance) for _ in range(kind.rounds) for sentences in contexts]
        paragraphs = [
            {"context": context, "qas": [{"id": str(number), "question": question, "answers": [answer]}]}
            for number, (context, question, answer) in enumerate(filter(None, asked))
        ]
        path.write_text(json.dumps({"version": "1.1", "data": [{"title": name, "paragraphs": paragraphs}]}))
        print(f"{path}: {len(paragraphs)} questions")


def _contexts(pattern: str, form: str, kind: Kind) -> Iterator[list[str]]:
    """Neighbouring sentences, together nearly as long as a context may be."""
    for shard in shards(text_files(expand(pattern), form), SHARD):
        for document in read_documents(shard)[0]:
            context, words = list[str](), 0
            for sentence in document:
                count = len(sentence.split())
                if words + count > kind.words:
                    if words > FILLED * kind.words:
                        yield context
                    context, words = [], 0
                if count <= kind.words:
                    context.append(sentence)
                    words += count


def _ask(sentences: list[str], kind: Kind, chance: random.Random) -> tuple[str, str, dict[str, Any]] | None:
    """Context, question and answer; None where the chosen sentence is too short or left too few words."""
    number = chance.randrange(len(sentences))
    sentence = sentences[number]
    if len(sentence.split()) < FEWEST_WORDS or not WORD.search(sentence):
        return None
    start, end = _part(sentence, chance)
    answer = sentence[start:end]
    question = answer if chance.random() < kind.repeated else _around(sentence[:start], sentence[end:], chance)
    if not question:
        return None
    before = sum(len(one) + 1 for one in sentences[:number])
    return " ".join(sentences), question, {"text": answer, "answer_start": before + start}


def _part(sentence: str, chance: random.Random) -> tuple[int, int]:
    """Where the asked part starts and ends: a name, a number, or up to four words."""
    names = [found.span() for found in NAME.finditer(sentence)]
    if names and chance.random() < ASKED_NAMES:
        return chance.choice(names)
    words = [found.span() for found in WORD.finditer(sentence)]
    first = chance.randrange(len(words))
    last = min(len(words) - 1, first + chance.randrange(4))
    return words[first][0], words[last][1]


def _around(before: str, after: str, chance: random.Random) -> str:
    """A question of up to 12 words from each side, up to 60 % of them left out; "" where fewer than two are left."""
    reach, left_out = chance.randrange(4, 13), chance.uniform(0, 0.6)
    sides = [
        [word for word in words if chance.random() >= left_out]
        for words in (before.split()[-reach:], after.split()[:reach])
    ]
    sides.insert(chance.randrange(2), ["what"])
    question = " ".join(word for side in sides for word in side).strip(" ,.;:") + "?"
    return question if len(question.split()) > 2 else ""


if __name__ == "__main__":
    main(*sys.argv[1:])
