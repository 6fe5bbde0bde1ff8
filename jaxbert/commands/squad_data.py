# SPDX-License-Identifier: Apache-2.0
"""Make the training records and meta data of SQuAD: what `create_finetuning_data` does for that kind of task."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from jaxbert.config.create_finetuning_data import Flags
from jaxbert.errors import InputError
from jaxbert.examples.squad import check_version, read_squad
from jaxbert.features.squad import Skipped, WindowSettings
from jaxbert.records.squad_meta_data import SquadMetaData, write_squad_meta_data
from jaxbert.records.squad_records import SquadRecipe, Written, write_squad_records
from jaxbert.records.text_records import Report


def make_squad_data(flags: Flags, workers: int, progress: Callable[[], AbstractContextManager[Report]]) -> None:
    """Read the questions, write the records, then the meta data; print what was made and what was left out."""
    source, target = _paths(flags)
    settings = WindowSettings(flags.max_seq_length, flags.doc_stride, flags.max_query_length)
    recipe = SquadRecipe(flags.vocab_file, flags.do_lower_case, settings)
    paragraphs = check_version(read_squad(source), flags.version_2_with_negative, source)
    with progress() as report:
        written = write_squad_records(
            target, paragraphs, recipe, workers, lambda count: report("questions", count), strict=flags.strict
        )
    meta = SquadMetaData(written.records, settings, flags.version_2_with_negative)
    write_squad_meta_data(flags.meta_data_file_path, meta)
    _print_skipped(written.skipped)
    _print_summary(written, target, flags.meta_data_file_path)


def _paths(flags: Flags) -> tuple[str, str]:
    """The SQuAD file and the record file to make of it."""
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
    return flags.squad_data_file, flags.train_data_output_path


def _print_skipped(skipped: tuple[Skipped, ...]) -> None:
    for one in skipped:
        print(f"left out: question `{one.id}` {one.reason}", file=sys.stderr)


def _print_summary(written: Written, target: str, meta_data: str) -> None:
    print(f"train    {written.records:>9,} records  {target}")
    print(f"         {written.questions:>9,} questions read, {len(written.skipped):,} left out because of their answer")
    print(f"meta     {meta_data}")
