# SPDX-License-Identifier: Apache-2.0
"""Make records for pretraining from text."""

import contextlib
import os
import shlex
import signal
import sys
import time
import types
from collections.abc import Iterator
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from jaxbert.config.data import PretrainingDataFlags
from jaxbert.datasets import pretraining_build
from jaxbert.datasets.pretraining_build import Counts, Recipe, Report, Work
from jaxbert.errors import InputError, Interrupted
from jaxbert.examples.corpus import Format
from jaxbert.features.masking import Masking
from jaxbert.features.pretraining import PairRecipe
from jaxbert.io.files import expand

_MEGABYTE = 1_000_000
_LINE_EVERY = 60.0  # seconds, in a log; a terminal shows a bar instead


def run(flags: PretrainingDataFlags) -> None:
    """Make the shards that are missing, put the outputs together, and say what was made."""
    outputs = flags.output_file.split(",")
    if len(set(outputs)) < len(outputs):
        raise InputError(f"`--output_file={flags.output_file}` names a file twice", "name them apart")
    recipe = _recipe(flags, len(outputs))
    work = pretraining_build.prepare(expand(flags.input_file), recipe, outputs, flags.shard_mb * _MEGABYTE)
    started, before = time.perf_counter(), len(work.shards) - len(work.missing())
    if before:
        print(f"{before} of {len(work.shards)} shards are there from an interrupted run; going on", file=sys.stderr)
    _make_shards(work, flags)
    counts = pretraining_build.totals(work)
    _write_outputs(work, flags)
    pretraining_build.remove_shards(work)
    _print_summary(counts, work, time.perf_counter() - started if not before else 0.0)


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
        print(
            f"note: `--max_predictions_per_seq={flags.max_predictions_per_seq}` is less than"
            f" {flags.masked_lm_prob:g} x {flags.max_seq_length} = {full}; full records will have fewer masks",
            file=sys.stderr,
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


def _make_shards(work: Work, flags: PretrainingDataFlags) -> None:
    if flags.runner:
        _beam().make_shards(work, flags.runner, shlex.split(flags.beam_options))
        return
    try:
        with _progress() as report:
            pretraining_build.make_shards(work, flags.num_workers or _cores(), report)
    except (KeyboardInterrupt, Interrupted) as stop:
        number = stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT
        done = len(work.shards) - len(work.missing())
        message = f"stopped with {done} of {len(work.shards)} shards made; the same command goes on from there"
        raise Interrupted(number, message) from stop


def _write_outputs(work: Work, flags: PretrainingDataFlags) -> None:
    if flags.runner:
        _beam().write_outputs(work, flags.runner, shlex.split(flags.beam_options))
    else:
        pretraining_build.write_outputs(work)


def _beam() -> types.ModuleType:
    """Apache Beam is large and optional: it is imported only where a runner is asked for."""
    try:
        from jaxbert.commands import pretraining_beam
    except ImportError as error:
        raise InputError(f"`--runner` needs Apache Beam: {error}", "pip install 'jaxbert[beam]'") from error
    return pretraining_beam


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextlib.contextmanager
def _progress() -> Iterator[Report]:
    """Shows how much text is done: a bar on a terminal, now and then a line in a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _report_lines()
        return
    columns = (
        TextColumn("text"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("text", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _report_lines() -> Report:
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            print(f"{done / _MEGABYTE:,.0f} of {total / _MEGABYTE:,.0f} MB of text", file=sys.stderr)

    return report


def _print_summary(counts: Counts, work: Work, seconds: float) -> None:
    """What was made, in numbers; then what looks wrong."""
    speed = f", {counts.text_bytes / _MEGABYTE / seconds:.2f} MB/s" if seconds else ""
    print(f"text        {counts.text_bytes / _MEGABYTE:,.1f} MB in {len(work.shards):,} shards{speed}")
    print(f"documents   {counts.documents:,} with {counts.sentences:,} sentences")
    print(f"tokens      {counts.tokens:,}, {counts.unknown / counts.tokens:.3%} [UNK]")
    print(
        f"records     {counts.instances:,}, {counts.instance_tokens / counts.instances:.1f} tokens each;"
        f" {counts.short / counts.instances:.1%} made short, {counts.random_next / counts.instances:.1%} random next"
    )
    if work.recipe.masking:
        print(f"masked      {counts.masked:,} tokens, {counts.masked / counts.instance_tokens:.1%}")
    for path in work.outputs:
        print(f"written     {path}")
    for problem in _problems(counts, work):
        print(f"note: {problem}", file=sys.stderr)


def _problems(counts: Counts, work: Work) -> Iterator[str]:
    if counts.wrong_bytes:
        yield f"{counts.wrong_bytes:,} bytes were not UTF-8 and were left out"
    if counts.lone_documents and counts.text_bytes > _MEGABYTE // 10:
        of_all = f"{counts.lone_documents} of {len(work.shards)} shards" if len(work.shards) > 1 else "the text"
        cure = "put a blank line between documents, or raise `--shard_mb`"
        yield f"one document is all of {of_all}, so its random next sentences come from itself; {cure}"
