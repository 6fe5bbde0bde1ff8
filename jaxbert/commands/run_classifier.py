# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier or regressor, evaluate it, predict with it."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import place_whole, put, row_units
from jaxbert.batches.loader import Prefetched, TrainingBatches, evaluation_batches
from jaxbert.batches.packing import choose_shape, evaluation_shape
from jaxbert.batches.rows import label_targets
from jaxbert.checkpoints import model_folder
from jaxbert.commands import fine_tuning, model_source, training_run
from jaxbert.commands.classifier_inputs import Inputs, label_names, read_inputs
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.console import say
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import ClassificationRecords
from jaxbert.metrics.glue import mean_squared_error, score
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import classify
from jaxbert.model.weights import Table, Tree, classifier_table
from jaxbert.predictions import glue as predictions
from jaxbert.train import hosts
from jaxbert.train.evaluate import outputs
from jaxbert.train.hosts import scan_together
from jaxbert.train.losses import classification_loss, regression_loss
from jaxbert.train.report import Summaries
from jaxbert.train.sharding import gathering, weight_shardings
from jaxbert.train.step import Batch, State


def run(flags: ClassifierFlags) -> None:
    """Do what `--mode` says."""
    fine_tuning.run(flags, "classifier", functools.partial(_run, flags))


def _run(flags: ClassifierFlags, checkpoint: str | None, config: BertConfig, mesh: Mesh) -> None:
    with hosts.one_after_the_first("records"):
        inputs = read_inputs(flags, config, checkpoint)
    classifier = Classifier(flags, config, inputs, mesh)
    if flags.trains:
        _train(classifier)
    else:
        assert checkpoint is not None  # find_model gave it
        (_predict if flags.mode == "predict" else _evaluate)(classifier, classifier.load(checkpoint))


@dataclasses.dataclass(frozen=True)
class Classifier:
    """One model and one task, on some devices: what training, evaluation and prediction have in common."""

    flags: ClassifierFlags
    config: BertConfig
    inputs: Inputs
    mesh: Mesh

    @functools.cached_property
    def table(self) -> Table:
        """The weights of the model; a regressor has one output."""
        return classifier_table(self.config, self.inputs.meta.num_labels or 1)

    @functools.cached_property
    def compute(self) -> Compute:
        """How the layers are computed."""
        return training_run.compute(self.flags)

    @functools.cached_property
    def logits(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> [B, N, C] float32."""

        def logits(weights: Tree, batch: Batch) -> jax.Array:
            return classify(weights, self.config, batch, compute=self.compute)

        return jax.jit(gathering(logits, self.table, self.mesh))

    def loss(self, weights: Tree, batch: Batch, noise: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean cross entropy, or mean squared error."""
        logits = classify(weights, self.config, batch, noise=noise, compute=self.compute)
        of_task = regression_loss if self.inputs.meta.is_regression else classification_loss
        return of_task(logits, batch["label_ids"], batch["label_weights"])

    @functools.cached_property
    def texts(self) -> dict[str, str]:
        """What a model folder holds beside the weights: file name -> content."""
        texts = {
            model_folder.CONFIG_FILE: bert_config.to_json(self.config),
            model_folder.META_DATA_FILE: self.inputs.meta.to_json(),
        }
        return texts | model_folder.tokenizer_texts(self.inputs.vocab_file, self.inputs.do_lower_case)

    def records(self, paths: tuple[str, ...], expected: int | None = None) -> ClassificationRecords:
        """The records in these files, checked against the model; says so when they are not `expected` many."""
        config = self.config
        sizes = (config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
        records = ClassificationRecords(paths, self.inputs.meta, Bounds(*sizes), scan_together)
        model_source.note_other_size(expected, len(records), paths)
        return records

    def load(self, checkpoint: str) -> Tree:
        """Trained weights, all of them, on the devices."""
        head = "classifier for these labels"
        found = model_source.load_whole(checkpoint, self.config, self.table, "classifier", head)
        weights: Tree = put(found, weight_shardings(self.table, self.mesh))
        return weights

    def outputs(self, weights: Tree, records: ClassificationRecords) -> np.ndarray:
        """Logits [n, C] float32 of all records, in their order."""
        batch_size = self.flags.eval_batch_size
        shape = evaluation_shape(records.lengths, batch_size, *row_units(self.mesh))
        batches = evaluation_batches(records.read, len(records), shape, 16 * batch_size, label_targets)
        return outputs(self.logits, weights, Prefetched(place_whole(b, self.mesh) for b in batches), len(records))

    def evaluate(self, weights: Tree, records: ClassificationRecords) -> dict[str, float]:
        """Loss and the metrics of the task, the one that chooses the best weights first."""
        logits = self.outputs(weights, records).astype(np.float64)
        labels, task = records.labels, self.inputs.meta.processor_type
        if self.inputs.meta.is_regression:
            return score(task, labels, logits[:, 0]) | {"loss": mean_squared_error(labels, logits[:, 0])}
        loss = -np.mean(log_softmax(logits)[np.arange(len(labels)), labels])
        return score(task, labels, logits) | {"loss": float(loss)}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis, in the dtype of `logits`."""
    below_largest = logits - logits.max(-1, keepdims=True)
    log_probabilities: np.ndarray = below_largest - np.log(np.exp(below_largest).sum(-1, keepdims=True))
    return log_probabilities


def _train(classifier: Classifier) -> None:
    flags, inputs = classifier.flags, classifier.inputs
    records = classifier.records(inputs.train, inputs.meta.train_data_size)
    held_out = classifier.records(inputs.eval, inputs.meta.eval_data_size) if inputs.eval else None
    size = min(len(records), flags.train_data_size or len(records))
    plan, schedule = fine_tuning.plan(flags, size, flags.num_eval_per_epoch)
    batch_size, parts = flags.train_batch_size, flags.gradient_accumulation_steps
    shape = choose_shape(records.lengths, batch_size // parts, flags.seed, *row_units(classifier.mesh), even=True)
    training = training_run.Training(
        classifier.table,
        classifier.loss,
        training_run.optimizer(flags),
        schedule,
        plan,
        TrainingBatches(
            records.read, size, batch_size, parts, shape, flags.seed, label_targets, lengths=records.lengths[:size]
        ),
        functools.partial(model_source.start_weights, flags, classifier.config, classifier.table, "classifier"),
        functools.partial(_finish_epoch, classifier, held_out),
    )
    training_run.fit(flags, classifier.mesh, training)
    fine_tuning.say_where(flags)


def _finish_epoch(
    classifier: Classifier,
    held_out: ClassificationRecords | None,
    state: State,
    done: int,
    summaries: Summaries,
    tell: Callable[[str], None],
) -> None:
    """Evaluate, and write the weights to `best` when no earlier ones were better, and to `last`: then all is done."""
    weights = state["weights"]
    results = classifier.evaluate(weights, held_out) if held_out else {}
    folders = [os.path.join(classifier.flags.model_dir, "last")]
    if results:
        training_run.report_results(results, done, summaries, tell)
        metric = next(iter(results))
        if fine_tuning.is_best(classifier.flags, metric, results[metric], done):
            folders.insert(0, fine_tuning.best_folder(classifier.flags))
    training_run.write_model(folders, weights, classifier.texts, {"step": done, **results})


def _evaluate(classifier: Classifier, weights: Tree) -> None:
    """Print the metrics as JSON on standard output."""
    inputs = classifier.inputs
    print(json.dumps(classifier.evaluate(weights, classifier.records(inputs.eval, inputs.meta.eval_data_size))))


def _predict(classifier: Classifier, weights: Tree) -> None:
    """Write `test_results.tsv`, `predictions.tsv` and, for a task of GLUE, its submission file, for each set."""
    flags, meta = classifier.flags, classifier.inputs.meta
    labels = label_names(meta)
    for name, paths in classifier.inputs.tests.items():
        logits = classifier.outputs(weights, records := classifier.records(paths))
        if not hosts.is_first():
            continue
        predicted = logits[:, 0] if meta.is_regression else np.exp(log_softmax(logits))
        suffix = f"_{name}" if name else ""
        results = os.path.join(flags.model_dir, f"test_results{suffix}.tsv")
        predictions.write_test_results(results, predicted)
        ids = classifier.inputs.ids.get(name) or range(len(records))
        predictions.write_predictions(os.path.join(flags.model_dir, f"predictions{suffix}.tsv"), ids, labels, predicted)
        if submission := predictions.submission_name(meta.processor_type, flags.mnli_type):
            path = os.path.join(flags.model_dir, "submission", submission)
            predictions.write_submission(path, range(len(records)), labels, predicted)
        say(f"predicted {len(records)} examples: {results}")
