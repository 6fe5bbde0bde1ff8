# SPDX-License-Identifier: Apache-2.0
"""Entities written as a tag for each word: the schemes, which one tags are in, and from tags to entities and back.

    words      Ann    met    Bob    Lee    in     New    York
    iob1       I-PER  O      I-PER  I-PER  O      I-LOC  I-LOC    B- only just behind an entity of the type
    iob2       B-PER  O      B-PER  I-PER  O      B-LOC  I-LOC
    iobes      S-PER  O      B-PER  E-PER  O      B-LOC  E-LOC
    bilou      U-PER  O      B-PER  L-PER  O      B-LOC  L-LOC
    plain      PER    O      PER    PER    O      LOC    LOC      each word by itself

IOB1 and IOB2 are those of the CoNLL shared tasks (Tjong Kim Sang and Veenstra, 1999, call them so).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Scheme = Literal["iob1", "iob2", "iobes", "bilou", "plain"]
OUTSIDE = "O"
NO_TYPE = "_"  # the type of tags such as a bare `B`
_TAG = re.compile(r"([BIESLU])(?:-(.+))?", re.DOTALL)
_LETTERS: dict[Scheme, str] = {"iob1": "BI", "iob2": "BI", "iobes": "BIES", "bilou": "BILU", "plain": ""}
_AS_IOBES = {"L": "E", "U": "S"}


class Entity(NamedTuple):
    """The words from `begin` to before `end`, and what they are."""

    begin: int
    end: int
    label: str


class _Tag(NamedTuple):
    """A tag in two parts, the letter as IOBES has it; outside of entities both are "O" and ""."""

    letter: str
    label: str


_OUTSIDE = _Tag(OUTSIDE, "")


def is_entity_tag(tag: str) -> bool:
    """Whether a tag says with its letter where in an entity a word stands."""
    return _TAG.fullmatch(tag) is not None


def letters(tags: Iterable[str]) -> set[str]:
    """The letters of those of the tags that are in entities."""
    return {match[1] for tag in tags if (match := _TAG.fullmatch(tag))}


def scheme_of_labels(labels: Iterable[str]) -> Scheme:
    """The scheme that a model's labels are of; labels alone do not tell IOB1 with `B-` from IOB2."""
    labels = [*labels]
    found = letters(labels)
    if any(tag != OUTSIDE and not is_entity_tag(tag) for tag in labels) or not found:
        return "plain"
    if found & set("LU"):
        return "bilou"
    if found & set("ES"):
        return "iobes"
    return "iob2" if "B" in found else "iob1"


def labels_of(types: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """All tags that entities of these types can have: `O`, then type by type; plain tags are their own, sorted."""
    if scheme == "plain":
        return tuple(sorted(types))
    each = (_joined(letter, label) for label in sorted(types) for letter in _LETTERS[scheme])
    return (OUTSIDE, *each)


def types_of(tags: Iterable[str], scheme: Scheme) -> set[str]:
    """The types of entities that tags name; plain tags are their own."""
    if scheme == "plain":
        return {*tags}
    return {tag.label for tag in map(_split, tags) if tag is not _OUTSIDE}


def problem(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """The first tag that the scheme does not allow where it stands, by number, and why; None where all are right."""
    if scheme == "plain":
        return None
    parts = [_OUTSIDE, *map(_split, tags), _OUTSIDE]
    for number, tag in enumerate(tags):
        match = _TAG.fullmatch(tag)
        if tag != OUTSIDE and (match is None or match[1] not in _LETTERS[scheme]):
            return number, f"is no tag of {scheme.upper()}"
        before, one, after = parts[number : number + 3]
        inside = _continues(before, one)
        if scheme == "iob1" and one.letter == "B" and not (before.letter in "BI" and before.label == one.label):
            return number, f"is not just behind an entity of the type {one.label}"
        if scheme != "iob1" and one.letter in "IE" and not inside:
            return number, f"is not in an entity of the type {one.label} that has begun"
        if scheme in ("iobes", "bilou") and one.letter in "BI" and not _continues(one, after):
            return number, "begins or continues an entity that does not go on"
    return None


def entities(tags: Sequence[str], scheme: Scheme) -> list[Entity]:
    """The entities that tags mean, broken ones too, by the rules of `conlleval`.

    A word belongs to the entity of the word before it if both have the same type, that one has `B` or `I` and this one
    `I` or `E`. Plain tags other than `O` are an entity a word, as with its option `-r`. (The script is older than
    IOBES: it knows no `S`, and lets a `B` behind an `E` of its type go on. What came after it does as here.)
    """
    if scheme == "plain":
        return [Entity(number, number + 1, tag) for number, tag in enumerate(tags) if tag != OUTSIDE]
    found, begin = list[Entity](), 0
    parts = [_OUTSIDE, *map(_split, tags), _OUTSIDE]
    for number in range(len(parts) - 1):
        before, one = parts[number : number + 2]
        if not _continues(before, one):
            if before is not _OUTSIDE:
                found.append(Entity(begin, number, before.label))
            begin = number
    return found


def strict_entities(tags: Sequence[str], scheme: Scheme) -> list[Entity]:
    """Those entities that are written as the scheme asks, as `seqeval` finds them with `mode="strict"`.

    One of IOB2 begins with `B`; one of IOBES is `S`, or begins with `B` and ends with `E`. In IOB1 an `I` that does not
    continue begins one; `B` does only just behind an entity of its type.
    """
    if scheme == "plain":
        return entities(tags, scheme)
    parts = [_OUTSIDE, *map(_split, tags), _OUTSIDE]
    found, number = list[Entity](), 1
    while number < len(parts):
        begin = number
        number += 1
        if not _begins(parts[begin - 1], parts[begin], scheme):
            continue
        while _continues(parts[number - 1], parts[number]):
            number += 1
        if _ends(parts[number - 1], parts[number], scheme):
            found.append(Entity(begin - 1, number - 1, parts[begin].label))
    return found


def tags_of(found: Iterable[Entity], length: int, scheme: Scheme) -> list[str]:
    """The tags of so many words with these entities, which do not overlap, in their order."""
    tags = [OUTSIDE] * length
    before = Entity(0, 0, "")
    for one in found:
        inside = ["I"] * (one.end - one.begin)
        if scheme in ("iobes", "bilou"):
            inside[0], inside[-1] = "B", "E"
            inside = ["S"] if len(inside) == 1 else inside
        elif scheme == "iob2" or (before.end == one.begin and before.label == one.label):
            inside[0] = "B"
        if scheme == "bilou":
            inside = [{"E": "L", "S": "U"}.get(letter, letter) for letter in inside]
        plain = [one.label] * len(inside)
        tags[one.begin : one.end] = plain if scheme == "plain" else [_joined(letter, one.label) for letter in inside]
        before = one
    return tags


def _split(tag: str) -> _Tag:
    match = _TAG.fullmatch(tag)
    return _Tag(_AS_IOBES.get(match[1], match[1]), match[2] or NO_TYPE) if match else _OUTSIDE


def _joined(letter: str, label: str) -> str:
    return letter if label == NO_TYPE else f"{letter}-{label}"


def _continues(before: _Tag, one: _Tag) -> bool:
    return before.letter in "BI" and one.letter in "IE" and before.label == one.label


def _begins(before: _Tag, one: _Tag, scheme: Scheme) -> bool:
    if scheme != "iob1":
        return one.letter in "BS"
    behind = before.letter in "BI" and before.label == one.label
    return (one.letter == "I" and (before.letter != "I" or not behind)) or (one.letter == "B" and behind)


def _ends(last: _Tag, after: _Tag, scheme: Scheme) -> bool:
    """Whether what does not go on is whole; that of IOB1 is not where a `B` of another type follows a `B`."""
    if scheme == "iob1":
        return not (last.letter == "B" and after.letter == "B" and last.label != after.label)
    return scheme == "iob2" or last.letter in "ES"
