# SPDX-License-Identifier: Apache-2.0
"""Choices with their questions to ids and segments."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.examples.choices import ChoiceQuestion
from jaxbert.features.choices import convert
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import make_vocab

LETTERS = "abcdefghij"
TOKENIZER = Tokenizer(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]))
CLS, SEP, A = 2, 3, 5
texts = st.text(LETTERS, max_size=12)


def spaced(text: str) -> str:
    """Each letter a word."""
    return " ".join(text)


def ids(text: str) -> list[int]:
    """Of the letters."""
    return [A + LETTERS.index(letter) for letter in text]


@given(texts, texts, st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=2, max_size=5), st.integers(5, 40))
def test_a_sequence_for_each_choice(context: str, question: str, choices: list[str], longest: int) -> None:
    """[CLS] context [SEP] question choice [SEP]; the end of the context goes first, then that of the question."""
    one = ChoiceQuestion(spaced(context), spaced(question), tuple(map(spaced, choices)), (), 0, "")
    (tokens, types, lengths), counts = convert([one], TOKENIZER, longest)
    ends = np.cumsum(lengths)
    if not context:
        context, question = question, ""
    room = longest - 3
    for choice, end, length in zip(choices, ends, lengths, strict=True):
        kept = choice[:room]
        asked = question[: room - len(kept)]
        first = context[: room - len(kept) - len(asked)]
        assert tokens[end - length : end].tolist() == [CLS, *ids(first), SEP, *ids(asked + kept), SEP]
        assert types[end - length : end].tolist() == [0] * (len(first) + 2) + [1] * (len(asked + kept) + 1)
    whole = [len(context + question + choice) for choice in choices]
    without_types = Tokenizer(TOKENIZER.vocab, Rules(segments=False))
    assert not convert([one], without_types, longest)[0][1].any()
    assert lengths.tolist() == [min(size, room) + 3 for size in whole]
    assert (counts.texts, counts.cut) == (len(choices), sum(size > room for size in whole))
    assert counts.tokens == sum(whole)
