# SPDX-License-Identifier: Apache-2.0
"""Sentences of running text."""

import pytest

from jaxbert.examples.corpus import split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Mr. Smith went to Washington, D.C. on Jan. 5th.", "He paid $3.50 for it!", "Why?"],
        ["今天天气很好。", "我们去公园吧！", "你说呢？"],
        ["他说：「走吧。」", "然后他走了。"],
        ["没有句号"],
    ],
)
def test_split(sentences: list[str]) -> None:
    """Abbreviations and numbers end no sentence; Chinese marks do without a blank, closing quotes stay with them."""
    blank = " " if sentences[0].isascii() else ""
    assert split_sentences(blank.join(sentences)) == sentences


def test_nothing() -> None:
    """Nothing, and blanks, hold no sentence."""
    assert split_sentences("") == split_sentences("  ") == []
