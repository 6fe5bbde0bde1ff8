# SPDX-License-Identifier: Apache-2.0
"""Two hosts, as two processes that meet on this machine, run `run_classifier` as one does; signals and lost hosts."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.commands.loopback import SECONDS, Hosts, run_hosts, watch_hosts
from tests.commands.tiny_task import Task, flags, sizes, start

RATE = 1e-4
LONG = flags(num_train_epochs=40, save_checkpoints_steps=10**6, log_steps=1, learning_rate=RATE, mode="train")


def two_hosts(cache: Path, arguments: Sequence[str], during: Callable[[Hosts], None]) -> list[tuple[int, str]]:
    """Exit code and standard error of both."""
    return watch_hosts("run_classifier", [*sizes(cache), *arguments], during)


def run(cache: Path, *arguments: str) -> None:
    """Both hosts to a good end."""
    run_hosts("run_classifier", [*sizes(cache), *arguments])


def run_alone(cache: Path, *arguments: str) -> None:
    """The command on one host."""
    process = start(cache, *arguments)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err


def losses(folder: Path) -> list[float]:
    """Of all steps whose metrics are written whole."""
    path = folder / "summaries" / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [line["loss"] for line in map(json.loads, lines) if line["part"] == "train"]


def signalled(folder: Path, index: int, number: signal.Signals) -> Callable[[Hosts], None]:
    """Sends a signal to one of the hosts when both train, or when one of them has ended."""

    def during(hosts: Hosts) -> None:
        until = time.monotonic() + SECONDS
        while len(losses(folder)) < 2 and time.monotonic() < until and all(host.poll() is None for host in hosts):
            time.sleep(0.01)
        hosts[index].send_signal(number)

    return during


def training(task: Task, folder: Path) -> list[str]:
    """Records, weights to start from, and a folder of its own."""
    return [*task.records, *flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)]


def test_two_hosts_do_what_one_does(task: Task, cache: Path, tmp_path: Path) -> None:
    """Texts to records, training, evaluation after each epoch, prediction: the files of one host, in the same order."""
    one, two = tmp_path / "one", tmp_path / "two"
    texts = flags(data_dir=task.text, max_seq_length=16, num_workers=1, log_steps=1, learning_rate=RATE)
    texts += flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1)
    run_alone(cache, *texts, *flags(model_dir=one))
    run(cache, *texts, *flags(model_dir=two))
    np.testing.assert_allclose(losses(two), losses(one), atol=2e-6)
    first, second = (load_file(folder / "last" / "model.safetensors") for folder in (one, two))
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=RATE / 100, err_msg=name)
    run_alone(cache, *texts, *flags(model_dir=one, mode="predict"))
    run(cache, *texts, *flags(model_dir=two, mode="predict"))
    scores = [np.loadtxt(folder / "test_results.tsv") for folder in (one, two)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert len(np.unique(scores[0][:, 0])) > 1  # or the order would not show


def test_all_stop_at_one_step_and_one_goes_on(task: Task, cache: Path, tmp_path: Path) -> None:
    """SIGTERM to the second host saves on both at one step, both end with 143; one host alone goes on from there."""
    command = [*training(task, tmp_path), *LONG]
    results = two_hosts(cache, command, signalled(tmp_path, 1, signal.SIGTERM))
    assert [code for code, _ in results] == [128 + signal.SIGTERM] * 2, results
    steps = {err.split("the state after step ")[1].split()[0] for _, err in results}
    assert len(steps) == 1, results
    before = losses(tmp_path)
    assert [str(len(before))] == sorted(steps)
    assert len(before) < 120
    process = start(cache, *command)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert f"going on after step {len(before)}" in err
    run_alone(cache, *training(task, tmp_path / "straight"), *LONG)
    assert len(losses(tmp_path)) == 120
    np.testing.assert_allclose(losses(tmp_path), losses(tmp_path / "straight"), atol=1e-4)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_host_ends_the_other(lost: int, task: Task, cache: Path, tmp_path: Path) -> None:
    """After SIGKILL of either host the other ends by itself, with code 1 and one message."""
    command = [*training(task, tmp_path), *LONG]
    code, err = two_hosts(cache, command, signalled(tmp_path, lost, signal.SIGKILL))[1 - lost]
    assert code == 1, err
    assert err.count("error: another host of this run is gone") == 1, err
    assert err.count("error: ") == 1, err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (flags(worker_hosts="a:1,b:2"), "there is no host -1 of 2"),
        (flags(worker_hosts="a:1,b", task_index=0), "`b` is no host and port"),
        ([], "no other hosts are named"),
    ],
)
def test_wrong_hosts_are_refused(wrong: list[str], message: str, task: Task, cache: Path, tmp_path: Path) -> None:
    """Hosts that cannot be, and none at all, end with one message and code 2."""
    strategy = flags(distribution_strategy="multi_worker_mirrored")
    process = start(cache, *training(task, tmp_path), *strategy, *wrong)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, err
    assert message in err, err
    assert os.listdir(tmp_path) == []
