# SPDX-License-Identifier: Apache-2.0
"""Sentences and sentence pairs as tokens in memory, read by number like the records of a file."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from jaxbert.console import say
from jaxbert.datasets.building import in_chunks
from jaxbert.datasets.checks import Bounds, Check
from jaxbert.datasets.classification import Recipe
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.features.counts import TextCounts
from jaxbert.io.files import processes
from jaxbert.text.tokenizer import open_tokenizer

_CHUNK = 1000  # examples; handed to a worker at once
_WORTH_WORKERS = 50_000  # examples; below, one core is done before others have helped much


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Sequences without their padding: 5 bytes a token.

    Attributes:
        tokens: ids of all tokens, one sequence after the other, int32.
        types: 0 or 1 for the first and the second text, int8.
        lengths: tokens of each sequence [n], int64.
    """

    tokens: np.ndarray
    types: np.ndarray
    lengths: np.ndarray

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the sequences with these numbers [n]: ids, mask and segments [n, S], S that of the longest."""
        return padded({"input_ids": self.tokens, "segment_ids": self.types}, self.lengths, numbers)


def padded(flat: Mapping[str, np.ndarray], lengths: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """What is stored of all sequences, whose `lengths` are [m], one after the other, for those with these numbers [n].

    Returns:
        int64 [n, S], S the length of the longest of all, 0 behind the end of each; and their `input_mask`.
    """
    starts, own = np.cumsum(lengths) - lengths, lengths[numbers]
    mask = np.arange(lengths.max()) < own[:, None]
    before = np.cumsum(own) - own  # tokens of the sequences that come first in what is asked for
    tokens = np.repeat(starts[numbers] - before, own) + np.arange(own.sum())
    arrays = {"input_mask": mask.astype(np.int64)}
    for name, values in flat.items():
        arrays[name] = np.zeros(mask.shape, np.int64)
        arrays[name][mask] = values[tokens]
    return arrays


class TextExamples:
    """The examples of one set.

    Attributes:
        lengths: tokens of each of m sequences, int64: of each example, or where long ones are read in windows of each
            of these.
        firsts: the number of the first sequence of each example [n], int64.
        whole_lengths: tokens of each example [n], int64; more than are in its sequence where it is cut.
        labels: of each example [n], int64 or float32; or 1 and 0 for each class [n, C], int64.
        pairs: whether there is an example with a second text.
        ids: what tells each example apart in its file.

    Raises:
        InputError: wrong data; an example that is too long, or a pair, where the model takes neither.
    """

    def __init__(self, examples: Iterable[TextExample], recipe: Recipe, bounds: Bounds, workers: int) -> None:
        self.ids: list[str] = []
        self.pairs = False
        workers = processes(workers, [recipe.vocab_file])
        make = functools.partial(_Tokenize, recipe, bounds)
        found = list(in_chunks(self._noted(examples), make, workers, _CHUNK, _WORTH_WORKERS))
        if not found:
            raise InputError("there are no examples", "give a file with at least one")
        parts, counts = zip(*found, strict=True)
        *arrays, self._labels, whole_lengths, counted = map(np.concatenate, zip(*parts, strict=True))
        self._sequences = Sequences(*arrays)
        self.lengths = self._sequences.lengths
        self.firsts = np.cumsum(counted) - counted
        self.labels, self.whole_lengths = self._labels[self.firsts], whole_lengths[self.firsts]
        for note in sum(counts, TextCounts()).notes("", recipe.max_seq_length):
            say(note)

    def __len__(self) -> int:
        return len(self.firsts)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the sequences with these numbers [n]: ids, mask and segments [n, S], labels [n]."""
        return self._sequences.read(numbers) | {"label_ids": self._labels[numbers]}

    @property
    def checksums(self) -> dict[str, str]:
        """One, of all that can be learnt from the examples."""
        found, sequences = hashlib.sha256(), self._sequences
        for array in (sequences.tokens, sequences.types, self.lengths, self.firsts, self._labels):
            found.update(array.tobytes())
        return {"": found.hexdigest()}

    def _noted(self, examples: Iterable[TextExample]) -> Iterator[TextExample]:
        for example in examples:
            self.ids.append(example.id)
            self.pairs |= example.text_b is not None
            yield example


class _Tokenize:
    """Examples -> tokens and types of their sequences one after the other, how many each has, its label, and how many
    its example has; how many sequences each example has; and counts.
    """

    def __init__(self, recipe: Recipe, bounds: Bounds) -> None:
        self._tokenizer = open_tokenizer(recipe.vocab_file, recipe.rules)
        self._recipe, self._bounds = recipe, bounds
        self._label_ids = label_ids(recipe.labels)

    def __call__(self, examples: list[TextExample]) -> tuple[tuple[np.ndarray, ...], TextCounts]:
        recipe = self._recipe
        features, counts = convert(
            examples, self._tokenizer, recipe.max_seq_length, self._label_ids, recipe.is_multi_label, recipe.doc_stride
        )
        texts = features["texts"]
        Check(lambda index: f"example `{examples[texts[index]].id}`").sequences(features, self._bounds)
        mask = features["input_mask"] != 0
        tokens, types = features["input_ids"][mask], features["segment_ids"][mask]
        lengths = np.count_nonzero(mask, axis=1)
        counted = np.bincount(texts, minlength=len(examples))
        parts = (features[name] for name in ("label_ids", "whole_lengths"))
        return (tokens.astype(np.int32), types.astype(np.int8), lengths, *parts, counted), counts
