# SPDX-License-Identifier: Apache-2.0
"""Masks: what must hold for every record, and that masks by key are distributed as masks drawn one by one."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.features.masking import (
    Masking,
    Masks,
    MaskVocab,
    as_columns,
    mask,
    mask_anew,
    mask_runs,
    mask_vocab,
    mask_words,
    masked_features,
)
from jaxbert.features.splitmix import stream_key, words
from jaxbert.text.vocab import make_vocab

PAD, UNK, CLS, SEP, MASK, FIRST, INSIDE, END = 0, 1, 2, 3, 4, 5, 15, 25
VOCAB = mask_vocab(
    make_vocab(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"{c}" for c in "abcdefghij"), *(f"##{n}" for n in range(10))]
    )
)
tokens = st.lists(st.integers(FIRST, END - 1), min_size=1, max_size=20)
maskings = st.builds(
    Masking, st.sampled_from([0.0, 0.15, 0.5, 1.0]), st.integers(1, 12), st.booleans(), st.sampled_from([0, 0, 1, 3])
)


def laid_out(a: list[int], b: list[int], length: int) -> list[int]:
    """`[CLS] a [SEP] b [SEP]` with padding."""
    record = [CLS, *a, SEP, *b, SEP]
    return record + [PAD] * (length - len(record))


def keys(count: int, seed: int = 0) -> np.ndarray:
    """Keys of `count` records."""
    return words(stream_key(seed), np.arange(count))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=4), maskings, st.integers(0, 1 << 32))
def test_every_record(pairs: list[tuple[list[int], list[int]]], masking: Masking, seed: int) -> None:
    """Masked tokens are in order, never special, never too many, as many as wanted if single; all can be restored."""
    ids = np.array([laid_out(a, b, 48) for a, b in pairs])
    lengths = np.array([len(a) + len(b) + 3 for a, b in pairs])
    result = mask(ids, lengths, keys(len(ids), seed), masking, VOCAB)
    for row, (original, length) in enumerate(zip(ids, lengths.tolist(), strict=True)):
        count = int(result["masked_lm_weights"][row].sum())
        positions, labels = result["masked_lm_positions"][row], result["masked_lm_ids"][row]
        assert result["masked_lm_weights"][row].tolist() == [1.0] * count + [0.0] * (masking.max_predictions - count)
        assert not positions[count:].any()
        assert not labels[count:].any()
        assert (np.diff(positions[:count]) > 0).all()
        assert not np.isin(original[positions[:count]], [PAD, CLS, SEP]).any()
        restored = result["input_ids"][row].copy()
        restored[positions[:count]] = labels[:count]
        assert restored.tolist() == original.tolist()
        assert count <= masking.count(length)
        if not masking.whole_words:
            assert count == min(masking.count(length), length - 3)


@settings(max_examples=100, deadline=None)
@given(tokens, tokens, st.integers(0, 1 << 32), st.booleans())
def test_whole_words(a: list[int], b: list[int], seed: int, grams: bool) -> None:
    """All pieces of a word are chosen or none; pieces of runs share their fate."""
    masking = Masking(0.3, 12, True, int(grams))
    record = laid_out(a, b, 48)
    length = len(a) + len(b) + 3
    result = mask(np.array([record]), np.array([length]), keys(1, seed), masking, VOCAB)
    chosen = set(result["masked_lm_positions"][0][result["masked_lm_weights"][0] > 0].tolist())
    real = [position for position in range(1, length - 1) if record[position] != SEP]
    for before, position in itertools.pairwise(real):
        if record[position] >= INSIDE and (not grams or before + 1 == position):
            assert (position in chosen) == (before in chosen)


def test_records_do_not_depend_on_each_other() -> None:
    """A record has the same masks alone and among others, and other masks with another key."""
    ids = np.array([laid_out([5, 6, 7, 16, 8] * 3, [9, 10, 20] * 3, 40)] * 8)
    lengths, all_keys = np.full(8, 27), keys(8)
    together = mask(ids, lengths, all_keys, Masking(), VOCAB)
    alone = mask(ids[3:4], lengths[3:4], all_keys[3:4], Masking(), VOCAB)
    assert all(np.array_equal(together[name][3:4], alone[name]) for name in alone)
    assert len({tuple(row) for row in together["masked_lm_positions"].tolist()}) == 8


def drawn_one_by_one(
    draw: Callable[[list[int], Masking, MaskVocab, random.Random], Masks], record: list[int], masking: Masking, n: int
) -> dict[str, np.ndarray]:
    """`n` times the masks of one record."""
    rng = random.Random(5)
    drawn = [draw(record, masking, VOCAB, rng) for _ in range(n)]
    return masked_features(np.array([record] * n), *as_columns(drawn), masking.max_predictions)


def chi_square(first: np.ndarray, second: np.ndarray) -> tuple[float, int]:
    """Homogeneity of two samples of counts: the statistic and its degrees of freedom."""
    both = np.array([first, second])[:, (first + second) > 0].astype(float)
    expected = both.sum(1, keepdims=True) * both.sum(0) / both.sum()
    return float(((both - expected) ** 2 / expected).sum()), both.shape[1] - 1


@pytest.mark.parametrize("whole_words", [False, True])
def test_same_distribution_as_one_by_one(whole_words: bool) -> None:
    """Sets of positions, and the new ids there, are as often as by the original's procedure."""
    record = laid_out([16, 17, 5, 6, 7], [18, 8, 9, 19], 12)  # both texts begin inside a word
    masking, n = Masking(0.3, 20, whole_words), 6000
    by_key = mask(np.array([record] * n), np.full(n, 12), keys(n), masking, VOCAB)
    one_by_one = drawn_one_by_one(mask_words, record, masking, n)
    samples = []
    for result in (by_key, one_by_one):
        sets = (result["masked_lm_weights"] * 2.0 ** result["masked_lm_positions"]).sum(axis=1).astype(int)
        fates = np.bincount(result["input_ids"].ravel(), minlength=END)
        samples.append((np.bincount(sets, minlength=1 << 12), fates))
    for ours, original in zip(*samples, strict=True):
        statistic, freedom = chi_square(ours, original)
        assert freedom >= 4
        assert statistic < freedom + 4 * np.sqrt(2 * freedom)  # beyond this: one time in tens of thousands


def test_shares() -> None:
    """80 % [MASK], 10 % unchanged, 10 % any entry of the vocabulary, all within four standard deviations."""
    n = 20_000
    ids = np.full((n, 12), FIRST)
    ids[:, 0], ids[:, 5], ids[:, 11] = CLS, SEP, SEP
    result = mask(ids, np.full(n, 12), keys(n), Masking(0.15, 2), VOCAB)
    positions = result["masked_lm_positions"].ravel()
    found = np.bincount(result["input_ids"][np.repeat(np.arange(n), 2), positions], minlength=END) / len(positions)
    random_share = 0.1 / END
    expected = np.full(END, random_share)
    expected[[MASK, FIRST]] += (0.8, 0.1)
    assert (np.abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / len(positions)) + 1e-9).all()
    everywhere = np.bincount(positions, minlength=12)[ids[0] == FIRST] / len(positions)
    assert (np.abs(everywhere - 1 / 9) < 4 * np.sqrt(1 / 9 * 8 / 9 / len(positions))).all()


def test_gram_lengths() -> None:
    """Runs of n words are drawn with weight 1/n, and all pieces of a run share their fate."""
    record = laid_out([5, 6, 7, 8, 9, 10, 11, 12] * 2, [5, 6, 7, 8] * 2, 27)
    masking = Masking(0.01, 3, True, 3)  # one token to predict: only single words fit
    assert drawn_one_by_one(mask_runs, record, masking, 50)["masked_lm_weights"].sum() == 50
    masking = Masking(3 / 27, 3, True, 3)
    rng = random.Random(0)
    first = [mask_runs(record, masking, VOCAB, rng) for _ in range(4000)]
    whole = sum(
        positions[-1] - positions[0] == 2 for positions in ([position for position, _ in masks] for masks in first)
    )
    # A run of three, or neighbours by chance: at least the share of length 3, which is (1/3) / (1 + 1/2 + 1/3).
    assert whole / 4000 > 2 / 11 - 4 * np.sqrt(2 / 11 * 9 / 11 / 4000)
    for masks in first:
        assert len(masks) == 3


@pytest.mark.parametrize(("length", "count"), [(3, 1), (10, 2), (30, 4), (50, 8), (128, 19), (512, 20)])
def test_number_of_masks(length: int, count: int) -> None:
    """15 % of all tokens, halves to the even number, at least one, at most what is allowed."""
    assert Masking().count(length) == count


def test_masks_of_an_epoch_depend_on_seed_epoch_and_record_alone() -> None:
    """Read in any company and order a record has the same masks; another epoch or seed gives others."""
    ids = np.tile(np.arange(FIRST, END), (6, 2))
    ids[:, 0] = CLS
    features = {"input_ids": ids, "input_mask": np.ones_like(ids), "next_sentence_labels": np.arange(6)}

    def masked(numbers: list[int], epochs: list[int], seed: int = 7) -> np.ndarray:
        some = {name: array[numbers] for name, array in features.items()}
        found = mask_anew(some, np.array(numbers), np.array(epochs), seed, Masking(), VOCAB)
        assert found["next_sentence_labels"].tolist() == numbers
        return found["masked_lm_positions"]

    together = masked([0, 1, 2, 3], [4, 4, 5, 5])
    np.testing.assert_array_equal(masked([3, 0], [5, 4]), together[[3, 0]])
    assert (masked([0, 1, 2, 3], [4, 4, 4, 4])[2:] != together[2:]).any(axis=1).all()
    assert (masked([0, 1, 2, 3], [4, 4, 5, 5], seed=8) != together).any(axis=1).all()
    assert (together[0] != together[1]).any()
