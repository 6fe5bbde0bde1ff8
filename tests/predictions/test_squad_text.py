# SPDX-License-Identifier: Apache-2.0
"""The text of an answer: where it is that of the original script, and where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.features.squad import make_context, split_words
from jaxbert.predictions.squad import AnswerTexts
from jaxbert.text.normalize import basic_tokens
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import make_vocab

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKENIZER = Tokenizer(
    make_vocab(
        [
            *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
            *(f"{mark}{letter}" for letter in LETTERS for mark in ("", "##")),
            *("steve", "smith", "##s", "(", ")", ",", "'", "1895", "-", "1943", ".", "中", "国", "。", "人"),
        ]
    )
)
TEXTS = AnswerTexts(TOKENIZER)


def answer(context: str, first: str, last: str) -> str:
    """The answer from the first piece `first` to the next piece `last`."""
    made = make_context(context, TOKENIZER)
    pieces = [TOKENIZER.vocab.tokens[id_] for id_ in made.ids]
    begin = pieces.index(first)
    start, end = TEXTS.span(made, begin, pieces.index(last, begin))
    return context[start:end]


@pytest.mark.parametrize(
    ("context", "first", "last", "text"),
    [
        ("Mr Steve Smith's hat", "steve", "smith", "Steve Smith"),  # punctuation that was not predicted is cut off
        ("was (1895-1943).", "1895", "1895", "1895"),
        ("was (1895-1943).", "-", ")", "-1943)"),
        ("by Steve  Smith, who", "steve", "smith", "Steve  Smith"),  # the original has one blank
        ("by Steve\nSmith", "steve", "smith", "Steve\nSmith"),
        ("(Sté,", "s", "##e", "Sté"),  # one letter for one: aligned
        ("(Ste\u0301,", "s", "##e", "(Ste\u0301,"),  # an accent of its own went: the words as they are
        ("(ə-a)", "a", "a", "a"),
        ("(ə-a)", "[UNK]", "a", "(ə-a)"),  # an unknown word cannot be aligned
        ("中国ə人。中", "国", "人", "国ə人"),  # text without spaces: between the pieces, not the whole "word"
        ("中 国", "中", "国", "中 国"),
    ],
)
def test_texts(context: str, first: str, last: str, text: str) -> None:
    """Answers inside words are aligned by their letters; where that fails, whole words, or pieces without spaces."""
    assert answer(context, first, last) == text


def original(words: list[str], pieces: list[str]) -> str:
    """The alignment of the original, letter by letter."""
    text = " ".join(words)
    wanted = " ".join(pieces).replace(" ##", "").replace("##", "")
    letters = " ".join(basic_tokens(text, True))
    start = letters.find(wanted)
    letters_at = [[index for index, char in enumerate(one) if char != " "] for one in (text, letters)]
    if start < 0 or len(letters_at[0]) != len(letters_at[1]):
        return text
    to_text = dict(zip(letters_at[1], letters_at[0], strict=True))
    return text[to_text[start] : to_text[start + len(wanted) - 1] + 1]


@given(st.text(st.sampled_from("abAB(.'é\u0301ə \n\u00a0"), min_size=1, max_size=25), st.data())
def test_as_the_original(context: str, data: st.DataObject) -> None:
    """Without Chinese characters, every answer is the original's but for the white space between its words."""
    made = make_context(context, TOKENIZER)
    if not len(made.ids):
        return
    first = data.draw(st.integers(0, len(made.ids) - 1))
    last = data.draw(st.integers(first, len(made.ids) - 1))
    start, end = TEXTS.span(made, first, last)
    pieces = [TOKENIZER.vocab.tokens[id_] for id_ in made.ids[first : last + 1]]
    expected = original(made.words[made.word_of(first) : made.word_of(last) + 1], pieces)
    assert " ".join(split_words(context[start:end])) == expected


@given(st.text(st.sampled_from("ab中国。人A ə\u0301\n\u00a0("), min_size=1, max_size=25), st.data())
def test_always_a_part_of_the_context(context: str, data: st.DataObject) -> None:
    """Whatever the script, an answer is a part of its context that neither begins nor ends with white space."""
    made = make_context(context, TOKENIZER)
    if not len(made.ids):
        return
    first = data.draw(st.integers(0, len(made.ids) - 1))
    last = data.draw(st.integers(first, len(made.ids) - 1))
    start, end = TEXTS.span(made, first, last)
    assert 0 <= start < end <= len(context)
    assert split_words(context[start:end])[0][0] == context[start]
    assert split_words(context[start:end])[-1][-1] == context[end - 1]
