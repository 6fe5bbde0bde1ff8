# SPDX-License-Identifier: Apache-2.0
"""What every trainer does with its flags: what its folder holds, which devices it uses, steps from first to last."""

import contextlib
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import own_rows, place, put, whole
from jaxbert.batches.loader import Prefetched, TrainingBatches
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.load import check_source
from jaxbert.checkpoints.state import RemoteStates, TrainingStates, saved_steps
from jaxbert.config.flags import parse, to_flagfile
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.io.storage import is_remote
from jaxbert.model.encoder import Compute
from jaxbert.model.weights import Table, Tree, flatten, initialize
from jaxbert.train import devices, hosts
from jaxbert.train.loop import Plan, train
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, LossScale, Optimizer, decay_mask
from jaxbert.train.report import Summaries
from jaxbert.train.sharding import gathering, state_shardings, with_shardings
from jaxbert.train.step import UNSCALED, CompiledSteps, Loss, State, Steps, initial_state, train_step

DTYPES = {"fp32": jnp.float32, "bf16": jnp.bfloat16, "fp16": jnp.float16}
FLAG_FILE = "flags.txt"
# Flags that may change from one command in a folder to the next without making it another training.
FREE_FLAGS = frozenset(
    {
        "mode",
        "model_dir",
        "eval_data_path",
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


def report_results(
    results: Mapping[str, float],
    done: int,
    summaries: Summaries,
    tell: Callable[[str], None],
    shown: Collection[str] = (),
) -> None:
    """Write the metrics of the weights after step `done`, and tell those in `shown`, or else all.

    Raises InputError where there is a loss and it is no finite number.
    """
    if not math.isfinite(results.get("loss", 0.0)):
        raise InputError(f"the evaluation after step {done} has loss `{results['loss']}`", "lower `--learning_rate`")
    summaries.write("validation", done, results)
    told = (f"{name} {value:.4f}" for name, value in results.items() if not shown or name in shown)
    tell(f"evaluation after step {done}: {'  '.join(told)}")


@dataclasses.dataclass(frozen=True)
class Training:
    """What differs from one trainer to the next.

    Attributes:
        table: the weights.
        loss: see `train_step`.
        optimizer: updates the weights.
        schedule: the learning rate of each step.
        plan: when things happen.
        batches: the batch of each step.
        start: makes the weights before the first step.
        finish_epoch: (state, step, summaries, say) evaluates the weights, and at last writes them to `folder`.
        folder: the model folder below `--model_dir` whose results tell up to which step all is done.
    """

    table: Table
    loss: Loss
    optimizer: Optimizer
    schedule: LinearSchedule
    plan: Plan
    batches: TrainingBatches
    start: Callable[[], Tree]
    finish_epoch: Callable[[State, int, Summaries, Callable[[str], None]], None]
    folder: str = "last"


def fit(flags: TrainingFlags, mesh: Mesh, training: Training) -> None:
    """Train from the newest saved state, or from the start, to the last step; what was done already is not repeated."""
    plan = training.plan
    with contextlib.closing(open_states(flags)) as states:
        first, evaluated = states.latest_step() or 0, _evaluated_step(flags, training.folder)
        if first >= plan.total_steps and evaluated == first:
            say(f"training is finished: {first} of {plan.total_steps} steps are done")
            return
        state = _start_state(states, flags, training, mesh)
        done = {"train": first, "validation": first if evaluated == first else first - 1}
        batches = dataclasses.replace(training.batches, own_rows=functools.partial(own_rows, mesh))
        placed = (place(batches.at(step, count), mesh, 2) for step, count in plan.calls(first))
        with contextlib.closing(_summaries(flags, done)) as summaries:

            def finish_epoch(state: State, step: int, tell: Callable[[str], None]) -> None:
                training.finish_epoch(state, step, summaries, tell)

            if first and plan.ends_epoch(first) and evaluated != first:
                finish_epoch(state, first, say)  # the last command was stopped before it came to this
            with contextlib.closing(Prefetched(placed)) as loaded:
                started = time.perf_counter()
                compiled, stop = CompiledSteps(steps(flags, training, mesh), say), hosts.AgreedStop()
                train(compiled, state, loaded, plan, states, summaries, finish_epoch, stop)
                share = loaded.waited / (time.perf_counter() - started)
    say(f"training waited for records {share:.2%} of its time")


def steps(flags: TrainingFlags, training: Training, mesh: Mesh) -> Steps:
    """The function that is compiled: (state, batches) -> (state after them, metrics), see `train_step`."""
    loss, decays = gathering(training.loss, training.table, mesh), decay_mask(training.table)
    return train_step(loss, training.optimizer, training.schedule, decays, flags.seed, loss_scale(flags))


def state_like(flags: TrainingFlags, training: Training, mesh: Mesh) -> State:
    """Shapes, dtypes and shardings of the training state."""

    def first() -> State:
        weights = initialize(training.table, seed=0, stddev=1.0)
        return initial_state(weights, training.optimizer, loss_scale(flags))

    like: State = jax.eval_shape(first)
    return with_shardings(like, state_shardings(like, training.table, mesh))


def _start_state(states: TrainingStates | RemoteStates, flags: TrainingFlags, training: Training, mesh: Mesh) -> State:
    """The newest saved state, or the first one, with the weights that `start` gives; on the devices of `mesh`."""
    like = state_like(flags, training, mesh)
    latest = states.latest_step()
    if latest is not None:
        say(f"going on after step {latest}")
        restored: State = states.restore(latest, like)
        return restored
    places = jax.tree.map(lambda leaf: leaf.sharding, like)
    first = functools.partial(initial_state, optimizer=training.optimizer, scaling=loss_scale(flags))
    state: State = jax.jit(first, out_shardings=places)(put(training.start(), places["weights"]))
    return state


def _summaries(flags: TrainingFlags, done: Mapping[str, int]) -> Summaries:
    """Those of `--model_dir`, which only the first host writes."""
    return Summaries(os.path.join(flags.model_dir, "summaries"), done, is_written=hosts.is_first())


def write_model(folders: Sequence[str], weights: Tree, texts: Mapping[str, str], results: Mapping[str, float]) -> None:
    """Write a model, see `model_folder.write_model`, into each folder; all hosts call it, and return when it is there.

    Weights come to the hosts one at a time; only the first host keeps them, and writes.
    """
    gathered = ((path, whole(weight)) for path, weight in flatten(weights).items())
    arrays = {path: np.asarray(weight) for path, weight in gathered if hosts.is_first()}
    for folder in folders if hosts.is_first() else ():
        model_folder.write_model(folder, arrays, texts, results)
    hosts.wait_for_all("a model")


def _evaluated_step(flags: TrainingFlags, folder: str) -> int:
    """The step whose weights are in the model folder, 0 for none; it was evaluated before they were written."""
    return int(model_folder.read_results(os.path.join(flags.model_dir, folder)).get("step", 0))


def optimizer(flags: TrainingFlags) -> Optimizer:
    """`--optimizer_type`."""
    if flags.optimizer_type == "adamw":
        return AdamW(bias_correction=flags.adam_bias_correction)
    if not flags.adam_bias_correction:
        raise InputError(
            "`--noadam_bias_correction` is for `--optimizer_type=adamw`", "LAMB always corrects its moments"
        )
    return Lamb()


def compute(flags: TrainingFlags) -> Compute:
    """How the layers are computed, by `--dtype`, `--scan_layers` and `--remat`."""
    fast = flags.dtype == "fp32" or (flags.dtype == "bf16" and devices.multiplies_bfloat16())
    if jax.default_backend() == "cpu" and not fast:
        say(f"note: `--dtype={flags.dtype}` saves memory on this CPU, but is not faster there than fp32")
    return Compute(DTYPES[flags.dtype], flags.scan_layers, flags.remat)


def loss_scale(flags: TrainingFlags) -> LossScale:
    """`--loss_scale`, which only float16 needs."""
    if flags.dtype != "fp16":
        return UNSCALED
    return LossScale(2.0**15, dynamic=True) if flags.loss_scale == "dynamic" else LossScale(float(flags.loss_scale))


def check_paths(flags: TrainingFlags) -> None:
    """Fail before any work where `--model_dir` cannot be used or holds another run, or no checkpoint can be found."""
    files.check_folder(flags.model_dir)
    if saved_steps(_states_folder(flags)):
        names = [field.name for field in dataclasses.fields(flags) if field.name not in FREE_FLAGS]
        refuse_changes(flags, names)
    elif flags.init_checkpoint is not None:
        check_source(flags.init_checkpoint)


def open_states(flags: TrainingFlags) -> TrainingStates | RemoteStates:
    """The saved states of `--model_dir`, beside which the flags of the run are written."""
    kind = RemoteStates if is_remote(flags.model_dir) else TrainingStates
    states = kind(_states_folder(flags), flags.keep_checkpoints)
    if hosts.is_first():
        files.write_text(os.path.join(flags.model_dir, FLAG_FILE), to_flagfile(flags))
    return states


def _states_folder(flags: TrainingFlags) -> str:
    return os.path.join(flags.model_dir, "checkpoints")


def refuse_changes(flags: TrainingFlags, names: Sequence[str]) -> None:
    """Raise `InputError` when one of these flags differs from what `--model_dir` was trained with."""
    path = os.path.join(flags.model_dir, FLAG_FILE)
    if not files.is_file(path):
        return
    previous = parse(type(flags), [f"--flagfile={path}"], {}).options
    other = [name for name in names if getattr(previous, name) != getattr(flags, name)]
    if other:
        changes = ", ".join(f"--{name} was `{getattr(previous, name)}`, is `{getattr(flags, name)}`" for name in other)
        raise InputError(
            f"`{flags.model_dir}` holds another run: {changes}",
            f"choose another `--model_dir`, or go on with `--flagfile={path}`",
        )
