# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and F1 of entities, as `conlleval` and `seqeval` count them, and how many tags are right."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence

from jaxbert.examples.tag_schemes import Entity, Scheme, entities, strict_entities


@dataclasses.dataclass
class Counts:
    """Of entities: how many there are, how many were found, and how many of these are right."""

    gold: int = 0
    found: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """The share of what was found that is right; 0 where nothing was found."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """The share of what there is that was found; 0 where there is nothing."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where they are."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def count_entities(
    gold: Iterable[Sequence[str]],
    predicted: Iterable[Sequence[str]],
    scheme: Scheme,
    find: Callable[[Sequence[str], Scheme], list[Entity]] = entities,
) -> dict[str, Counts]:
    """Counts by type, sorted by its name. An entity is right where its type and both its ends are.

    Args:
        gold: tags of each sentence.
        predicted: the same as predicted, which may break the scheme.
        scheme: of both.
        find: tags -> entities; `entities` counts as `conlleval` does, `strict_entities` as `seqeval` in strict mode.
    """
    counts = collections.defaultdict[str, Counts](Counts)
    for right_tags, tags in zip(gold, predicted, strict=True):
        right, found = set(find(right_tags, scheme)), set(find(tags, scheme))
        for one in right:
            counts[one.label].gold += 1
        for one in found:
            counts[one.label].found += 1
            counts[one.label].right += one in right
    return dict(sorted(counts.items()))


def together(counts: Iterable[Counts]) -> Counts:
    """The sums, from which the averages over all types come (micro-averages)."""
    each = list(counts)
    return Counts(sum(one.gold for one in each), sum(one.found for one in each), sum(one.right for one in each))


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scheme: Scheme) -> dict[str, float]:
    """What is reported of tags, `f1` first.

    Returns:
        `f1`, `precision` and `recall` of all entities as `conlleval` counts them; `accuracy` of tags; the first three
        with `strict_` in front for entities whose tags are as the scheme asks; and with `_TYPE` behind for each type.
    """
    by_type = count_entities(gold, predicted, scheme)
    pairs = [pair for rows in zip(gold, predicted, strict=True) for pair in zip(*rows, strict=True)]
    right = sum(one == other for one, other in pairs)
    results = _named(together(by_type.values())) | {"accuracy": right / len(pairs) if pairs else 0.0}
    strict = together(count_entities(gold, predicted, scheme, strict_entities).values())
    results |= {f"strict_{name}": value for name, value in _named(strict).items()}
    for label, counts in by_type.items():
        results |= {f"{name}_{label}": value for name, value in _named(counts).items()}
    return results


def _named(counts: Counts) -> dict[str, float]:
    return {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}
