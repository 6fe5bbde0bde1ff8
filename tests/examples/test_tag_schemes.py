# SPDX-License-Identifier: Apache-2.0
"""Tags of every scheme: from entities and back, what is broken, and which scheme labels are of."""

import random

import pytest

from jaxbert.examples.tag_schemes import (
    Entity,
    Scheme,
    entities,
    labels_of,
    problem,
    scheme_of_labels,
    strict_entities,
    tags_of,
    types_of,
)

SCHEMES: tuple[Scheme, ...] = ("iob1", "iob2", "iobes", "bilou")


def some_entities(chance: random.Random, length: int) -> list[Entity]:
    """Entities that do not overlap, neighbours of one type among them."""
    found, at = list[Entity](), 0
    while at < length:
        end = min(at + chance.randint(1, 3), length)
        if chance.random() < 0.6:
            found.append(Entity(at, end, chance.choice(("PER", "a-b"))))
        at = end
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entities_become_tags_and_come_back(scheme: Scheme, chance: random.Random) -> None:
    """By the rules of `conlleval` and by the strict ones, and the scheme finds nothing wrong."""
    for _ in range(2000):
        length = chance.randint(0, 12)
        found = some_entities(chance, length)
        tags = tags_of(found, length, scheme)
        assert problem(tags, scheme) is None, tags
        assert entities(tags, scheme) == strict_entities(tags, scheme) == found, tags
        assert set(tags) <= {*labels_of(("PER", "a-b"), scheme)}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_broken_is_what_no_entities_give(scheme: Scheme, chance: random.Random) -> None:
    """Tags are right where their entities give the same tags again; otherwise a place is named, and not too early."""
    labels = labels_of(("X", "Y"), scheme)
    counts = [0, 0]
    for _ in range(5000):
        tags = chance.choices(labels, k=chance.randint(1, 5))
        wrong = problem(tags, scheme)
        assert (wrong is None) == (tags_of(entities(tags, scheme), len(tags), scheme) == tags), tags
        counts[wrong is None] += 1
        if wrong is not None:
            begins = [before for before in tags[: wrong[0]] if before[0] in "BI"]
            assert not problem([*tags[: wrong[0]]], scheme) or begins, tags  # it may only be left open
    assert min(counts) > 100


@pytest.mark.parametrize(
    ("scheme", "tags", "number", "why"),
    [
        ("iob2", ["O", "I-X"], 1, "is not in an entity of the type X that has begun"),
        ("iob2", ["B-X", "I-Y"], 1, "is not in an entity of the type Y"),
        ("iob1", ["B-X"], 0, "is not just behind an entity of the type X"),
        ("iob1", ["I-Y", "B-X"], 1, "is not just behind an entity of the type X"),
        ("iobes", ["B-X", "O"], 0, "does not go on"),
        ("iobes", ["S-X", "E-X"], 1, "is not in an entity"),
        ("bilou", ["B-X", "I-X"], 1, "does not go on"),
        ("bilou", ["B-X", "E-X"], 1, "is no tag of BILOU"),
        ("iob2", ["PER"], 0, "is no tag of IOB2"),
    ],
)
def test_a_broken_tag_is_named(scheme: Scheme, tags: list[str], number: int, why: str) -> None:
    """By its place, with the reason."""
    found = problem(tags, scheme)
    assert found is not None
    assert found[0] == number
    assert why in found[1]


def test_plain_tags_stand_for_themselves() -> None:
    """Each word that is not `O` is an entity of its own."""
    tags = ["NN", "NN", "O", "VB"]
    assert problem(tags, "plain") is None
    assert entities(tags, "plain") == [Entity(0, 1, "NN"), Entity(1, 2, "NN"), Entity(3, 4, "VB")]
    assert tags_of(entities(tags, "plain"), 4, "plain") == tags


def test_labels_tell_their_scheme() -> None:
    """All labels of a scheme, of types with a dash, and those without a type; IOB1 only where there is no `B-`."""
    for scheme in ("iob2", "iobes", "bilou"):
        labels = labels_of(("a-b", "X"), scheme)  # type: ignore[arg-type]
        assert scheme_of_labels(labels) == scheme
        assert types_of(labels, scheme) == {"a-b", "X"}  # type: ignore[arg-type]
    assert scheme_of_labels(("O", "I-X")) == "iob1"
    assert scheme_of_labels(("O", "B", "I")) == "iob2"
    assert scheme_of_labels(("NN", "VB", "O")) == scheme_of_labels(("LABEL_0", "LABEL_1")) == "plain"
    assert labels_of(("X", "A"), "iob2") == ("O", "B-A", "I-A", "B-X", "I-X")
