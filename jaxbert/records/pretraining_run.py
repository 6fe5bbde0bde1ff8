# SPDX-License-Identifier: Apache-2.0
"""A corpus -> record files: the shards that are missing, on as many cores as asked for, then all put together."""

import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence

from jaxbert.errors import InputError
from jaxbert.examples.corpus import Shard, shards
from jaxbert.files import exists, processes, read_bytes, read_text, remove, version, write_text
from jaxbert.records.pretraining_shards import Counts, Recipe, ShardReport, finished_shard, write_output, write_shard
from jaxbert.records.workers import in_order

Report = Callable[[int, int], None]
"""Is told how many bytes of text are done, and of how many."""

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


def make_shards(work: Work, workers: int, report: Report) -> None:
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
