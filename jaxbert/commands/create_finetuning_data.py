# SPDX-License-Identifier: Apache-2.0
"""Make the records and meta data of a classification or regression task, or of SQuAD."""

from jaxbert.commands.squad_data import make_squad_data
from jaxbert.config.data import FineTuningDataFlags
from jaxbert.console import cores, progress
from jaxbert.datasets.classification import Recipe, RecordPaths, write_dataset
from jaxbert.errors import InputError
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.examples.text_examples import TextDataset
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData


def run(flags: FineTuningDataFlags) -> None:
    """Read the data, write the records, then the meta data; print what was made."""
    workers = flags.num_workers or cores()
    if flags.fine_tuning_task_type == "squad":
        make_squad_data(flags, workers, progress)
        return
    paths = _paths(flags)
    dataset = _dataset(flags)
    lower_case = lower_cases(flags.do_lower_case, read_vocab(flags.vocab_file))
    recipe = Recipe(flags.vocab_file, lower_case, flags.max_seq_length, dataset.labels)
    with progress() as report:
        meta = write_dataset(dataset, recipe, paths, workers, report)
    _print_summary(meta, paths)


def _paths(flags: FineTuningDataFlags) -> RecordPaths:
    """The output files, checked to be at least one and all different."""
    paths = RecordPaths(
        flags.train_data_output_path or "",
        flags.eval_data_output_path or "",
        flags.test_data_output_path or "",
        flags.meta_data_file_path,
    )
    records = [path for path in (paths.train, paths.eval, paths.test) if path]
    if not records:
        raise InputError("there is nothing to make", "give `--train_data_output_path=...`, for example")
    if len({*records, paths.meta_data}) <= len(records):
        raise InputError(f"two outputs are the same file: {', '.join((*records, paths.meta_data))}", "name them apart")
    return paths


def _dataset(flags: FineTuningDataFlags) -> TextDataset:
    """The sets of one's own files where there are any, otherwise those of a known task."""
    if flags.train_file or flags.eval_file or flags.test_file:
        return _own_dataset(flags)
    if not flags.input_data_dir:
        raise InputError(
            "there is nothing to read", "give `--input_data_dir=...` for a known task, or `--train_file=...`"
        )
    task = find_task(flags.classification_task_name, flags.mnli_type)
    language = {"XNLI": flags.xnli_language, "PAWS-X": flags.pawsx_language}.get(task.name, "en")
    dataset = glue_dataset(task, flags.input_data_dir, language)
    if flags.fine_tuning_task_type == "regression" and not dataset.is_regression:
        raise InputError(f"{task.name} is a classification task", "leave out `--fine_tuning_task_type=regression`")
    return dataset


def _own_dataset(flags: FineTuningDataFlags) -> TextDataset:
    if not flags.text_a_column or not flags.label_column:
        raise InputError(
            "`--text_a_column` and `--label_column` must be given with files of your own",
            "a column is given by its name in the first line, or by its number from 0 where there is no header",
        )
    names = ColumnNames(flags.text_a_column, flags.text_b_column or "", flags.label_column, flags.id_column or "")
    return table_dataset(
        flags.train_file or "",
        flags.eval_file or "",
        flags.test_file or "",
        names,
        flags.labels.split(",") if flags.labels else (),
        flags.fine_tuning_task_type == "regression",
    )


def _print_summary(meta: ClassificationMetaData, paths: RecordPaths) -> None:
    """What was made: sizes and files."""
    made = {"train": (meta.train_data_size, paths.train), "eval": (meta.eval_data_size or 0, paths.eval)}
    for language, size in meta.test_data_size.items():
        made[f"test {language}".strip()] = (size, paths.test.replace("{}", language))
    for name, (size, path) in made.items():
        if path:
            print(f"{name:8} {size:>9,} records  {path}")
    labels = "numbers" if meta.is_regression else f"{meta.num_labels}: {', '.join(meta.label_list[:10])}"
    print(f"labels   {labels}\nmeta     {paths.meta_data}")
