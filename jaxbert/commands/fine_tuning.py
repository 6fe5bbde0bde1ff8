# SPDX-License-Identifier: Apache-2.0
"""What the commands that fine-tune have in common: the first weights, how many steps, the best weights, the export."""

import os
from collections.abc import Callable

from jax.sharding import Mesh

from jaxbert.checkpoints import model_folder
from jaxbert.commands import export, machines, model_source, training_run
from jaxbert.config import trainers
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import FineTuningFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.export.network import Kind
from jaxbert.io import files
from jaxbert.train import hosts
from jaxbert.train.loop import Plan
from jaxbert.train.optimizers import LinearSchedule

Work = Callable[[str | None, BertConfig, Mesh], None]
"""(where the first weights are, sizes of the model, devices) -> what the mode does."""


def run(flags: trainers.ClassifierFlags | trainers.SquadFlags, kind: Kind, work: Work) -> None:
    """Do the `work` of the mode, if it has any beside the export; then write the SavedModel that is asked for."""
    if flags.export_folder is not None:
        files.refuse_filled_folder(flags.export_folder)
    with machines.prepared(flags):
        if flags.mode != "export_only":
            checkpoint = _first_weights(flags)
            config = model_source.read_config(flags, checkpoint)
            work(checkpoint, config, machines.devices(flags, config))
        if flags.export_folder is not None and hosts.is_first():
            export.export_trained(flags, kind, flags.export_folder)


def _first_weights(flags: FineTuningFlags) -> str | None:
    """Where the weights are that the mode begins with: those to train, None for random ones, or trained ones."""
    if flags.trains:
        training_run.check_paths(flags)
        return flags.init_checkpoint
    return flags.predict_checkpoint_path or model_source.find_model(flags)


def plan(flags: FineTuningFlags, size: int, evaluations: int = 1) -> tuple[Plan, LinearSchedule]:
    """Steps and learning rates for `size` examples, counted as the official trainers count them.

    `evaluations` is their number in an epoch.
    """
    part = size // evaluations
    epoch_steps = part // flags.train_batch_size
    if epoch_steps == 0:
        raise InputError(
            f"`--train_batch_size={flags.train_batch_size}` is more than the {part} examples between evaluations",
            "lower it" + (", or `--num_eval_per_epoch`" if evaluations > 1 else ""),
        )
    epochs = flags.num_train_epochs * evaluations
    total = int(epochs * epoch_steps)
    if total == 0:
        raise InputError(f"`--num_train_epochs={flags.num_train_epochs}` leaves no step to train", "raise it")
    warmup = int(epochs * part * flags.warmup_proportion / flags.train_batch_size)
    every = (flags.save_checkpoints_steps, flags.log_steps or total, flags.steps_per_loop)
    steps = Plan(total, epoch_steps, *every, flags.train_batch_size)
    return steps, LinearSchedule(flags.learning_rate, flags.end_lr, warmup, total)


def is_best(flags: FineTuningFlags, name: str, value: float, done: int) -> bool:
    """Whether the metric `name`, of which more is better, is above that of every evaluation before step `done`."""
    best = model_folder.read_results(best_folder(flags))
    return name not in best or best.get("step", done) >= done or value > best[name]


def best_folder(flags: FineTuningFlags) -> str:
    """Where the weights are that did best; nothing was evaluated where there are none."""
    return os.path.join(flags.model_dir, "best")


def say_where(flags: FineTuningFlags) -> None:
    """Tell where the trained weights are."""
    best = "`best` by evaluation, " if model_folder.has_model(best_folder(flags)) else ""
    say(f"the model is in {flags.model_dir}: {best}`last` as training ended")
