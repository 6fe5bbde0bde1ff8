# SPDX-License-Identifier: Apache-2.0
"""Sentences of a made-up grammar with persons and places, and a tiny model for them."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from jaxbert.examples.tag_schemes import Scheme, entities, tags_of
from tests.commands.tiny_task import CONFIG, SPECIAL, flags

FIRST, LAST = ("ann", "bob", "cleo", "dan"), ("lee", "kim", "##son", "fox")
TOWNS, TITLES = ("york", "rome", "oslo", "bath"), ("new", "old")
OTHERS = ("met", "in", "near", "and", "saw", "the", ".", ",", "left")
VOCAB = (*SPECIAL, *FIRST, *LAST, *TOWNS, *TITLES, *OTHERS)

Tagged = tuple[list[str], list[str]]
"""Words and their tags in IOB2."""


def make_model(folder: Path, positions: int = 32) -> Path:
    """Configuration and vocabulary of a tiny model with random weights."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    config = CONFIG | {"vocab_size": len(VOCAB), "hidden_size": 32, "max_position_embeddings": positions}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "bert_config.json").write_text(json.dumps(config))
    return folder


def random_flags(model: Path) -> list[str]:
    """Flags to start from random weights."""
    return flags(bert_config_file=model / "bert_config.json", vocab_file=model / "vocab.txt")


def sentence(chance: random.Random) -> Tagged:
    """A person has a first name, alone or with a last one that may be glued on; a place may have two words.

    A first name behind `near` is a place, which the word alone does not tell.
    """
    words: list[str] = []
    tags: list[str] = []
    for _ in range(chance.randint(1, 3)):
        kind = chance.choice(("person", "place", "odd"))
        if kind == "person":
            last = chance.choice(LAST)
            name = chance.choice(FIRST)
            found = [name + last[2:]] if last.startswith("##") else [name, last] if chance.random() < 0.5 else [name]
            tags += ["B-PER", "I-PER"][: len(found)]
        elif kind == "place":
            found = ["in", *([chance.choice(TITLES)] if chance.random() < 0.5 else []), chance.choice(TOWNS)]
            tags += ["O", "B-LOC", "I-LOC"][: len(found)]
        else:
            found = ["near", chance.choice(FIRST)]
            tags += ["O", "B-LOC"]
        words += [*found, chance.choice(OTHERS[3:])]
        tags.append("O")
    return words, tags


def sentences(count: int, seed: int = 0) -> list[Tagged]:
    """So many of them."""
    chance = random.Random(seed)
    return [sentence(chance) for _ in range(count)]


def write_columns(path: Path, found: Sequence[Tagged], scheme: Scheme = "iob2", document: int = 5) -> Path:
    """As a file of columns, with a document every so many sentences."""
    lines: list[str] = []
    for number, (words, tags) in enumerate(found):
        if number % document == 0:
            lines += ["-DOCSTART- -X- O", ""]
        own = tags_of(entities(tags, "iob2"), len(tags), scheme)
        lines += [f"{word} x{at} {tag}" for at, (word, tag) in enumerate(zip(words, own, strict=True))]
        lines.append("")
    path.write_text("\n".join(lines))
    return path
