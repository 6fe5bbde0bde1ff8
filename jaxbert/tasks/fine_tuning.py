# SPDX-License-Identifier: Apache-2.0
"""What tasks that are fine-tuned have in common: the model to begin with, how many steps, which weights are kept."""

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Protocol, TypeVar, cast

import numpy as np

from jaxbert.batches.devices import row_units
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.rows import Targets
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.load import DenseHead
from jaxbert.checkpoints.resolve import Model, find_model, find_source
from jaxbert.checkpoints.tf_bundle import find_prefix
from jaxbert.checkpoints.vocab_fit import NewTokens
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import FineTuningFlags
from jaxbert.console import counted, say
from jaxbert.datasets.checks import refuse_other_vocab
from jaxbert.errors import InputError
from jaxbert.export.model import export_model
from jaxbert.io import files
from jaxbert.metrics.glue import LESS_IS_BETTER
from jaxbert.model.weights import Table, Tree, flatten, part_of
from jaxbert.reports import run as reports
from jaxbert.tasks.network import Network, Sequences
from jaxbert.tfrecord.metadata import (
    ClassificationMetaData,
    MetaData,
    MultipleChoiceMetaData,
    SquadMetaData,
    TaggingMetaData,
)
from jaxbert.train import devices, hosts, run_folder
from jaxbert.train.loop import Plan
from jaxbert.train.optimizers import LinearSchedule, rate_factors
from jaxbert.train.run import Epoch, Training, training_dtype

Flags = TypeVar("Flags", bound=FineTuningFlags)
_SAMPLE = 4096  # records that show with which vocabulary they were made


def run_and_export(
    flags: Flags, run_task: Callable[[Flags], None], kind: DenseHead, environment: MutableMapping[str, str]
) -> None:
    """Let `run_task` do what `--mode` says; then write the SavedModel of this kind that is asked for."""
    if flags.export_folder is not None:
        files.refuse_filled_folder(flags.export_folder)
    with devices.prepared(flags, environment):
        if flags.mode != "export_only":
            run_task(flags)
        if flags.export_folder is not None and hosts.is_first():
            export_model(
                trained_checkpoint(flags),
                "saved_model",
                flags.export_folder,
                kind=kind,
                bert_config_file=flags.bert_config_file,
                vocab_file=flags.vocab_file,
                do_lower_case=flags.do_lower_case,
            )


def read_model(flags: FineTuningFlags) -> Model:
    """The model that the mode begins with: the one to train, or a trained one."""
    goes_on = flags.trains and run_folder.check(flags)
    checkpoint = flags.start_checkpoint if flags.trains else trained_checkpoint(flags)
    return find_model(
        checkpoint,
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
        may_be_gone=goes_on,
        new_tokens=cast(NewTokens, flags.new_tokens),
    )


def trained_checkpoint(flags: FineTuningFlags) -> str:
    """Where trained weights are.

    `--predict_checkpoint_path`, or `best`, `last` or a TensorFlow checkpoint in `--model_dir`, or `--init_checkpoint`.
    """
    if flags.predict_checkpoint_path is not None:
        return flags.predict_checkpoint_path
    for name in ("best", "last"):
        if model_folder.has_model(os.path.join(flags.model_dir, name)):
            return os.path.join(flags.model_dir, name)
    try:
        return find_prefix(flags.model_dir)
    except InputError as error:
        if flags.start_checkpoint is not None:
            return flags.start_checkpoint
        raise InputError(
            f"there is no trained model in `{flags.model_dir}`", "train first, or give `--predict_checkpoint_path`"
        ) from error


class Records(Protocol):
    """Sequences by number."""

    def __len__(self) -> int: ...

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of those with these numbers [n]."""


def refuse_records_of_other_vocab(model: Model, records: Records | None, paths: Sequence[str]) -> None:
    """Raise InputError where record files show that they were made with another vocabulary than the model's."""
    if records is None or model.vocab_file is None:
        return
    sample = records.read(np.arange(min(len(records), _SAMPLE)))
    refuse_other_vocab(model.vocab, sample["input_ids"], sample["input_mask"], ", ".join(paths))
    if model.rules is not None and not model.rules.segments and sample["segment_ids"].any():
        raise InputError(
            f"the records in `{', '.join(paths)}` have types of tokens, of which the model's tokenizer gives none",
            "make them again with `--vocab_file` in the folder of the model",
        )


_COMMANDS: Mapping[type[MetaData], tuple[str, str]] = {
    ClassificationMetaData: ("predict classes or numbers", "run_classifier"),
    SquadMetaData: ("answer questions", "run_squad"),
    TaggingMetaData: ("tag words", "run_tagger"),
    MultipleChoiceMetaData: ("choose among answers", "run_multiple_choice"),
}


def refuse_other_task(flags: FineTuningFlags, model: Model, own: type[MetaData]) -> None:
    """Raise InputError where a trained model is for another command than the one whose models are `own`."""
    task = model.task
    if task is None or isinstance(task, own):
        return
    trained_to, command = _COMMANDS[type(task)]
    if isinstance(task, ClassificationMetaData):
        trained_to = f"predict {task.kind}"
    raise InputError(
        f"the model in `{trained_checkpoint(flags)}` was trained to {trained_to}",
        f"use `{command}`, or give a model that was trained to {_COMMANDS[own][0]}",
    )


def data_of_run(checksums: Mapping[str, str], text: str | None) -> dict[str, str]:
    """What the run is bound to: `checksums` of record files by their paths, or of what is made of `text`."""
    if text is None:
        return {f"`{path}`": checksum for path, checksum in checksums.items()}
    return {f"what is made of `{text}`": " ".join(checksums.values())}


def plan(flags: FineTuningFlags, size: int, evaluations: int = 1) -> tuple[Plan, LinearSchedule]:
    """Steps and learning rates for `size` examples, counted as the official trainers count them.

    `evaluations` is their number in an epoch.
    """
    part = size // evaluations
    epoch_steps = part // flags.train_batch_size
    if epoch_steps == 0:
        raise InputError(
            f"`--train_batch_size={flags.train_batch_size}` is more than the {part:,} examples"
            + (" between evaluations" if evaluations > 1 else " that there are to train on"),
            f"give at most {part}" + (", or a lower `--num_eval_per_epoch`" if evaluations > 1 else ""),
        )
    epochs = flags.num_train_epochs * evaluations
    total = int(epochs * epoch_steps)
    if total == 0:
        raise InputError(f"`--num_train_epochs={flags.num_train_epochs}` leaves no step to train", "raise it")
    warmup = int(epochs * part * flags.warmup_proportion / flags.train_batch_size)
    every = (flags.save_checkpoints_steps, flags.log_steps or total, flags.steps_per_loop)
    steps = Plan(total, epoch_steps, *every, flags.train_batch_size)
    return steps, LinearSchedule(flags.learning_rate, flags.end_lr, warmup, total)


class TrainingSet(Sequences, Protocol):
    """Examples to train on."""

    def __len__(self) -> int: ...


def training(
    flags: FineTuningFlags,
    network: Network,
    examples: TrainingSet,
    targets: Targets,
    kind: DenseHead,
    data: Mapping[str, str],
    evaluation: Mapping[str, str],
    *,
    size: int | None = None,
    firsts: np.ndarray | None = None,
    class_order: tuple[int, ...] | None = None,
    evaluations: int = 1,
) -> Training:
    """How the flags say that the first `size` examples, by default all, are learnt.

    Args:
        flags: of the command.
        network: what is trained.
        examples: each a sequence; or a group of neighbouring ones where `firsts` says where each begins.
        targets: what the loss compares with.
        kind: of the head.
        data: what is learnt, see `data_of_run`.
        evaluation: what is evaluated on, empty without it.
        size: number of examples.
        firsts: see `TrainingBatches`.
        class_order: see `Training`.
        evaluations: their number in an epoch.
    """
    size = len(examples) if size is None else size
    steps, schedule = plan(flags, size, evaluations)
    batch_size, parts, lengths = flags.train_batch_size, flags.gradient_accumulation_steps, examples.lengths
    units, together = row_units(network.mesh), parts * flags.steps_per_loop
    shape = choose_shape(lengths, batch_size // parts, *units, firsts=firsts, together=together)
    batches = TrainingBatches(
        *(examples.read, size, batch_size, parts, shape, flags.seed, targets),
        lengths=lengths[:size] if firsts is None else lengths,
        firsts=firsts,
    )
    learner = network.in_dtype(training_dtype(flags))
    return Training(
        *(learner.table, learner.loss, schedule, steps, batches, kind),
        class_order=class_order,
        data=data,
        evaluation=evaluation,
        factors=factors(flags, network.table),
        fresh=fresh_parts(flags, network.config),
        early_end=early_end(flags, steps),
    )


def config_in_training(flags: FineTuningFlags, config: BertConfig) -> BertConfig:
    """The model's configuration with the dropout rates of the flags; what they change is said."""
    hidden, attention = flags.hidden_dropout_prob, flags.attention_dropout_prob
    changed = dataclasses.replace(
        config,
        hidden_dropout_prob=config.hidden_dropout_prob if hidden is None else hidden,
        attention_probs_dropout_prob=config.attention_probs_dropout_prob if attention is None else attention,
    )
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        before, now = getattr(config, name), getattr(changed, name)
        if flags.trains and before != now:
            say(f"`{name}` is {now:g} in this run; the configuration of the model says {before:g}")
    return changed


def factors(flags: FineTuningFlags, table: Table) -> Tree | None:
    """By what the learning rate of each weight is multiplied, see `rate_factors`; None where it is 1 for all.

    What is frozen is said. Raises InputError where `--freeze` names parts that the model does not have.
    """
    frozen = _frozen(flags.freeze, [*dict.fromkeys(map(part_of, table))])
    if not frozen and flags.layer_lr_decay == 1.0:
        return None
    tree = rate_factors(table, flags.layer_lr_decay, frozen)
    if frozen:
        sizes = {path: math.prod(weight.shape) for path, weight in table.items()}
        kept = sum(sizes[path] for path, factor in flatten(tree).items() if factor == 0.0)
        say(f"frozen: {', '.join(frozen)} ({kept:,} of {sum(sizes.values()):,} parameters)")
    return tree


def _frozen(text: str, parts: Sequence[str]) -> list[str]:
    """Which of the parts of a model `--freeze` names, in their order."""
    layers = [part for part in parts if part.startswith("layer_")]
    named = {"encoder": ["embeddings", *layers], **{part: [part] for part in parts if part != "head"}}
    found: set[str] = set()
    for name in filter(None, text.split(",")):
        match = re.fullmatch(r"layer_(\d+)-(\d+)", name)
        first, last = (f"layer_{int(number)}" for number in match.groups()) if match else ("", "")
        if match and first in layers and last in layers and layers.index(first) <= layers.index(last):
            found.update(layers[layers.index(first) : layers.index(last) + 1])
        elif name in named:
            found.update(named[name])
        else:
            others = ", ".join(name for name in named if name not in layers)
            raise InputError(
                f"`--freeze={text}`: the model has no `{name}`",
                f"its parts are {layers[0]} to {layers[-1]}, {others}; write several layers as `layer_0-3`",
            )
    return [part for part in parts if part in found]


def refuse_wrong_parts(flags: FineTuningFlags, config: BertConfig, table: Table) -> None:
    """Raise InputError where `--freeze` or `--reinit_layers` are not for this model, before its data is made."""
    if flags.trains:
        _frozen(flags.freeze, [*dict.fromkeys(map(part_of, table))])
        _fresh(flags, config)


def fresh_parts(flags: FineTuningFlags, config: BertConfig) -> tuple[str, ...]:
    """The parts of the model that `--reinit_layers` lets start at random, which is said."""
    if parts := _fresh(flags, config):
        say(f"start at random: {', '.join(parts)}, in place of as loaded")
    return parts


def _fresh(flags: FineTuningFlags, config: BertConfig) -> tuple[str, ...]:
    count, layers = flags.reinit_layers, config.num_hidden_layers
    if not count:
        return ()
    if count > layers:
        raise InputError(f"`--reinit_layers={count}`, but the model has {counted(layers, 'layer')}", "lower it")
    parts = (*(f"layer_{number}" for number in range(layers - count, layers)), "pooler")
    names = [*(f"layer_{number}" for number in range(layers)), "pooler"]
    if both := set(parts) & {*_frozen(flags.freeze, ["embeddings", *names])}:
        raise InputError(
            f"`--freeze={flags.freeze}` keeps what `--reinit_layers={count}` lets start at random:"
            f" {', '.join(sorted(both))}",
            "leave out one of them",
        )
    return parts


def best_metric(flags: FineTuningFlags, printed: Sequence[str]) -> str:
    """The metric that decides which weights are best, of those that the task prints: the first, unless a flag says."""
    if flags.best_metric not in (None, *printed):
        raise InputError(
            f"`--best_metric={flags.best_metric}` is no metric of this task", f"give one of {', '.join(printed)}"
        )
    return flags.best_metric or printed[0]


def model_folders(flags: FineTuningFlags, epoch: Epoch, results: Mapping[str, float], metric: str) -> list[str]:
    """Where the weights of an epoch are written: `last`, and `best` first where none before did as well.

    Without results there is no best. `last` comes last: then all is done. Raises InputError where the `metric` is not
    among results.
    """
    folders = [os.path.join(flags.model_dir, "last")]
    if results:
        best_metric(dataclasses.replace(flags, best_metric=metric), [*results])
        best = model_folder.read_results(best_folder(flags))
        if metric not in best or best.get("step", epoch.step) >= epoch.step or _is_better(results, best, metric):
            folders.insert(0, best_folder(flags))
    return folders


def _is_better(results: Mapping[str, float], best: Mapping[str, float], metric: str) -> bool:
    """By the metric, and where that is equal by the loss, where it is known."""
    sign = -1 if metric in LESS_IS_BETTER else 1
    now, before = ((sign * found[metric], -found.get("loss", 0.0)) for found in (results, best))
    return now > before


def early_end(flags: FineTuningFlags, plan: Plan) -> Callable[[int], str] | None:
    """Why training ends after a step, which was evaluated, "" where it goes on; None where no flag asks for it.

    All that counts is the step of `best`, so that a run that was stopped ends where it would have.
    """
    patience = flags.patience
    if patience is None:
        return None

    def why(step: int) -> str:
        best = int(model_folder.read_results(best_folder(flags)).get("step", step))
        waited = -(-(step - best) // plan.epoch_steps)
        if waited < patience:
            return ""
        times = "evaluation was" if waited == 1 else f"{waited} evaluations were"
        return f"the last {times} not better than that after step {best}; a larger `--patience` goes on"

    return why


def best_folder(flags: FineTuningFlags) -> str:
    """Where the weights are that did best; nothing was evaluated where there are none."""
    return os.path.join(flags.model_dir, "best")


def model_in(model: Model, folder: str) -> Model:
    """The model with the weights in `folder`."""
    return dataclasses.replace(model, source=find_source(folder))


def best_before(flags: FineTuningFlags, network: Network, model: Model, kind: DenseHead, head: str) -> tuple[Tree, int]:
    """The weights that did best in an earlier command, on the devices, and after how many steps."""
    folder = best_folder(flags)
    weights = network.load(model_in(model, folder), kind, head)
    return weights, int(model_folder.read_results(folder)["step"])


def end_training(flags: FineTuningFlags, write_report: Callable[[], None], *, is_finished: bool, scores: bool) -> None:
    """Say where the model is, and write the report, unless it is there of a run that was finished before.

    `scores` says whether the mode evaluates: what a finished run is given now was not evaluated, which is said.
    """
    if is_finished and scores:
        was = "it was evaluated before" if model_folder.has_model(best_folder(flags)) else "it was not evaluated"
        say(f"{was}; `--mode=eval` scores what is given now")
    say_where(flags)
    if is_finished and reports.is_written(flags.model_dir):
        return
    try:
        write_report()
    except InputError as error:  # the training is done, and ends well
        say(f"note: there is no report: {error.message}")


def say_where(flags: FineTuningFlags) -> None:
    """Tell where the trained weights are."""
    best = "`best` by evaluation, " if model_folder.has_model(best_folder(flags)) else ""
    say(f"the model is in {flags.model_dir}: {best}`last` as training ended")
