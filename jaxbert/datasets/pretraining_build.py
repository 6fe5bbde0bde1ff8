# SPDX-License-Identifier: Apache-2.0
"""Text -> pretraining records: one shard at a time, those that are missing, then all put together."""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import importlib
import json
import multiprocessing
import os
import shlex
import signal
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import numpy as np

from jaxbert.config.data import PretrainingDataFlags
from jaxbert.console import MEGABYTE, BytesReport, cores, progress_of_bytes, say
from jaxbert.datasets.workers import in_order
from jaxbert.errors import InputError, Interrupted
from jaxbert.examples.corpus import Format, Shard, read_documents, shards
from jaxbert.features.masking import Masking, mask_vocab
from jaxbert.features.pretraining import Instances, PairRecipe, TokenizedText, features, make_instances, tokenize
from jaxbert.io.files import (
    exists,
    expand,
    open_input,
    processes,
    read_bytes,
    read_json_object,
    read_text,
    remove,
    version,
    whole_file,
    write_text,
)
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import frame
from jaxbert.tfrecord.schema import pretraining_schema

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
    report = read_json_object(_report_path(folder, number), "the report of a finished shard")
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
    return Tokenizer(read_vocab(recipe.vocab_file), Rules(recipe.do_lower_case))


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


_NO_LIMIT = 1 << 62


@dataclasses.dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
        shards: of the corpus, in order.
        recipe: how records are made.
        outputs: the record files.
        folder: where shards are kept until all are there.
    """

    shards: tuple[Shard, ...]
    recipe: Recipe
    outputs: tuple[str, ...]
    folder: str

    def missing(self) -> list[Shard]:
        """The shards that are still to be made."""
        return [shard for shard in self.shards if finished_shard(self.folder, shard.number) is None]

    def paths(self) -> set[str]:
        """Of all that is read and written."""
        inputs = {part.path for shard in self.shards for part in shard.parts}
        return inputs | {self.recipe.vocab_file, self.folder}


def prepare(inputs: Sequence[str], recipe: Recipe, outputs: Sequence[str], shard_bytes: int) -> Work:
    """Cut the corpus, and open the folder for its shards: `<first output>.shards`.

    Raises:
        InputError: an input cannot be read; all are empty; the folder holds shards of other text or other settings.
    """
    size = _NO_LIMIT if recipe.pairs.same_draws else shard_bytes
    pieces = tuple(shards(inputs, recipe.form, size))
    if not pieces:
        raise InputError(f"there is no text in `{', '.join(inputs)}`", "the files are empty")
    work = Work(pieces, recipe, tuple(outputs), f"{outputs[0]}.shards")
    _agree_on_settings(work, _settings(inputs, recipe, size))
    return work


def make_shards(work: Work, workers: int, report: BytesReport) -> None:
    """Make the shards that are missing; when this is stopped, those under way are still finished."""
    total = sum(map(len, work.shards))
    missing = work.missing()
    done = total - sum(map(len, missing))
    report(done, total)
    start = functools.partial(_shard_writer, work.recipe, work.folder)
    workers = processes(max(1, min(workers, len(missing))), work.paths())
    for made in in_order(iter(missing), start, workers):
        done += made.counts.text_bytes
        report(done, total)


def write_outputs(work: Work) -> None:
    """Put the outputs together from the shards."""
    reports = finished(work)
    for number in range(len(work.outputs)):
        write_output(number, work.outputs, reports, work.folder)


def totals(work: Work) -> Counts:
    """What all shards hold together.

    Raises:
        InputError: not one record; the folder of shards is removed.
    """
    counts = sum((report.counts for report in finished(work)), Counts())
    if not counts.instances:
        remove_shards(work)
        raise InputError("there are no words in the text", "does `--input_format` fit the files?")
    return counts


def remove_shards(work: Work) -> None:
    """Remove the folder of shards, when the outputs are written."""
    remove(work.folder)


def finished(work: Work) -> list[ShardReport]:
    """The reports of all shards, in order; all must be there."""
    reports = [finished_shard(work.folder, shard.number) for shard in work.shards]
    return [report for report in reports if report is not None]


def _settings(inputs: Sequence[str], recipe: Recipe, size: int) -> str:
    """All that decides the shards, as JSON."""
    settings = {
        "inputs": [[path, version(path)] for path in inputs],
        "recipe": dataclasses.asdict(recipe),
        "vocab": hashlib.sha256(read_bytes(recipe.vocab_file)).hexdigest(),
        "shard_bytes": size,
    }
    return json.dumps(settings, indent=2) + "\n"


def _agree_on_settings(work: Work, settings: str) -> None:
    path = os.path.join(work.folder, "settings.json")
    if not exists(path):
        write_text(path, settings)
    elif read_text(path) != settings:
        raise InputError(
            f"`{work.folder}` holds shards of an interrupted run with other text or other flags",
            "run again with the same flags to finish it, or remove the folder to start anew",
        )


def _shard_writer(recipe: Recipe, folder: str) -> Callable[[Shard], ShardReport]:
    """What makes shards; in a worker, Ctrl-C is left to the first process, which lets shards under way be finished."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return functools.partial(write_shard, recipe=recipe, folder=folder)


def make_records(flags: PretrainingDataFlags) -> list[str]:
    """Make the shards that are missing, put the outputs together; lines that say what was made.

    Raises:
        InputError: wrong flags or text.
        Interrupted: a signal came; the shards under way are finished, and the same command continues.
    """
    outputs = flags.output_file.split(",")
    if len(set(outputs)) < len(outputs):
        raise InputError(f"`--output_file={flags.output_file}` names a file twice", "name them apart")
    recipe = _recipe(flags, len(outputs))
    work = prepare(expand(flags.input_file), recipe, outputs, flags.shard_mb * MEGABYTE)
    started, before = time.perf_counter(), len(work.shards) - len(work.missing())
    if before:
        say(f"{before} of {len(work.shards)} shards are there from an interrupted run; going on")
    if flags.runner:
        beam, options = _beam(), shlex.split(flags.beam_options)
        beam.make_shards(work, flags.runner, options)
        counts = totals(work)
        beam.write_outputs(work, flags.runner, options)
    else:
        try:
            with progress_of_bytes("text") as report:
                make_shards(work, flags.num_workers or cores(), report)
        except (KeyboardInterrupt, Interrupted) as stop:
            number = stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT
            done = len(work.shards) - len(work.missing())
            message = f"stopped with {done} of {len(work.shards)} shards made; the same command goes on from there"
            raise Interrupted(number, message) from stop
        counts = totals(work)
        write_outputs(work)
    remove_shards(work)
    for problem in _problems(counts, work):
        say(f"note: {problem}")
    return _summary(counts, work, time.perf_counter() - started if not before else 0.0)


def _recipe(flags: PretrainingDataFlags, outputs: int) -> Recipe:
    """The flags that decide the records, checked against each other."""
    if flags.max_ngram_size and not flags.do_whole_word_mask:
        raise InputError("`--max_ngram_size` masks runs of whole words", "add `--do_whole_word_mask`")
    masking = Masking(
        flags.masked_lm_prob, flags.max_predictions_per_seq, flags.do_whole_word_mask, flags.max_ngram_size or 0
    )
    pairs = PairRecipe(
        flags.max_seq_length, flags.dupe_factor, flags.short_seq_prob, flags.random_seed, flags.same_draws_as_google
    )
    is_static = flags.masking == "static"
    full = round(flags.max_seq_length * flags.masked_lm_prob)
    if is_static and flags.max_predictions_per_seq < full:
        say(
            f"note: `--max_predictions_per_seq={flags.max_predictions_per_seq}` is less than"
            f" {flags.masked_lm_prob:g} x {flags.max_seq_length} = {full}; full records will have fewer masks"
        )
    return Recipe(
        flags.vocab_file,
        flags.do_lower_case,
        cast(Format, flags.input_format),
        pairs,
        masking if is_static else None,
        outputs,
        flags.gzip_compress,
        flags.use_v2_feature_names,
    )


def _beam() -> types.ModuleType:
    """Apache Beam is large and optional: it is imported only where a runner is asked for."""
    try:
        return importlib.import_module("jaxbert.datasets.pretraining_beam")
    except ImportError as error:
        raise InputError(f"`--runner` needs Apache Beam: {error}", "pip install 'jaxbert[beam]'") from error


def _summary(counts: Counts, work: Work, seconds: float) -> list[str]:
    """What was made, in numbers; `seconds` are those of the whole, 0 where a part was there before."""
    speed = f", {counts.text_bytes / MEGABYTE / seconds:.2f} MB/s" if seconds else ""
    lines = [
        f"text        {counts.text_bytes / MEGABYTE:,.1f} MB in {len(work.shards):,} shards{speed}",
        f"documents   {counts.documents:,} with {counts.sentences:,} sentences",
        f"tokens      {counts.tokens:,}, {counts.unknown / counts.tokens:.3%} [UNK]",
        f"records     {counts.instances:,}, {counts.instance_tokens / counts.instances:.1f} tokens each;"
        f" {counts.short / counts.instances:.1%} made short, {counts.random_next / counts.instances:.1%} random next",
    ]
    if work.recipe.masking:
        lines.append(f"masked      {counts.masked:,} tokens, {counts.masked / counts.instance_tokens:.1%}")
    return lines + [f"written     {path}" for path in work.outputs]


def _problems(counts: Counts, work: Work) -> Iterator[str]:
    if counts.wrong_bytes:
        yield f"{counts.wrong_bytes:,} bytes were not UTF-8 and were left out"
    if counts.lone_documents and counts.text_bytes > MEGABYTE // 10:
        of_all = f"{counts.lone_documents} of {len(work.shards)} shards" if len(work.shards) > 1 else "the text"
        cure = "put a blank line between documents, or raise `--shard_mb`"
        yield f"one document is all of {of_all}, so its random next sentences come from itself; {cure}"
