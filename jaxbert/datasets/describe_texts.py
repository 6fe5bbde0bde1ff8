# SPDX-License-Identifier: Apache-2.0
"""What is in a table of texts before a model is trained on it: classes, lengths, empty texts, texts that come twice."""

import collections
import dataclasses
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.features.counts import unknown_note
from jaxbert.text.tokenizer import Tokenizer

_SHOWN = 20  # classes
_CHUNK = 1000  # texts that are tokenized together
_FEW = 3  # characters; what has fewer says next to nothing


@dataclasses.dataclass(frozen=True)
class Looked:
    """What is counted of a set.

    Attributes:
        labels: of each text that differs from those before, by its digest.
        sizes: tokens of each example with special ones, or words without a tokenizer [n], int64.
        classes: how many examples have each label.
        empty: examples with a text without anything but white space.
        short: those whose texts have fewer than 3 characters together, empty ones aside.
        again: examples whose texts came before in the same set.
        contradicting: those of them whose label is another one than at first.
        unknown: tokens that are [UNK].
        are_numbers: labels are numbers, which are equal in whatever form they are written.
    """

    labels: dict[bytes, str]
    sizes: np.ndarray
    classes: "collections.Counter[str]"
    empty: int
    short: int
    again: int
    contradicting: int
    unknown: int
    are_numbers: bool = False


def try_describe_texts(
    path: str,
    eval_path: str | None,
    names: ColumnNames | None,
    tokenizer: Tokenizer | None,
    max_seq_length: int,
    is_asked: bool,
) -> list[str]:
    """As `describe_texts`; where nobody asked for it, columns that cannot be read so are a line, and None has none."""
    if names is None:
        if is_asked:
            raise InputError(f"no column of `{path}` has a usual name", "give `--text_a_column`")
        return []
    try:
        return [*describe_texts(path, eval_path, names, tokenizer, max_seq_length)]
    except InputError as error:
        if is_asked:
            raise
        return [line_of("texts", f"not looked at: {error.message}")]


def describe_texts(
    path: str, eval_path: str | None, names: ColumnNames, tokenizer: Tokenizer | None, max_seq_length: int
) -> Iterator[str]:
    """Lines on the texts of a table, and on those that the table to evaluate on has as well.

    Args:
        path: of the table to train on.
        eval_path: of the table to evaluate on, with the same columns; None for none.
        names: the columns; without a label there are no classes.
        tokenizer: counts tokens; None: words are counted.
        max_seq_length: what is longer would be cut.

    Raises:
        InputError: a column that is not there, or holds no text.
    """
    are_numbers = bool(names.label) and _has_numbers(path, names.label)
    train = _look(path, names, tokenizer, are_numbers)
    yield from _of_set(train, tokenizer is not None, max_seq_length)
    if eval_path is not None:
        yield f"{eval_path}:"
        held_out = _look(eval_path, names, tokenizer, are_numbers)
        yield from _of_set(held_out, tokenizer is not None, max_seq_length)
        yield from of_both(train, held_out, path)


def of_both(train: Looked, held_out: Looked, path: str) -> Iterator[str]:
    """What the set to evaluate on has of the one to train on, which is at `path`, and what only it has."""
    both = held_out.labels.keys() & train.labels.keys()
    other = sum(held_out.labels[key] != train.labels[key] for key in both)
    yield line_of(
        "in both",
        f"{counted(len(both), 'different text is', 'different texts are')} in both files"
        + (f", {other:,} with another label" if other else ""),
    )
    if not train.are_numbers and (new := held_out.classes.keys() - train.classes.keys()):
        yield line_of("new classes", f"{', '.join(f'`{name}`' for name in sorted(new)[:_SHOWN])} are not in `{path}`")


def _look(path: str, names: ColumnNames, tokenizer: Tokenizer | None, are_numbers: bool) -> Looked:
    texts = _read(path, ColumnNames(names.text_a, names.text_b))
    labels = _labels(path, names.label) if names.label else itertools.repeat("")
    if are_numbers:
        labels = (label if (number := _number(label)) is None else f"{number:g}" for label in labels)
    first, classes = dict[bytes, str](), collections.Counter[str]()
    sizes = [np.zeros(0, np.int64)]
    empty = short = again = contradicting = unknown = 0
    count = _tokens(tokenizer) if tokenizer else _words
    while chunk := [*zip(itertools.islice(texts, _CHUNK), labels, strict=False)]:
        for pair, label in chunk:
            classes[label] += 1
            joined = "".join(pair).strip()
            is_empty = not pair[0].strip() or bool(names.text_b and not pair[1].strip())
            empty += is_empty
            short += not is_empty and len(joined) < _FEW
            key = hashlib.blake2b("\0".join(pair).encode(errors="surrogatepass"), digest_size=16).digest()
            again += key in first
            contradicting += first.setdefault(key, label) != label
        found, unk = count([pair for pair, _ in chunk])
        sizes.append(found)
        unknown += unk
    return Looked(first, np.concatenate(sizes), classes, empty, short, again, contradicting, unknown, are_numbers)


def _labels(path: str, name: str) -> Iterator[str]:
    return (label for label, _ in _read(path, ColumnNames(name)))


def _has_numbers(path: str, name: str) -> bool:
    """Whether a column of labels has numbers, of which one at least is not whole; whole ones alone name classes."""
    found = [_number(label) for label in set(_labels(path, name))]
    return all(number is not None for number in found) and any(number % 1 for number in found if number is not None)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read(path: str, names: ColumnNames) -> Iterator[tuple[str, str]]:
    """The texts in one column or two, as they are."""
    split = table_dataset("", "", path, names, labels=("any",)).test[""]
    return ((example.text_a, example.text_b or "") for example in split())


Count = Callable[[list[tuple[str, str]]], tuple[np.ndarray, int]]
"""Pairs of texts, "" for no second one -> the size of each, int64, and how many tokens are [UNK]."""


def _words(pairs: list[tuple[str, str]]) -> tuple[np.ndarray, int]:
    return np.array([len(a.split()) + len(b.split()) for a, b in pairs], np.int64), 0


def _tokens(tokenizer: Tokenizer) -> Count:
    def count(pairs: list[tuple[str, str]]) -> tuple[np.ndarray, int]:
        (first, sizes), (second, others) = (tokenizer.batch_ids(list(texts)) for texts in zip(*pairs, strict=True))
        unknown = sum(int(np.count_nonzero(ids == tokenizer.vocab.unk)) for ids in (first, second))
        return sizes + others + 2 + (others > 0), unknown

    return count


def _of_set(found: Looked, are_tokens: bool, max_seq_length: int) -> Iterator[str]:
    cut = int(np.count_nonzero(found.sizes > max_seq_length))
    share = f"{cut:,} ({cut / len(found.sizes):.1%})" if are_tokens else ""
    longer = f"{share} are longer than {max_seq_length} and would be cut" if are_tokens else ""
    yield from of_set(found, "tokens" if are_tokens else "words", longer)


def of_set(found: Looked, unit: str, longer: str) -> Iterator[str]:
    """The lines of a set: how many examples and classes, sizes in this unit and how many are too long, duplicates."""
    notes = [
        f"{found.empty:,} empty" if found.empty else "",
        f"{found.short:,} of 1 or 2 characters" if found.short else "",
    ]
    yield line_of("texts", ", ".join(filter(None, [f"{counted(len(found.sizes), 'example')}", *notes])))
    numbers = [number for label in found.classes if found.are_numbers and (number := _number(label)) is not None]
    if numbers:
        others = [f"`{label}`" for label in sorted(found.classes) if _number(label) is None]
        but = f", but {', '.join(others[:_SHOWN])}" if others else ""
        yield line_of("labels", f"numbers from {min(numbers):g} to {max(numbers):g}{but}: `--regression`")
    elif "" not in found.classes or len(found.classes) > 1:
        told = [
            f"`{name}` {count:,}" for name, count in sorted(found.classes.items(), key=lambda one: (-one[1], one[0]))
        ]
        rest = f" and {len(told) - _SHOWN:,} further ones" if len(told) > _SHOWN else ""
        yield line_of("labels", f"{', '.join(told[:_SHOWN])}{rest}")
    ends = f"{found.sizes.min():,} to {found.sizes.max():,} an example"
    middle, high = (round(float(value)) for value in np.percentile(found.sizes, (50, 95)))
    over = f"; {longer}" if longer else ""
    yield line_of(unit, f"{ends}, median {middle:,}, 95 % have up to {high:,}{over}")
    if note := unknown_note(found.unknown, int(found.sizes.sum())):
        yield line_of("unknown", note)
    if found.again:
        other = f", {found.contradicting:,} of them with another label" if found.contradicting else ""
        examples = counted(found.again, "example has", "examples have")
        yield line_of("duplicates", f"{examples} the texts of an earlier one{other}")


def line_of(name: str, text: str) -> str:
    """A line of what is told."""
    return f"{name:15} {text}"
