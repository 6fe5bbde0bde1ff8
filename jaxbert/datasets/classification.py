# SPDX-License-Identifier: Apache-2.0
"""Records of a classification or regression task: made from texts on all cores, and read by number."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxbert.console import Report, say
from jaxbert.datasets.building import in_chunks
from jaxbert.datasets.checks import Bounds, CheckAll, Found, check_all
from jaxbert.datasets.records import DecodedRecords, open_records
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import Split, TextDataset, TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.features.counts import TextCounts
from jaxbert.io.files import processes, whole_file, write_text
from jaxbert.text.tokenizer import Rules, open_tokenizer
from jaxbert.tfrecord.example import encode
from jaxbert.tfrecord.files import frame
from jaxbert.tfrecord.metadata import ClassificationMetaData
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
        is_multi_label: whether an example may have several labels.
        doc_stride: tokens between the beginnings of the windows of examples that are too long; None: they are cut.
    """

    vocab_file: str
    rules: Rules
    max_seq_length: int
    labels: tuple[str, ...]
    is_multi_label: bool = False
    doc_stride: int | None = None


@dataclasses.dataclass(frozen=True)
class RecordPaths:
    """Where records go; "" for a set that is not wanted. In `test`, `{}` stands for the language."""

    train: str = ""
    eval: str = ""
    test: str = ""
    meta_data: str = ""


def write_dataset(
    dataset: TextDataset, recipe: Recipe, paths: RecordPaths, workers: int, report: Report
) -> ClassificationMetaData:
    """Write the records of every wanted set, then the metadata (last, so that where it is, all is).

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
        is_multi_label=dataset.is_multi_label,
    )
    write_text(paths.meta_data, meta.to_json())
    return meta


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


def write_text_records(
    path: str, examples: Iterator[TextExample], recipe: Recipe, workers: int, report: Callable[[int], None]
) -> int:
    """Write one record for each example, or window of it, in order; the bytes do not depend on the number of workers.

    What the user should know of the texts is said: how many are cut, and whether many of their tokens are unknown.

    Args:
        path: the file to write.
        examples: read as they are needed.
        recipe: how an example becomes a record.
        workers: processes to use; 1 uses this one. Few examples always do.
        report: is told the number of examples written so far.

    Returns:
        The number of records.
    """
    workers = processes(workers, [recipe.vocab_file])
    parts = in_chunks(examples, functools.partial(_converter, recipe), workers, _CHUNK, _WORTH_WORKERS)
    counts = TextCounts()
    with whole_file(path) as file, contextlib.closing(parts):
        for part, content in parts:
            file.write(content)
            counts += part
            report(counts.texts)
    for note in counts.notes(path, recipe.max_seq_length):
        say(note)
    return counts.sequences


def _converter(recipe: Recipe) -> Callable[[Sequence[TextExample]], tuple[TextCounts, bytes]]:
    """Examples -> counts of their texts and the bytes of their records, with one tokenizer for all."""
    tokenizer = open_tokenizer(recipe.vocab_file, recipe.rules)
    ids_of_labels = label_ids(recipe.labels)
    num_flags = len(recipe.labels) if recipe.is_multi_label else None
    schema = classification_schema(recipe.max_seq_length, "int" if recipe.labels else "float", num_flags=num_flags)

    def frames(examples: Sequence[TextExample]) -> tuple[TextCounts, bytes]:
        arrays, counts = convert(
            examples, tokenizer, recipe.max_seq_length, ids_of_labels, recipe.is_multi_label, recipe.doc_stride
        )
        return counts, b"".join(map(frame, encode(arrays, schema)))

    return frames


class ClassificationRecords(DecodedRecords):
    """Record files as arrays by record number; making it reads and checks every record once, by `check_all`.

    Attributes:
        lengths: tokens of each record [n], int64.
        labels: of each record [n], int64 or float32; or 1 and 0 for each class [n, C], int64.
        pairs: whether there is a record with a second text.

    Raises:
        InputError: no record, a damaged one, a misfit to the metadata, or an id, segment, position or label that the
            model does not have.
    """

    def __init__(
        self, paths: Sequence[str], meta: ClassificationMetaData, bounds: Bounds, check_all: CheckAll = check_all
    ) -> None:
        self._meta = meta
        num_flags = meta.num_labels if meta.is_multi_label else None
        schema = classification_schema(
            meta.max_seq_length, meta.label_type, num_flags=num_flags, has_weights=meta.has_sample_weights
        )
        super().__init__(open_records(paths), schema)
        found = check_all(functools.partial(self._check, bounds), len(self))
        self.lengths, self.labels, self.pairs = found["lengths"], found["labels"], bool(found["pairs"].any())

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths, labels and whether there are two texts, of the records from `first` to before `end`."""
        numbers = np.arange(first, end)
        features = self.read(numbers)
        check = self.check(numbers)
        check.refuse(
            features["is_real_example"] == 0,
            "is no example: `is_real_example` is 0, as where a script fills up the last batch for a TPU",
            "make the file from its texts, with `jaxbert create_finetuning_data`; batches are filled up here as needed",
        )
        check.sequences(features, bounds)
        for name in ("label_ids", "weight"):
            values = features.get(name, np.zeros(len(numbers))).reshape(len(numbers), -1)
            wrong = ~np.isfinite(values).all(axis=1)
            check.refuse(wrong, f"has `{name}` that is not a finite number", "make the file again")
        labels, num_labels = features["label_ids"], self._meta.num_labels
        if num_labels is not None:
            classes = 2 if self._meta.is_multi_label else num_labels
            wrong = np.any(((labels < 0) | (labels >= classes)).reshape(len(numbers), -1), axis=1)
            check.refuse(
                wrong,
                f"has label `{labels[wrong].max(initial=0)}`, "
                + ("expected 1 or 0" if self._meta.is_multi_label else f"the metadata says `num_labels` {num_labels}"),
                "give the metadata that was written with the records",
            )
        pairs = (features["segment_ids"] * (features["input_mask"] != 0)).any(axis=1)
        return {"lengths": np.count_nonzero(features["input_mask"], axis=1), "labels": labels, "pairs": pairs}
