# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, saves, evaluation at the end of each epoch, and an orderly stop on Ctrl-C or SIGTERM."""

import contextlib
import dataclasses
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

import jax
import numpy as np

from jaxbert.checkpoints.state import RemoteStates, TrainingStates
from jaxbert.console import TrainingProgress
from jaxbert.errors import InputError, Interrupted
from jaxbert.train.step import Batch, Metrics, State
from jaxbert.train.summaries import Summaries

_MOST_OVERFLOWS = 50  # steps in a row; a dynamic scale has fallen from 2^15 to 1 after 15
DIVERGED = "begin again in another `--model_dir`, with a lower `--learning_rate`"


@dataclasses.dataclass(frozen=True)
class Plan:
    """When things happen, in steps.

    Attributes:
        total_steps: the training ends after this many.
        epoch_steps: after each so many, and at the end, the weights are evaluated.
        save_steps: the state is saved after each so many, besides the end of each epoch.
        log_steps: metrics are written after each so many.
        loop_steps: so many are done in one call of the compiled program, fewer before a save or an evaluation.
        examples_per_step: the batch size, for the rate.
    """

    total_steps: int
    epoch_steps: int
    save_steps: int
    log_steps: int
    loop_steps: int
    examples_per_step: int

    def ends_epoch(self, step: int) -> bool:
        """Whether an evaluation follows after `step` steps."""
        return step % self.epoch_steps == 0 or step == self.total_steps

    def saves(self, step: int) -> bool:
        """Whether the state is saved after `step` steps."""
        return step % self.save_steps == 0 or self.ends_epoch(step)

    def calls(self, first: int) -> Iterator[tuple[int, int]]:
        """(step, number of steps) of each call of the compiled program from step `first` to the end."""
        while first < self.total_steps:
            ends = (self._next(first, every) for every in (self.save_steps, self.epoch_steps))
            end = min(first + self.loop_steps, self.total_steps, *ends)
            yield first, end - first
            first = end

    def _next(self, step: int, every: int) -> int:
        return (step // every + 1) * every


def train(
    steps: Callable[[State, Batch], tuple[State, Metrics]],
    state: State,
    batches: Iterable[Batch],
    plan: Plan,
    states: TrainingStates | RemoteStates,
    summaries: Summaries,
    agreed: Callable[[int], int],
) -> Iterator[State]:
    """Run `steps` (compiled, using up the state it is given) to `plan.total_steps`; gives the state after each epoch.

    A state is to be used before the next one is asked for, while its arrays are there. `batches` are those of
    `plan.calls`. Metrics that are not there yet are read after the next call was sent, so the device never waits for
    the host. A signal saves the state after the steps under way and raises `Interrupted`; `agreed` turns the one that
    came here (0: none) into the one that all hosts stop for at this step. A loss or a gradient that is no finite number
    raises `InputError`, but for a gradient that the scale of the loss has made too large: only where that comes many
    times in a row, or in all steps.
    """
    done = int(state["step"])
    pending: Mapping[str, jax.Array] | None = None
    overflows = _Overflows(min(_MOST_OVERFLOWS, plan.total_steps))
    progress = TrainingProgress(done, plan.total_steps, plan.examples_per_step, plan.log_steps)
    with Signals() as signals, progress:
        for batch in batches:
            state, metrics = steps(state, batch)
            if pending is not None:
                _report(pending, done, plan, summaries, progress, overflows)
            done, pending = done + metrics["loss"].shape[0], metrics
            stop = agreed(signals.received)
            # Hosts must do the same: what is ready on one may not be on another.
            is_ready = jax.process_count() == 1 and metrics["loss"].is_ready()  # type: ignore[attr-defined]  # all have it
            if plan.saves(done) or stop or is_ready:
                _report(metrics, done, plan, summaries, progress, overflows)
                pending = None
            if plan.saves(done) or stop:
                summaries.save()
                states.save(done, state)
            if stop:
                states.wait()
                again = (
                    f"the state after step {done} of {plan.total_steps} is saved; the same command goes on from there"
                )
                raise Interrupted(stop, again)
            if plan.ends_epoch(done):
                yield state
                progress.pause()
        states.wait()


@dataclasses.dataclass
class _Overflows:
    """How many steps in a row changed no weight, as their scaled gradients overflowed; `most` of them are refused."""

    most: int
    in_a_row: int = 0

    def note(self, step: int, has_overflowed: bool, scale: float) -> None:
        """Count one more step; raises InputError where there are too many."""
        self.in_a_row = self.in_a_row + 1 if has_overflowed else 0
        if self.in_a_row == self.most:
            raise InputError(
                f"steps {step - self.most + 1} to {step} changed no weight: their gradients overflow in float16, now"
                f" with a loss scale of {scale:g}",
                "in another `--model_dir` leave `--loss_scale` out, by which one is found, or give `--dtype=bf16`",
            )


def _report(
    metrics: Mapping[str, jax.Array],
    done: int,
    plan: Plan,
    summaries: Summaries,
    progress: TrainingProgress,
    overflows: _Overflows,
) -> None:
    """Show and write the metrics [T] of the last T of the steps `done`."""
    series = {name: np.asarray(values).tolist() for name, values in metrics.items()}
    count = len(series["loss"])
    progress.came(done)
    for index, number in enumerate(range(done - count + 1, done + 1)):
        of_step = {name: values[index] for name, values in series.items()}
        for name in ("loss", "gradient_norm"):
            may_overflow = name == "gradient_norm" and "scale" in of_step  # that step changed no weight
            if not (may_overflow or math.isfinite(of_step[name])):
                raise InputError(f"the {name.replace('_', ' ')} of step {number} is `{of_step[name]}`", DIVERGED)
        if "scale" in of_step:
            overflows.note(number, not math.isfinite(of_step["gradient_norm"]), of_step["scale"])
        progress.step(number, of_step["loss"])
        if number % plan.log_steps == 0 or number == plan.total_steps:
            summaries.write("train", number, of_step)


class Signals:
    """While entered, SIGINT and SIGTERM are only noted in `received`; a second one acts at once.

    Not in other threads than the main one, which alone gets signals and may say what becomes of them.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise Interrupted(number, "a second signal came before the state was saved")
        self.received = number


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """What is done inside is done to its end; a signal acts after it.

    For orbax (0.12.8), which turns what a signal raises while it restores into an error of its files, or into
    a line in the log of asyncio.
    """
    with Signals() as signals:
        yield
    if signals.received:
        raise Interrupted(signals.received)
