# SPDX-License-Identifier: Apache-2.0
"""SQuAD paragraphs -> record file and meta data, on as many cores as asked for."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph
from jaxbert.features.squad import (
    FIRST_UNIQUE_ID,
    Skipped,
    WindowedQuestion,
    WindowSettings,
    label_arrays,
    teach,
    window_arrays,
)
from jaxbert.files import processes, whole_file
from jaxbert.records.example_proto import entries, message
from jaxbert.records.schema import squad_schema
from jaxbert.records.tfrecord import frame
from jaxbert.records.workers import in_order
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab

_CHUNK = 100  # paragraphs; handed to a worker and written at once
_WORTH_WORKERS = 4000  # paragraphs; below, one core is done before others have started


@dataclasses.dataclass(frozen=True)
class SquadRecipe:
    """All that decides the bytes of a record, the paragraph aside.

    Attributes:
        vocab_file: path of `vocab.txt`.
        do_lower_case: whether text is lower-cased and loses its accents.
        settings: how windows are cut.
    """

    vocab_file: str
    do_lower_case: bool
    settings: WindowSettings


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of the questions of a file.

    Attributes:
        questions: how many were read.
        records: how many windows were written.
        skipped: the questions left out because of their answer.
    """

    questions: int
    records: int
    skipped: tuple[Skipped, ...]


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
    head = list(itertools.islice(paragraphs, _WORTH_WORKERS if workers > 1 else 0))
    chunks = _chunks(itertools.chain(head, paragraphs))
    parts = in_order(chunks, functools.partial(_Converter, recipe), workers if len(head) == _WORTH_WORKERS else 1)
    questions, records, skipped = 0, 0, list[Skipped]()
    with whole_file(path) as file, contextlib.closing(parts):
        for part in parts:
            if part.skipped and strict:
                raise InputError(_named(part.skipped[0]), "leave out `--strict`")
            file.write(_frames(part.records, FIRST_UNIQUE_ID + records))
            questions, records = questions + part.questions, records + len(part.records)
            skipped += part.skipped
            report(questions)
        if not records:
            first = f": {_named(skipped[0])}" if skipped else ""
            raise InputError(
                f"of {questions} questions none has an answer to write to `{path}`{first}",
                "a test set cannot be learnt; else correct its answers",
            )
    return Written(questions, records, tuple(skipped))


def _named(skipped: Skipped) -> str:
    return f"question `{skipped.id}` {skipped.reason}"


@dataclasses.dataclass(frozen=True)
class _Part:
    """A few paragraphs converted; `records` lack their unique ids, which depend on all records before."""

    questions: int
    records: list[bytes]
    skipped: list[Skipped]


class _Converter:
    """Paragraphs -> features, with one tokenizer whose memory serves them all."""

    def __init__(self, recipe: SquadRecipe) -> None:
        self._tokenizer = Tokenizer(read_vocab(recipe.vocab_file), recipe.do_lower_case)
        self._settings = recipe.settings
        self._schema = squad_schema(recipe.settings.max_seq_length)

    def __call__(self, paragraphs: Sequence[Paragraph]) -> _Part:
        taught = [one for paragraph in paragraphs for one in teach(paragraph, self._tokenizer, self._settings)]
        asked = [one for one in taught if isinstance(one, WindowedQuestion)]
        length = self._settings.max_seq_length
        arrays = window_arrays(asked, self._tokenizer.vocab, length) | label_arrays(asked)
        skipped = [one for one in taught if isinstance(one, Skipped)]
        return _Part(len(taught), entries(arrays, self._schema), skipped)


def _frames(records: Sequence[bytes], first: int) -> bytes:
    """The records with unique ids from `first` on, as they stand in the file."""
    ids = {"unique_ids": np.arange(first, first + len(records))}
    numbered = zip(entries(ids, squad_schema(0)), records, strict=True)
    return b"".join([frame(message(number + record)) for number, record in numbered])


def _chunks(paragraphs: Iterator[Paragraph]) -> Iterator[list[Paragraph]]:
    while chunk := list(itertools.islice(paragraphs, _CHUNK)):
        yield chunk
