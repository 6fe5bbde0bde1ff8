# SPDX-License-Identifier: Apache-2.0
"""The record files a classifier run reads: those it was given, or made from the texts it was given."""

import dataclasses
import glob
import os
from collections.abc import Mapping

from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import find_source, read_class_names
from jaxbert.commands.model_source import beside, find_case_rule, find_vocab
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.data import TASKS, TextDataFlags
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.console import cores, progress, say
from jaxbert.datasets.building import records_folder
from jaxbert.datasets.classification import Recipe, RecordPaths, write_dataset
from jaxbert.errors import InputError
from jaxbert.examples.glue import TASKS as GLUE_TASKS
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.examples.text_examples import TextDataset
from jaxbert.io import files
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Record files of each set and what is known of them.

    Attributes:
        meta: sizes and labels.
        vocab_file: the vocabulary, where it is known.
        do_lower_case: whether text is lower-cased, where it is known.
        train: paths of the training records.
        eval: paths of the evaluation records.
        tests: paths of the records to predict, by the name of the set ("" for the only one).
        ids: what names each example to predict, by the name of the set; empty where only records are known.
    """

    meta: ClassificationMetaData
    vocab_file: str | None
    do_lower_case: bool | None
    train: tuple[str, ...] = ()
    eval: tuple[str, ...] = ()
    tests: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ids: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def read_inputs(flags: ClassifierFlags, config: BertConfig, checkpoint: str | None) -> Inputs:
    """The files the flags name; text is turned into records below `<model_dir>/records`, once.

    Raises:
        InputError: flags that are needed are missing; wrong data; a vocabulary that is larger than that of the model.
    """
    if not flags.has_text_data:
        return _from_records(flags, checkpoint)
    rule = find_case_rule(flags.do_lower_case, checkpoint)
    vocab_file = find_vocab(flags.vocab_file, config, checkpoint)
    lower_case = lower_cases(rule, read_vocab(vocab_file))
    trained = None if flags.trains else checkpoint
    meta_path = beside(trained, model_folder.META_DATA_FILE)
    meta = None if meta_path is None else ClassificationMetaData.read(meta_path)
    flags = dataclasses.replace(flags, regression=flags.regression or (meta is not None and meta.is_regression))
    return _from_text(flags, vocab_file, lower_case, _known_labels(flags, trained, meta))


def label_names(meta: ClassificationMetaData) -> tuple[str, ...]:
    """Class names in the order of their ids: those of the meta data, of the known task, or numbers."""
    of_task = next((task.labels.names for task in GLUE_TASKS if task.name == meta.processor_type.upper()), ())
    names = meta.label_list or of_task
    return names if len(names) == meta.num_labels else tuple(map(str, range(meta.num_labels or 0)))


def _from_records(flags: ClassifierFlags, checkpoint: str | None) -> Inputs:
    meta_path = flags.input_meta_data_path or beside(checkpoint, model_folder.META_DATA_FILE)
    if meta_path is None:
        raise InputError("what the records hold is not known", "give `--input_meta_data_path`")
    train = _expand(flags, "train_data_path") if flags.trains else ()
    held_out = _expand(flags, "eval_data_path") if flags.mode != "train" else ()
    tests = {"": held_out} if flags.mode == "predict" else {}
    vocab_file = flags.vocab_file or beside(checkpoint, model_folder.VOCAB_FILE)
    lower_case = find_case_rule(flags.do_lower_case, checkpoint)
    return Inputs(ClassificationMetaData.read(meta_path), vocab_file, lower_case, train, held_out, tests)


def _expand(flags: ClassifierFlags, name: str) -> tuple[str, ...]:
    patterns = getattr(flags, name)
    if patterns is None:
        raise InputError(
            f"`--{name}` must be given with `--mode={flags.mode}`",
            "or give text: `--data_dir`, `--test_file` and the like",
        )
    return tuple(files.expand(patterns))


def _known_labels(flags: ClassifierFlags, trained: str | None, meta: ClassificationMetaData | None) -> tuple[str, ...]:
    """The class names a trained model was trained with; `--labels` must not contradict them."""
    if trained is None:
        return ()
    known = read_class_names(find_source(trained)) if meta is None else meta.label_list
    if known and flags.labels and flags.labels != ",".join(known):
        raise InputError(
            f"`--labels={flags.labels}`, but the model in `{trained}` has the classes {','.join(known)}",
            "leave the flag out",
        )
    return known


def _from_text(flags: ClassifierFlags, vocab_file: str, lower_case: bool, known_labels: tuple[str, ...]) -> Inputs:
    dataset = text_dataset(flags, known_labels)
    recipe = Recipe(vocab_file, lower_case, flags.max_seq_length, dataset.labels)
    wanted = {"train": ("train",), "train_and_eval": ("train", "eval"), "eval": ("eval",), "predict": ("test",)}[
        flags.mode
    ]
    sets = {"train": dataset.train, "eval": dataset.dev, "test": dataset.test}
    if missing := [part for part in wanted if not sets[part]]:
        raise InputError(
            f"`--mode={flags.mode}`: `{dataset.name}` has no {missing[0]} set",
            f"give `--{missing[0]}_file`, or choose another `--mode`",
        )
    folder = _folder(flags, flags.model_dir, recipe, wanted)
    files_of = {part: os.path.join(folder, name) for part, name in _RECORD_FILES.items() if part in wanted}
    paths = RecordPaths(**files_of, meta_data=os.path.join(folder, "meta_data"))
    if not files.is_file(paths.meta_data):
        say(f"making records of {dataset.name} in {folder}")
        with progress() as report:
            write_dataset(dataset, recipe, paths, flags.num_workers or cores(), report)
    tests = {language: (paths.test.replace("{}", language),) for language in dataset.test} if paths.test else {}
    ids = {language: tuple(example.id for example in dataset.test[language]()) for language in tests}
    found = (_one(paths.train), _one(paths.eval), tests, ids)
    return Inputs(ClassificationMetaData.read(paths.meta_data), vocab_file, lower_case, *found)


_RECORD_FILES = {"train": "train.tf_record", "eval": "eval.tf_record", "test": "test{}.tf_record"}


def _one(path: str) -> tuple[str, ...]:
    return (path,) if path else ()


def text_dataset(flags: TextDataFlags, known_labels: tuple[str, ...] = ()) -> TextDataset:
    """The known task or the tables of one's own that the flags name; `known_labels` where no flag says the labels."""
    if flags.data_dir is not None:
        return _known_task(flags, flags.data_dir)
    if flags.text_a_column is None:
        raise InputError("`--text_a_column` must be given with files of your own")
    names = ColumnNames(flags.text_a_column, flags.text_b_column or "", flags.label_column or "", flags.id_column or "")
    labels = flags.labels.split(",") if flags.labels else known_labels
    tables = (flags.train_file or "", flags.eval_file or "", flags.test_file or "")
    return table_dataset(*tables, names, labels, flags.regression)


def _known_task(flags: TextDataFlags, folder: str) -> TextDataset:
    name = flags.task_name or os.path.basename(os.path.normpath(folder)).upper()
    if name not in TASKS:
        raise InputError(f"the task in `{folder}` is not known", f"give `--task_name`, one of {', '.join(TASKS)}")
    language = {"XNLI": flags.xnli_language, "PAWS-X": flags.pawsx_language}.get(name, "")
    return glue_dataset(find_task(name, flags.mnli_type), folder, language)


def _folder(flags: TextDataFlags, model_dir: str, recipe: Recipe, wanted: tuple[str, ...]) -> str:
    """Where the records of these sets are kept."""
    sources = [flags.train_file, flags.eval_file, flags.test_file, recipe.vocab_file]
    if flags.data_dir is not None:
        sources += files.find(os.path.join(glob.escape(flags.data_dir), "**", "*.tsv"), recursive=True)
    settings = [
        getattr(flags, field.name) for field in dataclasses.fields(TextDataFlags) if field.name != "num_workers"
    ]
    return records_folder(model_dir, sources, (settings, recipe, wanted))
