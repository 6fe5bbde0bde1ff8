# SPDX-License-Identifier: Apache-2.0
"""Pretrain a BERT: masked language model and next sentence prediction, evaluated on held-out records."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping

import jax
from jax.sharding import Mesh

from jaxbert.batches.devices import place_whole, row_units
from jaxbert.batches.loader import Prefetched, TrainingBatches, evaluation_batches
from jaxbert.batches.packing import RowShape, choose_shape
from jaxbert.batches.rows import Targets
from jaxbert.batches.targets import pretraining_targets
from jaxbert.checkpoints import model_folder
from jaxbert.commands import machines, model_source, training_run
from jaxbert.commands.pretraining_inputs import Source, open_records
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import PretrainingFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.metrics.pretraining import SUMS, metrics
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import pretrain
from jaxbert.model.weights import Table, Tree, pretraining_table
from jaxbert.train.evaluate import totals
from jaxbert.train.hosts import scan_together
from jaxbert.train.loop import Plan
from jaxbert.train.losses import pretraining_loss, score_sums
from jaxbert.train.optimizers import LinearSchedule
from jaxbert.train.report import Summaries
from jaxbert.train.sharding import gathering
from jaxbert.train.step import Batch, State

FOLDER = "pretrained"


def run(flags: PretrainingFlags) -> None:
    """Train from where the run stands, or from the start, to the last step."""
    with machines.prepared(flags):
        _run(flags)


def _run(flags: PretrainingFlags) -> None:
    training_run.check_paths(flags)
    config = model_source.read_config(flags, flags.init_checkpoint)
    vocab_file = flags.vocab_file or model_source.beside(flags.init_checkpoint, model_folder.VOCAB_FILE)
    lower_case = model_source.find_case_rule(flags.do_lower_case, flags.init_checkpoint)
    texts = {model_folder.CONFIG_FILE: bert_config.to_json(config)}
    texts |= model_folder.tokenizer_texts(vocab_file, lower_case)
    records = open_records(flags, config, flags.input_files)
    pretrainer = Pretrainer(flags, config, machines.devices(flags, config))
    held_out = None
    if flags.eval_files:
        evaluated = open_records(flags, config, flags.eval_files)
        held_out = (evaluated, pretrainer.shape(evaluated, min(flags.eval_batch_size, len(evaluated))))
    batch_size, parts = flags.train_batch_size, flags.gradient_accumulation_steps
    shape = pretrainer.shape(records, batch_size // parts)
    # One host reads all records anyway; each of several has to know the sizes of those that others read.
    known = records.sizes(scan_together) if jax.process_count() > 1 else {}
    batches = TrainingBatches(
        *(records.read, len(records), batch_size, parts, shape, flags.seed, targets(shape), records.draw),
        lengths=known.get("lengths"),
        predicted=known.get("predicted"),
    )
    training = training_run.Training(
        pretrainer.table,
        pretrainer.loss,
        training_run.optimizer(flags),
        _schedule(flags),
        _plan(flags),
        batches,
        functools.partial(model_source.start_weights, flags, config, pretrainer.table, None),
        functools.partial(_finish_epoch, pretrainer, held_out, texts),
        FOLDER,
    )
    training_run.fit(flags, pretrainer.mesh, training)
    say(f"the model is in {os.path.join(flags.model_dir, FOLDER)}; give it as --init_checkpoint")


@dataclasses.dataclass(frozen=True)
class Pretrainer:
    """One model on some devices: what training and evaluation have in common."""

    flags: PretrainingFlags
    config: BertConfig
    mesh: Mesh

    @functools.cached_property
    def table(self) -> Table:
        """The weights of the model."""
        return pretraining_table(self.config, next_sentence=self.flags.use_next_sentence_label)

    @functools.cached_property
    def compute(self) -> Compute:
        """How the layers are computed."""
        return training_run.compute(self.flags)

    def logits(self, weights: Tree, batch: Batch, noise: jax.Array | None = None) -> tuple[jax.Array, jax.Array | None]:
        """See `pretrain`."""
        next_sentence = self.flags.use_next_sentence_label
        return pretrain(weights, self.config, batch, next_sentence=next_sentence, noise=noise, compute=self.compute)

    def loss(self, weights: Tree, batch: Batch, noise: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: of masked tokens and next sentences."""
        masked, following = self.logits(weights, batch, noise)
        return pretraining_loss(masked, following, batch)

    @functools.cached_property
    def sums(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> the sums over the batch that metrics are made of."""

        def sums(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
            masked, following = self.logits(weights, batch)
            found = dict(
                zip(SUMS[:3], score_sums(masked, batch["masked_lm_ids"], batch["masked_lm_weights"]), strict=True)
            )
            if following is None:
                return found
            of_next = score_sums(following, batch["next_sentence_labels"], batch["next_sentence_weights"])
            return found | dict(zip(SUMS[3:], of_next, strict=True))

        return jax.jit(gathering(sums, self.table, self.mesh))

    def shape(self, records: Source, batch_size: int) -> RowShape:
        """Rows for batches of these records, tried on a sample."""
        lengths, predicted = records.sample_sizes(self.flags.seed)
        return choose_shape(lengths, batch_size, self.flags.seed, *row_units(self.mesh), predicted, even=True)

    def evaluate(self, weights: Tree, records: Source, shape: RowShape) -> dict[str, float]:
        """Losses and accuracies over all records; those without masks have the masks of epoch 0."""
        window = 16 * self.flags.eval_batch_size
        batches = evaluation_batches(records.read_masked, len(records), shape, window, targets(shape))
        return metrics(totals(self.sums, weights, Prefetched(place_whole(batch, self.mesh) for batch in batches)))


def targets(shape: RowShape) -> Targets:
    """What the losses compare with, in rows of this shape."""
    return functools.partial(pretraining_targets, predictions=shape.predictions)


def _plan(flags: PretrainingFlags) -> Plan:
    total = round(flags.num_train_epochs * flags.num_steps_per_epoch)
    if total == 0:
        raise InputError(f"`--num_train_epochs={flags.num_train_epochs}` leaves no step to train", "raise it")
    often = (flags.save_checkpoints_steps, flags.log_steps or total, flags.steps_per_loop)
    return Plan(total, flags.num_steps_per_epoch, *often, flags.train_batch_size)


def _schedule(flags: PretrainingFlags) -> LinearSchedule:
    total = _plan(flags).total_steps
    warmup = int(flags.warmup_proportion * total) if flags.warmup_proportion else int(flags.warmup_steps)
    if warmup >= total:
        say(
            f"note: the rate rises for {warmup} steps and training ends after {total}: it never gets to"
            f" `--learning_rate`; give a smaller `--warmup_steps`, or `--warmup_proportion`"
        )
    return LinearSchedule(flags.learning_rate, flags.end_lr, warmup, total)


def _finish_epoch(
    pretrainer: Pretrainer,
    held_out: tuple[Source, RowShape] | None,
    texts: Mapping[str, str],
    state: State,
    done: int,
    summaries: Summaries,
    tell: Callable[[str], None],
) -> None:
    """Evaluate, then write the model: then all is done."""
    results = pretrainer.evaluate(state["weights"], *held_out) if held_out else {}
    if results:
        training_run.report_results(results, done, summaries, tell)
    path = os.path.join(pretrainer.flags.model_dir, FOLDER)
    training_run.write_model([path], state["weights"], texts, {"step": done, **results})
