# SPDX-License-Identifier: Apache-2.0
"""One shard of text -> one file of pretraining records beside a report; the same bytes wherever it is made."""

import contextlib
import dataclasses
import functools
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.corpus import Format, Shard, read_documents
from jaxbert.features.masking_rules import Masking, mask_vocab
from jaxbert.features.pairs import TokenizedText
from jaxbert.features.pretraining import Instances, PairRecipe, features, make_instances, tokenize
from jaxbert.files import exists, open_input, read_text, whole_file, write_text
from jaxbert.records.example_proto import encode
from jaxbert.records.schema import pretraining_schema
from jaxbert.records.tfrecord import frame
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab

_BLOCK_TOKENS = 1 << 17  # positions of the records that are laid out at once


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of the records of a shard, its text aside.

    Attributes:
        vocab_file: path of `vocab.txt`.
        do_lower_case: whether text is lower-cased and loses its accents.
        form: how the text is written.
        pairs: how pairs are made.
        masking: how tokens are masked; None for records that hold whole pairs.
        outputs: number of files that the records go to in turn.
        gzip_compress: whether these files are compressed.
        v2_names: whether ids and segments have the newer names.
    """

    vocab_file: str
    do_lower_case: bool
    form: Format
    pairs: PairRecipe
    masking: Masking | None
    outputs: int = 1
    gzip_compress: bool = False
    v2_names: bool = False


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was read and made; counts of several shards add up."""

    text_bytes: int = 0
    wrong_bytes: int = 0
    documents: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown: int = 0
    instances: int = 0
    instance_tokens: int = 0
    short: int = 0
    random_next: int = 0
    masked: int = 0
    lone_documents: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What a shard file holds: the bytes for each output in turn, and what they were made from."""

    number: int
    sizes: tuple[int, ...]
    counts: Counts


def write_shard(shard: Shard, recipe: Recipe, folder: str) -> ShardReport:
    """Make the records of a shard: first its file, then its report, so that where the report is, all is.

    Raises:
        InputError: wrong input; the file cannot be written.
    """
    tokenizer = _tokenizer(recipe)
    documents, wrong_bytes = read_documents(shard, recipe.form, join_files=recipe.pairs.same_draws)
    text = tokenize(documents, tokenizer)
    vocab = mask_vocab(tokenizer.vocab)
    instances = make_instances(text, recipe.pairs, shard.number, recipe.masking, vocab)
    sizes, masked = [], 0
    with whole_file(_records_path(folder, shard.number)) as file:
        for output in range(recipe.outputs):
            start = file.tell()
            with _compressed(file) if recipe.gzip_compress else contextlib.nullcontext(file) as sink:
                for block in _blocks(instances, output, recipe):
                    arrays = features(block, text, recipe.pairs.max_seq_length, recipe.masking, vocab)
                    masked += int(arrays["masked_lm_weights"].sum()) if recipe.masking else 0
                    sink.write(_frames(arrays, recipe))
            sizes.append(file.tell() - start)
    counts = _counts(text, instances, tokenizer.vocab.unk)
    counts = dataclasses.replace(counts, text_bytes=len(shard), wrong_bytes=wrong_bytes, masked=masked)
    report = ShardReport(shard.number, tuple(sizes), counts)
    write_text(_report_path(folder, shard.number), json.dumps(dataclasses.asdict(report)) + "\n")
    return report


def finished_shard(folder: str, number: int) -> ShardReport | None:
    """The report of a shard that was made before."""
    if not exists(_report_path(folder, number)):
        return None
    report = json.loads(read_text(_report_path(folder, number)))
    return ShardReport(report["number"], tuple(report["sizes"]), Counts(**report["counts"]))


def write_output(number: int, paths: Sequence[str], reports: Sequence[ShardReport], folder: str) -> None:
    """Put one of the outputs together: of every shard the part whose turn it is, so that records go round over all."""
    before = 0  # instances in earlier shards
    with whole_file(paths[number]) as target:
        for report in reports:
            turn = (number - before) % len(report.sizes)
            with open_input(_records_path(folder, report.number)) as source:
                source.seek(sum(report.sizes[:turn]))
                _copy(source, target, report.sizes[turn])
            before += report.counts.instances


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        chunk = source.read(min(size, 1 << 20))
        if not chunk:
            raise InputError("a shard file is shorter than its report says", "remove its folder and start again")
        target.write(chunk)
        size -= len(chunk)


def _records_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number:06}.records")


def _report_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number:06}.json")


@functools.lru_cache(maxsize=1)
def _tokenizer(recipe: Recipe) -> Tokenizer:
    """One for all the shards of a process, whose memory then serves them all."""
    return Tokenizer(read_vocab(recipe.vocab_file), recipe.do_lower_case)


@contextlib.contextmanager
def _compressed(file: BinaryIO) -> Iterator[BinaryIO]:
    """A gzip member of its own; members one after the other are a gzip file again."""
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as sink:
        yield sink  # type: ignore[misc]  # it has the `write` that is used


def _blocks(instances: Instances, output: int, recipe: Recipe) -> Iterator[Instances]:
    """The instances that go to one output, some at a time."""
    numbers = np.arange(output, len(instances), recipe.outputs)
    step = max(1, _BLOCK_TOKENS // recipe.pairs.max_seq_length)
    for first in range(0, len(numbers), step):
        yield instances.take(numbers[first : first + step])


def _frames(arrays: dict[str, np.ndarray], recipe: Recipe) -> bytes:
    predictions = recipe.masking.max_predictions if recipe.masking else None
    schema = pretraining_schema(recipe.pairs.max_seq_length, predictions, v2_names=recipe.v2_names)
    if recipe.v2_names:
        arrays = arrays | {"input_word_ids": arrays["input_ids"], "input_type_ids": arrays["segment_ids"]}
    return b"".join(map(frame, encode(arrays, schema)))


def _counts(text: TokenizedText, instances: Instances, unk: int) -> Counts:
    """All but what is counted while reading and writing."""
    a_start, a_end, b_start, b_end, is_random, is_short = instances.pairs.sum(axis=0).tolist()
    return Counts(
        documents=len(text.documents),
        sentences=len(text.sentences) - 1,
        tokens=len(text.ids),
        unknown=int(np.count_nonzero(text.ids == unk)),
        instances=len(instances),
        instance_tokens=a_end - a_start + b_end - b_start + 3 * len(instances),
        short=is_short,
        random_next=is_random,
        lone_documents=int(len(text.documents) == 1),
    )
