# SPDX-License-Identifier: Apache-2.0
"""The sample task: deterministic, right, and hidden from whoever only counts words."""

import collections
import hashlib
import itertools
import re

from runs.sample_events import ANIMALS, SIZES, Pair, make_sets, model_config, to_tsv, vocabulary


def solve(pair: Pair) -> int:
    """The label by reading the sentences: who underwent it, and is that one of the two the smaller?"""
    words = pair.first.lower().split()
    one, other = (word for word in words if word in ANIMALS)
    undergoer = one if "was" in words else other
    smaller = min(one, other, key=ANIMALS.index)
    return int((undergoer == smaller) == ("smaller" in pair.second))


def test_labels_follow_from_the_sentences() -> None:
    """An independent reader of the sentences finds every label."""
    for pairs in make_sets(3).values():
        assert all(solve(pair) == pair.label for pair in pairs)


def test_counting_words_tells_nothing() -> None:
    """In each set, any two bags of words (one for each sentence) stand as often beside label 1 as beside label 0.

    So no classifier on word counts is right more often than half of the time, on training data or elsewhere.
    """
    for name, pairs in make_sets(4).items():
        balance: collections.Counter[tuple[str, ...]] = collections.Counter()
        for pair in pairs:
            bags = *sorted(pair.first.lower().split()), "|", *sorted(pair.second.lower().split())
            balance[bags] += 1 if pair.label else -1
        assert set(balance.values()) == {0}
        assert len(pairs) == SIZES[name]


def test_no_event_is_in_two_sets() -> None:
    """Who took part, what was done and where or when: no combination of the training set is in another one."""
    events = {
        name: {(frozenset(re.findall(r"\w+", pair.first.lower())) - {"was", "by"}) for pair in pairs}
        for name, pairs in make_sets(5).items()
    }
    for one, other in itertools.combinations(events.values(), 2):
        assert not one & other


def test_same_seed_same_files_on_any_machine() -> None:
    """The files depend on the seed alone; the digest was taken on Python 3.11 and tells when the task changed."""
    text = "".join(to_tsv(pairs) for pairs in make_sets(0).values())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "030142be9975610b"
    assert make_sets(0) != make_sets(1)


def test_layout_is_that_of_mrpc() -> None:
    """Label first, sentences in the last two columns; a test file has the index in place of the label."""
    pairs = [Pair(1, "a .", "b ."), Pair(0, "c .", "d .")]
    assert to_tsv(pairs) == ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta .\tb .\n0\t3\t4\tc .\td .\n")
    assert to_tsv(pairs, with_labels=False).splitlines()[2] == "1\t3\t4\tc .\td ."


def test_vocabulary_spells_every_sentence() -> None:
    """Every word is in the vocabulary, whole or as stem and `##ed`; no entry comes twice; the model has its size."""
    pieces = vocabulary()
    assert len(set(pieces)) == len(pieces) == model_config().vocab_size
    assert pieces[0] == "[PAD]"
    for pair in itertools.chain(*make_sets(0).values()):
        for word in f"{pair.first} {pair.second}".lower().split():
            assert word in pieces or (word.endswith("ed") and word[:-2] in pieces), word
