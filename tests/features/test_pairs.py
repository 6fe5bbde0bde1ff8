# SPDX-License-Identifier: Apache-2.0
"""Pairs: the same as by the plain procedure, and what must hold for every pair."""

import itertools
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.features.pretraining import TokenizedText, document_pairs
from tests.features.plain_pretraining import plain_pairs

Lengths = list[list[int]]
corpora = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=1, max_size=4)


def numbered(lengths: Lengths) -> tuple[TokenizedText, list[list[list[int]]]]:
    """A text whose tokens are their own places, flat and as lists."""
    flat = [length for document in lengths for length in document]
    starts = np.cumsum([0, *flat]).tolist()
    ends = np.cumsum([len(document) for document in lengths]).tolist()
    documents = list(zip([0, *ends], ends, strict=False))
    text = TokenizedText(np.arange(starts[-1], dtype=np.int32), starts, documents)
    sentences = [list(range(start, end)) for start, end in itertools.pairwise(starts)]
    return text, [sentences[first:end] for first, end in documents]


@settings(max_examples=200, deadline=None)
@given(corpora, st.integers(2, 40), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 1 << 32))
def test_same_draws_as_the_plain_procedure(lengths: Lengths, most: int, short: float, seed: int) -> None:
    """Every pair is that of the procedure on lists, and the generator is left in the same state."""
    text, documents = numbered(lengths)
    ours, plain = random.Random(seed), random.Random(seed)
    for number in range(len(lengths)):
        pairs = list(document_pairs(text, number, most, short, ours))
        expected = plain_pairs(documents, number, most, short, plain)
        spans = [(list(range(*pair[:2])), list(range(*pair[2:4])), pair.is_random) for pair in pairs]
        assert spans == expected
    assert ours.getstate() == plain.getstate()


@settings(max_examples=100, deadline=None)
@given(corpora, st.integers(2, 40), st.integers(0, 1 << 32))
def test_places_of_pairs(lengths: Lengths, most: int, seed: int) -> None:
    """A and B are never empty, fit, lie inside one document each, and B follows A or comes from another document."""
    text, _ = numbered(lengths)
    bounds = [(text.sentences[first], text.sentences[end]) for first, end in text.documents]
    for number, (start, end) in enumerate(bounds):
        for pair in document_pairs(text, number, most, 0.3, random.Random(seed)):
            assert pair.a_start < pair.a_end
            assert pair.b_start < pair.b_end
            assert pair.a_end - pair.a_start + pair.b_end - pair.b_start <= most
            assert start <= pair.a_start
            assert pair.a_end <= end
            b_document = next(n for n, (first, last) in enumerate(bounds) if first <= pair.b_start < last)
            assert pair.b_end <= bounds[b_document][1]
            if not pair.is_random:
                assert b_document == number
                assert pair.a_end <= pair.b_start


def test_all_sentences_are_used() -> None:
    """Where nothing has to be cut, A and a following B of one pass cover each sentence once, in order."""
    text, _ = numbered([[5] * 40, [5] * 40])
    pairs = list(document_pairs(text, 0, 1000, 0.0, random.Random(1)))
    covered = []
    for pair in pairs:
        covered += range(pair.a_start, pair.a_end if pair.is_random else pair.b_end)
    assert covered == list(range(200))


def test_very_long_sentence() -> None:
    """A sentence of a million tokens is cut at both ends to what fits."""
    text, _ = numbered([[1_000_000], [3]])
    (pair,) = document_pairs(text, 0, 125, 0.0, random.Random(0))
    assert (pair.a_end - pair.a_start, pair.b_end - pair.b_start) == (122, 3)
    assert 480_000 < pair.a_start < 520_000
