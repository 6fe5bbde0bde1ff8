# SPDX-License-Identifier: Apache-2.0
"""Text -> pretraining records: the corpus is cut into shards, those that are missing are made, then all joined.

A shard is a few megabytes of text, made by one worker into a file of its own in the folder `<first output>.shards`. An
interrupted run leaves the finished ones there, and the next one makes the others. Records go to several outputs in
turn over the whole corpus, and a shard does not know how many records are before its own: so it keeps one part for
each turn. With two outputs and shards of 3 and 2 records (a b c, d e), the parts are (a c)(b) and (d)(e). The second
shard begins with the fourth record, whose turn is the second output's: the outputs are (a c)(e) and (b)(d).
"""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import numpy as np

from jaxbert.console import MEGABYTE, BytesReport, counted
from jaxbert.datasets.building import in_order
from jaxbert.errors import InputError, Interrupted
from jaxbert.examples.corpus import Shard, TextFile, read_documents, shards
from jaxbert.features.counts import unknown_note
from jaxbert.features.masking import Masking, MaskVocab, mask_vocab, whole_words_note
from jaxbert.features.pretraining import Instances, PairRecipe, TokenizedText, features, make_instances, tokenize
from jaxbert.io import files
from jaxbert.text.tokenizer import Rules, Tokenizer, open_tokenizer
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import frame
from jaxbert.tfrecord.schema import pretraining_schema

_ONE_SENTENCE = 1.1  # sentences a document up to which that is "about one"
_CUT = 0.02  # of the tokens in sentences that are longer than a record, up to which it says nothing
_FEW = 10  # documents below which it says nothing
_BLOCK_TOKENS = 1 << 17  # positions of the records that are laid out at once


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of the records of a shard, its text aside.

    Attributes:
        vocab_file: path of `vocab.txt`.
        rules: how text becomes tokens.
        pairs: how pairs are made.
        masking: how tokens are masked; None for records that hold the pairs as they are.
        outputs: number of files that the records go to in turn.
        gzip_compress: whether these files are compressed.
        v2_names: whether ids and segments have the newer names.
    """

    vocab_file: str
    rules: Rules
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
    cut: int = 0
    random_next: int = 0
    masked: int = 0
    lone_documents: int = 0
    inside_words: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What a shard file holds: the bytes for each output in turn, and what they were made from."""

    number: int
    sizes: tuple[int, ...]
    counts: Counts


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


def prepare(texts: Sequence[TextFile], recipe: Recipe, outputs: Sequence[str], shard_bytes: int) -> Work:
    """Cut the corpus, and open the folder for its shards: `<first output>.shards`.

    Raises:
        InputError: an input cannot be read; all are empty; the folder holds shards of other text or other settings.
    """
    for output in outputs:
        files.refuse_folder(output)
    size = _NO_LIMIT if recipe.pairs.google_order else shard_bytes
    pieces = tuple(shards(texts, size))
    if not pieces:
        raise InputError(f"there is no text in `{', '.join(text.path for text in texts)}`", "the files are empty")
    work = Work(pieces, recipe, tuple(outputs), f"{outputs[0]}.shards")
    _agree_on_settings(work, _settings(texts, recipe, size))
    return work


def _settings(texts: Sequence[TextFile], recipe: Recipe, size: int) -> str:
    """All that decides the shards, as JSON."""
    settings = {
        "inputs": [[text.path, text.form, files.version(text.path)] for text in texts],
        "recipe": dataclasses.asdict(recipe),
        "vocab": hashlib.sha256(files.read_bytes(recipe.vocab_file)).hexdigest(),
        "shard_bytes": size,
    }
    return json.dumps(settings, indent=2) + "\n"


def _agree_on_settings(work: Work, settings: str) -> None:
    path = os.path.join(work.folder, "settings.json")
    has_shards = len(work.missing()) < len(work.shards)
    if not files.exists(path) or not has_shards:
        files.write_text(path, settings)
    elif files.read_text(path) != settings:
        raise InputError(
            f"`{work.folder}` holds shards of an interrupted run with other text or other flags",
            "run again with the same flags to finish it, or remove the folder to start anew",
        )


def build(
    work: Work, workers: int, report: BytesReport, runner: str = "", runner_options: Sequence[str] = ()
) -> Counts:
    """Make the shards that are missing, join them into the outputs, and remove the shards; returns what was made.

    Args:
        work: of `prepare`.
        workers: processes to use.
        report: is told how much text is done.
        runner: name of an Apache Beam runner that does the work in place of processes here; "": none.
        runner_options: of the runner, as on its command line.

    Raises:
        InputError: wrong input; not one record; Beam is not installed.
        Interrupted: by Ctrl-C or SIGTERM; what is finished stays.
    """
    if runner:
        from jaxbert.datasets import pretraining_beam  # it imports from here what each machine does

        pretraining_beam.make_shards(work, runner, runner_options)
    else:
        try:
            make_shards(work, workers, report)
        except (KeyboardInterrupt, Interrupted) as stop:
            number = stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT
            done = len(work.shards) - len(work.missing())
            message = f"{done} of {len(work.shards)} shards are made; the same command goes on from there"
            raise Interrupted(number, message) from stop
    reports = finished(work)
    counts = sum((shard.counts for shard in reports), Counts())
    if not counts.instances:
        files.remove(work.folder)
        raise InputError("there are no words in the text", "does `--input_format` fit the files?")
    if runner:
        pretraining_beam.write_outputs(work, runner, runner_options)
    else:
        for number in range(len(work.outputs)):
            write_output(number, work.outputs, reports, work.folder)
    files.remove(work.folder)
    return counts


def make_shards(work: Work, workers: int, report: BytesReport) -> None:
    """Make the shards that are missing; when this is stopped, those under way are still finished."""
    total = sum(map(len, work.shards))
    missing = work.missing()
    done = total - sum(map(len, missing))
    report(done, total)
    start = functools.partial(_shard_writer, work.recipe, work.folder)
    workers = files.processes(max(1, min(workers, len(missing))), work.paths())
    for made in in_order(iter(missing), start, workers):
        done += made.counts.text_bytes
        report(done, total)


def _shard_writer(recipe: Recipe, folder: str) -> Callable[[Shard], ShardReport]:
    """What makes shards; in a worker, Ctrl-C is left to the first process, which lets shards under way be finished."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return functools.partial(write_shard, recipe=recipe, folder=folder)


def write_output(number: int, paths: Sequence[str], reports: Sequence[ShardReport], folder: str) -> None:
    """Join one of the outputs: of every shard the part whose turn it is, so that records go round over all outputs."""
    before = 0  # instances in earlier shards
    with files.whole_file(paths[number]) as target:
        for report in reports:
            turn = (number - before) % len(report.sizes)
            with files.open_input(_records_path(folder, report.number)) as source:
                source.seek(sum(report.sizes[:turn]))
                left = report.sizes[turn]
                while chunk := source.read(min(left, 1 << 20)):
                    target.write(chunk)
                    left -= len(chunk)
            if left:
                raise InputError("a shard file is shorter than its report says", "remove its folder and start again")
            before += report.counts.instances


def finished(work: Work) -> list[ShardReport]:
    """The reports of all shards, in order; all must be there."""
    reports = [finished_shard(work.folder, shard.number) for shard in work.shards]
    return [report for report in reports if report is not None]


def summary(counts: Counts, work: Work, seconds: float) -> str:
    """What was made, in lines; `seconds` is 0 where the time says nothing of the speed."""
    text = f"text        {counts.text_bytes / MEGABYTE:,.1f} MB in {counted(len(work.shards), 'shard')}"
    per_record = (
        f"{counts.instance_tokens / counts.instances:.1f} tokens each; {counts.short / counts.instances:.1%} made"
        f" short, {counts.random_next / counts.instances:.1%} random next"
    )
    lines = [
        text + (f", {counts.text_bytes / MEGABYTE / seconds:.2f} MB/s" if seconds else ""),
        f"documents   {counts.documents:,} with {counted(counts.sentences, 'sentence')}",
        f"tokens      {counts.tokens:,}, {counts.unknown / counts.tokens:.3%} [UNK]",
        f"records     {counts.instances:,}, {per_record}",
    ]
    if work.recipe.masking:
        lines.append(f"masked      {counts.masked:,} tokens, {counts.masked / counts.instance_tokens:.1%}")
    return "\n".join([*lines, *(f"written     {path}" for path in work.outputs)])


def problems(counts: Counts, work: Work) -> Iterator[str]:
    """What looks wrong with the text."""
    if counts.wrong_bytes:
        yield f"{counted(counts.wrong_bytes, 'byte was', 'bytes were')} not UTF-8 and left out"
    if note := unknown_note(counts.unknown, counts.tokens):
        yield note
    if work.recipe.masking and (note := whole_words_note(work.recipe.masking, counts.inside_words, counts.tokens)):
        yield note
    forms = {part.form for shard in work.shards for part in shard.parts}
    if counts.documents >= _FEW and counts.sentences < _ONE_SENTENCE * counts.documents:
        cure = "is it running text? then give `--input_format=documents`" if "lines" in forms else "are they titles?"
        yield (
            f"there is about one sentence a document ({counts.sentences:,} in {counts.documents:,}), so that hardly"
            f" any text is followed by its next sentence; {cure}"
        )
    if counts.cut > _CUT * counts.tokens:
        cure = "is it running text? then give `--input_format=documents`" if "lines" in forms else "their ends are cut"
        yield (
            f"{counts.cut / counts.tokens:.0%} of the tokens are in no record: their sentences are longer than the"
            f" {_room(work.recipe):,} tokens that one has room for; {cure}"
        )
    if counts.lone_documents and counts.text_bytes > MEGABYTE // 10:
        of_all = f"{counts.lone_documents} of {len(work.shards)} shards" if len(work.shards) > 1 else "the text"
        cure = "put a blank line between documents, or raise" if "lines" in forms else "raise"
        yield f"one document is all of {of_all}, so its random next sentences come from itself; {cure} `--shard_mb`"


def write_shard(shard: Shard, recipe: Recipe, folder: str) -> ShardReport:
    """Make the records of a shard: first its file, then its report, so that where the report is, all is.

    Raises:
        InputError: wrong input; the file cannot be written.
    """
    tokenizer = _tokenizer(recipe)
    documents, wrong_bytes = read_documents(shard, join_files=recipe.pairs.google_order)
    text = tokenize(documents, tokenizer)
    vocab = mask_vocab(tokenizer.vocab)
    instances = make_instances(text, recipe.pairs, shard.number, recipe.masking, vocab)
    predictions = recipe.masking.max_predictions if recipe.masking else None
    schema = pretraining_schema(recipe.pairs.max_seq_length, predictions, v2_names=recipe.v2_names)
    sizes, masked = [], 0
    with files.whole_file(_records_path(folder, shard.number)) as file:
        for output in range(recipe.outputs):
            start = file.tell()
            with _compressed(file) if recipe.gzip_compress else contextlib.nullcontext(file) as sink:
                for block in _blocks(instances, output, recipe):
                    arrays = features(block, text, recipe.pairs.max_seq_length, recipe.masking, vocab)
                    arrays["segment_ids"] *= recipe.rules.segments
                    masked += int(arrays["masked_lm_weights"].sum()) if recipe.masking else 0
                    if recipe.v2_names:
                        arrays |= {"input_word_ids": arrays["input_ids"], "input_type_ids": arrays["segment_ids"]}
                    sink.write(b"".join(map(frame, encode(arrays, schema))))
            sizes.append(file.tell() - start)
    counts = _counts(text, instances, tokenizer.vocab.unk, vocab, _room(recipe))
    counts = dataclasses.replace(counts, text_bytes=len(shard), wrong_bytes=wrong_bytes, masked=masked)
    report = ShardReport(shard.number, tuple(sizes), counts)
    files.write_text(_report_path(folder, shard.number), json.dumps(dataclasses.asdict(report)) + "\n")
    return report


def finished_shard(folder: str, number: int) -> ShardReport | None:
    """The report of a shard that was made before; None where it was not. Raises InputError for a damaged one."""
    path = _report_path(folder, number)
    if not files.exists(path):
        return None
    report = files.read_json_object(path, f"the report of a shard; remove `{folder}` to start anew")
    try:
        return ShardReport(report["number"], tuple(report["sizes"]), Counts(**report["counts"]))
    except (KeyError, TypeError) as error:
        raise InputError(f"`{path}` is no report of a shard", f"remove `{folder}` to start anew") from error


def _records_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number:06}.records")


def _report_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number:06}.json")


@functools.lru_cache(maxsize=1)
def _tokenizer(recipe: Recipe) -> Tokenizer:
    """One for all the shards of a process, whose memory then serves them all."""
    return open_tokenizer(recipe.vocab_file, recipe.rules)


@contextlib.contextmanager
def _compressed(file: BinaryIO) -> Iterator[BinaryIO]:
    """A gzip member of its own; members one after the other are a gzip file again."""
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as sink:
        yield cast(BinaryIO, sink)  # it has the `write` that is used


def _blocks(instances: Instances, output: int, recipe: Recipe) -> Iterator[Instances]:
    """The instances that go to one output, some at a time."""
    numbers = np.arange(output, len(instances), recipe.outputs)
    step = max(1, _BLOCK_TOKENS // recipe.pairs.max_seq_length)
    for first in range(0, len(numbers), step):
        yield instances.take(numbers[first : first + step])


def _room(recipe: Recipe) -> int:
    """Tokens of text in a record of a single sentence that is followed by none."""
    return recipe.pairs.max_seq_length - 3


def _counts(text: TokenizedText, instances: Instances, unk: int, vocab: MaskVocab, room: int) -> Counts:
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
        cut=int(np.maximum(np.diff(text.sentences) - room, 0).sum()),
        random_next=is_random,
        lone_documents=int(len(text.documents) == 1),
        inside_words=int(np.count_nonzero(vocab.is_inside_word[text.ids])),
    )
