# SPDX-License-Identifier: Apache-2.0
"""What `--model_dir` remembers of a run: flags, data, learning rates; and whether a command goes on with it.

`flags.txt` is a flag file that repeats the run. `run.json` holds a checksum of all that is trained and evaluated on, by
what messages call it, and the schedule of the learning rate.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp

from jaxbert.checkpoints.model_folder import models_of_run, saved_steps, states_folder
from jaxbert.checkpoints.resolve import Model
from jaxbert.config import bert_config
from jaxbert.config.flags import parse, to_flagfile
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.train import hosts
from jaxbert.train.optimizers import LinearSchedule

FlagsT = TypeVar("FlagsT", bound=TrainingFlags)
FLAG_FILE, DATA_FILE = "flags.txt", "run.json"
# Flags that may change from one command in a folder to the next without making it another training.
FREE_FLAGS = frozenset(
    {
        "mode",
        "model_dir",
        "patience",
        "eval_data_path",
        "eval_file",
        "eval_files",
        "eval_batch_size",
        "predict_file",
        "predict_batch_size",
        "n_best_size",
        "max_answer_length",
        "null_score_diff_threshold",
        "predict_checkpoint_path",
        "model_export_path",
        "test_file",
        "num_workers",
        "log_steps",
        "report_to",
        "save_checkpoints_steps",
        "keep_checkpoints",
        "steps_per_loop",
        "compile_cache",
        "distribution_strategy",
        "num_gpus",
        "worker_hosts",
        "task_index",
        "tpu",
        "mesh",
    }
)


def check(flags: TrainingFlags) -> bool:
    """Whether `--model_dir` holds saved states of this run. Raises InputError where it is no folder for this run.

    A trained model alone, whose states were removed to save space, is one of a run as well.
    """
    files.check_folder(flags.model_dir)
    path = os.path.join(flags.model_dir, FLAG_FILE)
    has_states = bool(saved_steps(states_folder(flags.model_dir)))
    if not files.is_file(path) or not (has_states or models_of_run(flags.model_dir)):
        return has_states
    previous = _flags_of_run(flags, path)
    names = [field.name for field in dataclasses.fields(flags) if field.name not in FREE_FLAGS]
    other = [name for name in names if getattr(previous, name) != getattr(flags, name)]
    is_longer = other == ["num_train_epochs"] and flags.num_train_epochs > previous.num_train_epochs
    if is_longer and not has_states:
        raise InputError(
            f"the training in `{flags.model_dir}` cannot go on: its saved states were removed",
            "choose another `--model_dir`, where a longer training begins anew",
        )
    if other and not is_longer:
        may_follow = has_states and "num_train_epochs" in other
        changes = ", ".join(f"--{name} was `{getattr(previous, name)}`, is `{getattr(flags, name)}`" for name in other)
        raise InputError(
            f"`{flags.model_dir}` holds another run: {changes}",
            f"choose another `--model_dir`, or go on with `--flagfile={path}`"
            + (", where a larger `--num_train_epochs` may follow" if may_follow else ""),
        )
    return has_states


def trained_steps(flags: TrainingFlags, saved: int, evaluated: int) -> int:
    """How many steps of the run are done: up to its newest saved state, or, where it has none any more, its model.

    A model in a folder without a flag file came there by other ways, and is none of the run.
    """
    has_flags = files.is_file(os.path.join(flags.model_dir, FLAG_FILE))
    return saved or (evaluated if has_flags else 0)


def trained_with(kind: type[FlagsT], folder: str) -> FlagsT | None:
    """The flags with which the model of a run was trained; None where the folder is not that of such a run."""
    path = os.path.join(folder, FLAG_FILE)
    try:
        return parse(kind, [f"--flagfile={path}"], {}).options if files.is_file(path) else None
    except InputError:  # flags of another command
        return None


def _flags_of_run(flags: TrainingFlags, path: str) -> TrainingFlags:
    try:
        return parse(type(flags), [f"--flagfile={path}"], {}).options
    except InputError as error:  # flags that this command does not have
        starts = [
            f"`--init_checkpoint={os.path.join(flags.model_dir, name)}`" for name in models_of_run(flags.model_dir)
        ]
        raise InputError(
            f"`{flags.model_dir}` is the folder of another command's run, as `{path}` shows",
            "choose another `--model_dir`"
            + (f"; {' or '.join(starts)} begins with the model that is there" if starts else ""),
        ) from error


def bind(
    flags: TrainingFlags,
    model: Model,
    data: Mapping[str, str],
    evaluation: Mapping[str, str],
    schedule: LinearSchedule,
    done: int,
) -> None:
    """Write flags, data and schedule of a run of which `done` steps are done, for the commands that go on with it.

    `data` has a checksum for each part of what is trained on, `evaluation` of what is evaluated on; where this command
    evaluates nothing it is empty, and what earlier ones evaluated on stays known. Says what becomes of the learning
    rate where the run is made longer.

    Raises:
        InputError: the run was begun with other data, another configuration or vocabulary.
    """
    path = os.path.join(flags.model_dir, DATA_FILE)
    now: dict[str, Any] = {"data": dict(data), "model": _of_model(model), "schedule": dataclasses.asdict(schedule)}
    before: Mapping[str, Any] = {}
    if done and files.is_file(path):
        before = files.read_json_object(path, "what a run was begun with; without this file nothing is compared")
        previous = _schedule(before, path)
        changes, goes_on = _changes(before, now), _changes_of_evaluation(before.get("evaluation", {}), evaluation)
        if changes or goes_on:
            raise _other_data(flags.model_dir, changes + goes_on, done >= previous.total_steps and not goes_on)
        if previous != schedule:
            _say_other_rates(previous, schedule, done)
    if known := dict(evaluation) or before.get("evaluation"):
        now["evaluation"] = known
    if hosts.is_first():
        files.write_text(os.path.join(flags.model_dir, FLAG_FILE), to_flagfile(flags))
        if now != before:
            files.write_text(path, json.dumps(now, indent=2, ensure_ascii=False) + "\n")


def _of_model(model: Model) -> dict[str, str]:
    """Checksums of what training takes of the model besides its weights."""
    parts = {"configuration": bert_config.to_json(model.config).encode()}
    if model.vocab_file is not None:
        parts["vocabulary"] = files.read_bytes(model.vocab_file)
    return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


def _schedule(content: Mapping[str, Any], path: str) -> LinearSchedule:
    try:
        schedule = LinearSchedule(**content["schedule"])
        numbers = [isinstance(value, int | float) for value in dataclasses.astuple(schedule)]
        parts = (content["data"], content["model"], content.get("evaluation", {}))
        if all(isinstance(part, dict) for part in parts) and all(numbers):
            return schedule
        raise TypeError("something else in place of objects or numbers")
    except (KeyError, TypeError) as error:
        raise InputError(
            f"`{path}` does not hold `data`, `model` and `schedule` of a run", "remove the file to go on without it"
        ) from error


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of data and model is not as it was; a model whose files are gone is not compared."""
    of_model = [name for name, checksum in now["model"].items() if before["model"].get(name, checksum) != checksum]
    return [
        *(f"the {name} of the model was changed" for name in of_model),
        *changes_of_data(before["data"], now["data"]),
    ]


def changes_of_data(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between two sets of checksums, by what messages call their parts."""
    gone = [f"{name} is not there any more" for name in old if name not in new]
    return gone + [f"{name} {'was changed' if name in old else 'is new'}" for name in new if old.get(name) != new[name]]


def _changes_of_evaluation(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs of what is evaluated on, whose files may have other names; nothing where one of both is empty."""
    if not old or not new or [*old.values()] == [*new.values()]:
        return []
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    if gone and come:
        return [f"evaluation was on {', '.join(gone)}, is on {', '.join(come)}"]
    return [f"for evaluation {change}" for change in changes_of_data(old, new)]


def _other_data(model_dir: str, changes: Sequence[str], is_finished: bool) -> InputError:
    problem = (
        "is finished, and was not trained on what is there now"
        if is_finished
        else "cannot go on with what is there now"
    )
    return InputError(
        f"the run in `{model_dir}` {problem}: {', '.join(changes)}",
        "restore what was changed, or choose another `--model_dir` to train on what is there now",
    )


def _say_other_rates(before: LinearSchedule, now: LinearSchedule, done: int) -> None:
    was, becomes = (float(schedule.rate(jnp.int32(done))) for schedule in (before, now))
    say(
        f"note: training goes on to step {now.total_steps} in place of {before.total_steps}, with the optimizer's state"
        f" as it is; the learning rate now falls to {now.end:g} at step {now.total_steps}"
        + (f": after step {done} it jumps from {was:.3g} to {becomes:.3g}" if was != becomes else "")
    )
