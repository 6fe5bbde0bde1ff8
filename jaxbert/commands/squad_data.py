# SPDX-License-Identifier: Apache-2.0
"""Make the training records and meta data of SQuAD: what `create_finetuning_data` does for that kind of task."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from jaxbert.config.data import FineTuningDataFlags
from jaxbert.console import Report
from jaxbert.datasets.squad import SquadRecipe, Written, write_squad_records
from jaxbert.errors import InputError
from jaxbert.examples.squad import check_version, read_squad
from jaxbert.features.squad import WindowSettings
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import SquadMetaData, write_squad_meta_data

Progress = Callable[[], AbstractContextManager[Report]]
"""Opens what shows how many questions are written."""


def make_squad_data(flags: FineTuningDataFlags, workers: int, progress: Progress) -> None:
    """Read the questions, write the records, then the meta data; print what was made and what was left out."""
    source, target = _paths(flags)
    settings = WindowSettings(flags.max_seq_length, flags.doc_stride, flags.max_query_length)
    recipe = SquadRecipe(flags.vocab_file, lower_cases(flags.do_lower_case, read_vocab(flags.vocab_file)), settings)
    outputs = (target, flags.meta_data_file_path)
    written = make_records(source, outputs, recipe, flags.version_2_with_negative, flags.strict, workers, progress)
    print(f"train    {written.records:>9,} records  {target}")
    print(f"         {written.questions:>9,} questions read, {len(written.skipped):,} left out because of their answer")
    print(f"meta     {flags.meta_data_file_path}")


def make_records(
    source: str,
    outputs: tuple[str, str],
    recipe: SquadRecipe,
    version_2_with_negative: bool,
    strict: bool,
    workers: int,
    progress: Progress,
) -> Written:
    """Write the records and then the meta data of a SQuAD file to `outputs`; name the questions left out."""
    records, meta_data = outputs
    paragraphs = check_version(read_squad(source), version_2_with_negative, source)
    with progress() as report:
        written = write_squad_records(
            records, paragraphs, recipe, workers, lambda count: report("questions", count), strict=strict
        )
    write_squad_meta_data(meta_data, SquadMetaData(written.records, recipe.settings, version_2_with_negative))
    for one in written.skipped:
        print(f"left out: question `{one.id}` {one.reason}", file=sys.stderr)
    return written


def _paths(flags: FineTuningDataFlags) -> tuple[str, str]:
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
