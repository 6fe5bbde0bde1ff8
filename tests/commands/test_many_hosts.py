# SPDX-License-Identifier: Apache-2.0
"""Two hosts run `run_squad` and `run_pretraining` as one does, and four hosts `run_classifier`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.commands.conftest import Run
from tests.commands.loopback import run_hosts, watch_hosts
from tests.commands.test_ways_to_train import losses
from tests.commands.tiny_pretraining import Corpus
from tests.commands.tiny_pretraining import training as pretraining
from tests.commands.tiny_squad import SETTINGS, write_squad
from tests.commands.tiny_task import SIZES, Task, flags, sizes

RATE = 1e-4


def assert_same_model(folder: str, one: Path, many: Path) -> None:
    """The losses and the weights of two runs differ by the order of float32 sums only."""
    np.testing.assert_allclose(losses(many), losses(one), atol=2e-6)
    first, second = (load_file(path / folder / "model.safetensors") for path in (one, many))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=RATE / 100, err_msg=name)


def assert_same_results(folder: str, one: Path, many: Path) -> None:
    """What was measured of the models."""
    first, second = (read(path / folder / "eval_results.json") for path in (one, many))
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=1e-5, err_msg=name)


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


def test_two_hosts_answer_as_one_does(task: Task, cache: Path, squad: Run, tmp_path: Path) -> None:
    """Questions to windows, training, scores, and the same answers with the same probabilities.

    Where two answers are equally probable for one host, two may choose the other.
    """
    train = write_squad(tmp_path / "train.json", 24)
    dev = write_squad(tmp_path / "dev.json", 11, seed=1, words=40)
    source = flags(train_file=train, predict_file=dev, init_checkpoint=task.model / "bert_model.ckpt")
    command = [*source, *SETTINGS, *flags(num_train_epochs=1, log_steps=1, learning_rate=RATE, num_workers=1)]
    one, two = tmp_path / "one", tmp_path / "two"
    code, _, err = squad(*command, *flags(model_dir=one))
    assert code == 0, err
    batches = flags(compile_cache=cache, train_batch_size=8, predict_batch_size=8)
    run_hosts("run_squad", [*batches, *command, *flags(model_dir=two)])
    assert_same_model("last", one, two)
    answers, n_best = read(two / "predictions.json"), read(one / "nbest_predictions.json")
    assert answers.keys() == n_best.keys()
    assert len(answers) == 11
    for question, choices in n_best.items():
        found = read(two / "nbest_predictions.json")[question]
        assert abs(found[0]["probability"] - choices[0]["probability"]) < 1e-5
        best = [one["text"] for one in choices if one["probability"] > choices[0]["probability"] - 1e-5]
        assert answers[question] in best


def test_two_hosts_pretrain_as_one_does(corpus: Corpus, cache: Path, pretrain: Run, tmp_path: Path) -> None:
    """The same records and masks in each step, and the same results of the evaluation."""
    one, two = tmp_path / "one", tmp_path / "two"
    short = {"num_train_epochs": 1, "learning_rate": RATE}
    code, _, err = pretrain(*pretraining(corpus, corpus.whole, one, **short))
    assert code == 0, err
    run_hosts("run_pretraining", [f"--compile_cache={cache}", *pretraining(corpus, corpus.whole, two, **short)])
    assert_same_model("pretrained", one, two)
    assert_same_results("pretrained", one, two)


def test_four_hosts_share_weights_and_rows(task: Task, cache: Path, classify: Run, tmp_path: Path) -> None:
    """Over data 2 and fsdp 2 no host has all rows or all weights: the model and its scores are those of one host."""
    start = [*task.records, *flags(init_checkpoint=task.model / "bert_model.ckpt")]
    command = [*start, *flags(num_train_epochs=1, log_steps=1, learning_rate=RATE)]
    one, four = tmp_path / "one", tmp_path / "four"
    code, _, err = classify(*command, *flags(model_dir=one))
    assert code == 0, err
    run_hosts("run_classifier", [*sizes(cache), *command, *flags(model_dir=four, mesh="data:2,fsdp:2")], 4)
    assert_same_model("last", one, four)
    assert_same_results("last", one, four)


def test_a_record_that_one_host_finds_damaged_ends_all(task: Task, cache: Path, tmp_path: Path) -> None:
    """The last record is the second host's to check: both end with code 2, and name the record."""
    content = bytearray((task.folder / "train.tf_record").read_bytes())
    content[-10] ^= 1
    damaged = tmp_path / "damaged.tf_record"
    damaged.write_bytes(content)
    source = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "model")
    command = [*sizes(cache), *task.records, *source, f"--train_data_path={damaged}"]
    results = watch_hosts("run_classifier", command, lambda hosts: None)
    assert [code for code, _ in results] == [2, 2], results
    for _, err in results:
        assert err.count("error: ") == 1, err
        assert f"error: `{damaged}` record {SIZES['train'] - 1} " in err
