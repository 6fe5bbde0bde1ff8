# SPDX-License-Identifier: Apache-2.0
"""Records of a classification or regression task: made from texts on all cores, and read by number."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np

from jaxbert.console import Report
from jaxbert.datasets.checks import Bounds, Check, Found, Scan, scan_all
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import Split, TextDataset, TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.io.files import processes, whole_file
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab
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
        do_lower_case: whether text is lower-cased and loses its accents.
        max_seq_length: S.
        labels: class names in the order of their ids; empty for regression.
    """

    vocab_file: str
    do_lower_case: bool
    max_seq_length: int
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class RecordPaths:
    """Where records go; "" for a set that is not wanted. In `test`, `{}` stands for the language."""

    train: str = ""
    eval: str = ""
    test: str = ""
    meta_data: str = ""


class Converter:
    """Examples -> the bytes of their records, with one tokenizer whose memory serves them all."""

    def __init__(self, recipe: Recipe) -> None:
        self._tokenizer = Tokenizer(read_vocab(recipe.vocab_file), recipe.do_lower_case)
        self._length = recipe.max_seq_length
        self._label_ids = label_ids(recipe.labels)
        self._schema = classification_schema(self._length, "int" if recipe.labels else "float")

    def frames(self, examples: Sequence[TextExample]) -> bytes:
        """The framed records of `examples`, one after the other."""
        arrays = convert(examples, self._tokenizer, self._length, self._label_ids)
        return b"".join(map(frame, encode(arrays, self._schema)))


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
    workers = processes(workers, [recipe.vocab_file])
    head = list(itertools.islice(examples, _WORTH_WORKERS if workers > 1 else 0))
    chunks = _chunks(itertools.chain(head, examples))
    in_this_process = len(head) < _WORTH_WORKERS
    frames = _convert_here(chunks, recipe) if in_this_process else _convert_in_workers(chunks, recipe, workers)
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


def _chunks(examples: Iterator[TextExample]) -> Iterator[list[TextExample]]:
    while chunk := list(itertools.islice(examples, _CHUNK)):
        yield chunk


Frames = Generator[tuple[int, bytes], None, None]


def _convert_here(chunks: Iterator[list[TextExample]], recipe: Recipe) -> Frames:
    """Number of records and their bytes, for each chunk."""
    converter = Converter(recipe)
    for chunk in chunks:
        yield len(chunk), converter.frames(chunk)


def _convert_in_workers(chunks: Iterator[list[TextExample]], recipe: Recipe, workers: int) -> Frames:
    """As `_convert_here`; two chunks a worker are under way at any time, so memory stays small."""
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(recipe,)
    )
    under_way: collections.deque[tuple[int, concurrent.futures.Future[bytes]]] = collections.deque()
    try:
        for chunk in chunks:
            under_way.append((len(chunk), pool.submit(_work, chunk)))
            if len(under_way) > 2 * workers:
                size, future = under_way.popleft()
                yield size, future.result()
        for size, future in under_way:
            yield size, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_converter: Converter  # of a worker process, set once when it starts


def _start_worker(recipe: Recipe) -> None:
    global _converter  # a worker's function has no other place to find its state
    _converter = Converter(recipe)


def _work(chunk: list[TextExample]) -> bytes:
    return _converter.frames(chunk)


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
