# SPDX-License-Identifier: Apache-2.0
"""Questions with choices -> tokens: a sequence for each choice, as in section 4.4 of BERT (arXiv 1810.04805)."""

from collections.abc import Sequence

import numpy as np

from jaxbert.examples.choices import ChoiceQuestion
from jaxbert.features.counts import TextCounts
from jaxbert.text.tokenizer import Tokenizer


def convert(
    questions: Sequence[ChoiceQuestion], tokenizer: Tokenizer, max_seq_length: int
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], TextCounts]:
    """`[CLS] context [SEP] question choice [SEP]` for each choice; without a context the question stands in its place.

    What is too long loses the end of the context; where question and choice alone are too long also that of the
    question, and last that of the choice.

    Returns:
        Ids int32 and types int8 (0 up to the first `[SEP]`, 1 after it where the tokenizer has segments) of all
        sequences, one after the other, and the number of tokens of each, int64. And the counts of the sequences.
    """
    vocab, second = tokenizer.vocab, bytes([tokenizer.rules.segments])
    tokens, types, lengths = list[int](), bytearray(), list[int]()
    cut = total = unknown = 0
    for one in questions:
        context, question = map(
            tokenizer.ids, (one.context, one.question) if one.context.strip() else (one.question, "")
        )
        for choice in map(tokenizer.ids, one.choices):
            room = max_seq_length - 3
            parts = []
            for part in (choice, question, context):
                parts.append(part[:room])
                room -= len(parts[-1])
                total += len(part)
                unknown += part.count(vocab.unk)
            last, middle, first = parts
            cut += len(last) + len(middle) + len(first) < len(choice) + len(question) + len(context)
            tokens += [vocab.cls, *first, vocab.sep, *middle, *last, vocab.sep]
            types += bytes(len(first) + 2) + second * (len(middle) + len(last) + 1)
            lengths.append(len(first) + len(middle) + len(last) + 3)
    arrays = (np.array(tokens, np.int32), np.frombuffer(types, np.int8), np.array(lengths, np.int64))
    return arrays, TextCounts(len(lengths), cut, total, unknown)
