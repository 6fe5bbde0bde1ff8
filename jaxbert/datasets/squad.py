# SPDX-License-Identifier: Apache-2.0
"""SQuAD's training records: made from paragraphs on all cores, and read by number."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np

from jaxbert.console import Report, say
from jaxbert.datasets.building import in_chunks
from jaxbert.datasets.checks import Bounds, CheckAll, Found, check_all
from jaxbert.datasets.records import DecodedRecords, open_records
from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph, check_version, read_squad
from jaxbert.features.counts import TextCounts
from jaxbert.features.squad import (
    FIRST_UNIQUE_ID,
    Skipped,
    WindowedQuestion,
    WindowSettings,
    label_arrays,
    teach,
    text_counts,
    window_arrays,
)
from jaxbert.io.files import processes, whole_file, write_text
from jaxbert.text.tokenizer import Rules, open_tokenizer
from jaxbert.tfrecord.example import entries, message
from jaxbert.tfrecord.files import frame
from jaxbert.tfrecord.metadata import SquadMetaData
from jaxbert.tfrecord.schema import squad_schema

_CHUNK = 100  # paragraphs; handed to a worker and written at once
_WORTH_WORKERS = 4000  # paragraphs; below, one core is done before others have started


@dataclasses.dataclass(frozen=True)
class SquadRecipe:
    """All that decides the bytes of a record, the paragraph aside.

    Attributes:
        vocab_file: path of `vocab.txt`.
        rules: how text becomes tokens.
        settings: how windows are cut.
    """

    vocab_file: str
    rules: Rules
    settings: WindowSettings


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of the questions of a file.

    Attributes:
        questions: how many were read.
        records: how many windows were written.
        skipped: the questions left out because of their answer.
        texts: counts of the others and their contexts.
    """

    questions: int
    records: int
    skipped: tuple[Skipped, ...]
    texts: TextCounts


def make_records(
    source: str,
    outputs: tuple[str, str],
    recipe: SquadRecipe,
    version_2_with_negative: bool,
    strict: bool,
    workers: int,
    progress: Callable[[], AbstractContextManager[Report]],
) -> Written:
    """Write the records and then the metadata of a SQuAD file to the two `outputs`; say which questions are left out.

    `progress` opens what shows how many questions are done; see `write_squad_records` for the rest.

    Raises:
        InputError: wrong data, of the other version of SQuAD, or nothing to write.
    """
    records, meta_data = outputs
    paragraphs = read_squad(source, "train", version_2_with_negative)
    paragraphs = check_version(paragraphs, version_2_with_negative, source)
    with progress() as report:
        written = write_squad_records(
            records, paragraphs, recipe, workers, lambda count: report("questions", count), strict=strict
        )
    write_text(meta_data, SquadMetaData(written.records, recipe.settings, version_2_with_negative).to_json())
    for one in written.skipped:
        say(f"left out: {_named(one)}")
    for note in written.texts.notes(source, recipe.settings.max_query_length, "questions"):
        say(note)
    return written


def write_squad_records(
    path: str,
    paragraphs: Iterator[Paragraph],
    recipe: SquadRecipe,
    workers: int,
    report: Callable[[int], None],
    *,
    strict: bool = False,
) -> Written:
    """Write one record for each window, in order; the bytes do not depend on the number of workers.

    Args:
        path: the file to write.
        paragraphs: read as they are needed.
        recipe: how a paragraph becomes records.
        workers: processes to use; 1 uses this one. Few paragraphs always do.
        report: is told the number of questions done so far.
        strict: whether an answer that cannot be learnt is an error; otherwise its question is left out.

    Raises:
        InputError: wrong data, or nothing to write.
    """
    workers = processes(workers, [recipe.vocab_file])
    parts = in_chunks(paragraphs, functools.partial(_converter, recipe), workers, _CHUNK, _WORTH_WORKERS)
    id_schema = squad_schema(0)
    questions, records, skipped, texts = 0, 0, list[Skipped](), TextCounts()
    with whole_file(path) as file, contextlib.closing(parts):
        for part in parts:
            if part.skipped and strict:
                raise InputError(_named(part.skipped[0]), "leave out `--strict`")
            unique_ids = FIRST_UNIQUE_ID + np.arange(records, records + len(part.records))
            numbered = zip(entries({"unique_ids": unique_ids}, id_schema), part.records, strict=True)
            file.write(b"".join([frame(message(unique_id + record)) for unique_id, record in numbered]))
            questions, records = questions + part.questions, records + len(part.records)
            skipped, texts = skipped + part.skipped, texts + part.texts
            report(questions)
        if not records:
            first = f": {_named(skipped[0])}" if skipped else ""
            raise InputError(
                f"of {questions} questions none has an answer to write to `{path}`{first}",
                "a test set cannot be learnt; else correct its answers",
            )
    return Written(questions, records, tuple(skipped), texts)


def _named(skipped: Skipped) -> str:
    return f"question `{skipped.id}` {skipped.reason}"


@dataclasses.dataclass(frozen=True)
class _Part:
    """A few paragraphs converted; `records` lack their unique ids, which count over all records before."""

    questions: int
    records: list[bytes]
    skipped: list[Skipped]
    texts: TextCounts


def _converter(recipe: SquadRecipe) -> Callable[[Sequence[Paragraph]], _Part]:
    """Paragraphs -> records, with one tokenizer that remembers words for them all."""
    tokenizer = open_tokenizer(recipe.vocab_file, recipe.rules)
    length = recipe.settings.max_seq_length
    schema = squad_schema(length)

    def convert(paragraphs: Sequence[Paragraph]) -> _Part:
        taught = [one for paragraph in paragraphs for one in teach(paragraph, tokenizer, recipe.settings)]
        asked = [one for one in taught if isinstance(one, WindowedQuestion)]
        skipped = [one for one in taught if isinstance(one, Skipped)]
        arrays = window_arrays(asked, tokenizer, length) | label_arrays(asked)
        return _Part(len(taught), entries(arrays, schema), skipped, text_counts(asked, tokenizer.vocab))

    return convert


class WindowRecords(DecodedRecords):
    """Record files as arrays by record number; making it reads and checks every record once, by `check_all`.

    Attributes:
        lengths: tokens of each record [n], int64.

    Raises:
        InputError: no record, a damaged one, a misfit to the metadata, an id, segment or position that the model does
            not have, or an answer that is not in its window.
    """

    def __init__(
        self, paths: Sequence[str], max_seq_length: int, bounds: Bounds, check_all: CheckAll = check_all
    ) -> None:
        super().__init__(open_records(paths), squad_schema(max_seq_length))
        self.lengths = check_all(functools.partial(self._check, bounds), len(self))["lengths"]

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths of the records from `first` to before `end`."""
        numbers = np.arange(first, end)
        features, check = self.read(numbers), self.check(numbers)
        check.sequences(features, bounds)
        mask = features["input_mask"] != 0
        for name in ("start_positions", "end_positions"):
            positions = features[name]
            inside = (positions >= 0) & (positions < mask.shape[1])
            on_token = np.take_along_axis(mask, np.where(inside, positions, 0)[:, None], axis=1)[:, 0]
            check.refuse(~(inside & on_token), f"has `{name}` outside of its window", "make the file again")
        is_backward = features["end_positions"] < features["start_positions"]
        check.refuse(is_backward, "has an answer that ends before it starts", "make the file again")
        return {"lengths": np.count_nonzero(mask, axis=1)}
