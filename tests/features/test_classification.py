# SPDX-License-Identifier: Apache-2.0
"""Texts to ids, segments and label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.text_example import TextExample
from jaxbert.features.classification import convert, label_ids, pair_lengths
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import make_vocab

TOKENIZER = Tokenizer(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]))
CLS, SEP, A = 2, 3, 5


def features(text_a: str, text_b: str | None, length: int) -> tuple[list[int], list[int]]:
    """Ids and segments of an unlabelled example."""
    converted = convert(TextExample(text_a, text_b), TOKENIZER, length, {"0": 0})
    return converted.input_ids, converted.segment_ids


def test_single_text() -> None:
    """[CLS] a [SEP], all in segment 0, cut to fit."""
    assert features("a b", None, 8) == ([CLS, A, A + 1, SEP], [0, 0, 0, 0])
    assert features("a b c d", None, 4) == ([CLS, A, A + 1, SEP], [0, 0, 0, 0])


def test_pair() -> None:
    """[CLS] a [SEP] b [SEP]; the second text and its [SEP] are segment 1."""
    assert features("a", "b c", 8) == ([CLS, A, SEP, A + 1, A + 2, SEP], [0, 0, 0, 1, 1, 1])


def test_second_text_without_tokens() -> None:
    """A second text of white space is none: two special tokens, and room for S - 2 tokens of the first."""
    assert features("a b c", " \u200b", 5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5)
    assert features("a b c", "", 5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_pair_lengths(first: int, second: int, total: int) -> None:
    """Dropping from the longer text until both fit, from the second at a tie, keeps just as much of each."""
    a, b = first, second
    while a + b > total:
        if a > b:
            a -= 1
        else:
            b -= 1
    assert pair_lengths(first, second, total) == (a, b)


def test_labels() -> None:
    """A name becomes its id and a number stays one; examples without label get the first class, or 0."""
    ids = label_ids(("no", "yes"))
    assert convert(TextExample("a", label="yes"), TOKENIZER, 8, ids).label == 1
    assert convert(TextExample("a"), TOKENIZER, 8, ids).label == 0
    assert convert(TextExample("a", label=2.5), TOKENIZER, 8, {}).label == 2.5
    assert convert(TextExample("a"), TOKENIZER, 8, {}).label == 0.0
    with pytest.raises(InputError, match="example `x`: unknown label `maybe`"):
        convert(TextExample("a", label="maybe", id="x"), TOKENIZER, 8, ids)
