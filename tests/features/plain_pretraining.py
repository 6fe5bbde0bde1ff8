# SPDX-License-Identifier: Apache-2.0
"""google-research's way from documents to pairs on plain lists of tokens, one draw at a time, to compare with."""

import random
from typing import Any

Document = list[list[Any]]


def cut_pair(a: list[Any], b: list[Any], most: int, rng: random.Random) -> None:
    """Drop tokens at the ends of the longer list (the second at a tie) until both fit."""
    while len(a) + len(b) > most:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if rng.random() < 0.5 else -1)


def random_text(documents: list[Document], number: int, goal: int, rng: random.Random) -> list[Any]:
    """Sentences of another document until there are `goal` tokens."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != number:
            break
    first = rng.randint(0, len(documents[other]) - 1)
    tokens: list[Any] = []
    for sentence in documents[other][first:]:
        tokens += sentence
        if len(tokens) >= goal:
            break
    return tokens


def plain_pairs(
    documents: list[Document], number: int, most: int, short: float, rng: random.Random
) -> list[tuple[list[Any], list[Any], bool]]:
    """A, B and whether B is random, for each pair of one pass over a document."""
    target = most
    if rng.random() < short:
        target = rng.randint(2, most)
    found = []
    chunk: Document = []
    sentence_number = 0
    while sentence_number < len(documents[number]):
        chunk.append(documents[number][sentence_number])
        if sentence_number == len(documents[number]) - 1 or sum(map(len, chunk)) >= target:
            split = rng.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
            a = [token for sentence in chunk[:split] for token in sentence]
            is_random = len(chunk) == 1 or rng.random() < 0.5
            if is_random:
                b = random_text(documents, number, target - len(a), rng)
                sentence_number -= len(chunk) - split
            else:
                b = [token for sentence in chunk[split:] for token in sentence]
            cut_pair(a, b, most, rng)
            found.append((a, b, is_random))
            chunk = []
        sentence_number += 1
    return found
