# SPDX-License-Identifier: Apache-2.0
"""Sentences with tags as windows of tokens in memory, read by number like the records of a file."""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from jaxbert.datasets.in_memory import padded
from jaxbert.errors import InputError
from jaxbert.examples.tag_schemes import Scheme, entities, tags_of
from jaxbert.examples.tagged import Sentence, TaggedFile
from jaxbert.features.tagging import word_windows
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import Context, TaggingMetaData

Value = TypeVar("Value")


class TaggedWindows:
    """The windows of one set.

    Attributes:
        sentences: in their order.
        tags: number of the tag of each word of all sentences [W], int64; 0 where tags were not asked for.
        lengths: tokens of each window [n], int64.
        counts: of sentences, or documents, and their tokens.
    """

    def __init__(
        self, sentences: Sequence[Sentence], tags: np.ndarray, tokenizer: Tokenizer, meta: TaggingMetaData
    ) -> None:
        self.sentences, self.tags = sentences, tags
        made = word_windows(_texts(sentences, meta.context), tokenizer, meta.max_seq_length)
        self.lengths, self.counts = made.lengths, made.counts
        of_word = np.concatenate([np.zeros(1, np.int64), tags])
        self._flat = {"input_ids": made.ids, "words": made.words, "tag_ids": of_word[made.words].astype(np.int32)}

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def checksum(self) -> str:
        """Of all that is learnt from."""
        digest = hashlib.sha256()
        for array in (self.lengths, *self._flat.values()):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the windows with these numbers [n], int64 [n, S]; S is the length of the longest one.

        `input_ids`, `input_mask` and `segment_ids` as of a classifier; `words`: the number from 1 of the word whose tag
        a token asks for, 0 for none; `tag_ids`: that tag.
        """
        features = padded(self._flat, self.lengths, numbers)
        return features | {"segment_ids": np.zeros_like(features["input_ids"])}

    def by_sentence(self, values: Sequence[Value]) -> list[list[Value]]:
        """Values of all words, sentence by sentence."""
        each = iter(values)
        return [list(itertools.islice(each, len(sentence.words))) for sentence in self.sentences]


def tag_numbers(file: TaggedFile, meta: TaggingMetaData) -> np.ndarray:
    """The numbers of the tags of all words in a file [W], int64, in the scheme of the model.

    Raises:
        InputError: tags of another kind than those of the model, or that it does not know.
    """
    assert file.scheme is not None  # the tags were read
    ids = {tag: number for number, tag in enumerate(meta.label_list)}
    if (file.scheme == "plain") != (meta.scheme == "plain"):
        kinds = {True: "plain tags", False: "tags of entities"}
        raise InputError(
            f"`{file.path}` has {kinds[file.scheme == 'plain']}, the model {kinds[meta.scheme == 'plain']}:"
            f" {', '.join(meta.label_list[:8])}",
            "give data with the tags of the model, or train one; `--scheme` says what the tags are",
        )
    found = []
    for sentence in file.sentences:
        tags = in_scheme(sentence.tags, file.scheme, meta.scheme)
        for number, tag in enumerate(tags):
            if tag not in ids:
                raise InputError(
                    f"{file.place(sentence, number)}: the model has no tag `{tag}`",
                    f"its tags are {', '.join(meta.label_list)}",
                )
            found.append(ids[tag])
    return np.array(found, np.int64)


def in_scheme(tags: Sequence[str], scheme: Scheme, wanted: Scheme) -> Sequence[str]:
    """Tags of one scheme in another, which means the same entities."""
    return tags if scheme == wanted else tags_of(entities(tags, scheme), len(tags), wanted)


def _texts(sentences: Sequence[Sentence], context: Context) -> Iterator[Sequence[str]]:
    """The words that are read together."""
    if context == "sentence":
        yield from (sentence.words for sentence in sentences)
        return
    for _, group in itertools.groupby(sentences, key=lambda sentence: sentence.document):
        yield [word for sentence in group for word in sentence.words]
