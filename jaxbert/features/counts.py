# SPDX-License-Identifier: Apache-2.0
"""What becomes of texts that is worth a word: tokens that are `[UNK]`, texts that are cut."""

import dataclasses
from collections.abc import Iterator

_MUCH = 0.01  # of all tokens


@dataclasses.dataclass(frozen=True)
class TextCounts:
    """Counts of one set; those of its parts add up.

    Attributes:
        texts: examples, a pair being one; of SQuAD questions.
        cut: those that are longer than is allowed, and lose their end.
        tokens: of all texts, special ones aside.
        unknown: those of them that are `[UNK]`.
        empty: examples with a text that has no token.
        long: texts that are read in several windows.
        windows: all windows of these.
    """

    texts: int = 0
    cut: int = 0
    tokens: int = 0
    unknown: int = 0
    empty: int = 0
    long: int = 0
    windows: int = 0

    @property
    def sequences(self) -> int:
        """What the texts become: one each, or as many as there are windows."""
        return self.texts - self.long + self.windows

    def __add__(self, other: "TextCounts") -> "TextCounts":
        return TextCounts(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def notes(self, source: str, limit: int, texts: str = "texts") -> Iterator[str]:
        """Lines for the user; `source` is the file they are about, and `limit` how many tokens a text may have."""
        where = f" `{source}`:" if source else ""
        if self.cut:
            yield f"note:{where} {self.cut:,} of {self.texts:,} {texts} are longer than {limit} tokens and are cut"
        if self.empty:
            yield f"note:{where} {self.empty:,} of {self.texts:,} {texts} are empty"
        if self.long:
            yield (
                f"note:{where} {self.long:,} of {self.texts:,} {texts} are longer than {limit} tokens and are read in"
                f" {self.windows:,} windows"
            )
        if note := unknown_note(self.unknown, self.tokens):
            yield f"note:{where} {note}"


def unknown_note(unknown: int, tokens: int) -> str:
    """What to say where many tokens are `[UNK]`; empty where there are few."""
    if unknown <= _MUCH * tokens:
        return ""
    return f"{unknown / tokens:.1%} of the tokens are [UNK]: do vocabulary and `--do_lower_case` fit the text?"
