# SPDX-License-Identifier: Apache-2.0
"""The text of an answer: a part of its context, chosen as `get_final_text` of the original `run_squad.py` chooses it.

The original puts the words of the answer together with single blanks and aligns the predicted pieces with the letters
of that. Here the same alignment gives places in the context, and the answer is what stands there, with its own white
space. docs/squad_answers.md says where texts differ.
"""

import bisect
import functools
import itertools

from jaxbert.features.squad import Context
from jaxbert.text.normalize import basic_tokens, has_cjk
from jaxbert.text.offsets import piece_spans
from jaxbert.text.tokenizer import Tokenizer

_REMEMBERED = 1 << 14  # words


class AnswerTexts:
    """Finds the characters of answers; what a word becomes when normalized is remembered."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = tokenizer.vocab.tokens
        self._normalized = functools.lru_cache(_REMEMBERED)(
            lambda word: " ".join(basic_tokens(word, tokenizer.do_lower_case))
        )
        self._spans = functools.lru_cache(_REMEMBERED)(lambda word: piece_spans(word, tokenizer))

    def span(self, context: Context, first: int, last: int) -> tuple[int, int]:
        """First character, and the one after the last, of the answer from piece `first` to piece `last`."""
        begin, end = context.word_of(first), context.word_of(last)
        if first > context.first_pieces[begin] or last + 1 < context.first_pieces[end + 1]:
            span = self._aligned(context, first, last, begin, end)
            if span is None and any(map(has_cjk, context.words[begin : end + 1])):
                span = self._between_pieces(context, first, last, begin, end)
            if span is not None:
                return span
        return context.word_starts[begin], context.word_starts[end] + len(context.words[end])

    def _aligned(self, context: Context, first: int, last: int, begin: int, end: int) -> tuple[int, int] | None:
        """Where the letters of the pieces stand in their words; None where letters and characters are not one to one.

        The first place counts, should the same letters come twice in the words.
        """
        words = context.words[begin : end + 1]
        lengths = list(itertools.accumulate(map(len, words)))
        letters = " ".join(filter(None, map(self._normalized, words)))
        wanted = self._joined(context.ids[first : last + 1].tolist())
        start = letters.find(wanted)
        if start < 0 or len(letters) - letters.count(" ") != lengths[-1]:
            return None
        chars = []
        for letter in (start, start + len(wanted) - 1):
            place = letter - letters.count(" ", 0, letter)  # among the characters of all words
            word = bisect.bisect_right(lengths, place)
            chars.append(context.word_starts[begin + word] + place - (lengths[word] - len(words[word])))
        return chars[0], chars[1] + 1

    def _joined(self, ids: list[int]) -> str:
        """The letters of pieces, a blank between words."""
        return " ".join([self._tokens[id_] for id_ in ids]).replace(" ##", "").replace("##", "")

    def _between_pieces(self, context: Context, first: int, last: int, begin: int, end: int) -> tuple[int, int]:
        """From the first character of the first piece to the last character of the last one."""
        start = self._spans(context.words[begin])[first - context.first_pieces[begin]][0]
        stop = self._spans(context.words[end])[last - context.first_pieces[end]][1]
        return context.word_starts[begin] + start, context.word_starts[end] + stop
