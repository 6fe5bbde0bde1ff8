# SPDX-License-Identifier: Apache-2.0
"""The training loop ends at a loss or gradient that is no number, and saves nothing of it."""

import math
import os
import signal
import threading
from typing import Any, cast

import jax
import jax.numpy as jnp
import pytest

from jaxbert.errors import InputError, Interrupted
from jaxbert.train.loop import Plan, train, uninterrupted
from jaxbert.train.step import State


class Kept:
    """Stands for saved states and for summaries: remembers the steps that it is given."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.written: list[int] = []

    def save(self, *step_and_state: Any) -> None:
        """Of a state or of the summaries."""
        self.saved += [step for step in step_and_state if isinstance(step, int)]

    def write(self, part: str, step: int, metrics: dict[str, float]) -> None:
        """Of the metrics of a step."""
        self.written.append(step)

    def wait(self) -> None:
        """Nothing to wait for."""


def run(at_step_3: dict[str, float], **always: float) -> Kept:
    """Five steps, each of which is saved, the third with these metrics."""
    kept = Kept()

    def steps(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        done = int(state["step"]) + 1
        metrics = {"loss": 1.0, "gradient_norm": 1.0, **always, **(at_step_3 if done == 3 else {})}
        after = {**state, "step": jnp.int32(done)}
        return cast(State, after), {name: jnp.array([value]) for name, value in metrics.items()}

    state = cast(State, {"weights": {}, "moments": {}, "step": jnp.int32(0), "loss_scale": {}})
    plan = Plan(5, 5, 1, 1, 1, 8)
    anything = cast(Any, kept)
    for _ in train(steps, state, [cast(Any, {})] * 5, plan, anything, anything, lambda received: 0):
        pass
    return kept


def test_what_is_there_is_told_before_the_next_step() -> None:
    """Metrics of calls that wait for their results are read at once: read later and together they would show a speed
    that no step had."""
    kept, told = Kept(), list[int]()

    def steps(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        told.append(len(kept.written))
        after = {**state, "step": state["step"] + 1}
        return cast(State, after), {name: jax.block_until_ready(jnp.ones(1)) for name in ("loss", "gradient_norm")}

    state = cast(State, {"weights": {}, "moments": {}, "step": jnp.int32(0), "loss_scale": {}})
    plan, anything = Plan(5, 5, 9, 1, 1, 8), cast(Any, kept)
    assert list(train(steps, state, [cast(Any, {})] * 5, plan, anything, anything, lambda received: 0))
    assert told == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("name", "always"), [("loss", {}), ("gradient_norm", {}), ("loss", {"scale": 1024.0})])
def test_a_number_that_is_none_ends_the_training(
    name: str, always: dict[str, float], value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the step; the states before it are saved, that of it is not: its weights may be no numbers."""
    saved: list[int] = []
    monkeypatch.setattr(Kept, "save", lambda self, *given: saved.extend(given[:1]))
    with pytest.raises(InputError, match=f"the {name.replace('_', ' ')} of step 3 is `{value}`") as caught:
        run({name: value}, **always)
    assert saved == [1, 2]
    assert "another `--model_dir`" in caught.value.hint


def test_a_step_that_the_loss_scale_leaves_out_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Float16: gradients that overflow change no weight, and training goes on."""
    kept = run({"gradient_norm": math.inf}, scale=1024.0)
    assert kept.saved == kept.written == [1, 2, 3, 4, 5]
    assert "step 5/5" in capsys.readouterr().err


def test_a_training_that_leaves_all_steps_out_ends_in_a_message() -> None:
    """Float16: where the gradients of every step overflow nothing was trained."""
    with pytest.raises(InputError, match=r"steps 1 to 5 changed no weight: .* scale of 1024") as caught:
        run({}, gradient_norm=math.inf, scale=1024.0)
    assert "`--loss_scale`" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_what_cannot_be_cut(number: signal.Signals) -> None:
    """What is under way comes to its end, then the signal acts, and the handlers are as they were."""
    done = []
    before = signal.getsignal(number)

    def restore() -> None:
        with uninterrupted():
            os.kill(os.getpid(), number)
            done.append("restored")

    with pytest.raises(Interrupted) as stop:
        restore()
    assert (done, stop.value.signal_number) == (["restored"], number)
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_to_the_main_one() -> None:
    """Python lets them set no handler; a training in one, as of a service, goes on without."""
    before, done = signal.getsignal(signal.SIGTERM), []

    def restore() -> None:
        with uninterrupted():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=restore)
    thread.start()
    thread.join()
    assert done == [before]
