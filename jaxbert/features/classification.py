# SPDX-License-Identifier: Apache-2.0
"""Texts and pairs of texts -> arrays of ids, mask, segments and labels, by Google's `convert_single_example`."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.counts import TextCounts
from jaxbert.text.tokenizer import Tokenizer


def label_ids(labels: Sequence[str]) -> dict[str, int]:
    """Class name -> id."""
    return {label: index for index, label in enumerate(labels)}


def convert(
    examples: Sequence[TextExample],
    tokenizer: Tokenizer,
    max_seq_length: int,
    ids_of_labels: Mapping[str, int],
    is_multi_label: bool = False,
) -> tuple[dict[str, np.ndarray], TextCounts]:
    """The features of n examples, padded with zeros: `[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]`.

    Args:
        examples: the texts; a second text without any token counts as none, as in Google's script.
        tokenizer: text -> ids.
        max_seq_length: S, special tokens included.
        ids_of_labels: class name -> id; empty for regression.
        is_multi_label: whether an example may have several labels.

    Returns:
        `input_ids`, `input_mask` and `segment_ids` (0 up to the first `[SEP]`, 1 after it) int64 [n, S]; `label_ids`
        int64 [n], float32 [n] for regression, or 1 and 0 for each class, int64 [n, C]; `is_real_example` int64 [n], all
        1. And the counts of the texts, whole as they are.

    Raises:
        InputError: a label is not a class of this task.
    """
    first, first_lengths = tokenizer.batch_ids([example.text_a for example in examples])
    second, second_lengths = tokenizer.batch_ids([example.text_b or "" for example in examples])
    kept, second_kept = kept_lengths(first_lengths, second_lengths, max_seq_length)
    rows, position = np.arange(len(examples)), np.arange(max_seq_length)
    begin = kept[:, None] + 2  # where the second text begins, if there is one
    end = begin + second_kept[:, None]
    ids = np.zeros((len(examples), max_seq_length), np.int64)
    ids[:, 0] = tokenizer.vocab.cls
    ids[(position > 0) & (position < begin - 1)] = _heads(first, first_lengths, kept)
    ids[rows, kept + 1] = tokenizer.vocab.sep
    ids[(position >= begin) & (position < end)] = _heads(second, second_lengths, second_kept)
    paired = second_kept > 0
    ids[rows[paired], end[paired, 0]] = tokenizer.vocab.sep
    mask = position < end + paired[:, None]
    features = {
        "input_ids": ids,
        "input_mask": mask.astype(np.int64),
        "segment_ids": (mask & (position >= begin)).astype(np.int64),
        "label_ids": (_several_labels if is_multi_label else _labels)(examples, ids_of_labels),
        "is_real_example": np.ones(len(examples), np.int64),
    }
    is_cut = (kept < first_lengths) | (second_kept < second_lengths)
    unknown = sum(int(np.count_nonzero(ids == tokenizer.vocab.unk)) for ids in (first, second))
    has_second = np.array([example.text_b is not None for example in examples], bool)
    empty = int(np.count_nonzero((first_lengths == 0) | (has_second & (second_lengths == 0))))
    counts = TextCounts(len(examples), int(is_cut.sum()), len(first) + len(second), unknown, empty)
    return features, counts


def kept_lengths(first: np.ndarray, second: np.ndarray, max_seq_length: int) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens of each text are kept, beside `[CLS]` and one `[SEP]` a text.

    Google's `_truncate_seq_pair` drops the last token of the longer text, at a tie of the second, until both fit; this
    is where that ends. With room for 10 tokens, texts of 12 and 3 keep 7 and 3, texts of 12 and 9 keep 5 and 5.
    """
    total = max_seq_length - 2 - (second > 0)
    second_kept = np.minimum(second, np.maximum(total // 2, total - first))
    return np.minimum(first, total - second_kept), second_kept


def _heads(ids: np.ndarray, lengths: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The first `kept` ids of each text, one text after the other."""
    starts = np.cumsum(lengths) - lengths
    return ids[np.arange(len(ids)) < np.repeat(starts + kept, lengths)]


def _labels(examples: Sequence[TextExample], ids_of_labels: Mapping[str, int]) -> np.ndarray:
    """Test sets have no labels; the official script then writes that of the first class, or 0.0."""
    if not ids_of_labels:
        return np.array([0.0 if example.label is None else example.label for example in examples], np.float32)
    unknown = [example for example in examples if example.label is not None and example.label not in ids_of_labels]
    if unknown:
        raise InputError(f"example `{unknown[0].id}`: unknown label `{unknown[0].label}`")
    return np.array([ids_of_labels.get(str(example.label), 0) for example in examples], np.int64)


def _several_labels(examples: Sequence[TextExample], ids_of_labels: Mapping[str, int]) -> np.ndarray:
    """1 for each class that an example has, [n, C]; nothing but 0 in test sets without labels."""
    found = np.zeros((len(examples), len(ids_of_labels)), np.int64)
    for row, example in zip(found, examples, strict=True):
        if isinstance(example.label, tuple):
            row[[ids_of_labels[name] for name in example.label]] = 1
    return found
