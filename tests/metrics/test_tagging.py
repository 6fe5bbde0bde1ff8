# SPDX-License-Identifier: Apache-2.0
"""Scores of entities: those of `conlleval`, whose rules are written here again, and of `seqeval`, to the last digit."""

import collections
import importlib
import random
import warnings
from collections.abc import Iterator, Sequence

import pytest

from jaxbert.examples.tag_schemes import Scheme, entities, strict_entities
from jaxbert.metrics.tagging import Counts, count_entities, score_tags, together

LETTERS: dict[Scheme, str] = {"iob1": "BI", "iob2": "BI", "iobes": "BIES", "bilou": "BILU"}
PAIRS = 10_000

Tags = list[str]


def random_pairs(scheme: Scheme, chance: random.Random, count: int = PAIRS) -> Iterator[tuple[Tags, Tags]]:
    """Any tags of a scheme, most of them broken, and the same with some changed."""
    labels = ["O", *(f"{letter}-{label}" for letter in LETTERS[scheme] for label in ("PER", "a-b"))]
    for _ in range(count):
        gold = chance.choices(labels, k=chance.randint(1, 9))
        yield gold, [tag if chance.random() < 0.7 else chance.choice(labels) for tag in gold]


def split(tag: str) -> tuple[str, str]:
    """Letter and type; BILOU's letters as those of IOBES."""
    letter, _, label = tag.partition("-")
    return {"L": "E", "U": "S"}.get(letter, letter), label


def ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """conlleval's `endOfChunk`, with what its successors add for E and S."""
    pairs = {"BB", "BO", "IB", "IO", "EE", "EI", "EO"} | {"BS", "IS", "ES", "EB", "SS", "SB", "SE", "SI", "SO"}
    return before[0] + now[0] in pairs or (before[0] != "O" and before[1] != now[1])


def starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """conlleval's `startOfChunk`, the same."""
    pairs = {"BB", "IB", "OB", "OI", "EE", "EI", "OE"} | {"EB", "SB", "SE", "SI", "BS", "IS", "ES", "SS", "OS"}
    return before[0] + now[0] in pairs or (now[0] != "O" and before[1] != now[1])


def conlleval(pairs: Sequence[tuple[Tags, Tags]]) -> dict[str, Counts]:
    """Its loop over words: a chunk is right while both sides are in it, and both end with it."""
    counts = collections.defaultdict[str, Counts](Counts)
    outside = ("O", "")
    for gold, found in pairs:
        is_inside = False
        before, before_found = outside, outside
        for tag, tag_found in [*zip(gold, found, strict=True), ("O", "O")]:
            now, now_found = split(tag), split(tag_found)
            if is_inside:
                both = ends(before, now), ends(before_found, now_found)
                if all(both) and before[1] == before_found[1]:
                    is_inside = False
                    counts[before[1]].right += 1
                elif any(both) or now[1] != now_found[1]:
                    is_inside = False
            if starts(before, now) and starts(before_found, now_found) and now[1] == now_found[1]:
                is_inside = True
            if starts(before, now):
                counts[now[1]].gold += 1
            if starts(before_found, now_found):
                counts[now_found[1]].found += 1
            before, before_found = now, now_found
    return counts


@pytest.mark.parametrize("scheme", LETTERS)
def test_counts_are_those_of_conlleval(scheme: Scheme, chance: random.Random) -> None:
    """For each of 10,000 random pairs."""
    for gold, found in random_pairs(scheme, chance):
        assert count_entities([gold], [found], scheme) == conlleval([(gold, found)]), (gold, found)


def test_the_example_of_the_shared_task() -> None:
    """Ends, types and tags that are wrong: counted by hand."""
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
    found = [["B-PER", "I-PER", "O", "I-LOC"], ["B-PER", "O"]]
    scores = score_tags(gold, found, "iob2")
    assert next(iter(scores)) == "f1"
    assert (scores["precision"], scores["recall"]) == (2 / 3, 2 / 3)
    assert (scores["strict_precision"], scores["strict_recall"]) == (1 / 2, 1 / 3)  # I-LOC begins nothing
    assert scores["accuracy"] == 4 / 6
    assert (scores["f1_LOC"], scores["precision_PER"], scores["recall_PER"], scores["f1_ORG"]) == (1, 1 / 2, 1, 0)


def test_nothing_to_find_and_nothing_found() -> None:
    """Shares of nothing are 0."""
    assert set(score_tags([["O"]], [["O"]], "iob2").values()) == {0.0, 1.0}
    assert (Counts(0, 2, 0).f1, Counts(2, 0, 0).precision) == (0, 0)
    assert together([Counts(1, 2, 1), Counts(3, 1, 0)]) == Counts(4, 3, 1)


@pytest.mark.interop
@pytest.mark.parametrize("scheme", LETTERS)
def test_scores_are_those_of_seqeval(scheme: Scheme, chance: random.Random) -> None:
    """Default and strict, of 10,000 random pairs: the entities of each, and all averages and types bit for bit."""
    lenient = importlib.import_module("seqeval.metrics.sequence_labeling")
    strict, schemes = importlib.import_module("seqeval.metrics.v1"), importlib.import_module("seqeval.scheme")
    kind = getattr(schemes, scheme.upper())
    pairs = list(random_pairs(scheme, chance))
    for tags in (tags for pair in pairs for tags in pair):
        known = ["-".join(split(tag)).rstrip("-") for tag in tags]  # the default mode knows no L and no U
        expected = [(begin, end + 1, label) for label, begin, end in lenient.get_entities(known)]
        assert entities(tags, scheme) == expected, tags
        assert strict_entities(tags, scheme) == [(e.start, e.end, e.tag) for e in schemes.Tokens(tags, kind).entities]
    golds, predicted = (list(side) for side in zip(*pairs, strict=True))
    scores = score_tags(golds, predicted, scheme)
    known = [[["-".join(split(tag)).rstrip("-") for tag in tags] for tags in side] for side in (golds, predicted)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = lenient.precision_recall_fscore_support(*known, average="micro")
        by_type = lenient.precision_recall_fscore_support(*known)
        in_strict = strict.precision_recall_fscore_support(golds, predicted, average="micro", scheme=kind)
        accuracy = lenient.accuracy_score(golds, predicted)
    assert (scores["precision"], scores["recall"], scores["f1"]) == tuple(map(float, found[:3]))
    strictly = (scores["strict_precision"], scores["strict_recall"], scores["strict_f1"])
    assert strictly == tuple(map(float, in_strict[:3]))
    assert scores["accuracy"] == accuracy
    for number, label in enumerate(("PER", "a-b")):
        one = tuple(float(part[number]) for part in by_type[:3])
        assert (scores[f"precision_{label}"], scores[f"recall_{label}"], scores[f"f1_{label}"]) == one
