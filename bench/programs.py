# SPDX-License-Identifier: Apache-2.0
"""The programs that the trainers compile, with the shapes of their arguments: to be lowered where no such device is."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxbert.batches.device import row_parts, row_sharding
from jaxbert.batches.loader import TrainingBatches, packed_batches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.rows import Arrays, Targets, label_targets
from jaxbert.batches.spans import no_targets, span_targets
from jaxbert.commands import training_run
from jaxbert.commands.classifier_inputs import Inputs
from jaxbert.commands.run_classifier import Classifier
from jaxbert.commands.run_pretraining import Pretrainer, targets
from jaxbert.commands.squad_answers import Answerer
from jaxbert.commands.training_run import Training
from jaxbert.config import run_classifier, run_pretraining, run_squad
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.training import TrainingFlags
from jaxbert.model.weights import Table, unflatten
from jaxbert.records.meta_data import ClassificationMetaData
from jaxbert.train.compiled import traced
from jaxbert.train.loop import Plan
from jaxbert.train.schedules import LinearSchedule
from jaxbert.train.sharding import weight_shardings, with_shardings
from jaxbert.train.step import Loss

STEPS = 1000


@dataclasses.dataclass(frozen=True)
class Programs:
    """What one trainer compiles.

    Attributes:
        name: of the trainer.
        tokens: real tokens in a step's batch.
        train: the step, traced.
        evaluate: what evaluation and prediction compute of a batch, traced.
    """

    name: str
    tokens: int
    train: jax.stages.Traced
    evaluate: jax.stages.Traced


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

    def sample_sizes(self, _: int) -> tuple[np.ndarray, np.ndarray]:
        """Lengths, and how many positions of each are predicted."""
        return self.lengths, np.full(self.size, self.predictions)


def classifier(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_classifier on pairs of 128 tokens."""
    flags = run_classifier.Flags(**_common(batch_size, dtype), input_meta_data_path="none")
    meta = ClassificationMetaData("MRPC", 2 * batch_size, 128, 2)
    model, records = (
        Classifier(flags, config, Inputs(meta, None, do_lower_case=True), mesh),
        MadeUp(2 * batch_size, 128, 16),
    )
    shape = choose_shape(records.lengths, batch_size, 0, _multiple(mesh), row_parts(mesh), even=True)
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, label_targets, lengths=records.lengths
    )
    return _programs("run_classifier", flags, mesh, model.table, model.loss, batches, label_targets, model.logits)


def pretraining(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_pretraining with 512 tokens and 76 predictions, nine of ten records full."""
    flags = run_pretraining.Flags(**_common(batch_size, dtype), input_files="none", optimizer_type="lamb")
    model, records = Pretrainer(flags, config, mesh), MadeUp(2 * batch_size, 512, 480, 76)
    shape = model.shape(records, batch_size)  # type: ignore[arg-type]  # it has what is asked of it
    batches = TrainingBatches(records.read, records.size, batch_size, 1, shape, 0, targets(shape))
    return _programs("run_pretraining", flags, mesh, model.table, model.loss, batches, targets(shape), model.sums)


def squad(config: BertConfig, mesh: Mesh, batch_size: int, dtype: str) -> Programs:
    """run_squad on windows of up to 384 tokens."""
    flags = run_squad.Flags(**_common(batch_size, dtype), train_file="none", predict_file="none")
    model, records = Answerer(flags, config, False, mesh), MadeUp(2 * batch_size, 384, 64)
    shape = model.shape(records.lengths, batch_size, even=True)
    batches = TrainingBatches(
        records.read, records.size, batch_size, 1, shape, 0, span_targets, lengths=records.lengths
    )
    return _programs("run_squad", flags, mesh, model.table, model.loss, batches, no_targets, model.candidates)


TRAINERS: tuple[Callable[[BertConfig, Mesh, int, str], Programs], ...] = (classifier, squad, pretraining)


def _common(batch_size: int, dtype: str) -> dict[str, object]:
    return {"model_dir": "none", "train_batch_size": batch_size, "dtype": dtype}


def _multiple(mesh: Mesh) -> int:
    return 8 if mesh.devices.flat[0].platform == "cpu" else 128


def _programs(
    name: str,
    flags: TrainingFlags,
    mesh: Mesh,
    table: Table,
    loss: Loss,
    batches: TrainingBatches,
    evaluated: Targets,
    evaluate: "jax.stages.Wrapped",
) -> Programs:
    schedule, plan = LinearSchedule(1e-4, 0.0, STEPS // 10, STEPS), Plan(STEPS, STEPS, STEPS, STEPS, 1, 1)
    training = Training(
        table, loss, training_run.optimizer(flags), schedule, plan, batches, start=dict, finish_epoch=lambda *_: None
    )
    batch = batches.at(0)
    step = traced(
        training_run.steps(flags, training, mesh),
        training_run.state_like(flags, training, mesh),
        _like(batch, row_sharding(mesh, 2)),
    )
    numbers = np.arange(batches.batch_size)
    held_out = next(iter(packed_batches([(numbers, batches.read(numbers))], batches.shape, evaluated)))
    weights = {path: jax.ShapeDtypeStruct(weight.shape, np.float32) for path, weight in table.items()}
    placed = with_shardings(unflatten(weights), weight_shardings(table, mesh))
    return Programs(
        name, int((batch["sequences"] > 0).sum()), step, evaluate.trace(placed, _like(held_out, row_sharding(mesh, 0)))
    )


def _like(batch: Arrays, sharding: NamedSharding) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding) for name, a in batch.items()}
