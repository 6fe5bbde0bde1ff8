# SPDX-License-Identifier: Apache-2.0
"""The programs that the trainers compile, with the shapes of their arguments: to be lowered where no such device is."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxbert.batches.devices import row_sharding, row_units
from jaxbert.batches.loader import TrainingBatches, packed_batches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.rows import Arrays, Targets
from jaxbert.config import trainers
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import TrainingFlags
from jaxbert.model.weights import Table, unflatten
from jaxbert.tasks.classification import Classifier, label_targets
from jaxbert.tasks.pretraining import Pretrainer, targets
from jaxbert.tasks.spans import Answerer, no_targets, span_targets
from jaxbert.tfrecord.metadata import ClassificationMetaData
from jaxbert.train import run
from jaxbert.train.loop import Plan
from jaxbert.train.optimizers import LinearSchedule
from jaxbert.train.run import Training
from jaxbert.train.sharding import weight_shardings, with_shardings
from jaxbert.train.step import Loss, traced

STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Programs:
    """What one trainer compiles.

    Attributes:
        name: of the trainer.
        flags: that it was given.
        mesh: the devices.
        training: as the trainer makes it, but for its ends, which are empty.
        evaluation: compiles what evaluation and prediction compute of a batch.
        evaluated: the targets of that.
    """

    name: str
    flags: TrainingFlags
    mesh: Mesh
    training: Training
    evaluation: "jax.stages.Wrapped"
    evaluated: Targets

    @functools.cached_property
    def batch(self) -> Arrays:
        """The first batch."""
        return self.training.batches.at(0)

    @property
    def tokens(self) -> int:
        """Real tokens in a step's batch."""
        return int((self.batch["sequences"] > 0).sum())

    @property
    def train(self) -> jax.stages.Traced:
        """The training step."""
        step = run.steps(self.flags, self.mesh, self.training)
        state = run.state_like(self.flags, self.mesh, self.training.table)
        return traced(step, state, _like(self.batch, row_sharding(self.mesh, 2)))

    @property
    def evaluate(self) -> jax.stages.Traced:
        """What evaluation and prediction compute of a batch of the same size."""
        table, batches = self.training.table, self.training.batches
        weights = unflatten({path: jax.ShapeDtypeStruct(weight.shape, np.float32) for path, weight in table.items()})
        numbers = np.arange(batches.batch_size)
        held_out = next(iter(packed_batches([(numbers, batches.read(numbers))], batches.shape, self.evaluated)))
        placed = with_shardings(weights, weight_shardings(table, self.mesh))
        return self.evaluation.trace(placed, _like(held_out, row_sharding(self.mesh, 0)))


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """Records in memory: as many as two batches, of random lengths up to `max_seq_length`."""

    size: int
    max_seq_length: int
    shortest: int
    predictions: int = 0

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each record [n]."""
        return np.random.default_rng(0).integers(self.shortest, self.max_seq_length + 1, self.size)

    def read(self, numbers: np.ndarray) -> Arrays:
        """Features of all kinds of records."""
        mask = np.arange(self.max_seq_length)[None] < self.lengths[numbers][:, None]
        zeros = np.zeros(len(numbers), np.int64)
        features = {"input_ids": mask + 0, "input_mask": mask + 0, "segment_ids": mask * 0, "label_ids": zeros}
        features |= {"start_positions": zeros, "end_positions": zeros}
        if self.predictions:
            positions = np.broadcast_to(np.arange(self.predictions), (len(numbers), self.predictions))
            features |= {f"masked_lm_{name}": positions for name in ("positions", "ids")}
            features |= {"masked_lm_weights": np.ones(positions.shape), "next_sentence_labels": zeros}
        return features


def classifier(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_classifier on pairs of 128 tokens."""
    flags = trainers.ClassifierFlags(**_common(batch_size, dtype), input_meta_data_path="none")
    meta = ClassificationMetaData("MRPC", train_data_size=0, max_seq_length=128, num_labels=2)
    model, records = Classifier(config, run.compute(flags, mesh), mesh, meta), MadeUp(2 * batch_size, 128, 16)
    shape = choose_shape(records.lengths, batch_size, 0, *row_units(mesh), even=True)
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, label_targets, lengths=records.lengths
    )
    training = _training(model.table, model.loss, batches)
    return Programs("run_classifier", flags, mesh, training, model.compiled_logits, label_targets)


def pretraining(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_pretraining with 512 tokens and 76 predictions, nine of ten records full."""
    flags = trainers.PretrainingFlags(**_common(batch_size, dtype), input_files="none", optimizer_type="lamb")
    model = Pretrainer(config, run.compute(flags, mesh), mesh, flags.use_next_sentence_label)
    records = MadeUp(2 * batch_size, 512, 480, 76)
    lengths, predicted = records.lengths, np.full(records.size, records.predictions)
    shape = choose_shape(lengths, batch_size, 0, *row_units(mesh), predicted, even=True)
    batches = TrainingBatches(records.read, records.size, batch_size, 1, shape, 0, targets(shape))
    training = _training(model.table, model.loss, batches)
    return Programs("run_pretraining", flags, mesh, training, model.sums, targets(shape))


def squad(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_squad on windows of up to 384 tokens."""
    flags = trainers.SquadFlags(**_common(batch_size, dtype), train_file="none", predict_file="none")
    model, records = Answerer(config, run.compute(flags, mesh), mesh, flags, False), MadeUp(2 * batch_size, 384, 64)
    shape = choose_shape(records.lengths, batch_size, 0, *row_units(mesh), even=True)
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, span_targets, lengths=records.lengths
    )
    training = _training(model.table, model.loss, batches)
    return Programs("run_squad", flags, mesh, training, model.candidates, no_targets)


TRAINERS: dict[str, Callable[[BertConfig, Mesh, int, str], Programs]] = {
    "run_classifier": classifier,
    "run_squad": squad,
    "run_pretraining": pretraining,
}


def _common(batch_size: int, dtype: str) -> dict[str, object]:
    return {"model_dir": "none", "train_batch_size": batch_size, "dtype": dtype}


def _training(table: Table, loss: Loss, batches: TrainingBatches) -> Training:
    schedule, plan = LinearSchedule(1e-4, 0.0, STEPS // 10, STEPS), Plan(STEPS, STEPS, STEPS, STEPS, 1, 1)
    return Training(table, loss, schedule, plan, batches, None)


def _like(batch: Arrays, sharding: NamedSharding) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding) for name, a in batch.items()}
