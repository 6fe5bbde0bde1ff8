# SPDX-License-Identifier: Apache-2.0
"""Masks for many records at once, each a pure function of the record's key: google-research's procedure.

Words (or single tokens) stand in random order; one after the other is taken unless it would exceed the number to
predict. Of the tokens taken 80 % become `[MASK]`, 10 % stay and 10 % become a random entry of the vocabulary.
"""

import random
from collections.abc import Mapping

import numpy as np

from jaxbert.features.drawn_masks import as_columns, gram_masks
from jaxbert.features.draws import stream_key, words
from jaxbert.features.masking_rules import Masking, MaskVocab, masked_features

_PLACE = np.uint64(0xFFFF)  # the lowest bits of a sorting key hold the position
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def mask(
    ids: np.ndarray, lengths: np.ndarray, keys: np.ndarray, masking: Masking, vocab: MaskVocab
) -> dict[str, np.ndarray]:
    """Masked records.

    Args:
        ids: [n, S] of `[CLS] a [SEP] b [SEP]` and padding; S is at most 65,536.
        lengths: int64 [n], tokens without padding.
        keys: uint64 [n], of the random words of each record (see `draws`).
        masking: how to choose tokens.
        vocab: facts of the vocabulary.

    Returns:
        As `masked_features`.
    """
    if masking.max_ngram:
        records = zip(ids.tolist(), lengths.tolist(), keys.tolist(), strict=True)
        drawn = [gram_masks(row[:length], masking, vocab, random.Random(key)) for row, length, key in records]
        return masked_features(ids, *as_columns(drawn), masking.max_predictions)
    first, separator = vocab.unmaskable
    candidate = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids != first) & (ids != separator)
    wanted = np.array([masking.count(length) for length in range(ids.shape[1] + 1)])[lengths]
    starts = _word_starts(ids, candidate, vocab) if masking.whole_words else candidate
    rows, places = np.nonzero(_chosen(candidate, starts, wanted, keys))
    return masked_features(ids, rows, places, _replaced(ids, rows, places, keys, vocab), masking.max_predictions)


def mask_anew(
    features: Mapping[str, np.ndarray],
    records: np.ndarray,
    epochs: np.ndarray,
    seed: int,
    masking: Masking,
    vocab: MaskVocab,
) -> dict[str, np.ndarray]:
    """Records with the masks they have in one epoch, a pure function of (seed, epoch, record number).

    Args:
        features: of n records without masks: `input_ids` and `input_mask` [n, S], and others.
        records: int64 [n], their numbers.
        epochs: int64 [n], the epoch each of them is read in.
        seed: of the masks.
        masking: how to choose tokens.
        vocab: facts of the vocabulary.
    """
    keys = np.zeros(len(records), np.uint64)
    for epoch in np.unique(epochs).tolist():
        of_epoch = epochs == epoch
        keys[of_epoch] = words(stream_key(seed, epoch), records[of_epoch])
    lengths = np.count_nonzero(features["input_mask"], axis=1)
    return {**features, **mask(features["input_ids"], lengths, keys, masking, vocab)}


def _word_starts(ids: np.ndarray, candidate: np.ndarray, vocab: MaskVocab) -> np.ndarray:
    """Where words begin, bool [n, S].

    A piece with "##" belongs to the word before it, even across `[SEP]`; the first token of a record begins a word.
    """
    first = np.arange(ids.shape[1]) == np.argmax(candidate, axis=1)[:, None]
    starts: np.ndarray = candidate & (first | ~vocab.is_inside_word[ids])
    return starts


def _chosen(candidate: np.ndarray, starts: np.ndarray, wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which of the candidates are masked, bool [n, S]: at most `wanted` [n] of a record, and only whole words."""
    n, S = candidate.shape
    place = np.arange(S)
    row = np.arange(n)[:, None] * S
    noise = words(keys[:, None], place) & ~_PLACE | place.astype(np.uint64)
    order = np.sort(np.where(starts, noise, _LAST), axis=1)  # the words of each record, shuffled
    start = row + np.minimum((order & _PLACE).astype(np.int64), S - 1)
    word = row + np.maximum.accumulate(np.where(starts, place, 0), axis=1)  # where the word of each token starts
    sizes = np.where(order == _LAST, 0, np.bincount(word[candidate], minlength=n * S)[start])
    taken = np.zeros(n * S, bool)
    left = wanted
    for rank in range(S):
        fits = (sizes[:, rank] > 0) & (sizes[:, rank] <= left)
        taken[start[fits, rank]] = True
        left = left - np.where(fits, sizes[:, rank], 0)
        if not left.any():
            break
    chosen: np.ndarray = candidate & taken[word]
    return chosen


def _replaced(ids: np.ndarray, rows: np.ndarray, places: np.ndarray, keys: np.ndarray, vocab: MaskVocab) -> np.ndarray:
    """What stands in the place of each chosen token: the high half of a word decides, the low half takes an entry."""
    drawn = words(keys[rows], places + ids.shape[1])
    fate = (drawn >> np.uint64(32)) / 2.0**32
    entry = (drawn & np.uint64(0xFFFFFFFF)) * np.uint64(len(vocab.replacements)) >> np.uint64(32)
    kept_or_random = np.where(fate < 0.9, ids[rows, places], vocab.replacements[entry.astype(np.int64)])
    return np.where(fate < 0.8, vocab.mask, kept_or_random)
