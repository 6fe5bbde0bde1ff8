# SPDX-License-Identifier: Apache-2.0
"""Two hosts, as two processes that meet on this machine, run `run_classifier` as one does; signals and lost hosts."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.commands.conftest import Run
from tests.commands.loopback import SECONDS, Hosts, run_hosts, watch_hosts
from tests.commands.same_runs import assert_same_model, losses
from tests.commands.tiny_task import BATCHES, PLAIN, Task, flags, start

COPIES, STEPS = 400, 120


@pytest.fixture(scope="module")
def long(task: Task, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Flags of a training of 1200 steps in one epoch, so that no state is saved unless a signal comes.

    A host that is lost while the others save is only noticed when it is silent for long.
    """
    folder = tmp_path_factory.mktemp("long")
    for number in range(COPIES):
        shutil.copy(task.folder / "train.tf_record", folder / f"train-{number:03}")
    how = flags(num_train_epochs=1, save_checkpoints_steps=10**6, log_steps=1, learning_rate=1e-4, mode="train")
    records = [*task.records, *flags(train_data_path=folder / "train-*")]
    return [*BATCHES, *records, *flags(init_checkpoint=task.model / "bert_model.ckpt"), *how]


def steps_done(folder: Path) -> int:
    """How many steps have their metrics written whole."""
    path = folder / "summaries" / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def signalled(folder: Path, index: int, number: signal.Signals) -> Callable[[Hosts], None]:
    """Sends a signal to one of the hosts when both train, or when one of them has ended."""

    def during(hosts: Hosts) -> None:
        until = time.monotonic() + SECONDS
        while steps_done(folder) < 2 and time.monotonic() < until and all(host.poll() is None for host in hosts):
            time.sleep(0.01)
        hosts[index].send_signal(number)

    return during


def test_two_hosts_do_what_one_does(plain: Path, task: Task, classify: Run, tmp_path: Path) -> None:
    """From texts two hosts train and predict what one does with their records, in the same order."""
    source = [*BATCHES, *flags(data_dir=task.text, max_seq_length=16, num_workers=1, model_dir=tmp_path), *PLAIN]
    source += flags(init_checkpoint=task.model / "bert_model.ckpt")
    run_hosts("run_classifier", source)
    assert_same_model("last", plain, tmp_path)
    run_hosts("run_classifier", [*source, "--mode=predict"])
    alone = flags(eval_data_path=task.folder / "test.tf_record", predict_checkpoint_path=plain / "best")
    assert classify("--mode=predict", *task.records, *alone, *flags(model_dir=tmp_path / "alone"))[0] == 0
    scores = [np.loadtxt(folder / "test_results.tsv") for folder in (tmp_path, tmp_path / "alone")]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert len(np.unique(scores[0][:, 0])) > 1  # or the order would not show


def test_all_stop_at_one_step_and_one_goes_on(long: list[str], classify: Run, tmp_path: Path) -> None:
    """SIGTERM to the second host saves on both at one step, both end with 143; one host alone goes on from there."""
    shorter = [*long, *flags(train_data_size=8 * STEPS)]
    command, stopped = [*shorter, *flags(model_dir=tmp_path)], signalled(tmp_path, 1, signal.SIGTERM)
    results = watch_hosts("run_classifier", command, stopped)
    assert [code for code, _ in results] == [128 + signal.SIGTERM] * 2, results
    steps = {err.split("the state after step ")[1].split()[0] for _, err in results}
    assert len(steps) == 1, results
    before = losses(tmp_path)
    assert [str(len(before))] == sorted(steps)
    assert len(before) < STEPS
    code, _, err = classify(*command)
    assert code == 0, err
    assert f"going on after step {len(before)}" in err
    assert classify(*shorter, *flags(model_dir=tmp_path / "straight"))[0] == 0
    assert len(losses(tmp_path)) == STEPS
    np.testing.assert_allclose(losses(tmp_path), losses(tmp_path / "straight"), atol=1e-4)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_host_ends_the_other(lost: int, long: list[str], tmp_path: Path) -> None:
    """After SIGKILL of either host the other ends by itself, with code 1 and one message."""
    command, killed = [*long, *flags(model_dir=tmp_path)], signalled(tmp_path, lost, signal.SIGKILL)
    code, err = watch_hosts("run_classifier", command, killed)[1 - lost]
    assert code == 1, err
    assert err.count("error: another host of this run is gone") == 1, err
    assert err.count("error: ") == 1, err


def test_wrong_hosts_are_refused(task: Task, tmp_path: Path) -> None:
    """Hosts that cannot be, and none at all, end with one message and code 2."""
    common = flags(model_dir=tmp_path, distribution_strategy="multi_worker_mirrored")
    messages = {
        "there is no host -1 of 2": flags(worker_hosts="a:1,b:2"),
        "`b` is no host and port": flags(worker_hosts="a:1,b", task_index=0),
        "no other hosts are named": [],
    }
    processes = [start(*task.records, *common, *wrong) for wrong in messages.values()]
    for process, message in zip(processes, messages, strict=True):
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 2, err
        assert message in err, err
    assert os.listdir(tmp_path) == []
