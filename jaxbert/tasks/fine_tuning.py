# SPDX-License-Identifier: Apache-2.0
"""What tasks that are fine-tuned have in common: the model to begin with, how many steps, which weights are kept."""

import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import TypeVar, cast

from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.load import DenseHead
from jaxbert.checkpoints.resolve import Model, find_model
from jaxbert.checkpoints.tf_bundle import find_prefix
from jaxbert.checkpoints.vocab_fit import NewTokens
from jaxbert.config.trainers import ClassifierFlags, FineTuningFlags, SquadFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.export.model import export_model
from jaxbert.io import files
from jaxbert.train import devices, hosts, run_folder
from jaxbert.train.loop import Plan
from jaxbert.train.optimizers import LinearSchedule
from jaxbert.train.run import Epoch

Flags = TypeVar("Flags", ClassifierFlags, SquadFlags)


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


def read_model(flags: ClassifierFlags | SquadFlags) -> Model:
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


def data_of_run(checksums: Mapping[str, str], text: str | None) -> dict[str, str]:
    """What the run is bound to: `checksums` of its record files by their paths, or of those made of `text`."""
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


def model_folders(flags: FineTuningFlags, epoch: Epoch, results: Mapping[str, float], metric: str) -> list[str]:
    """Where the weights of an epoch are written: `last`, and `best` first where none before did better.

    More of the `metric` is better; without results there is no best. `last` comes last: then all is done.
    """
    folders = [os.path.join(flags.model_dir, "last")]
    if results:
        best = model_folder.read_results(best_folder(flags))
        if metric not in best or best.get("step", epoch.step) >= epoch.step or results[metric] > best[metric]:
            folders.insert(0, best_folder(flags))
    return folders


def best_folder(flags: FineTuningFlags) -> str:
    """Where the weights are that did best; nothing was evaluated where there are none."""
    return os.path.join(flags.model_dir, "best")


def say_where(flags: FineTuningFlags) -> None:
    """Tell where the trained weights are."""
    best = "`best` by evaluation, " if model_folder.has_model(best_folder(flags)) else ""
    say(f"the model is in {flags.model_dir}: {best}`last` as training ended")
