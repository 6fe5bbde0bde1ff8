# SPDX-License-Identifier: Apache-2.0
"""Masked language modelling (arXiv 1810.04805, 3.1): which tokens of a record are masked, and by what.

About 15 % of the tokens are to be predicted. Each is chosen alone, or with all pieces of its word, or with all of a run
of words. Of those chosen 80 % become `[MASK]`, 10 % any token of the vocabulary, and 10 % stay as they are. The order
of this file: what masking needs to know; `mask`, for many records at once; the procedures of Google's scripts, one
record after the other.
"""

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np

from jaxbert.features.splitmix import stream_key, words
from jaxbert.text.vocab import Vocab

_FEW_INSIDE = 0.03  # of all tokens; in Chinese about 1 % continue a word, all of them in words of other scripts


@dataclasses.dataclass(frozen=True)
class Masking:
    """How to choose tokens.

    Attributes:
        probability: share of the tokens of a record, special ones counted.
        max_predictions: P, most tokens of a record.
        whole_words: whether the pieces of a word go together; each is still replaced by itself.
        max_ngram: longest run of words that goes together (see `mask_runs`); 0: words one by one, as in the paper.
    """

    probability: float = 0.15
    max_predictions: int = 20
    whole_words: bool = False
    max_ngram: int = 0

    def count(self, length: int) -> int:
        """Tokens to predict in a record of this many tokens; halves are rounded to even numbers, as Python does."""
        return min(self.max_predictions, max(1, round(length * self.probability)))

    def shortage(self, max_seq_length: int) -> str | None:
        """What to tell the user where full records have fewer masks than `probability` says."""
        full = round(max_seq_length * self.probability)
        if self.max_predictions >= full:
            return None
        return (
            f"`--max_predictions_per_seq={self.max_predictions}` is less than"
            f" {self.probability:g} x {max_seq_length} = {full}; full records will have fewer masks"
        )


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


def whole_words_note(masking: Masking, inside_words: int, tokens: int) -> str:
    """What to say where whole words are masked and hardly any token continues a word; empty where there is nothing."""
    if not masking.whole_words or masking.max_ngram > 1 or inside_words >= _FEW_INSIDE * tokens:
        return ""
    little = "hardly anything" if inside_words else "nothing"
    return (
        f"`--do_whole_word_mask` changes {little}: {inside_words / tokens:.2%} of the tokens continue a word (each"
        " Chinese character is one)"
    )


def mask(
    ids: np.ndarray, lengths: np.ndarray, keys: np.ndarray, masking: Masking, vocab: MaskVocab
) -> dict[str, np.ndarray]:
    """Masked records.

    Args:
        ids: [n, S] of `[CLS] a [SEP] b [SEP]` and padding; S is at most 65,536.
        lengths: int64 [n], tokens without padding.
        keys: uint64 [n], of the random words of each record (see `splitmix`).
        masking: how to choose tokens.
        vocab: facts of the vocabulary.

    Returns:
        As `masked_features`.
    """
    if masking.max_ngram:
        records = zip(ids.tolist(), lengths.tolist(), keys.tolist(), strict=True)
        masks = [mask_runs(row[:length], masking, vocab, random.Random(key)) for row, length, key in records]
        return masked_features(ids, *as_columns(masks), masking.max_predictions)
    first, separator = vocab.unmaskable
    candidate = (np.arange(ids.shape[1]) < lengths[:, None]) & (ids != first) & (ids != separator)
    wanted = np.array([masking.count(length) for length in range(ids.shape[1] + 1)])[lengths]
    starts = candidate
    if masking.whole_words:
        # A piece with "##" belongs to the word before it, even across `[SEP]`; the first token of a record begins one.
        is_first = np.arange(ids.shape[1]) == np.argmax(candidate, axis=1)[:, None]
        starts = candidate & (is_first | ~vocab.is_inside_word[ids])
    rows, positions = np.nonzero(_chosen(candidate, starts, wanted, keys))
    replaced = _replaced(ids, rows, positions, keys, vocab)
    return masked_features(ids, rows, positions, replaced, masking.max_predictions)


_POSITION = np.uint64(0xFFFF)  # the lowest bits of a sorting key hold the position
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


def _chosen(candidate: np.ndarray, starts: np.ndarray, wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which of the candidates are masked, bool [n, S]: at most `wanted` [n] of a record, and only whole words.

    As in `mask_words`: the words of a record in random order, each if it still fits. For one record of six positions
    and `wanted` 2, W standing for where a word starts:

        position              0      1    2     3    4    5
        token                 [CLS]  un   ##do  it   now  [SEP]
        starts                       W          W    W
        order, the starts shuffled   4, 1, 3    by sorting random numbers whose last 16 bits are the position
        sizes of these words         1, 2, 1
        taken                        4 fits (1 left), 1 does not (2 > 1), 3 fits (0 left)

    The loop goes over ranks in that order, for all records at once.
    """
    n, S = candidate.shape
    position = np.arange(S)
    row = np.arange(n)[:, None] * S  # positions of all records are numbered on: record x S + position
    shuffled = words(keys[:, None], position) & ~_POSITION | position.astype(np.uint64)
    order = np.sort(np.where(starts, shuffled, _LAST), axis=1)
    start = row + np.minimum((order & _POSITION).astype(np.int64), S - 1)
    word = row + np.maximum.accumulate(np.where(starts, position, 0), axis=1)  # where the word of each token starts
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


def _replaced(
    ids: np.ndarray, rows: np.ndarray, positions: np.ndarray, keys: np.ndarray, vocab: MaskVocab
) -> np.ndarray:
    """The new id of each chosen token: the high half of a random word decides, the low half picks from the vocabulary.

    `_chosen` uses words 0 to S - 1 of each record, so these are the words from S on.
    """
    random_words = words(keys[rows], positions + ids.shape[1])
    fate = (random_words >> np.uint64(32)) / 2.0**32  # in [0, 1)
    entry = (random_words & np.uint64(0xFFFFFFFF)) * np.uint64(len(vocab.replacements)) >> np.uint64(32)
    kept_or_random = np.where(fate < 0.9, ids[rows, positions], vocab.replacements[entry.astype(np.int64)])
    return np.where(fate < 0.8, vocab.mask, kept_or_random)


def masked_features(
    ids: np.ndarray, rows: np.ndarray, positions: np.ndarray, replaced: np.ndarray, max_predictions: int
) -> dict[str, np.ndarray]:
    """The features of masked records.

    Args:
        ids: [n, S], not masked.
        rows: int64 [M], record of each masked token, ascending.
        positions: int64 [M], its position, ascending within a record.
        replaced: int64 [M], its new id.
        max_predictions: P; no record has more masked tokens.

    Returns:
        `input_ids` [n, S]; `masked_lm_positions`, `masked_lm_ids` (what was there) int64 [n, P] and
        `masked_lm_weights` float32 [n, P], 0 behind the masks of a record.
    """
    counts = np.bincount(rows, minlength=len(ids))
    slot = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # counts the masks of each record
    slots = np.zeros((len(ids), max_predictions), np.int64)
    labels, masked = np.zeros_like(slots), ids.copy()
    slots[rows, slot] = positions
    labels[rows, slot] = ids[rows, positions]
    masked[rows, positions] = replaced
    return {
        "input_ids": masked,
        "masked_lm_positions": slots,
        "masked_lm_ids": labels,
        "masked_lm_weights": (np.arange(max_predictions) < counts[:, None]).astype(np.float32),
    }


# The procedures of Google's scripts, which take their random numbers one after the other from a generator.
# `mask_words` serves `--same_draws_as_google` alone; `mask_runs` masks runs of words in any case.

Masks = list[tuple[int, int]]
"""Position and new id of each masked token of a record, by position."""


def as_columns(masks: Sequence[Masks]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of n records -> record, position and new id of each masked token, int64 [M]."""
    rows = np.repeat(np.arange(len(masks)), [len(of_record) for of_record in masks])
    positions, replaced = np.array([mask for of_record in masks for mask in of_record], np.int64).reshape(-1, 2).T
    return rows, positions, replaced


def mask_words(ids: Sequence[int], masking: Masking, vocab: MaskVocab, rng: random.Random) -> Masks:
    """Masks of google-research, and of tf-models-official up to 2.3: words in random order, each if it still fits."""
    found: list[list[int]] = []
    for position, token in enumerate(ids):
        if token in vocab.unmaskable:
            continue
        if masking.whole_words and found and vocab.is_inside_word[token]:
            found[-1].append(position)  # of the word before, even across [SEP]
        else:
            found.append([position])
    rng.shuffle(found)
    wanted = masking.count(len(ids))
    masks: Masks = []
    for word in found:
        if len(masks) >= wanted:
            break
        if len(masks) + len(word) <= wanted:
            masks += [(position, _replacement(ids[position], _fate(rng), vocab, rng)) for position in word]
    return sorted(masks)


def mask_runs(ids: Sequence[int], masking: Masking, vocab: MaskVocab, rng: random.Random) -> Masks:
    """Masks of tf-models-official from 2.4 on: runs of words, all tokens of a run replaced in the same way.

    `the dog ##gy ran` with `max_ngram` 2 has the runs (the), (dog ##gy), (ran) of one word, and (the dog ##gy),
    (dog ##gy ran) of two. Until enough tokens are covered a length is chosen at random, one word twice as often as two
    (weights 1/n), and the next run of that length is taken from its shuffled list, unless it has too many tokens or
    meets one that is taken. A length with more words than tokens are left is given up.

    The original takes lengths from an unseeded generator; here they come from `rng`, so that masks can be repeated, and
    nothing is taken from it where there is but one length.
    """
    runs = _runs(_words(ids, masking, vocab), masking.max_ngram)
    for same_length in runs.values():
        rng.shuffle(same_length)
    weights = list(itertools.accumulate(1 / length for length in runs))
    wanted, covered = masking.count(len(ids)), set[int]()
    taken: list[range] = []
    while len(covered) < wanted and any(runs.values()):
        length = rng.choices(list(runs), cum_weights=weights)[0] if len(runs) > 1 else 1
        if len(covered) + length > wanted:
            runs[length].clear()
        elif runs[length]:
            run = runs[length].pop()
            if len(covered) + len(run) <= wanted and covered.isdisjoint(run):
                covered.update(run)
                taken.append(run)
    masks: Masks = []
    for run in taken:
        fate = _fate(rng)
        masks += [(position, _replacement(ids[position], fate, vocab, rng)) for position in run]
    return sorted(masks)


def _words(ids: Sequence[int], masking: Masking, vocab: MaskVocab) -> list[range]:
    """The positions of each word; special tokens lie between words."""
    found: list[range] = []
    for position, token in enumerate(ids):
        if token in vocab.unmaskable:
            continue
        follows = bool(found) and found[-1].stop == position
        if masking.whole_words and follows and vocab.is_inside_word[token]:
            found[-1] = range(found[-1].start, position + 1)
        else:
            found.append(range(position, position + 1))
    return found


def _runs(words: list[range], longest: int) -> dict[int, list[range]]:
    """By number of words: every run of words with nothing between them."""
    runs: dict[int, list[range]] = {}
    for length in range(1, longest + 1):
        windows = (words[first : first + length] for first in range(len(words) - length + 1))
        runs[length] = [
            range(window[0].start, window[-1].stop)
            for window in windows
            if all(left.stop == right.start for left, right in itertools.pairwise(window))
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
