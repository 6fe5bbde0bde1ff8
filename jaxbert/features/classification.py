# SPDX-License-Identifier: Apache-2.0
"""One or two texts -> ids, segments and label, truncated as Google's `convert_single_example` does."""

import dataclasses
from collections.abc import Mapping, Sequence

from jaxbert.errors import InputError
from jaxbert.examples.text_example import TextExample
from jaxbert.text.tokenizer import Tokenizer

SHORTEST = 4  # [CLS] a [SEP] b: below this a pair has no room for both texts


@dataclasses.dataclass(frozen=True, slots=True)
class ClassificationFeatures:
    """A sequence without padding.

    Attributes:
        input_ids: ids of `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.
        segment_ids: 0 up to the first `[SEP]`, 1 after it; as many as ids.
        label: id of the class, or the number to predict; 0 where the example has none.
    """

    input_ids: list[int]
    segment_ids: list[int]
    label: int | float


def label_ids(labels: Sequence[str]) -> dict[str, int]:
    """Class name -> id."""
    return {label: index for index, label in enumerate(labels)}


def convert(
    example: TextExample, tokenizer: Tokenizer, max_seq_length: int, ids_of_labels: Mapping[str, int]
) -> ClassificationFeatures:
    """Tokenize, truncate and join the texts of `example`.

    Args:
        example: the texts; a second text without any token counts as none, as in Google's script.
        tokenizer: text -> ids.
        max_seq_length: S, special tokens included.
        ids_of_labels: class name -> id; empty for regression.

    Raises:
        InputError: the label is not a class of this task.
    """
    vocab = tokenizer.vocab
    first = tokenizer.ids(example.text_a)
    second = tokenizer.ids(example.text_b) if example.text_b else []
    if second:
        length, second_length = pair_lengths(len(first), len(second), max_seq_length - 3)
        first, second = first[:length], second[:second_length]
    else:
        first = first[: max_seq_length - 2]
    input_ids = [vocab.cls, *first, vocab.sep]
    segment_ids = [0] * len(input_ids)
    if second:
        input_ids += [*second, vocab.sep]
        segment_ids += [1] * (len(second) + 1)
    return ClassificationFeatures(input_ids, segment_ids, _label(example, ids_of_labels))


def pair_lengths(first: int, second: int, total: int) -> tuple[int, int]:
    """How much of two texts is kept when the last token of the longer one (at a tie: the second) goes until they fit.

    The closed form of Google's `_truncate_seq_pair`.
    """
    kept_second = min(second, max(total // 2, total - first))
    return min(first, total - kept_second), kept_second


def _label(example: TextExample, ids_of_labels: Mapping[str, int]) -> int | float:
    """Test sets have no labels; the official script then writes that of the first class, or 0.0."""
    if not ids_of_labels:
        return 0.0 if example.label is None else float(example.label)
    if example.label is None:
        return 0
    if example.label not in ids_of_labels:
        raise InputError(f"example `{example.id}`: unknown label `{example.label}`")
    return ids_of_labels[str(example.label)]
