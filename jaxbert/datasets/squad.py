# SPDX-License-Identifier: Apache-2.0
"""SQuAD's training records: made from paragraphs on all cores, and read by number."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxbert.config.data import FineTuningDataFlags
from jaxbert.console import cores, progress, say
from jaxbert.datasets.checks import Bounds, Check, Found, Scan, scan_all
from jaxbert.datasets.workers import chunks_in_order
from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph, check_version, read_squad
from jaxbert.features.squad import (
    FIRST_UNIQUE_ID,
    Skipped,
    WindowedQuestion,
    WindowSettings,
    label_arrays,
    teach,
    window_arrays,
)
from jaxbert.io.files import processes, whole_file
from jaxbert.text.tokenizer import Rules, open_tokenizer
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.example import decode, entries, message
from jaxbert.tfrecord.files import TFRecords, frame
from jaxbert.tfrecord.metadata import SquadMetaData, write_squad_meta_data
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
    """

    questions: int
    records: int
    skipped: tuple[Skipped, ...]


def make_records(flags: FineTuningDataFlags) -> list[str]:
    """Read the questions of a file, write their records, then the metadata; lines that say what was made."""
    if not flags.squad_data_file or not flags.train_data_output_path:
        raise InputError(
            "`--squad_data_file` and `--train_data_output_path` must be given with `--fine_tuning_task_type=squad`"
        )
    if flags.eval_data_output_path or flags.test_data_output_path:
        raise InputError(
            "of SQuAD only training records are made", "predictions and scores are made from the JSON files themselves"
        )
    if flags.train_data_output_path == flags.meta_data_file_path:
        raise InputError(f"two outputs are the same file: `{flags.meta_data_file_path}`", "name them apart")
    settings = WindowSettings(flags.max_seq_length, flags.doc_stride, flags.max_query_length)
    rules = Rules(lower_cases(flags.do_lower_case, read_vocab(flags.vocab_file)))
    recipe = SquadRecipe(flags.vocab_file, rules, settings)
    written = write_squad_dataset(
        flags.squad_data_file,
        flags.train_data_output_path,
        flags.meta_data_file_path,
        recipe,
        flags.version_2_with_negative,
        strict=flags.strict,
        workers=flags.num_workers or cores(),
    )
    return [
        f"train    {written.records:>9,} records  {flags.train_data_output_path}",
        f"         {written.questions:>9,} questions read, {len(written.skipped):,} left out because of their answer",
        f"meta     {flags.meta_data_file_path}",
    ]


def write_squad_dataset(
    source: str,
    records: str,
    meta_data: str,
    recipe: SquadRecipe,
    version_2_with_negative: bool,
    *,
    strict: bool,
    workers: int,
) -> Written:
    """Write the records and then the metadata of a SQuAD file (see `write_squad_records`); name questions left out."""
    paragraphs = check_version(read_squad(source), version_2_with_negative, source)
    with progress() as report:
        count = functools.partial(report, "questions")
        written = write_squad_records(records, paragraphs, recipe, workers, count, strict=strict)
    write_squad_meta_data(meta_data, SquadMetaData(written.records, recipe.settings, version_2_with_negative))
    for one in written.skipped:
        say(f"left out: {_named(one)}")
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
    parts = chunks_in_order(paragraphs, _CHUNK, functools.partial(_Converter, recipe), workers, _WORTH_WORKERS)
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
        self._tokenizer = open_tokenizer(recipe.vocab_file, recipe.rules)
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


class WindowRecords:
    """Record files as arrays by record number; making it reads and checks every record once, as `scan` does.

    Attributes:
        lengths: tokens of each record [n], int64.

    Raises:
        InputError: no record, a damaged one, a misfit to the meta data, an id, segment or position that the model does
            not have, or an answer that is not in its window.
    """

    def __init__(self, paths: Sequence[str], max_seq_length: int, bounds: Bounds, scan: Scan = scan_all) -> None:
        self._records, self._schema = TFRecords(paths), squad_schema(max_seq_length)
        if not len(self._records):
            raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
        self.lengths = scan(functools.partial(self._check, bounds), len(self))["lengths"]

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n], as `squad_schema` names them."""
        payloads = self._records.read(numbers)
        return decode(payloads, self._schema, lambda index: self._records.place(int(numbers[index])))

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths of the records from `first` to before `end`."""
        features = self.read(np.arange(first, end))
        check = Check(lambda index: self._records.place(first + index))
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
