# SPDX-License-Identifier: Apache-2.0
"""Records of a classification or regression task: made from texts on all cores, and read by number."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxbert.config.data import FineTuningDataFlags
from jaxbert.console import Report, cores, progress
from jaxbert.datasets.checks import Bounds, Check, Found, Scan, scan_all
from jaxbert.datasets.workers import chunks_in_order
from jaxbert.errors import InputError
from jaxbert.examples.task import open_task
from jaxbert.examples.text_examples import Split, TextDataset, TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.io.files import processes, whole_file
from jaxbert.text.tokenizer import Rules, open_tokenizer
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.example import decode, encode
from jaxbert.tfrecord.files import TFRecords, frame
from jaxbert.tfrecord.metadata import ClassificationMetaData, write_meta_data
from jaxbert.tfrecord.schema import classification_schema

_CHUNK = 1000  # examples; handed to a worker and written at once
_WORTH_WORKERS = 50_000  # examples; below, one core is done before others have helped much


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of a record, the example aside.

    Attributes:
        vocab_file: path of `vocab.txt`.
        rules: how text becomes tokens.
        max_seq_length: S.
        labels: class names in the order of their ids; empty for regression.
    """

    vocab_file: str
    rules: Rules
    max_seq_length: int
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class RecordPaths:
    """Where records go; "" for a set that is not wanted. In `test`, `{}` stands for the language."""

    train: str = ""
    eval: str = ""
    test: str = ""
    meta_data: str = ""


def make_records(flags: FineTuningDataFlags) -> list[str]:
    """Read the sets of a task, write their records, then the metadata; lines that say what was made."""
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
    dataset = _open_dataset(flags)
    rules = Rules(lower_cases(flags.do_lower_case, read_vocab(flags.vocab_file)))
    recipe = Recipe(flags.vocab_file, rules, flags.max_seq_length, dataset.labels)
    with progress() as report:
        meta = write_dataset(dataset, recipe, paths, flags.num_workers or cores(), report)
    made = {"train": (meta.train_data_size, paths.train), "eval": (meta.eval_data_size or 0, paths.eval)}
    for language, size in meta.test_data_size.items():
        made[f"test {language}".strip()] = (size, paths.test.replace("{}", language))
    labels = "numbers" if meta.is_regression else f"{meta.num_labels}: {', '.join(meta.label_list[:10])}"
    return [
        *(f"{name:8} {size:>9,} records  {path}" for name, (size, path) in made.items() if path),
        f"labels   {labels}",
        f"meta     {paths.meta_data}",
    ]


def _open_dataset(flags: FineTuningDataFlags) -> TextDataset:
    """The sets of one's own files where there are any, otherwise those of a known task."""
    regression = flags.fine_tuning_task_type == "regression"
    if flags.train_file or flags.eval_file or flags.test_file:
        if flags.text_a_column is None or flags.label_column is None:
            raise InputError(
                "`--text_a_column` and `--label_column` must be given with files of your own",
                "a column is given by its name in the first line, or by its number from 0 where there is no header",
            )
        return open_task(flags, None, regression=regression)
    if not flags.input_data_dir:
        raise InputError(
            "there is nothing to read", "give `--input_data_dir=...` for a known task, or `--train_file=...`"
        )
    dataset = open_task(flags, flags.input_data_dir, flags.classification_task_name)
    if regression and not dataset.is_regression:
        raise InputError(f"{dataset.name} is a classification task", "leave out `--fine_tuning_task_type=regression`")
    return dataset


def write_dataset(
    dataset: TextDataset, recipe: Recipe, paths: RecordPaths, workers: int, report: Report
) -> ClassificationMetaData:
    """Write the records of every wanted set, then the meta data (last, so that where it is, all is).

    Raises:
        InputError: a wanted set does not exist; several test sets and no `{}` in their path; wrong data.
    """
    test_paths = _test_paths(dataset, paths.test)

    def write(name: str, split: Split | None, path: str) -> int:
        if split is None:
            raise InputError(f"there are no {name} examples for `{path}`", f"name the file that holds the {name} set")
        return write_text_records(path, split(), recipe, workers, lambda count: report(name, count))

    meta = ClassificationMetaData(
        processor_type=dataset.name,
        train_data_size=write("train", dataset.train, paths.train) if paths.train else 0,
        max_seq_length=recipe.max_seq_length,
        num_labels=None if dataset.is_regression else len(dataset.labels),
        label_type="float" if dataset.is_regression else "int",
        eval_data_size=write("eval", dataset.dev, paths.eval) if paths.eval else None,
        test_data_size={
            language: write(f"test {language}".strip(), dataset.test[language], path)
            for language, path in test_paths.items()
        },
        label_list=dataset.labels,
    )
    write_meta_data(paths.meta_data, meta)
    return meta


def write_text_records(
    path: str, examples: Iterator[TextExample], recipe: Recipe, workers: int, report: Callable[[int], None]
) -> int:
    """Write one record for each example, in order; the bytes do not depend on the number of workers.

    Args:
        path: the file to write.
        examples: read as they are needed.
        recipe: how an example becomes a record.
        workers: processes to use; 1 uses this one. Few examples always do.
        report: is told the number of examples written so far.

    Returns:
        The number of records.
    """
    workers, make = processes(workers, [recipe.vocab_file]), functools.partial(_Converter, recipe)
    frames = chunks_in_order(examples, _CHUNK, make, workers, _WORTH_WORKERS)
    count = 0
    with whole_file(path) as file, contextlib.closing(frames):
        for size, content in frames:
            file.write(content)
            count += size
            report(count)
    return count


def _test_paths(dataset: TextDataset, path: str) -> dict[str, str]:
    """Language -> file of each wanted test set."""
    if not path:
        return {}
    if not dataset.test:
        raise InputError(f"there are no test examples for `{path}`", "name the file that holds the test set")
    if len(dataset.test) > 1 and "{}" not in path:
        raise InputError(
            f"`{path}`: {dataset.name} has a test set for each of {', '.join(dataset.test)}",
            "write `{}` where the language belongs in the name: `test_{}.tf_record`",
        )
    return {language: path.replace("{}", language) for language in dataset.test}


class _Converter:
    """Examples -> how many they are, and the bytes of their records; one tokenizer, whose memory serves them all."""

    def __init__(self, recipe: Recipe) -> None:
        self._tokenizer = open_tokenizer(recipe.vocab_file, recipe.rules)
        self._length = recipe.max_seq_length
        self._label_ids = label_ids(recipe.labels)
        self._schema = classification_schema(self._length, "int" if recipe.labels else "float")

    def __call__(self, examples: Sequence[TextExample]) -> tuple[int, bytes]:
        arrays = convert(examples, self._tokenizer, self._length, self._label_ids)
        return len(examples), b"".join(map(frame, encode(arrays, self._schema)))


class ClassificationRecords:
    """Record files as arrays by record number; making it reads and checks every record once, as `scan` does.

    Attributes:
        lengths: tokens of each record [n], int64.
        labels: of each record [n], int64 or float32.

    Raises:
        InputError: no record, a damaged one, a misfit to the meta data, or an id, segment, position or label that the
            model does not have.
    """

    def __init__(
        self, paths: Sequence[str], meta: ClassificationMetaData, bounds: Bounds, scan: Scan = scan_all
    ) -> None:
        self._records, self._num_labels = TFRecords(paths), meta.num_labels
        self._schema = classification_schema(meta.max_seq_length, meta.label_type, has_weights=meta.has_sample_weights)
        if not len(self._records):
            raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
        found = scan(functools.partial(self._check, bounds), len(self))
        self.lengths, self.labels = found["lengths"], found["labels"]

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n]: ids, mask and segments [n, S], labels [n]."""
        payloads = self._records.read(numbers)
        return decode(payloads, self._schema, lambda index: self._records.place(int(numbers[index])))

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths and labels of the records from `first` to before `end`."""
        numbers = np.arange(first, end)
        features = self.read(numbers)
        check = Check(lambda index: self._records.place(first + index))
        check.sequences(features, bounds)
        for name in ("label_ids", "weight"):
            values = features.get(name, np.zeros(len(numbers)))
            check.refuse(~np.isfinite(values), f"has `{name}` that is not a finite number", "make the file again")
        labels = features["label_ids"]
        if self._num_labels is not None:
            wrong = (labels < 0) | (labels >= self._num_labels)
            check.refuse(
                wrong,
                f"has label `{labels[wrong].max(initial=0)}`, the meta data says `num_labels` {self._num_labels}",
                "give the meta data that was written with the records",
            )
        return {"lengths": np.count_nonzero(features["input_mask"], axis=1), "labels": labels}
