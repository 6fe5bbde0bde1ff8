# SPDX-License-Identifier: Apache-2.0
"""Make the records and metadata of a classification or regression task, or of SQuAD."""

from typing import cast

from jaxbert.checkpoints.tokenizer_files import rules_of_vocab
from jaxbert.config.data import FineTuningDataFlags
from jaxbert.console import cores, progress
from jaxbert.datasets.classification import Recipe, RecordPaths, write_dataset
from jaxbert.datasets.squad import SquadRecipe, make_records
from jaxbert.examples.text_data import source_files, text_dataset
from jaxbert.examples.text_examples import LabelKind
from jaxbert.features.squad import WindowSettings
from jaxbert.io.files import refuse_overwriting
from jaxbert.text.tokenizer import Rules


def run(flags: FineTuningDataFlags) -> None:
    """Read the data, write the records, then the metadata; print what was made."""
    read = (flags.train_file, flags.eval_file, flags.test_file, flags.input_data_dir, flags.squad_data_file)
    refuse_overwriting(flags.outputs, [flags.vocab_file, *source_files(*read)])
    rules = rules_of_vocab(flags.vocab_file, flags.do_lower_case)
    make = _make_squad if flags.fine_tuning_task_type == "squad" else _make_classification
    for line in make(flags, rules, flags.num_workers or cores()):
        print(line)
    print(f"metadata {flags.meta_data_file_path}")


def _make_classification(flags: FineTuningDataFlags, rules: Rules, workers: int) -> list[str]:
    kind = cast(LabelKind, flags.fine_tuning_task_type)
    dataset = text_dataset(flags, flags.input_data_dir, flags.classification_task_name, kind)
    recipe = Recipe(flags.vocab_file, rules, flags.max_seq_length, dataset.labels, dataset.is_multi_label)
    paths = RecordPaths(
        train=flags.train_data_output_path or "",
        eval=flags.eval_data_output_path or "",
        test=flags.test_data_output_path or "",
        meta_data=flags.meta_data_file_path,
    )
    with progress() as report:
        meta = write_dataset(dataset, recipe, paths, workers, report)
    made = {"train": (meta.train_data_size, paths.train), "eval": (meta.eval_data_size or 0, paths.eval)}
    for language, size in meta.test_data_size.items():
        made[f"test {language}".strip()] = (size, paths.test.replace("{}", language))
    labels = "numbers" if meta.is_regression else f"{meta.num_labels}: {', '.join(meta.label_list[:10])}"
    return [
        *(f"{name:8} {size:>9,} records  {path}" for name, (size, path) in made.items() if path),
        f"labels   {labels}",
    ]


def _make_squad(flags: FineTuningDataFlags, rules: Rules, workers: int) -> list[str]:
    source, target = flags.squad_data_file or "", flags.train_data_output_path or ""
    settings = WindowSettings(flags.max_seq_length, flags.doc_stride, flags.max_query_length)
    recipe = SquadRecipe(flags.vocab_file, rules, settings)
    outputs = (target, flags.meta_data_file_path)
    written = make_records(source, outputs, recipe, flags.version_2_with_negative, flags.strict, workers, progress)
    return [
        f"train    {written.records:>9,} records  {target}",
        f"         {written.questions:>9,} questions read, {len(written.skipped):,} left out because of their answer",
    ]
