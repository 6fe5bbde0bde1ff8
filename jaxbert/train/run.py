# SPDX-License-Identifier: Apache-2.0
"""A training in `--model_dir`, from the newest saved state or the start to the last step."""

import contextlib
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import own_rows, replicate, shard_rows, to_devices
from jaxbert.batches.loader import Prefetched, TrainingBatches
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.load import OUTPUTS, DenseHead, load, with_classes
from jaxbert.checkpoints.resolve import Model
from jaxbert.checkpoints.state import RemoteStates, TrainingStates
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.storage import is_remote
from jaxbert.model.encoder import Compute
from jaxbert.model.weights import Table, Tree, flatten, initialize, part_of, unflatten
from jaxbert.train import devices, hosts, run_folder
from jaxbert.train.loop import DIVERGED, Plan, train, uninterrupted
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, LossScale, Optimizer, decay_mask
from jaxbert.train.sharding import (
    state_shardings,
    training_shardings,
    weight_shardings,
    with_gathered_weights,
    with_shardings,
)
from jaxbert.train.sinks import Mlflow, Opened, TensorBoard, WeightsAndBiases
from jaxbert.train.step import UNSCALED, CompiledSteps, Loss, State, Steps, initial_state, train_step
from jaxbert.train.summaries import Summaries

DTYPES: Mapping[str, jax.typing.DTypeLike] = {"fp32": jnp.float32, "bf16": jnp.bfloat16, "fp16": jnp.float16}


@dataclasses.dataclass(frozen=True)
class Training:
    """What a task gives to be trained.

    Attributes:
        table: the weights.
        loss: see `train_step`.
        schedule: the learning rate of each step.
        plan: when things happen.
        batches: the batch of each step.
        dense_head: what a dense head in the initial checkpoint is, see `read_initial`.
        class_order: the number of each class in the initial checkpoint, where their order differs; () where they are
            other classes, whose head is not loaded.
        folder: the model folder below `--model_dir` that the task writes after each evaluation; its results tell up to
            which step all is done.
        factors: by which the rate of each weight is multiplied, see `rate_factors`; None: by 1.
        fresh: parts of the model, see `part_of`, that start at random although the checkpoint has them.
        early_end: number of steps done, just evaluated -> why the run ends there; "" where it goes on. None: it does.
        data: a checksum of each part of what is trained on, by what messages call it; see `run_folder.bind`.
        evaluation: the same of what is evaluated on; empty where nothing is.
    """

    table: Table
    loss: Loss
    schedule: LinearSchedule
    plan: Plan
    batches: TrainingBatches
    dense_head: DenseHead | None
    folder: str = "last"
    class_order: tuple[int, ...] | None = None
    data: Mapping[str, str] = dataclasses.field(default_factory=dict)
    evaluation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    factors: Tree | None = None
    fresh: Collection[str] = ()
    early_end: Callable[[int], str] | None = None

    def ends(self, step: int) -> str:
        """See `early_end`: what the first host says, on all of them."""
        return hosts.of_first(self.early_end(step)) if self.early_end else ""


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The weights after `step` steps, to be evaluated and written before the next epoch is asked for."""

    step: int
    weights: Tree
    summaries: Summaries

    def report(self, results: Mapping[str, float], shown: Collection[str] = ()) -> None:
        """Write the metrics of these weights, and say those in `shown`, or else all.

        Raises InputError where one is NaN, or the loss infinite.
        """
        for name, value in results.items():
            if math.isnan(value) or (name == "loss" and math.isinf(value)):
                raise InputError(f"the evaluation after step {self.step} has {name} `{value}`", DIVERGED)
        self.summaries.write("validation", self.step, results)
        say_results(self.step, {name: value for name, value in results.items() if not shown or name in shown})


def say_results(step: int, results: Mapping[str, float]) -> None:
    """Say the metrics of the weights after `step` steps."""
    say(f"evaluation after step {step}: {'  '.join(f'{name} {value:.4f}' for name, value in results.items())}")


def fit(flags: TrainingFlags, mesh: Mesh, model: Model, training: Training) -> Generator[Epoch, None, None]:
    """Train to the last step; gives the weights after each epoch. What was done by an earlier command is not repeated.

    Whoever takes the epochs closes the iterator (`contextlib.closing`), which saves and stops what is under way.
    """
    plan = training.plan
    with contextlib.closing(_open_states(flags)) as states:
        first = states.latest_step() or 0
        evaluated = int(model_folder.read_results(os.path.join(flags.model_dir, training.folder)).get("step", 0))
        trained = run_folder.trained_steps(flags, first, evaluated)
        finished = _finished(training, first, trained) if evaluated == trained else ""
        evaluation = {} if finished else training.evaluation  # nothing is evaluated any more
        run_folder.bind(flags, model, training.data, evaluation, training.schedule, trained)
        if finished:
            say(finished)
            return
        like = state_like(flags, mesh, training.table, training.factors)
        whole = weight_shardings(training.table, mesh)
        dtype = training_dtype(flags)
        if flags.dtype == "auto" and dtype == jnp.bfloat16:
            say("training in bfloat16, in which this device is faster; `--dtype=fp32` trains in float32")
        options = devices.compiler_options(model.config, mesh, dtype)
        compiled = CompiledSteps(steps(flags, mesh, training), say, options)
        done = {"train": first, "validation": first if evaluated == first else first - 1}
        folder = os.path.join(flags.model_dir, "summaries")
        with contextlib.closing(Prefetched(_placed_batches(training, mesh, first, compiled, like))) as loaded:
            state = _start_state(states, like, flags, model, training)
            with contextlib.closing(Summaries(folder, done, sinks(flags), hosts.is_first())) as summaries:
                if first and plan.ends_epoch(first) and evaluated != first:  # the last command was stopped before this
                    yield Epoch(first, jax.device_put(state["weights"], whole), summaries)
                    if why := training.ends(first):
                        say(f"training ends early: {why}")
                        return
                started = time.perf_counter()
                for after in train(compiled, state, loaded, plan, states, summaries, hosts.AgreedStop()):
                    step = int(after["step"])
                    yield Epoch(step, jax.device_put(after["weights"], whole), summaries)
                    if step < plan.total_steps and (why := training.ends(step)):
                        say(f"training ends early: {why}")
                        break
                share = loaded.waited / (time.perf_counter() - started)
    say(f"training waited for records {share:.2%} of its time")


def _finished(training: Training, saved: int, trained: int) -> str:
    """What is said of a run in which nothing is left to train after `trained` steps; "" where something is.

    `saved` is the step of its newest state, 0 without one.
    """
    total, why = training.plan.total_steps, ""
    if trained < total and not (why := training.ends(trained)):
        return ""
    longer = "; a larger `--num_train_epochs` goes on from there" if saved else ""
    return f"training is finished: {trained} of {total} steps are done" + (f", and {why}" if why else longer)


def _placed_batches(
    training: Training, mesh: Mesh, first: int, compiled: CompiledSteps, like: State
) -> Iterator[dict[str, jax.Array]]:
    """The batches of all calls on the devices.

    What a new shape of them needs is compiled ahead: for the first one while weights are read.
    """
    batches = dataclasses.replace(training.batches, own_rows=functools.partial(own_rows, mesh))
    for step, count in training.plan.calls(first):
        batch = shard_rows(batches.at(step, count), mesh, 2)
        compiled.begin(like, batch)
        yield batch


def steps(flags: TrainingFlags, mesh: Mesh, training: Training) -> Steps:
    """The function that is compiled: (state, batches) -> (state after them, metrics), see `train_step`."""
    table, parts = training.table, training_shardings(training.table, mesh)
    loss = with_gathered_weights(training.loss, table, mesh, parts, Compute(training_dtype(flags)))
    return train_step(
        *(loss, optimizer(flags), training.schedule, decay_mask(table), flags.seed, loss_scale(flags)), training.factors
    )


def state_like(flags: TrainingFlags, mesh: Mesh, table: Table, factors: Tree | None = None) -> State:
    """Shapes, dtypes and shardings of the training state."""
    weights = unflatten({path: jax.ShapeDtypeStruct(weight.shape, jnp.float32) for path, weight in table.items()})
    like: State = jax.eval_shape(_first_state(flags, factors), weights)
    return with_shardings(like, state_shardings(like, table, mesh))


def _start_state(
    states: TrainingStates | RemoteStates, like: State, flags: TrainingFlags, model: Model, training: Training
) -> State:
    """The newest saved state or the first one, on the devices, with the shapes and shardings of `like`."""
    latest = states.latest_step()
    if latest is not None:
        say(f"going on after step {latest}")
        with uninterrupted():
            restored: State = states.restore(latest, like)
        return restored
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like)
    weights = _start_weights(flags, model, training, flatten(shardings["weights"]))
    first = _first_state(flags, training.factors)
    state: State = jax.jit(first, donate_argnums=0, out_shardings=shardings)(weights)
    return state


def _first_state(flags: TrainingFlags, factors: Tree | None) -> Callable[[Tree], State]:
    """Weights -> the state before the first step."""
    return functools.partial(initial_state, scaling=loss_scale(flags), factors=factors)


def _start_weights(
    flags: TrainingFlags, model: Model, training: Training, shardings: Mapping[str, jax.sharding.Sharding]
) -> Tree:
    """Weights before the first step: from `--init_checkpoint` where it has them, the others at random."""
    loaded: Mapping[str, np.ndarray] = {}
    if model.source is None:
        say("no --init_checkpoint: training starts from random weights")
    else:
        wanted = training.table
        if training.class_order == ():
            wanted = {path: weight for path, weight in wanted.items() if path not in OUTPUTS}
        loaded, _ = load(model, wanted, training.dense_head, flags.allow_partial_init, flags.seed)
        if training.class_order:
            loaded = with_classes(loaded, training.class_order)
        loaded = {path: weight for path, weight in loaded.items() if part_of(path) not in training.fresh}
    rest = {path: weight for path, weight in training.table.items() if path not in loaded}
    fresh = flatten(initialize(rest, flags.seed, model.config.initializer_range, shardings))
    placed = to_devices(dict(loaded), {path: shardings[path] for path in loaded})
    return unflatten({path: placed[path] if path in loaded else fresh[path] for path in training.table})


def write_model(folders: Sequence[str], weights: Tree, texts: Mapping[str, str], results: Mapping[str, float]) -> None:
    """Write a model, see `model_folder.write_model`, into each folder; all hosts call it, and return when it is there.

    Weights come to the hosts one at a time; only the first host keeps them, and writes.
    """
    gathered = ((path, replicate(weight)) for path, weight in flatten(weights).items())
    arrays = {path: np.asarray(weight) for path, weight in gathered if hosts.is_first()}
    for folder in folders if hosts.is_first() else ():
        model_folder.write_model(folder, arrays, texts, results)
    hosts.wait_for_all("a model")


def optimizer(flags: TrainingFlags) -> Optimizer:
    """`--optimizer_type`."""
    if flags.optimizer_type == "adamw":
        return AdamW(bias_correction=flags.adam_bias_correction, decay=flags.weight_decay)
    return Lamb(decay=flags.weight_decay)


def compute(flags: TrainingFlags, mesh: Mesh) -> Compute:
    """How the layers are computed on these devices, by `--dtype`, `--scan_layers` and `--remat`.

    With `auto` that is float32, except in training, see `training_dtype`.
    """
    dtype = "fp32" if flags.dtype == "auto" else flags.dtype
    if dtype not in ("fp32", devices.fastest("auto")) and jax.default_backend() == "cpu":
        say(f"note: `--dtype={dtype}` saves memory on this CPU, but is not faster there than fp32")
    return Compute(DTYPES[dtype], flags.scan_layers, flags.remat, mesh)


def training_dtype(flags: TrainingFlags) -> jax.typing.DTypeLike:
    """In which the layers are computed in training; with `--dtype=auto` what the first host's device is faster in."""
    return DTYPES[hosts.of_first(devices.fastest(flags.dtype))]


def loss_scale(flags: TrainingFlags) -> LossScale:
    """`--loss_scale`, which only float16 needs."""
    if flags.dtype != "fp16":
        return UNSCALED
    return LossScale(2.0**15, dynamic=True) if flags.loss_scale == "dynamic" else LossScale(float(flags.loss_scale))


def sinks(flags: TrainingFlags) -> list[Opened]:
    """`--report_to`."""
    name = os.path.basename(os.path.abspath(flags.model_dir))
    given = dataclasses.asdict(flags)
    made: dict[str, Opened] = {
        "tensorboard": TensorBoard,
        "wandb": functools.partial(WeightsAndBiases, name=name, flags=given),
        "mlflow": functools.partial(Mlflow, name=name, flags=given),
    }
    return [made[program] for program in flags.reported_to]


def _open_states(flags: TrainingFlags) -> TrainingStates | RemoteStates:
    kind = RemoteStates if is_remote(flags.model_dir) else TrainingStates
    return kind(model_folder.states_folder(flags.model_dir), flags.keep_checkpoints)
