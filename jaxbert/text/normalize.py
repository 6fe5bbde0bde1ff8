# SPDX-License-Identifier: Apache-2.0
"""Text to words before WordPiece, by the rules of Google's `BasicTokenizer`: cleaning, CJK, case, punctuation."""

import functools
import re
import unicodedata
from typing import Literal

# Characters that `str.split` takes for white space and BERT for control characters, which vanish without a gap.
_VANISHING_SPACE = dict.fromkeys((*range(0x0B, 0x0D), *range(0x1C, 0x20), 0x85))

# The blocks Google calls Chinese characters: each one is a word. Hangul, kana and later extensions are not among them.
_CJK = (
    "\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f"
)
# In ASCII, all that can be seen and is no letter or digit is punctuation.
_ASCII_WORD = re.compile("[a-zA-Z0-9]+|[^a-zA-Z0-9]")
_CHUNK = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_CJK_CHAR = re.compile(f"[{_CJK}]")


def chunks(text: str) -> list[str]:
    """The pieces of `text` between white space and around CJK characters, otherwise untouched.

    What comes after (`words`) depends on one chunk alone, so its result may be remembered per chunk.
    """
    if not text.isprintable():
        text = text.translate(_VANISHING_SPACE)
    return text.split() if text.isascii() else _CHUNK.findall(text)


def words(chunk: str, do_lower_case: bool) -> list[str]:
    """The words of one chunk: control characters dropped, lower case without accents if asked, cut at punctuation.

    Accents go only together with case, as in all of Google's scripts.
    """
    if chunk.isascii() and chunk.isprintable():  # most of all text: no marks, no control characters
        return _ASCII_WORD.findall(chunk.lower() if do_lower_case else chunk)
    chunk = "".join(char for char in chunk if not _is_dropped(char))
    if do_lower_case:
        chunk = lowered(chunk)
    return "".join(f" {char} " if is_punctuation(char) else char for char in chunk).split()


def lowered(text: str) -> str:
    """In lower case and without accents."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each word of `text` begins and ends, cut as BERT cuts it: at white space, punctuation, Chinese characters.

    Characters that BERT drops are still part of their word here; tokens of the words are those of the text, but for 256
    Chinese characters from U+2B820 on by the rules of `tokenizers` (0.23.3), which does not cut around them.
    """
    found: list[tuple[int, int]] = []
    is_open = False
    for place, char in enumerate(text):
        kind = _kind(char)
        if kind == "letter" and is_open:
            found[-1] = (found[-1][0], place + 1)
        elif kind != "space":
            found.append((place, place + 1))
        is_open = kind == "letter"
    return found


@functools.cache
def _kind(char: str) -> Literal["space", "letter", "word"]:
    if char.isspace() and ord(char) not in _VANISHING_SPACE:
        return "space"
    return "word" if is_punctuation(char) or has_cjk(char) else "letter"


def basic_tokens(text: str, do_lower_case: bool) -> list[str]:
    """All words of `text`, in order: the output of Google's `BasicTokenizer.tokenize`."""
    return [word for chunk in chunks(text) for word in words(chunk, do_lower_case)]


def has_cjk(text: str) -> bool:
    """Whether some character of `text` is a Chinese one, and so a word by itself."""
    return not text.isascii() and _CJK_CHAR.search(text) is not None


def is_punctuation(char: str) -> bool:
    """Whether `char` is a word of its own: Unicode categories P*, and all ASCII that is no letter, digit or space."""
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P")


def _is_dropped(char: str) -> bool:
    """NUL, the replacement character and categories Cc and Cf; tab, LF and CR never get here, they split chunks."""
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf")
