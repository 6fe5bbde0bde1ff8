# SPDX-License-Identifier: Apache-2.0
"""The published rules of BERT's tokenizer, one by one, without any thought of speed: what tests compare with."""

import unicodedata
from collections.abc import Mapping

# First and last code point of each block whose characters stand alone.
IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def plain_words(text: str, lower: bool) -> list[str]:
    """Rules 1 to 5: clean, isolate ideographs, split at white space, lower-case, strip accents, split punctuation."""
    found = []
    for token in isolated(cleaned(text)).split():
        shaped = without_marks(token.lower()) if lower else token
        found += split_punctuation(shaped)
    return " ".join(found).split()


def plain_pieces(word: str, vocab: Mapping[str, int], longest: int) -> list[str]:
    """Rule 6: cut off the longest piece in the vocabulary, again and again; `[UNK]` if that fails anywhere."""
    if len(word) > longest:
        return ["[UNK]"]
    pieces = []
    rest, mark = word, ""
    while rest:
        size = len(rest)
        while size and mark + rest[:size] not in vocab:
            size -= 1
        if not size:
            return ["[UNK]"]
        pieces.append(mark + rest[:size])
        rest, mark = rest[size:], "##"
    return pieces


def plain_tokens(text: str, vocab: Mapping[str, int], lower: bool, longest: int = 200) -> list[str]:
    """All rules."""
    return [piece for word in plain_words(text, lower) for piece in plain_pieces(word, vocab, longest)]


def cleaned(text: str) -> str:
    """Without NUL, U+FFFD and control characters; each white space character becomes a space."""
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if char in " \t\n\r" or category == "Zs":
            kept.append(" ")
        elif char not in "\0\ufffd" and category not in ("Cc", "Cf"):
            kept.append(char)
    return "".join(kept)


def isolated(text: str) -> str:
    """A space on both sides of each ideograph."""
    is_ideograph = [any(first <= ord(char) <= last for first, last in IDEOGRAPHS) for char in text]
    return "".join(f" {char} " if alone else char for char, alone in zip(text, is_ideograph, strict=True))


def without_marks(text: str) -> str:
    """Canonical decomposition without category Mn."""
    return "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")


def split_punctuation(token: str) -> list[str]:
    """Runs of other characters, and each punctuation character by itself."""
    parts: list[str] = []
    fresh = True
    for char in token:
        alone = char in ASCII_PUNCTUATION or unicodedata.category(char)[0] == "P"
        if alone or fresh:
            parts.append(char)
        else:
            parts[-1] += char
        fresh = alone
    return parts
