# SPDX-License-Identifier: Apache-2.0
"""The programs that the trainers compile, with the shapes of their arguments: to be lowered where no such device is."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from bench.workload import MadeUp, predictions, uniform
from jaxbert.batches.devices import row_sharding, row_units
from jaxbert.batches.loader import TrainingBatches, packed_batches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.rows import Arrays, Targets
from jaxbert.config import trainers
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import TrainingFlags
from jaxbert.model.encoder import Compute
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
from jaxbert.train.step import Loss, Steps, traced

STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Programs:
    """What one trainer compiles.

    Attributes:
        name: of the trainer.
        flags: that it was given.
        mesh: the devices.
        compute: how the layers are computed there.
        training: as the trainer makes it, but for its ends, which are empty.
        evaluation: compiles what evaluation and prediction compute of a batch.
        evaluated: the targets of that.
    """

    name: str
    flags: TrainingFlags
    mesh: Mesh
    compute: Compute
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
        state = run.state_like(self.flags, self.mesh, self.training.table)
        return traced(self.steps, state, _like(self.batch, row_sharding(self.mesh, 2)))

    @property
    def steps(self) -> Steps:
        """The training steps, whose `own` goes into the compiled step behind state and batch."""
        return run.steps(self.flags, self.mesh, self.training)

    @property
    def evaluate(self) -> jax.stages.Traced:
        """What evaluation and prediction compute of a batch of the same size."""
        table, batches = self.training.table, self.training.batches
        weights = unflatten({path: jax.ShapeDtypeStruct(weight.shape, np.float32) for path, weight in table.items()})
        numbers = np.arange(batches.batch_size)
        held_out = next(iter(packed_batches([(numbers, batches.read(numbers))], batches.shape, self.evaluated)))
        placed = with_shardings(weights, weight_shardings(table, self.mesh))
        return self.evaluation.trace(placed, _like(held_out, row_sharding(self.mesh, 0)))


def classifier(
    config: BertConfig, mesh: Mesh, batch_size: int, dtype: str, lengths: np.ndarray | None = None
) -> Programs:
    """run_classifier on pairs of up to 128 tokens; `lengths` [n] of the records, uniform by default."""
    flags = trainers.ClassifierFlags(**_common(batch_size, dtype), input_meta_data_path="none")
    meta = ClassificationMetaData("MRPC", train_data_size=0, max_seq_length=128, num_labels=2)
    model = Classifier(config, run.compute(flags, mesh), mesh, meta)
    records = MadeUp(uniform(2 * batch_size, 16, 128) if lengths is None else lengths, 128, config.vocab_size)
    shape = choose_shape(records.lengths, batch_size, *row_units(mesh))
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, label_targets, lengths=records.lengths
    )
    training = _training(model.table, model.loss, batches)
    return Programs("run_classifier", flags, mesh, model.compute, training, model.compiled_logits, label_targets)


def pretraining(
    config: BertConfig, mesh: Mesh, batch_size: int, dtype: str, lengths: np.ndarray | None = None
) -> Programs:
    """run_pretraining with up to 512 tokens and 76 predictions; records of these lengths [n], by default near 512."""
    flags = trainers.PretrainingFlags(**_common(batch_size, dtype), input_files="none", optimizer_type="lamb")
    model = Pretrainer(config, run.compute(flags, mesh), mesh, flags.use_next_sentence_label)
    lengths = uniform(2 * batch_size, 480, 512) if lengths is None else lengths
    predicted = predictions(lengths)
    records = MadeUp(lengths, 512, config.vocab_size, predicted)
    shape = choose_shape(lengths, batch_size, *row_units(mesh), predicted)
    batches = TrainingBatches(records.read, records.size, batch_size, 1, shape, 0, targets(shape))
    training = _training(model.table, model.loss, batches)
    return Programs("run_pretraining", flags, mesh, model.compute, training, model.sums, targets(shape))


def squad(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str, lengths: np.ndarray | None = None) -> Programs:
    """run_squad on windows of up to 384 tokens; `lengths` [n] of the records, uniform by default."""
    flags = trainers.SquadFlags(**_common(batch_size, dtype), train_file="none", predict_file="none")
    model = Answerer(config, run.compute(flags, mesh), mesh, flags, False)
    records = MadeUp(uniform(2 * batch_size, 64, 384) if lengths is None else lengths, 384, config.vocab_size)
    shape = choose_shape(records.lengths, batch_size, *row_units(mesh))
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, span_targets, lengths=records.lengths
    )
    training = _training(model.table, model.loss, batches)
    return Programs("run_squad", flags, mesh, model.compute, training, model.candidates, no_targets)


TRAINERS: dict[str, Callable[..., Programs]] = {
    "run_classifier": classifier,
    "run_squad": squad,
    "run_pretraining": pretraining,
}


def _common(batch_size: int, dtype: str) -> dict[str, Any]:
    return {"model_dir": "none", "train_batch_size": batch_size, "dtype": dtype}


def _training(table: Table, loss: Loss, batches: TrainingBatches) -> Training:
    schedule, plan = LinearSchedule(1e-4, 0.0, STEPS // 10, STEPS), Plan(STEPS, STEPS, STEPS, STEPS, 1, 1)
    return Training(table, loss, schedule, plan, batches, None)


def _like(batch: Arrays, sharding: NamedSharding) -> dict[str, Any]:
    """Shapes that stand for arrays."""
    return {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding) for name, a in batch.items()}
