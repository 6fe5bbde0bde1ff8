# SPDX-License-Identifier: Apache-2.0
"""Masks of one record at a time, drawn in the order of Google's scripts: the same generator gives the same masks."""

import itertools
import random
from collections.abc import Sequence

import numpy as np

from jaxbert.features.masking_rules import Masking, MaskVocab

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
