# SPDX-License-Identifier: Apache-2.0
"""Texts and pairs of texts -> arrays of ids, mask, segments and labels, by Google's `convert_single_example`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.counts import TextCounts
from jaxbert.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class TextWindows:
    """How texts are read that are longer than a sequence.

    Attributes:
        doc_stride: tokens between the beginnings of their windows.
        pooling: how the outputs of windows become that of the text.
    """

    doc_stride: int
    pooling: Literal["mean", "max"]

    def pooled(self, outputs: np.ndarray, firsts: np.ndarray) -> np.ndarray:
        """Outputs [m, C] of the windows of n texts -> [n, C]; `firsts` [n] numbers the first window of each text."""
        if self.pooling == "max":
            largest: np.ndarray = np.maximum.reduceat(outputs, firsts)
            return largest
        counts = np.diff(firsts, append=len(outputs))[:, None]
        mean: np.ndarray = np.add.reduceat(outputs, firsts) / counts.astype(outputs.dtype)
        return mean


def label_ids(labels: Sequence[str]) -> dict[str, int]:
    """Class name -> id."""
    return {label: index for index, label in enumerate(labels)}


def convert(
    examples: Sequence[TextExample],
    tokenizer: Tokenizer,
    max_seq_length: int,
    ids_of_labels: Mapping[str, int],
    is_multi_label: bool = False,
    doc_stride: int | None = None,
) -> tuple[dict[str, np.ndarray], TextCounts]:
    """The features of n examples, padded with zeros: `[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]`.

    With a `doc_stride` examples that are too long are not cut, but become several rows, see `_windows`; what follows
    has then m rows in place of n.

    Args:
        examples: the texts; a second text without any token counts as none, as in Google's script.
        tokenizer: text -> ids.
        max_seq_length: S, special tokens included.
        ids_of_labels: class name -> id; empty for regression.
        is_multi_label: whether an example may have several labels.
        doc_stride: tokens between the beginnings of windows; None: examples that are too long are cut.

    Returns:
        `input_ids`, `input_mask` and `segment_ids` (0 up to the first `[SEP]`, 1 after it where the tokenizer has
        segments) int64 [n, S]; `label_ids` int64 [n], float32 [n] for regression, or 1 and 0 for each class, int64
        [n, C]; `is_real_example` int64 [n], all 1; `texts` int64 [n], the number of the example; `whole_lengths` int64
        [n], tokens of the whole example. And the counts of the texts, whole as they are.

    Raises:
        InputError: a label is not a class of this task.
    """
    first, first_lengths = tokenizer.batch_ids([example.text_a for example in examples])
    second, second_lengths = tokenizer.batch_ids([example.text_b or "" for example in examples])
    longest_first = tokenizer.rules.library and not tokenizer.rules.round_robin
    texts, of_first, of_second = _windows(first_lengths, second_lengths, max_seq_length, doc_stride, longest_first)
    kept, second_kept = of_first.kept, of_second.kept
    rows, position = np.arange(len(texts)), np.arange(max_seq_length)
    begin = kept[:, None] + 2  # where the second text begins, if there is one
    end = begin + second_kept[:, None]
    ids = np.zeros((len(texts), max_seq_length), np.int64)
    ids[:, 0] = tokenizer.vocab.cls
    ids[(position > 0) & (position < begin - 1)] = of_first.cut(first, first_lengths, texts)
    ids[rows, kept + 1] = tokenizer.vocab.sep
    ids[(position >= begin) & (position < end)] = of_second.cut(second, second_lengths, texts)
    paired = second_kept > 0
    ids[rows[paired], end[paired, 0]] = tokenizer.vocab.sep
    mask = position < end + paired[:, None]
    features = {
        "input_ids": ids,
        "input_mask": mask.astype(np.int64),
        "segment_ids": (mask & (position >= begin) & tokenizer.rules.segments).astype(np.int64),
        "label_ids": (_several_labels if is_multi_label else _labels)(examples, ids_of_labels)[texts],
        "is_real_example": np.ones(len(texts), np.int64),
        "texts": texts,
        "whole_lengths": (2 + first_lengths + second_lengths + (second_lengths > 0))[texts],
    }
    is_cut = (of_first.ends(texts) < first_lengths) | (of_second.ends(texts) < second_lengths)
    unknown = sum(int(np.count_nonzero(ids == tokenizer.vocab.unk)) for ids in (first, second))
    has_second = np.array([example.text_b is not None for example in examples], bool)
    empty = int(np.count_nonzero((first_lengths == 0) | (has_second & (second_lengths == 0))))
    windows = np.bincount(texts, minlength=len(examples))
    long = windows > 1
    counts = TextCounts(
        len(examples),
        int(is_cut.sum()),
        len(first) + len(second),
        unknown,
        empty,
        int(long.sum()),
        int(windows[long].sum()),
    )
    return features, counts


@dataclasses.dataclass(frozen=True)
class _Slices:
    """Of texts the part that is in each of m rows: its first token and how many, int64 [m] each."""

    starts: np.ndarray
    kept: np.ndarray

    def cut(self, ids: np.ndarray, lengths: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """These parts one after the other, of the ids of all texts one after the other."""
        begins = (np.cumsum(lengths) - lengths)[texts] + self.starts
        before = np.cumsum(self.kept) - self.kept
        parts: np.ndarray = ids[np.repeat(begins - before, self.kept) + np.arange(self.kept.sum())]
        return parts

    def ends(self, texts: np.ndarray) -> np.ndarray:
        """How many tokens of each text are in some row, [n]; `texts` [m] ascend and name all."""
        lasts = np.flatnonzero(np.diff(texts, append=-1))
        ends: np.ndarray = self.starts[lasts] + self.kept[lasts]
        return ends


def _windows(
    first: np.ndarray, second: np.ndarray, max_seq_length: int, doc_stride: int | None, longest_first: bool
) -> tuple[np.ndarray, _Slices, _Slices]:
    """The number of the example of each row, int64 [m] ascending, and what it has of both texts of n examples.

    The first row of an example is what it would be if it were cut; more follow for the longer text, of two equal ones
    for the second, `doc_stride` apart or as close as they must to leave nothing out, until one reaches its end. The
    other text is the same in each.
    """
    kept, second_kept = kept_lengths(first, second, max_seq_length, longest_first)
    is_first = first > second
    length, room = np.where(is_first, first, second), np.where(is_first, kept, second_kept)
    step = np.maximum(np.minimum(doc_stride or 1, room), 1)
    counts = np.where((room > 0) & (doc_stride is not None), 1 - (room - length) // step, 1)
    texts = np.repeat(np.arange(len(first)), counts)
    starts = (np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts)) * step[texts]
    of_longer = np.minimum(room[texts], length[texts] - starts)
    is_first = is_first[texts]
    return (
        texts,
        _Slices(np.where(is_first, starts, 0), np.where(is_first, of_longer, kept[texts])),
        _Slices(np.where(is_first, 0, starts), np.where(is_first, second_kept[texts], of_longer)),
    )


def kept_lengths(
    first: np.ndarray, second: np.ndarray, max_seq_length: int, longest_first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """How many tokens of each text are kept, beside `[CLS]` and one `[SEP]` a text.

    Google's `_truncate_seq_pair` drops the last token of the longer text, at a tie of the second, until both fit; this
    is where that ends. With room for 10 tokens, texts of 12 and 3 keep 7 and 3, texts of 12 and 9 keep 5 and 5. Of room
    that is odd the first text keeps a token more; with `longest_first`, as in `tokenizers` (0.23.3), only where it is
    the longer.
    """
    total = max_seq_length - 2 - (second > 0)
    half = (total + (longest_first & (first <= second))) // 2
    second_kept = np.minimum(second, np.maximum(half, total - first))
    return np.minimum(first, total - second_kept), second_kept


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
