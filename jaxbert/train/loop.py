# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, saves, evaluation at the end of each epoch, and an orderly stop on Ctrl-C or SIGTERM."""

import dataclasses
import math
import signal
from collections.abc import Callable, Iterable, Mapping
from types import FrameType

import jax

from jaxbert.checkpoints.training_state import TrainingStates
from jaxbert.errors import InputError, Interrupted
from jaxbert.train.report import ProgressLine, Summaries
from jaxbert.train.step import Batch, State

Step = Callable[[State, Batch], tuple[State, dict[str, jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """When things happen, in steps.

    Attributes:
        total_steps: the training ends after this many.
        epoch_steps: after each so many, and at the end, the weights are evaluated.
        save_steps: the state is saved after each so many, besides the end of each epoch.
        log_steps: metrics are written after each so many.
        examples_per_step: the batch size, for the rate.
    """

    total_steps: int
    epoch_steps: int
    save_steps: int
    log_steps: int
    examples_per_step: int

    def ends_epoch(self, step: int) -> bool:
        """Whether an evaluation follows after `step` steps."""
        return step % self.epoch_steps == 0 or step == self.total_steps

    def saves(self, step: int) -> bool:
        """Whether the state is saved after `step` steps."""
        return step % self.save_steps == 0 or self.ends_epoch(step)


def train(
    step: Step,
    state: State,
    batches: Iterable[Batch],
    plan: Plan,
    states: TrainingStates,
    summaries: Summaries,
    after_epoch: Callable[[State, int, Callable[[str], None]], None],
) -> State:
    """Run `step` (compiled, donating its state) from `state` to `plan.total_steps` and return the last state.

    `batches` starts at the step of `state`. Metrics of a step are read after the next step was sent, so the device
    never waits for the host. A signal saves the state after the step under way and raises `Interrupted`; a loss that is
    not a number raises `InputError`.
    """
    done = first = int(state["step"])
    pending: Mapping[str, jax.Array] | None = None
    with Signals() as signals, ProgressLine(first, plan.total_steps, plan.examples_per_step, plan.log_steps) as line:

        def report() -> None:
            if pending is not None:
                _report({name: float(value) for name, value in pending.items()}, done, plan, summaries, line)

        for batch in batches:
            state, metrics = step(state, batch)
            report()
            done, pending = done + 1, metrics
            stop = signals.received
            if plan.saves(done) or stop:
                report()
                pending = None
                states.save(done, state)
            if stop:
                states.wait()
                again = (
                    f"the state after step {done} of {plan.total_steps} is saved; the same command goes on from there"
                )
                raise Interrupted(stop, again)
            if plan.ends_epoch(done):
                after_epoch(state, done, line.say)
    states.wait()
    return state


def _report(metrics: dict[str, float], done: int, plan: Plan, summaries: Summaries, line: ProgressLine) -> None:
    if not math.isfinite(metrics["loss"]):
        raise InputError(f"the loss of step {done} is `{metrics['loss']}`", "lower `--learning_rate`")
    line.step(done, metrics["loss"])
    if done % plan.log_steps == 0 or done == plan.total_steps:
        summaries.write("train", done, metrics)


class Signals:
    """While entered, SIGINT and SIGTERM are only noted in `received`; a second one acts at once."""

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise Interrupted(number, "stopped by a second signal before the state was saved")
        self.received = number
