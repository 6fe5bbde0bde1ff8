# SPDX-License-Identifier: Apache-2.0
"""Sentences of running text: Punkt's rules by `nupunkt`, and the marks that end sentences in Chinese and Japanese."""

import re

# After a mark that ends a sentence, and the quotes or brackets that close with it. Such text has no blanks to go by.
_CJK_END = re.compile(
    "(?<=[\u3002\uff01\uff1f\uff61])(?![\u3002\uff01\uff1f\uff61\u201d\u2019\u300d\u300f\uff09])"
    "|(?<=[\u3002\uff01\uff1f\uff61][\u201d\u2019\u300d\u300f\uff09])"
)


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph on one line, in order; none is blank."""
    from nupunkt import sent_tokenize  # it reads its model when imported, which text in lines does not need

    pieces = (piece.strip() for piece in _CJK_END.split(paragraph))
    found = (str(sentence).strip() for piece in pieces if piece for sentence in sent_tokenize(piece))
    return [sentence for sentence in found if sentence]
