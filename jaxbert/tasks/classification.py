# SPDX-License-Identifier: Apache-2.0
"""Classification and regression of sentences and sentence pairs: what `run_classifier` does, mode by mode."""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, cast

import jax
import numpy as np

from jaxbert.batches.rows import Arrays, Layout
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.data import TextDataFlags
from jaxbert.config.trainers import ClassifierFlags, FineTuningFlags
from jaxbert.console import cores, counted, progress, say
from jaxbert.datasets.building import records_folder
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import ClassificationRecords, Recipe, RecordPaths, write_dataset
from jaxbert.datasets.held_out import hold_out
from jaxbert.datasets.in_memory import TextExamples
from jaxbert.errors import InputError
from jaxbert.examples.arrow import Role
from jaxbert.examples.table import ColumnNames, open_table
from jaxbert.examples.text_data import source_files, text_dataset
from jaxbert.examples.text_examples import LabelKind, Split, TextDataset
from jaxbert.features.classification import TextWindows, label_ids
from jaxbert.io import files
from jaxbert.metrics.glue import mean_squared_error, metric_names, score
from jaxbert.metrics.multi_label import METRIC_NAMES, best_thresholds, score_labels
from jaxbert.model.heads import classify
from jaxbert.model.weights import Table, Tree, classifier_table
from jaxbert.predictions import glue as predictions
from jaxbert.reports import content
from jaxbert.reports import run as reports
from jaxbert.tasks import fine_tuning, reporting
from jaxbert.tasks.classes import ModelClasses, class_weights, label_counts
from jaxbert.tasks.network import Network
from jaxbert.tfrecord.metadata import ClassificationMetaData
from jaxbert.train import devices, hosts, run, run_folder
from jaxbert.train.hosts import check_together
from jaxbert.train.losses import classification_loss, multi_label_loss, regression_loss
from jaxbert.train.step import Batch

HELD_OUT_FILE = "held_out_ids.txt"
_SHOWN = 20  # classes whose examples are counted for the user
Pooling = Literal["mean", "max"]
MAX_SEQ_LENGTH = 128  # as in the official scripts, where neither a flag nor the model says it
_HEAD = "classifier for these labels"
_RECORD_FILES = {"train": "train.tf_record", "eval": "eval.tf_record"}


def run_task(flags: ClassifierFlags) -> None:
    """Train, evaluate or predict, as `--mode` says."""
    model = fine_tuning.read_model(flags)
    fine_tuning.refuse_wrong_parts(flags, model.config, classifier_table(model.config, 1))
    mesh = devices.mesh_of(flags, model.config)
    data = read_data(flags, model)
    config = fine_tuning.config_in_training(flags, data.model.config)
    classifier = Classifier(config, run.compute(flags, mesh), mesh, data.meta, _objective(flags, data))
    if flags.trains:
        _train(flags, classifier, data)
        return
    weights = classifier.load(data.model, "classifier", _HEAD, data.class_order)
    if flags.mode == "predict":
        _predict(flags, classifier, weights, data)
    else:
        assert data.held_out is not None  # the mode evaluates
        logits = classifier.example_logits(weights, data.held_out, flags.eval_batch_size)
        print(json.dumps(results(logits, data.held_out.labels, data.meta)))
        _report(flags, classifier, data, Evaluated(data.meta, logits))


class Examples(Protocol):
    """One set of examples, in record files or in memory.

    Attributes:
        lengths: tokens of each example, or each of the windows of long ones, int64.
        labels: of each example [n], int64 or float32; or 1 and 0 for each class [n, C], int64.
        pairs: whether there is an example with a second text.
        checksums: of each of its files by its path, or of all that is in memory.
    """

    lengths: np.ndarray
    labels: np.ndarray
    pairs: bool

    @property
    def checksums(self) -> Mapping[str, str]:
        """See above."""

    def __len__(self) -> int: ...

    def read(self, numbers: np.ndarray) -> Arrays:
        """Features of the examples, or windows, with these numbers."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """What training minimizes besides the plain loss.

    Attributes:
        class_weights: how much each class counts, see `class_weights`; () for all the same.
        label_smoothing: share of a label that is spread over all classes.
    """

    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0


@dataclasses.dataclass(frozen=True)
class Classifier(Network):
    """A classifier, or a regressor."""

    meta: ClassificationMetaData
    objective: Objective = Objective()

    @functools.cached_property
    def table(self) -> Table:
        """The weights; a regressor has one output."""
        return classifier_table(self.config, self.meta.num_labels or 1)

    def logits(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None) -> jax.Array:
        """Of the classes, [B, N, C] float32."""
        return classify(weights, self.config, batch, dropout_bits=dropout_bits, compute=self.compute)

    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean cross entropy, of one class or of each, or squared error."""
        logits = self.logits(weights, batch, dropout_bits)
        labels, shares, objective = batch["label_ids"], batch["label_weights"], self.objective
        if self.meta.is_regression:
            return regression_loss(logits, labels, shares)
        if self.meta.is_multi_label:
            return multi_label_loss(logits, labels, shares, objective.class_weights)
        return classification_loss(logits, labels, shares, objective.label_smoothing, objective.class_weights)

    def targets(self, features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
        """See `label_targets`; with one class of a text its weight, if it has one, is among the `label_weights`."""
        if self.objective.class_weights and not self.meta.is_multi_label:
            of_labels = np.array(self.objective.class_weights)[features["label_ids"]]
            features = {**features, "weight": features.get("weight", 1.0) * of_labels}
        return label_targets(features, layout)

    def example_logits(self, weights: Tree, examples: Examples, batch_size: int) -> np.ndarray:
        """Logits [n, C] float32 of all examples, in their order; `batch_size` of the longest are computed together."""
        logits = self.outputs(weights, examples, batch_size, label_targets, len(examples.lengths))
        if self.meta.windows and isinstance(examples, TextExamples):
            return self.meta.windows.pooled(logits, examples.firsts)
        return logits


def label_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """What the loss compares with.

    Returns:
        `label_ids` [B, N] int32 or float32, or [B, N, C] int32; `label_weights` [B, N] float32, 0 for none.
    """
    labels = features["label_ids"]
    weights = features["weight"] if "weight" in features else np.ones(len(labels))
    return {
        "label_ids": layout.per_sequence(labels, np.float32 if labels.dtype.kind == "f" else np.int32),
        "label_weights": layout.per_sequence(weights, np.float32),
    }


def _train(flags: ClassifierFlags, classifier: Classifier, data: "Data") -> None:
    """Train; after each epoch evaluate, and write the weights to `last`, and to `best` where none before did better."""
    records, meta = data.train, data.meta
    assert records is not None  # the mode trains
    size = min(len(records), flags.train_data_size or len(records))
    texts_are = ("pairs of texts" if meta.pairs else "texts") + (", or windows of them" if meta.windows else "")
    say(f"training on {size:,} {texts_are}: {_counted(records.labels[:size], meta)}")
    training = fine_tuning.training(
        *(flags, classifier, records, classifier.targets, "classifier"),
        fine_tuning.data_of_run(records.checksums, flags.train_file or flags.data_dir),
        _evaluation_of_run(flags, data.held_out),
        size=size,
        class_order=data.class_order,
        evaluations=flags.num_eval_per_epoch,
    )
    metric = fine_tuning.best_metric(flags, printed_metrics(meta))
    texts, is_finished = data.model.texts(), True
    best: Evaluated | None = None
    with contextlib.closing(run.fit(flags, classifier.mesh, data.model, training)) as epochs:
        for epoch in epochs:
            found: dict[str, float] = {}
            is_finished = False
            if data.held_out is not None:
                labels = data.held_out.labels
                logits = classifier.example_logits(epoch.weights, data.held_out, flags.eval_batch_size)
                if meta.is_multi_label:
                    meta = dataclasses.replace(meta, thresholds=best_thresholds(labels, logistic(logits)))
                found = results(logits, labels, meta)
                epoch.report(found)
            folders = fine_tuning.model_folders(flags, epoch, found, metric)
            if len(folders) > 1:
                best = Evaluated(meta, logits, epoch.step)
            texts[model_folder.META_DATA_FILE] = meta.to_json()
            run.write_model(folders, epoch.weights, texts, {"step": epoch.step, **found})

    def write_report() -> None:
        if data.held_out is not None:
            _report(flags, classifier, data, best or _evaluated_before(flags, classifier, data))
            return
        about = {"task": meta.processor_type, "training set": _counted(records.labels[:size], meta)}
        reporting.of_training(flags, _kind(meta), data.model, classifier.table, about)

    fine_tuning.end_training(flags, write_report, is_finished=is_finished, scores=data.held_out is not None)


def _evaluation_of_run(flags: ClassifierFlags, held_out: "Examples | None") -> dict[str, str]:
    """See `data_of_run`, of the evaluation set."""
    if held_out is None:
        return {}
    text = flags.eval_file or flags.train_file or flags.data_dir  # held out of what is trained on, without a file
    return fine_tuning.data_of_run(held_out.checksums, text)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Logits [n, C] of the evaluation set, the task as it was then, and how many steps of this run were done."""

    meta: ClassificationMetaData
    logits: np.ndarray
    step: int | None = None


def _evaluated_before(flags: ClassifierFlags, classifier: Classifier, data: "Data") -> Evaluated:
    """What an earlier command found, which stopped before it wrote a report: the best weights, evaluated again."""
    weights, step = fine_tuning.best_before(flags, classifier, data.model, "classifier", _HEAD)
    assert data.held_out is not None  # it was evaluated
    logits = classifier.example_logits(weights, data.held_out, flags.eval_batch_size)
    path = os.path.join(fine_tuning.best_folder(flags), model_folder.META_DATA_FILE)
    return Evaluated(ClassificationMetaData.read(path), logits, step)


def _report(flags: ClassifierFlags, classifier: Classifier, data: "Data", evaluated: Evaluated) -> None:
    """Write the report on the evaluation set."""
    held_out, meta, logits = data.held_out, evaluated.meta, evaluated.logits
    if held_out is None or not hosts.is_first():
        return
    labels, names = held_out.labels, meta.class_names
    firsts = held_out.firsts if isinstance(held_out, TextExamples) else np.arange(len(held_out))

    def texts(numbers: np.ndarray) -> Sequence[Sequence[str]]:
        if data.model.vocab_file is None or not len(numbers):
            return [[] for _ in numbers]
        return reporting.texts(held_out.read(firsts[numbers]), data.model.vocab)

    if meta.is_regression:
        score, of_each = "mean squared error", (logits[:, 0] - labels) ** 2
        parts = content.regression(labels, logits[:, 0], texts)
    elif meta.is_multi_label:
        score, probabilities = "all labels right", logistic(logits)
        of_each = np.all((probabilities >= thresholds(meta)) == labels, axis=1)
        parts = content.several_labels(names, labels, probabilities, thresholds(meta), texts)
    else:
        score, of_each = "accuracy", logits.argmax(axis=1) == labels
        parts = content.classification(names, labels, np.exp(log_softmax(logits.astype(np.float64))), texts)
    if meta.windows and isinstance(held_out, TextExamples):
        parts |= content.lengths(held_out.whole_lengths, None, of_each, score)
    else:
        parts |= content.lengths(held_out.lengths, meta.max_seq_length, of_each, score)
    found = content.metrics(lambda logits, labels: results(logits, labels, meta), (logits, labels))
    about = {"task": meta.processor_type, "evaluation set": _counted(labels, meta)}
    if data.train is not None:
        about["training set"] = _counted(data.train.labels[: flags.train_data_size], meta)
    parts["results"] = found if evaluated.step is None else {**found, "step": evaluated.step}
    reports.write(flags, _kind(meta), reporting.of_model(data.model, classifier.table), about, parts)


def _kind(meta: ClassificationMetaData) -> str:
    """What a report calls it."""
    return "regression" if meta.is_regression else "several labels" if meta.is_multi_label else "classification"


def _objective(flags: ClassifierFlags, data: "Data") -> Objective:
    """By the flags, which are for this task."""
    if data.train is None:
        return Objective()
    weights: tuple[float, ...] = ()
    if flags.class_weights is not None:
        labels = data.train.labels[: flags.train_data_size]
        weights = class_weights(flags.class_weights, label_counts(labels, data.meta), len(labels), data.meta)
        told = (f"`{name}` {weight:.4g}" for name, weight in zip(data.meta.class_names, weights, strict=True))
        say(f"weights in the loss: {', '.join(told)}")
    return Objective(weights, flags.label_smoothing)


def _refuse_for_other_tasks(flags: ClassifierFlags, meta: ClassificationMetaData, train: Split | None = None) -> None:
    """Raise InputError for flags of training that are not for this task, before its records are made or read.

    Texts to `train` on are read for their labels, where weights depend on how many there are.
    """
    fine_tuning.best_metric(flags, printed_metrics(meta))
    if flags.label_smoothing and (meta.is_regression or meta.is_multi_label):
        raise InputError(
            f"`--label_smoothing={flags.label_smoothing}` is for one class of a text, here are {meta.kind}",
            "leave it out",
        )
    if flags.class_weights != "balanced" or meta.is_regression:
        class_weights(flags.class_weights, np.zeros(0), 0, meta)
    elif train is not None:
        class_weights(flags.class_weights, *_counts_of_texts(flags, train, meta), meta)


def _counts_of_texts(flags: ClassifierFlags, train: Split, meta: ClassificationMetaData) -> tuple[np.ndarray, int]:
    """How many texts to train on have each class [C], and how many there are."""
    numbers, counts, size = label_ids(meta.class_names), np.zeros(meta.num_labels or 0, np.int64), 0
    for example in itertools.islice(train(), None if meta.windows else flags.train_data_size):
        of_text = example.label if isinstance(example.label, tuple) else (str(example.label),)
        counts[[numbers[name] for name in of_text]] += 1
        size += 1
    return counts, size


def _counted(labels: np.ndarray, meta: ClassificationMetaData) -> str:
    """How many examples have which label."""
    if meta.is_regression:
        return f"numbers from {labels.min():g} to {labels.max():g}"
    counts = label_counts(labels, meta)
    told = [f"{count:,} `{name}`" for name, count in zip(meta.class_names[:_SHOWN], counts.tolist(), strict=False)]
    if meta.is_multi_label:
        told.append(f"{np.count_nonzero(~labels.any(axis=1)):,} none")
    rest = len(meta.class_names) - _SHOWN
    return ", ".join(told) + (f" and {rest} further classes" if rest > 0 else "")


def printed_metrics(meta: ClassificationMetaData) -> tuple[str, ...]:
    """The names in `results`."""
    names = METRIC_NAMES if meta.is_multi_label else metric_names(meta.processor_type, meta.num_labels)
    return (*names, "loss")


def results(logits: np.ndarray, labels: np.ndarray, meta: ClassificationMetaData) -> dict[str, float]:
    """Loss and the metrics of the task by logits [n, C], the one that chooses the best weights first."""
    logits, task = logits.astype(np.float64), meta.processor_type
    if meta.is_multi_label:
        found = score_labels(labels, logistic(logits) >= thresholds(meta))
        return found | {"loss": float(np.mean(np.logaddexp(0, logits) - labels * logits))}
    if meta.is_regression:
        return score(task, labels, logits[:, 0]) | {"loss": mean_squared_error(labels, logits[:, 0])}
    loss = -np.mean(log_softmax(logits)[np.arange(len(labels)), labels])
    return score(task, labels, logits) | {"loss": float(loss)}


def thresholds(meta: ClassificationMetaData) -> np.ndarray:
    """The probability from which on each class counts [C]."""
    return np.array(meta.thresholds or (0.5,) * (meta.num_labels or 0))


def logistic(logits: np.ndarray) -> np.ndarray:
    """Probabilities, each alone; in a form that cannot overflow."""
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    return probabilities


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis, in the dtype of `logits`."""
    below_largest = logits - logits.max(-1, keepdims=True)
    log_probabilities: np.ndarray = below_largest - np.log(np.exp(below_largest).sum(-1, keepdims=True))
    return log_probabilities


def _predict(flags: ClassifierFlags, classifier: Classifier, weights: Tree, data: "Data") -> None:
    """Write `test_results.tsv`, `predictions.tsv` and, for a task of GLUE, its submission file, for each set."""
    labels = data.meta.class_names
    read = source_files(flags.test_file, flags.data_dir)
    for name, examples in data.tests.items():
        suffix = f"_{name}" if name else ""
        results = os.path.join(flags.model_dir, f"test_results{suffix}.tsv")
        table = os.path.join(flags.model_dir, f"predictions{suffix}.tsv")
        files.refuse_overwriting([results, table], read)
        logits = classifier.example_logits(weights, examples, flags.eval_batch_size)
        if not hosts.is_first():
            continue
        if data.meta.is_multi_label:
            predicted = logistic(logits)
        else:
            predicted = logits[:, 0] if data.meta.is_regression else np.exp(log_softmax(logits))
        predictions.write_test_results(results, predicted)
        ids = examples.ids if isinstance(examples, TextExamples) else range(len(examples))
        shares = thresholds(data.meta) if data.meta.is_multi_label else None
        predictions.write_predictions(table, ids, labels, predicted, shares)
        if submission := predictions.submission_name(data.meta.processor_type, flags.mnli_type):
            path = os.path.join(flags.model_dir, "submission", submission)
            predictions.write_submission(path, range(len(examples)), labels, predicted)
        say(f"predicted {counted(len(examples), 'example')}: {results}")


@dataclasses.dataclass(frozen=True)
class Data:
    """The examples of a run, as far as its mode needs them.

    Attributes:
        model: the model of the run; where its data is text, with its casing decided.
        meta: the task, its labels.
        train: examples to train on.
        held_out: examples to evaluate on.
        tests: examples to predict, by the name of the set ("" for the only one).
        class_order: for each class the number of its output in the model's file, see `Training`; None: the same.
    """

    model: Model
    meta: ClassificationMetaData
    train: ClassificationRecords | None
    held_out: Examples | None
    tests: Mapping[str, Examples]
    class_order: tuple[int, ...] | None = None


def read_data(flags: ClassifierFlags, model: Model) -> Data:
    """The records or texts that the flags name.

    Texts to train on are turned into records below `<model_dir>/records`, once: a run that goes on, and all its hosts,
    read them there. Texts to evaluate or to predict are kept in memory.

    Raises:
        InputError: flags that are needed are missing; wrong data; a vocabulary that is larger than that of the model;
            classes to evaluate or to predict that are not those of the model.
    """
    if not flags.trains:
        fine_tuning.refuse_other_task(flags, model, ClassificationMetaData)
    if not flags.has_text_data:
        return _records_given(flags, model)
    model = model.for_text()
    return _texts_to_train(flags, model) if flags.trains else _texts_to_answer(flags, model)


def _texts_to_train(flags: ClassifierFlags, model: Model) -> Data:
    dataset = text_dataset(flags, flags.data_dir, flags.task_name, flags.label_kind)
    if flags.eval_share and dataset.train:
        dataset = _with_held_out(flags, dataset)
    parts = ("train",) if flags.mode == "train" else ("train", "eval")
    _refuse_missing(flags, dataset, parts)
    if len(dataset.labels) == 1 and not dataset.is_multi_label:
        raise InputError(
            f"`{flags.train_file}` has one class, `{dataset.labels[0]}`, which cannot be told from another",
            "give texts of all classes; is `--label_column` the right one?",
        )
    most = longest(flags.max_seq_length, model, MAX_SEQ_LENGTH)
    windows = _windows(flags, None, most)
    recipe = _recipe(model, dataset, dataset.labels, most, windows)
    meta = _meta(dataset, dataset.labels, most, windows)
    _refuse_for_other_tasks(flags, meta, dataset.train)
    order = None if dataset.is_regression else ModelClasses.of(model).kept_for(dataset.labels, dataset.is_multi_label)
    with hosts.one_after_the_first():
        paths = _make_records(flags, dataset, recipe, ("train",) if windows else parts)
    held_out = [paths.eval] if paths.eval else []
    meta = dataclasses.replace(ClassificationMetaData.read(paths.meta_data), windows=windows)
    data = _open_records(model, meta, [paths.train], held_out, predicts=False)
    if windows and "eval" in parts:
        data = dataclasses.replace(data, held_out=_in_memory(flags, model, recipe, dataset.dev))
    return dataclasses.replace(data, class_order=order)


def _meta(
    dataset: TextDataset, labels: tuple[str, ...], max_seq_length: int, windows: TextWindows | None
) -> ClassificationMetaData:
    """What is known of the task before any text is read."""
    return ClassificationMetaData(
        dataset.name,
        train_data_size=0,
        max_seq_length=max_seq_length,
        num_labels=None if dataset.is_regression else len(labels),
        label_type="float" if dataset.is_regression else "int",
        label_list=labels,
        is_multi_label=dataset.is_multi_label,
        windows=windows,
    )


def _in_memory(flags: ClassifierFlags, model: Model, recipe: Recipe, split: Split | None) -> TextExamples:
    assert split is not None  # who asks has looked
    return TextExamples(split(), recipe, _bounds(model.config), flags.num_workers or cores())


def _windows(flags: ClassifierFlags, trained: ClassificationMetaData | None, max_seq_length: int) -> TextWindows | None:
    """How texts are read that are too long: by the flags, or as the model was trained; None: they are cut."""
    kept = trained.windows if trained else None
    if flags.long_texts == "cut" or (flags.long_texts is None and kept is None):
        for name in ("doc_stride", "window_pooling"):
            if getattr(flags, name) is not None:
                raise InputError(
                    f"`--{name}={getattr(flags, name)}`, but texts that are too long are cut",
                    "give `--long_texts=windows`, or leave it out",
                )
        return None
    room = max_seq_length - 2
    if flags.doc_stride is not None and flags.doc_stride > room:
        raise InputError(
            f"`--doc_stride={flags.doc_stride}` would leave out tokens between windows of {room}", "lower it"
        )
    stride = flags.doc_stride or (kept.doc_stride if kept else max(1, room // 2))
    return TextWindows(stride, cast(Pooling, flags.window_pooling or (kept.pooling if kept else "mean")))


def _with_held_out(flags: ClassifierFlags, dataset: TextDataset) -> TextDataset:
    """The data set with the examples of `--eval_share` held out, whose ids are written."""
    if dataset.dev is not None:
        raise InputError(
            f"`--eval_share={flags.eval_share}`, but `{dataset.name}` has a set for evaluation", "leave it out"
        )
    dataset, ids = hold_out(dataset, flags.eval_share, flags.seed)
    path = os.path.join(flags.model_dir, HELD_OUT_FILE)
    if hosts.is_first():
        files.write_text(path, "".join(f"{id_}\n" for id_ in ids))
    say(f"held out {counted(len(ids), 'example')} of `{dataset.name}` for evaluation: {path}")
    return dataset


def columns_of_run(folder: str, path: str, role: Role, wanted: Iterable[str]) -> dict[str, Any]:
    """Flags for columns of the table at `path`: those `wanted` by which a run was trained and that the table has.

    They are said. Empty without that of the text, and where columns are known by number: whether a file has a header is
    not known from another file.
    """
    trained = run_folder.trained_with(ClassifierFlags, folder)
    if trained is None or (trained.text_a_column or "0").lstrip("-").isdecimal():
        return {}
    return columns_as_trained(trained, path, role, ["text_a_column"], wanted)


def columns_as_trained(
    trained: FineTuningFlags, path: str, role: Role, needed: Sequence[str], wanted: Iterable[str]
) -> dict[str, Any]:
    """The flags `needed` for columns of the table at `path` as they were `trained` with, and those `wanted` it has.

    They are said. Empty where the table lacks a column that is needed.
    """
    table = open_table(path, ColumnNames(getattr(trained, needed[0])), role)
    named = {name: getattr(trained, name) for name in (*needed, *wanted)}
    found = {name: columns for name, columns in named.items() if columns and all(map(table.has, columns.split(",")))}
    if not found.keys() >= set(needed):
        return {}
    say(f"columns as in training: {' '.join(f'--{name}={columns}' for name, columns in found.items())}")
    return found


def _with_columns_of_run(flags: ClassifierFlags) -> ClassifierFlags:
    """The flags, of which those for columns are as in training where that of the text is not given."""
    role: Role = "eval" if flags.mode == "eval" else "test"
    path = flags.eval_file if role == "eval" else flags.test_file
    if path is None or flags.text_a_column is not None:
        return flags
    names = ("text_b_column", "id_column", *(("label_column",) if role == "eval" else ()))
    wanted = [name for name in names if getattr(flags, name) is None]
    return dataclasses.replace(flags, **columns_of_run(flags.model_dir, path, role, wanted))


def _texts_to_answer(flags: ClassifierFlags, model: Model) -> Data:
    flags = _with_columns_of_run(flags)
    trained = model.task if isinstance(model.task, ClassificationMetaData) else None
    classes = ModelClasses.of(model)
    classes.refuse_labels(flags.labels)
    kind = _trained_kind(flags, trained)
    dataset = text_dataset(flags, flags.data_dir, flags.task_name, kind, classes.names)
    _refuse_missing(flags, dataset, ("eval",) if flags.mode == "eval" else ("test",))
    labels = dataset.labels if dataset.is_regression else classes.ordered(dataset.labels, dataset.name)
    usual = trained.max_seq_length if trained else MAX_SEQ_LENGTH
    most = longest(flags.max_seq_length, model, usual)
    windows = _windows(flags, trained, most)
    recipe = _recipe(model, dataset, labels, most, windows)
    meta = dataclasses.replace(_meta(dataset, labels, most, windows), thresholds=trained.thresholds if trained else ())
    splits = {"": dataset.dev} if flags.mode == "eval" else dataset.test
    found = {name: _in_memory(flags, model, recipe, split) for name, split in splits.items() if split}
    _refuse_other_texts(model, found.values())
    return Data(model, meta, None, found.get(""), found)


def _trained_kind(flags: ClassifierFlags, trained: ClassificationMetaData | None) -> LabelKind:
    """What the labels are for which the model was trained. Raises InputError where a flag says something else."""
    return flags.label_kind if trained is None else _refuse_kind(flags, trained, "the model was trained to predict")


def _refuse_kind(flags: ClassifierFlags, meta: ClassificationMetaData, whose: str) -> LabelKind:
    """The kind of labels by the metadata. Raises InputError where a flag says another."""
    kind: LabelKind = "multi_label" if meta.is_multi_label else "classification"
    if meta.is_regression:
        kind = "regression"
    if flags.label_kind not in ("classification", kind):
        raise InputError(f"`--{flags.label_kind}`, but {whose} {meta.kind}", "leave the flag out")
    return kind


def _refuse_other_texts(model: Model, sets: Iterable[Examples]) -> None:
    """Raise InputError where the model was trained with pairs of texts and a set has none, or the other way round."""
    trained = model.task.pairs if isinstance(model.task, ClassificationMetaData) else None
    texts = {True: "pairs of texts", False: "single texts"}
    for examples in sets:
        if trained is not None and trained != examples.pairs:
            raise InputError(
                f"the model was trained with {texts[trained]}, here are {texts[not trained]}",
                f"{'give the column of the second text with' if trained else 'leave out'} `--text_b_column`",
            )


def _refuse_missing(flags: ClassifierFlags, dataset: TextDataset, parts: Sequence[str]) -> None:
    sets = {"train": dataset.train, "eval": dataset.dev, "test": dataset.test}
    if missing := [part for part in parts if not sets[part]]:
        share = ", or `--eval_share=0.1`" if flags.trains and missing[0] == "eval" else ""
        raise InputError(
            f"`--mode={flags.mode}`: `{dataset.name}` has no {missing[0]} set",
            f"give `--{missing[0]}_file`{share}, or choose another `--mode`",
        )


def _recipe(
    model: Model, dataset: TextDataset, labels: tuple[str, ...], max_seq_length: int, windows: TextWindows | None
) -> Recipe:
    assert model.vocab_file is not None  # `for_text` would have raised
    assert model.rules is not None
    stride = windows.doc_stride if windows else None
    return Recipe(model.vocab_file, model.rules, max_seq_length, labels, dataset.is_multi_label, stride)


def longest(max_seq_length: int | None, model: Model, otherwise: int) -> int:
    """Tokens of the longest example: by the flag of this name, or else what is given here."""
    refuse_longer(max_seq_length, model)
    return max_seq_length or min(otherwise, model.config.max_position_embeddings)


def refuse_longer(max_seq_length: int | None, model: Model) -> None:
    """Raise InputError where the flag of this name asks for more positions than the model has."""
    positions = model.config.max_position_embeddings
    if max_seq_length is not None and max_seq_length > positions:
        raise InputError(
            f"`--max_seq_length={max_seq_length}`, but the model has `max_position_embeddings` {positions}",
            "lower `--max_seq_length`",
        )


def _bounds(config: BertConfig) -> Bounds:
    return Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)


def _records_given(flags: ClassifierFlags, model: Model) -> Data:
    """The sets in the record files that the flags name."""
    if flags.long_texts == "windows":
        raise InputError(
            "`--long_texts=windows` is for texts: in records they are cut", "give `--data_dir`, or `--train_file`"
        )
    _windows(flags, None, MAX_SEQ_LENGTH)  # refuses flags of windows
    if flags.input_meta_data_path is not None:
        meta = ClassificationMetaData.read(flags.input_meta_data_path)
    elif isinstance(model.task, ClassificationMetaData):
        meta = model.task
    else:
        raise InputError("what the records hold is not known", "give `--input_meta_data_path`")
    if flags.max_seq_length not in (None, meta.max_seq_length):
        raise InputError(
            f"`--max_seq_length={flags.max_seq_length}`, but the records have {meta.max_seq_length} by their metadata",
            "leave the flag out, or make records of that length",
        )
    _refuse_kind(flags, meta, "the records have")
    if flags.trains:
        _refuse_for_other_tasks(flags, meta)
    train = _expand(flags, "train_data_path") if flags.trains else ()
    held_out = _expand(flags, "eval_data_path") if flags.mode != "train" else ()
    if flags.trains:
        order = None if meta.is_regression else ModelClasses.of(model).kept_for(meta.class_names, meta.is_multi_label)
    else:
        meta, order = _as_trained(model, meta)
    data = _open_records(model, meta, train, held_out, flags.mode == "predict")
    fine_tuning.refuse_records_of_other_vocab(model, data.train, train)
    fine_tuning.refuse_records_of_other_vocab(model, data.held_out, held_out)
    if data.held_out is not None and flags.mode != "predict":
        _refuse_unlabelled(data.held_out.labels, meta, held_out)
    return dataclasses.replace(data, class_order=order)


def _as_trained(model: Model, meta: ClassificationMetaData) -> tuple[ClassificationMetaData, tuple[int, ...] | None]:
    """What records hold, with what the model adds to it, and the order of its classes.

    Raises InputError where the model was trained for something else.
    """
    trained = model.task
    if not isinstance(trained, ClassificationMetaData):
        return meta, None
    if (trained.is_regression, trained.is_multi_label) != (meta.is_regression, meta.is_multi_label):
        raise InputError(
            f"the model was trained to predict {trained.kind}, the records have {meta.kind}",
            "give records made for this model, or a model trained on such records",
        )
    order = None if meta.is_regression else ModelClasses.of(model).order_for(meta.class_names)
    shares = trained.thresholds
    if shares and order is not None:
        shares = tuple(shares[number] for number in order)
    return dataclasses.replace(meta, thresholds=shares), order


def _expand(flags: ClassifierFlags, name: str) -> Sequence[str]:
    patterns = getattr(flags, name)
    if patterns is None:
        text = "test_file" if flags.mode == "predict" else name.replace("data_path", "file")
        raise InputError(
            f"`--{name}` must be given with `--mode={flags.mode}`", f"or give text: `--data_dir` or `--{text}`"
        )
    return files.expand(patterns)


def _open_records(
    model: Model, meta: ClassificationMetaData, train: Sequence[str], held_out: Sequence[str], predicts: bool
) -> Data:
    """Record files as sets, every record checked; says so where there are not as many as the metadata says."""

    def opened(paths: Sequence[str], expected: int | None) -> ClassificationRecords | None:
        if not paths:
            return None
        records = ClassificationRecords(paths, meta, _bounds(model.config), check_together)
        note_other_size(expected, len(records), paths)
        return records

    trained_on = opened(train, meta.train_data_size)
    others = opened(held_out, None if predicts else meta.eval_data_size)
    has_types = model.rules is None or model.rules.segments  # without them records do not tell pairs apart
    if trained_on is not None:
        longest = min(meta.max_seq_length, model.config.max_position_embeddings)  # records may be padded beyond
        pairs = trained_on.pairs if has_types else meta.pairs
        meta = dataclasses.replace(meta, pairs=pairs, max_seq_length=longest)
    elif others is not None and has_types:
        _refuse_other_texts(model, [others])
    return Data(model, meta, trained_on, others, {"": others} if predicts and others is not None else {})


def _refuse_unlabelled(labels: np.ndarray, meta: ClassificationMetaData, paths: Sequence[str]) -> None:
    """Raise InputError where records to evaluate on have the label that is written where there is none."""
    if len(labels) > 1 and not labels.any():
        label = "0" if meta.is_regression else "none" if meta.is_multi_label else meta.class_names[0]
        named = ", ".join(paths)
        raise InputError(
            f"all {len(labels)} records of `{named}` have the label `{label}`, as test sets without labels do",
            "predict them with `--mode=predict`, or give records with labels",
        )


def note_other_size(expected: int | None, found: int, paths: Sequence[str]) -> None:
    """Say so when there are not as many records as the metadata says."""
    if expected not in (None, found):
        say(
            f"note: the metadata says {expected} records, there are {found} in {', '.join(paths)}; all {found} are used"
        )


def _make_records(flags: ClassifierFlags, dataset: TextDataset, recipe: Recipe, wanted: Sequence[str]) -> RecordPaths:
    """Records of the sets to train and evaluate on, below `--model_dir`, which are made where they are not there."""
    texts = source_files(flags.train_file, flags.eval_file, flags.test_file, flags.data_dir)
    sources = [*texts, recipe.vocab_file]
    names = [field.name for field in dataclasses.fields(TextDataFlags) if field.name != "num_workers"]
    held_out = (flags.eval_share, flags.seed) if flags.eval_share else ()
    settings = ([getattr(flags, name) for name in names], recipe, wanted, *held_out)
    folder = records_folder(flags.records_folder, sources, settings)
    made = {part: os.path.join(folder, _RECORD_FILES[part]) for part in wanted}
    paths = RecordPaths(**made, meta_data=os.path.join(folder, "meta_data"))
    if not files.is_file(paths.meta_data):
        say(f"making records of {dataset.name} in {folder}")
        with progress() as report:
            write_dataset(dataset, recipe, paths, flags.num_workers or cores(), report)
    return paths
