# SPDX-License-Identifier: Apache-2.0
"""When two names are of one class: in another spelling, or where names only count."""

import re
from collections.abc import Collection, Mapping, Sequence

from jaxbert.console import say_once

_COUNTING = ("LABEL_", "")  # in front of the number of a class without a name: as transformers writes it, or nothing


def keys(names: Sequence[str]) -> list[str]:
    """The names without what does not tell classes apart (letter case, `_`, blanks, inner `-`), unless here it does."""
    found = [re.sub(r"[_\s]|(?<=\w)-", "", name.lower()) for name in names]
    return found if len(set(found)) == len(found) else [*names]


def counted(names: Collection[str]) -> Mapping[str, int]:
    """Name -> number, from 0 on, where all of them only count; else empty."""
    for prefix in _COUNTING:
        numbers = {f"{prefix}{number}": number for number in range(len(names))}
        if numbers.keys() == set(names):
            return numbers
    return {}


def by_number(names: Sequence[str], labels: Sequence[str]) -> Sequence[str]:
    """The labels of data, as many as a model has names, in the order of the names: by their numbers, or as they come.

    Empty where neither side only counts.
    """
    if len(names) != len(labels):
        return ()
    if numbers := counted(labels):
        return sorted(labels, key=numbers.__getitem__)
    return labels if [*counted(names)] == [*names] else ()


def say_counted(names: Sequence[str], labels: Sequence[str]) -> None:
    """Tell that these labels of the data are those classes of the model."""
    say_once(f"classes go by their numbers: {', '.join(names)} of the model are {', '.join(labels)} of the data")


def spellings(names: Sequence[str], labels: Sequence[str]) -> Mapping[str, str]:
    """Label of the data -> name of a model's class, by its spelling or its number; empty where they are the same.

    Labels come in the order of training; some may be missing. Empty, too, where they are of other classes, or only some
    of them are names: of the model's 0 and 1, the data's 1 and 2 may be the one or the other.
    """
    if not labels or set(labels) <= set(names):
        return {}
    wanted = dict(zip(keys(names), names, strict=True))
    found = dict(zip(labels, keys([*labels]), strict=True))
    if set(found.values()) <= wanted.keys():
        return {label: wanted[key] for label, key in found.items()}
    if set(labels) & set(names):
        return {}
    if ordered := by_number(names, labels):
        return dict(zip(ordered, names, strict=True))
    if [*counted(names)] == [*names]:
        for prefix in _COUNTING:
            numbered = {f"{prefix}{number}": name for number, name in enumerate(names)}
            if set(labels) <= numbered.keys():
                return {label: numbered[label] for label in labels}
    return {}
