# SPDX-License-Identifier: Apache-2.0
"""From pieces back to characters: which part of a text each of its pieces stands for."""

from jaxbert.text.normalize import basic_tokens
from jaxbert.text.tokenizer import Tokenizer

_FRAME = "a"  # a letter that no rule changes, to see what a character becomes between others


def piece_spans(text: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """First character, and the one after the last, of each piece of `text`, as many as `tokenizer.ids(text)`.

    Accents that were dropped belong to no piece. A character that becomes several letters (a Hangul syllable) can
    belong to several pieces.
    """
    spans: list[tuple[int, int]] = []
    tokens, origins = basic_tokens(text, tokenizer.do_lower_case), word_origins(text, tokenizer.do_lower_case)
    for token, origin in zip(tokens, origins, strict=True):
        ids = tokenizer.word_ids(token)
        begin = 0
        for number, id_ in enumerate(ids):
            piece = tokenizer.vocab.tokens[id_]
            end = begin + len(piece) - (2 if number else 0) if len(ids) > 1 else len(origin)
            spans.append((origin[begin], origin[end - 1] + 1))
            begin = end
    return spans


def word_origins(text: str, do_lower_case: bool) -> list[list[int]]:
    """For each of the `basic_tokens` of `text`, the character of `text` that each of its characters comes from."""
    words: list[list[int]] = [[]]
    for index, char in enumerate(text):
        first, *others = basic_tokens(f"{_FRAME}{char}{_FRAME}", do_lower_case)
        parts = [first.removeprefix(_FRAME), *others]
        parts[-1] = parts[-1].removesuffix(_FRAME)
        words[-1] += [index] * len(parts[0])
        words += [[index] * len(part) for part in parts[1:]]
    return [word for word in words if word]
