# SPDX-License-Identifier: Apache-2.0
"""The lines of a training: speed and time left are those of recent steps; numbers with their nouns."""

import pytest

from jaxbert import console
from jaxbert.console import TrainingProgress, counted


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line."""
    return capsys.readouterr().err.splitlines()[-1]


def run_steps(progress: TrainingProgress, clock: list[float], steps: range, seconds: float, at_once: int = 1) -> None:
    """Steps that take so long each; the results of several come together."""
    for done in steps[at_once - 1 :: at_once]:
        clock[0] += seconds * at_once
        progress.came(done)
        for step in range(done - at_once + 1, done + 1):
            progress.step(step, 0.5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the program sees."""
    now = [100.0]
    monkeypatch.setattr(console.time, "perf_counter", lambda: now[0])
    return now


def test_slow_first_steps_are_forgotten(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """After 20 steps of a minute come quick ones, of an eighth of a second: soon the time left is theirs."""
    with TrainingProgress(0, 10_000, 32, every=1) as progress:
        run_steps(progress, clock, range(1, 21), 60.0)
        assert told(capsys) == "step 20/10000  loss 0.5000  0.5 examples/s  166:20:00 left"
        run_steps(progress, clock, range(21, 1001), 0.125)
        assert told(capsys) == "step 1000/10000  loss 0.5000  256.0 examples/s  0:18:45 left"


def test_a_pause_is_no_step(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluation between two steps, an hour long, leaves the estimate as it was."""
    with TrainingProgress(0, 200, 32, every=1) as progress:
        run_steps(progress, clock, range(1, 101), 1.0)
        progress.pause()
        clock[0] += 3600
        run_steps(progress, clock, range(101, 103), 1.0)
        assert told(capsys) == "step 102/200  loss 0.5000  32.0 examples/s  0:01:38 left"


def test_steps_that_come_together_count_as_several(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Ten steps in one call, 10 seconds: a second each, from the second call of a resumed run on."""
    with TrainingProgress(50, 90, 8, every=1) as progress:
        run_steps(progress, clock, range(51, 61), 1.0, at_once=10)
        assert told(capsys) == "step 60/90  loss 0.5000"
        run_steps(progress, clock, range(61, 81), 1.0, at_once=10)
        assert told(capsys) == "step 80/90  loss 0.5000  8.0 examples/s  0:00:10 left"


def test_a_log_has_a_line_for_each_hundred_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where counts come in steps that never are a multiple of it."""
    with console.progress() as report:
        for count in range(1024, 300_000, 1024):
            report("train", count)
    assert capsys.readouterr().err.splitlines() == ["train: 100,352 examples", "train: 200,704 examples"]


def test_one_is_not_several() -> None:
    """A noun has an s after every number but 1, unless its plural is given."""
    assert [counted(number, "text") for number in (0, 1, 1200)] == ["0 texts", "1 text", "1,200 texts"]
    assert [counted(number, "byte was", "bytes were") for number in (1, 2)] == ["1 byte was", "2 bytes were"]
