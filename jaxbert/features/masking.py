# SPDX-License-Identifier: Apache-2.0
"""Masked language modelling (arXiv 1810.04805, 3.1): which tokens may be masked, which are, and by what."""

import dataclasses
import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np

from jaxbert.text.vocab import Vocab

_STRIDE = np.uint64(0x9E3779B97F4A7C15)


def stream_key(*numbers: int) -> np.uint64:
    """The key of the stream that belongs to these numbers: a seed and what it is used for."""
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def words(keys: np.ndarray | np.uint64, places: np.ndarray) -> np.ndarray:
    """Words (uint64) number `places` of the streams `keys`; the two are broadcast."""
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64
        x = keys + (places.astype(np.uint64) + np.uint64(1)) * _STRIDE
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclasses.dataclass(frozen=True)
class Masking:
    """How to choose tokens.

    Attributes:
        probability: share of the tokens of a record, special ones counted.
        max_predictions: P, most tokens of a record.
        whole_words: whether the pieces of a word go together; each is still replaced by itself.
        max_ngram: longest run of words that goes together (see `drawn_masks.gram_masks`); 0 for the original way.
    """

    probability: float = 0.15
    max_predictions: int = 20
    whole_words: bool = False
    max_ngram: int = 0

    def count(self, length: int) -> int:
        """Tokens to predict in a record of this many tokens; halves are rounded to even numbers, as Python does."""
        return min(self.max_predictions, max(1, round(length * self.probability)))


@dataclasses.dataclass(frozen=True)
class MaskVocab:
    """What masks need to know of a vocabulary.

    Attributes:
        mask: id of `[MASK]`.
        unmaskable: ids of `[CLS]` and `[SEP]`.
        replacements: int64, the ids a random token is one of: all of them, special and unused ones too.
        is_inside_word: bool [V], whether the token begins with "##".
    """

    mask: int
    unmaskable: tuple[int, int]
    replacements: np.ndarray
    is_inside_word: np.ndarray


def mask_vocab(vocab: Vocab) -> MaskVocab:
    """The facts of `vocab`."""
    inside = np.array([token.startswith("##") for token in vocab.tokens])
    return MaskVocab(vocab.mask, (vocab.cls, vocab.sep), np.array(list(vocab.ids.values())), inside)


def masked_features(
    ids: np.ndarray, rows: np.ndarray, places: np.ndarray, replaced: np.ndarray, max_predictions: int
) -> dict[str, np.ndarray]:
    """The features of masked records.

    Args:
        ids: [n, S], not masked.
        rows: int64 [M], record of each masked token, ascending.
        places: int64 [M], its position, ascending within a record.
        replaced: int64 [M], its new id.
        max_predictions: P; no record has more masked tokens.

    Returns:
        `input_ids` [n, S]; `masked_lm_positions`, `masked_lm_ids` (what was there) int64 [n, P] and
        `masked_lm_weights` float32 [n, P], 0 behind the masks of a record.
    """
    counts = np.bincount(rows, minlength=len(ids))
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    positions = np.zeros((len(ids), max_predictions), np.int64)
    labels, masked = np.zeros_like(positions), ids.copy()
    positions[rows, number] = places
    labels[rows, number] = ids[rows, places]
    masked[rows, places] = replaced
    return {
        "input_ids": masked,
        "masked_lm_positions": positions,
        "masked_lm_ids": labels,
        "masked_lm_weights": (np.arange(max_predictions) < counts[:, None]).astype(np.float32),
    }


Drawn = list[tuple[int, int]]
"""Position and new id of each masked token of a record, by position."""


def as_columns(drawn: Sequence[Drawn]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of n records -> record, position and new id of each masked token, int64 [M]."""
    rows = np.repeat(np.arange(len(drawn)), [len(masks) for masks in drawn])
    places, replaced = np.array([mask for masks in drawn for mask in masks], np.int64).reshape(-1, 2).T
    return rows, places, replaced


def single_masks(ids: Sequence[int], masking: Masking, vocab: MaskVocab, rng: random.Random) -> Drawn:
    """Masks of google-research, and of tf-models-official up to 2.3: words in random order, each if it still fits."""
    groups: list[list[int]] = []
    for place, token in enumerate(ids):
        if token in vocab.unmaskable:
            continue
        if masking.whole_words and groups and vocab.is_inside_word[token]:
            groups[-1].append(place)  # of the word before, even across [SEP]
        else:
            groups.append([place])
    rng.shuffle(groups)
    wanted = masking.count(len(ids))
    drawn: Drawn = []
    for group in groups:
        if len(drawn) >= wanted:
            break
        if len(drawn) + len(group) <= wanted:
            drawn += [(place, _replacement(ids[place], _fate(rng), vocab, rng)) for place in group]
    return sorted(drawn)


def gram_masks(ids: Sequence[int], masking: Masking, vocab: MaskVocab, rng: random.Random) -> Drawn:
    """Masks of tf-models-official from 2.4 on: runs of words, replaced in one way for all tokens of a run.

    The length n of each run is drawn with weight 1/n. The original draws lengths from an unseeded generator; here they
    come from `rng`, so that masks can be repeated, and nothing is drawn where there is but one length.
    """
    runs = _runs(_words(ids, masking, vocab), masking.max_ngram)
    for same_length in runs.values():
        rng.shuffle(same_length)
    weights = list(itertools.accumulate(1 / length for length in runs))
    wanted, covered = masking.count(len(ids)), set[int]()
    taken: list[tuple[int, int]] = []
    while len(covered) < wanted and any(runs.values()):
        length = rng.choices(list(runs), cum_weights=weights)[0] if len(runs) > 1 else 1
        if len(covered) + length > wanted:
            runs[length].clear()
        elif runs[length]:
            run = runs[length].pop()
            places = range(*run)
            if len(covered) + len(places) <= wanted and covered.isdisjoint(places):
                covered.update(places)
                taken.append(run)
    return sorted(itertools.chain.from_iterable(_replace_run(ids, run, vocab, rng) for run in taken))


def _replace_run(ids: Sequence[int], run: tuple[int, int], vocab: MaskVocab, rng: random.Random) -> Drawn:
    fate = _fate(rng)
    return [(place, _replacement(ids[place], fate, vocab, rng)) for place in range(*run)]


def _words(ids: Sequence[int], masking: Masking, vocab: MaskVocab) -> list[tuple[int, int]]:
    """First position of each word and the one after its last; special tokens lie between words."""
    found: list[tuple[int, int]] = []
    for place, token in enumerate(ids):
        follows = bool(found) and found[-1][1] == place
        if token in vocab.unmaskable:
            continue
        if masking.whole_words and follows and vocab.is_inside_word[token]:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return found


def _runs(words: list[tuple[int, int]], longest: int) -> dict[int, list[tuple[int, int]]]:
    """By number of words: every run of words with nothing between them."""
    runs: dict[int, list[tuple[int, int]]] = {}
    for length in range(1, longest + 1):
        windows = (words[first : first + length] for first in range(len(words) - length + 1))
        runs[length] = [
            (window[0][0], window[-1][1])
            for window in windows
            if all(left[1] == right[0] for left, right in itertools.pairwise(window))
        ]
    return runs


def _fate(rng: random.Random) -> str:
    """80 %: "mask"; 10 %: "keep"; 10 %: "replace"."""
    if rng.random() < 0.8:
        return "mask"
    return "keep" if rng.random() < 0.5 else "replace"


def _replacement(token: int, fate: str, vocab: MaskVocab, rng: random.Random) -> int:
    if fate == "replace":
        return int(vocab.replacements[rng.randint(0, len(vocab.replacements) - 1)])
    return vocab.mask if fate == "mask" else token


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
