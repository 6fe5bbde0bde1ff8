# SPDX-License-Identifier: Apache-2.0
"""Pairs of texts for next sentence prediction, by google-research's `create_instances_from_document`.

Given the same `random.Random`, the draws are those of the original, one for one.
"""

import bisect
import dataclasses
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# The highest bit of a byte -> 0 or 1.
_HIGHEST_BIT = bytes(byte >> 7 for byte in range(256))


@dataclasses.dataclass(frozen=True)
class TokenizedText:
    """Documents of sentences of tokens, all in a row.

    Attributes:
        ids: int32 [T], the tokens.
        sentences: first token of each sentence, and T at the end; no sentence is empty.
        documents: first sentence of each document and the one after its last; no document is empty.
    """

    ids: np.ndarray
    sentences: list[int]
    documents: list[tuple[int, int]]


class Pair(NamedTuple):
    """Two texts, each from a first token to the one after its last.

    `is_random` says that B does not follow A; `is_short`, that the document was to give short pairs in this pass.
    """

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    is_random: bool
    is_short: bool


def document_pairs(
    text: TokenizedText, number: int, max_tokens: int, short_seq_prob: float, rng: random.Random
) -> Iterator[Pair]:
    """The pairs of one pass over one document.

    Args:
        text: all documents; random texts come from the others (from this one, if ten draws in a row hit it).
        number: of the document.
        max_tokens: most tokens in both texts together; at least 2.
        short_seq_prob: how often all pairs of the pass are made shorter, to a length between 2 and `max_tokens`.
        rng: it is drawn from between pairs too, where masks are drawn by the original.
    """
    starts = text.sentences
    first, end = text.documents[number]
    is_short = rng.random() < short_seq_prob
    target = rng.randint(2, max_tokens) if is_short else max_tokens
    while first < end:
        chunk_end = _reach(starts, first, target, end)
        count = chunk_end - first
        split = first + (rng.randint(1, count - 1) if count > 1 else 1)
        is_random = count == 1 or rng.random() < 0.5
        if is_random:
            b_first, document_end = _random_sentence(text, number, rng)
            b_end = _reach(starts, b_first, target - (starts[split] - starts[first]), document_end)
        else:
            b_first, b_end = split, chunk_end
        texts = (starts[first], starts[split], starts[b_first], starts[b_end])
        yield Pair(*_truncated(*texts, max_tokens, rng), is_random, is_short)
        first = split if is_random else chunk_end  # sentences of the chunk that were not used are put back


def _reach(starts: list[int], first: int, tokens: int, end: int) -> int:
    """The sentence after those, from `first` on, that together have so many tokens: at least one, at most to `end`."""
    return bisect.bisect_left(starts, starts[first] + tokens, first + 1, end)


def _random_sentence(text: TokenizedText, number: int, rng: random.Random) -> tuple[int, int]:
    """A sentence of a document other than `number`, and where that document ends."""
    last = len(text.documents) - 1
    for _ in range(10):
        other = rng.randint(0, last)
        if other != number:
            break
    first, end = text.documents[other]
    return first + rng.randint(0, end - first - 1), end


def _truncated(
    a_start: int, a_end: int, b_start: int, b_end: int, max_tokens: int, rng: random.Random
) -> tuple[int, int, int, int]:
    """Drop the first or the last token, as a coin falls, of the longer text (at a tie: of B) until both fit.

    So the longer text alone is cut until both are equal, and then B and A in turn. The coins are drawn all at once: of
    the eight bytes that `random()` takes, the highest bit of the fourth says whether it is below one half.
    """
    surplus = a_end - a_start - (b_end - b_start)
    excess = a_end - a_start + b_end - b_start - max_tokens
    if excess <= 0:
        return a_start, a_end, b_start, b_end
    coins = rng.randbytes(8 * excess)[3::8].translate(_HIGHEST_BIT)
    alone, first, second = coins[: abs(surplus)], coins[abs(surplus) :: 2], coins[abs(surplus) + 1 :: 2]
    a_coins, b_coins = (alone + second, first) if surplus > 0 else (second, alone + first)
    return (
        a_start + a_coins.count(0),
        a_end - a_coins.count(1),
        b_start + b_coins.count(0),
        b_end - b_coins.count(1),
    )
