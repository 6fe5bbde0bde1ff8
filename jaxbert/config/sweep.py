# SPDX-License-Identifier: Apache-2.0
"""Flags of the commands that run a trainer many times: lists of values in place of one value."""

import dataclasses
import itertools
import os
import re
from collections.abc import Sequence
from typing import Any

from jaxbert.config.flags import Rule, flag, kind, parse, parse_known, required_flag, rules
from jaxbert.errors import InputError
from jaxbert.io.storage import is_remote

_OF_ONE_TASK = (
    *("task_name", "train_file", "eval_file", "test_file", "regression", "multi_label", "mnli_type", "labels"),
    *("train_data_path", "eval_data_path", "input_meta_data_path", "text_a_column", "text_b_column", "label_column"),
)
TRAINERS = ("run_classifier", "run_squad", "run_tagger", "run_multiple_choice")


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """How often and how many at a time; besides these come the flags of the trainer."""

    seeds: int = flag(
        1,
        "Runs of each setting, with seeds from --seed on; the table has their mean and deviation.",
        minimum=1,
        group="Besides the flags of the trainer, which may have several values: 2e-5,3e-5, or of texts a|b",
    )
    jobs: int | None = flag(
        None, "Runs at the same time; default: one on each GPU or TPU chip of this machine, or one.", minimum=1
    )
    keep: str = flag(
        "best",
        "Whose weights stay in the folder: of the run that did best, or of all.",
        choices=("best", "all"),
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        setting: what is varied, flag -> value as it was written; the same for all seeds of it.
        seed: of the run.
        arguments: of the trainer's command, `--model_dir` among them.
        options: the same, read: an instance of the trainer's dataclass.
    """

    setting: tuple[tuple[str, str], ...]
    seed: int
    arguments: tuple[str, ...]
    options: Any

    @property
    def name(self) -> str:
        """What it is called in files and messages."""
        return "_".join([*(f"{name}-{_in_a_path(value)}" for name, value in self.setting), f"seed-{self.seed}"])


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All trainings of a command.

    Attributes:
        trainer: the command that is run.
        folder: `--model_dir`: each run has one of its own below it.
        runs: in the order in which they are done: every setting once before any twice.
        flags: how.
    """

    trainer: str
    folder: str
    runs: tuple[Run, ...]
    flags: SweepFlags


@dataclasses.dataclass(frozen=True)
class GlueFlags(SweepFlags):
    """All tasks of GLUE that are there; besides these come the flags of run_classifier."""

    data_dir: str = required_flag(
        "Folder with a folder for each task, as they were downloaded or as `datasets` has them."
    )
    model_dir: str = required_flag("Folder for everything: a folder for each task, the table, the file for the server.")


@dataclasses.dataclass(frozen=True)
class Glue:
    """What `run_glue` is asked to do: its own flags, and those for each task's trainer."""

    flags: GlueFlags
    rest: tuple[str, ...]


def read_glue(argv: Sequence[str]) -> Glue:
    """The flags of `run_glue`. Raises InputError for those of a single task."""
    flags, rest = parse_known(GlueFlags, argv)
    for argument in rest:
        name = re.sub(r"^--?(\w+).*", r"\1", argument, flags=re.DOTALL)
        if name in _OF_ONE_TASK:
            raise InputError(f"`{argument}`: every task has its own", f"leave `--{name}` out")
    return Glue(flags, tuple(rest))


def read_sweep(trainer: str, options: type[Any], argv: Sequence[str]) -> Sweep:
    """The trainings that a command line asks for: flags of the trainer, some with several values, and `SweepFlags`.

    A flag of numbers, or with a choice, may have values with commas between them; any other with `|` between them.

    Raises:
        InputError: as `parse` does for any of the trainings; nothing is trained then.
    """
    own, rest = parse_known(SweepFlags, argv)
    values = {name: _listed(options, name, text) for name, text in _by_name(options, rest).items()}
    folder = values.pop("model_dir", [""])[0]
    if not folder:
        raise InputError("`--model_dir` must be given", "it is where each run gets a folder of its own")
    if is_remote(folder):
        raise InputError(f"`--model_dir={folder}` is remote", "give a folder on this machine")
    if values.get("mode", ["train_and_eval"]) != ["train_and_eval"]:
        raise InputError(f"`--mode={','.join(values['mode'])}`: every run trains and evaluates", "leave `--mode` out")
    first = _first_seed(values.pop("seed", ["0"]))
    values.setdefault("records_dir", [os.path.join(folder, "records")])
    varied = {name: found for name, found in values.items() if len(found) > 1}
    fixed = [f"--{name}={found[0]}" for name, found in values.items() if len(found) == 1]
    runs = []
    for seed in range(first, first + own.seeds):
        for chosen in itertools.product(*varied.values()):
            run = Run(tuple(zip(varied, chosen, strict=True)), seed, (), None)
            arguments = [*fixed, *(f"--{name}={value}" for name, value in run.setting), f"--seed={seed}"]
            arguments.append(f"--model_dir={os.path.join(folder, 'runs', run.name)}")
            read = parse(options, arguments).options
            runs.append(dataclasses.replace(run, arguments=tuple(arguments), options=read))
    _refuse_shared_folders(runs)
    return Sweep(trainer, folder, tuple(runs), own)


def _refuse_shared_folders(runs: Sequence[Run]) -> None:
    """Raise InputError where two runs would have one folder, as it is named by letters, digits and `+-._` of values."""
    known: dict[str, Run] = {}
    for run in runs:
        other = known.setdefault(run.name, run)
        if other is not run:
            pairs = zip(other.setting, run.setting, strict=True)
            (name, before), (_, now) = next((one, two) for one, two in pairs if one != two)
            raise InputError(
                f"`--{name}={before}|{now}`: the folders of their runs would both be called `{run.name}`",
                "give them in commands with different `--model_dir`",
            )


def _by_name(options: type[Any], arguments: Sequence[str]) -> dict[str, str]:
    """Flag -> the text of its value, the last one where it is given twice."""
    found: dict[str, str] = {}
    known = {short: name for name, rule in rules(options).items() for short in (name, rule.short) if short}
    negated = {f"no{name}": name for name in rules(options) if kind(options, name) is bool}
    waiting = ""
    for argument in arguments:
        match = re.fullmatch(r"--?(\w+)(?:=(.*))?", argument, re.DOTALL)
        if waiting and not match:
            found[waiting], waiting = argument, ""
            continue
        if not match or waiting:
            raise InputError(f"`{argument}` is not a flag", "flags are spelled `--flag=value`")
        name, value = match[1], match[2]
        if name in negated:
            found[negated[name]] = "false"
        elif name not in known:
            parse(options, [argument])  # raises: with the nearest name, or the sentence for flags of other programs
            raise InputError(f"`{argument}` has no effect here", "leave it out")
        elif value is None and kind(options, known[name]) is not bool:
            waiting = known[name]
        else:
            found[known[name]] = "true" if value is None else value
    if waiting:
        raise InputError(f"`--{waiting}` has no value", "flags are spelled `--flag=value`")
    return found


def _listed(options: type[Any], name: str, text: str) -> list[str]:
    rule: Rule = rules(options)[name]
    is_text = kind(options, name) is str and not rule.choices
    values = text.split("|" if is_text else ",")
    if len({*values}) < len(values) or "" in values[1:]:
        raise InputError(
            f"`--{name}={text}`: the same value twice, or an empty one", "each value makes runs of its own"
        )
    return values


def _first_seed(values: Sequence[str]) -> int:
    if len(values) > 1 or not values[0].isdecimal():
        raise InputError(f"`--seed={','.join(values)}`: expected one whole number", "`--seeds` says how many follow it")
    return int(values[0])


def _in_a_path(value: str) -> str:
    """A value as a part of a folder's name."""
    return re.sub(r"[^\w.+-]", "-", value)
