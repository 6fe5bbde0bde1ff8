# SPDX-License-Identifier: Apache-2.0
"""What is measured on GPUs can be trusted before there is one: the count of work, the comparisons, the report."""

import json
import math
import time

import numpy as np
import pytest

from bench import gpu_check, gpu_ours
from bench.workload import LONGEST, QUANTILES, operations, rates, real_lengths

SPEED = {
    "part": "run_classifier base", "kind": "speed", "program": "train", "batch_size": 32, "way": "packed in 5 x 384",
    "sequences_per_second": 5000.0, "range": [1.0, 2.0], "mfu": 0.4, "memory_gb": 3.25, "compile_seconds": 20.0,
    "first_step_seconds": 31.5,
}  # fmt: skip
OURS = SPEED | {"side": "ours", "tokens_per_second": 300000.0}
SLOWER = SPEED | {"side": "ours", "tokens_per_second": 100000.0}
PEER = SPEED | {"side": "peer", "tokens_per_second": 120000.0, "mfu": None, "way": "padded"}
CHECK = {"part": "numbers", "side": "ours"} | gpu_ours.check("outputs", "bfloat16", 0.004, 0.015, 0.3)
ENDED = {"part": "run_squad base", "side": "peer", "kind": "ended", "seconds": 50.2, "why": "ended after its 50 s"}


@pytest.mark.parametrize(
    ("shape", "length", "predicted", "giga"),
    [("base", 128, 20, 69.9), ("base", 512, 76, 301), ("large", 384, 0, 739), ("large", 512, 76, 1020)],
)
def test_arithmetic_is_counted_as_published(shape: str, length: int, predicted: int, giga: float) -> None:
    """A training step takes three times the products of the layers, attention and the predicted positions."""
    counted = operations(np.array([length]), np.array([predicted]), shape) / 1e9
    assert counted == pytest.approx(giga, rel=0.5 / giga + 0.002)


def test_rates_follow_from_the_median() -> None:
    """Tokens and arithmetic are divided by the median pass; prediction needs a third of a step's arithmetic."""
    lengths, none = np.array([100, 28]), np.zeros(2, np.int64)
    found = rates([3.0, 1.0, 2.0], lengths, none, "base", "NVIDIA H200")
    share = operations(lengths, none, "base") / 2 / 989e12
    assert found == {
        "sequences_per_second": 1.0, "tokens_per_second": 64.0, "range": [128 / 3, 128.0], "mfu": share,
    }  # fmt: skip
    assert rates([2.0], lengths, none, "base", "NVIDIA H200", trains=False)["mfu"] == pytest.approx(share / 3)
    assert rates([2.0], lengths, none, "base", "cpu")["mfu"] is None


@pytest.mark.parametrize("trainer", QUANTILES)
def test_lengths_are_spread_as_real_ones(trainer: str) -> None:
    """Drawn lengths have the quantiles of the real ones, between the shortest and the longest of them."""
    lengths, quantiles = real_lengths(trainer, 4096), QUANTILES[trainer]
    assert quantiles[-1] <= LONGEST[trainer]
    assert quantiles[0] <= lengths.min()
    assert lengths.max() <= quantiles[-1]
    np.testing.assert_allclose(np.quantile(lengths, np.linspace(0, 1, len(quantiles))), quantiles, atol=2)


def test_report_of_a_log_is_that_of_the_run() -> None:
    """The lines of a run, among lines of libraries, give the table: the best of each side, ratio, what is wrong."""
    results = [CHECK, SLOWER, OURS, PEER, ENDED]
    log = "\n".join(f"W0000 {{noise}}\n{json.dumps(result)}\n# {gpu_check.line(result)}" for result in results)
    assert gpu_check.read_log(log) == results
    report = gpu_check.report(gpu_check.read_log(log))
    assert report == gpu_check.report(results)
    assert "checks: 1 of 1 are right" in report
    row = (
        "| run_classifier base, train | 300,000 | 120,000 | 2.50 | 5,000.0 | 5,000.0 | 40.0% | - | 3.2 | 3.2 | 20.0"
        " | 20.0 | 31.5 | 31.5 | 32 packed in 5 x 384 | 32 padded |"
    )
    assert row in report.splitlines()
    assert "run_squad base, peer: ended in 50 s: ended after its 50 s" in report
    assert gpu_check.is_good(results[:-1])


def test_what_is_wrong_is_told() -> None:
    """An error above the limit, or masks of another step that give none, are not good; a failed part neither."""
    wrong = [{"part": "numbers", "side": "ours"} | gpu_ours.check("outputs", "", *case) for case in (
        (0.02, 0.015, None), (math.nan, 0.015, None), (0.004, 0.015, 0.01))]  # fmt: skip
    for result in (*wrong, ENDED, ENDED | {"kind": "failed"}, OURS | {"losses": [1.0, math.nan]}):
        assert not gpu_check.is_good([OURS, result])
    assert gpu_check.report(wrong).count("WRONG: outputs") == 3


def test_a_side_without_results_leaves_its_cells_empty() -> None:
    """Where the peer is not there, ours is in the table all the same."""
    assert "| run_classifier base, train | 300,000 | - | - | 5,000.0 | - |" in gpu_check.report([OURS])


def test_a_part_that_fails_or_takes_too_long_is_a_result() -> None:
    """A process that ends with an error, and one that is ended, give a result each that says why."""
    failing = gpu_check.Part("nothing", "ours", 60.0, {"part": "nothing"})
    *_, failed = gpu_check.run(failing, 60.0)
    assert failed["kind"] == "failed"
    assert "KeyError: 'nothing'" in failed["why"]
    *_, ended = gpu_check.run(failing, 0.1)
    assert ended["kind"] == "ended"


def test_numbers_of_the_same_device_are_equal() -> None:
    """On the CPU all comparisons are made, with float32 exact, bfloat16 rounded but near, other masks far away."""
    about, *checks = gpu_ours.numbers({"shape": "tiny", "layers": 1})
    assert about["platform"] == "cpu"
    assert len(checks) == 14
    for check in checks:
        assert check["good"], check
        assert (check["error"] == 0.0) == ("bfloat16" not in check["case"]), check


def test_speed_of_a_tiny_model() -> None:
    """Training and prediction of a task are measured by the functions that its trainer runs."""
    settings = {
        "trainer": "run_classifier", "shape": "tiny", "batch_sizes": [2], "predict_batch_sizes": [4], "predicted": 8,
        "window": 1, "group_seconds": 0.0, "seconds": 3600.0, "started": time.time(),
    }  # fmt: skip
    _, *results = gpu_ours.speed(settings)
    assert [(result["program"], result["batch_size"]) for result in results] == [("train", 2), ("predict", 4)]
    for result in results:
        assert result["range"][0] <= result["tokens_per_second"] <= result["range"][1]
    assert all(map(math.isfinite, results[0]["losses"]))


def test_another_size_is_tried_only_if_there_is_time() -> None:
    """Of batch sizes the first is always tried, the next ones while there is time left."""
    assert list(gpu_ours.within([1, 2, 3], 0.0)) == [1]
    assert list(gpu_ours.within([1, 2, 3], math.inf)) == [1, 2, 3]
