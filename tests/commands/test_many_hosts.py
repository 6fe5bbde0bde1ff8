# SPDX-License-Identifier: Apache-2.0
"""Two hosts run `run_squad` and `run_pretraining` as one does, and four hosts `run_classifier`."""

from pathlib import Path

from tests.commands.loopback import run_hosts, watch_hosts
from tests.commands.same_runs import assert_same_model, assert_same_results, read
from tests.commands.tiny_pretraining import Corpus
from tests.commands.tiny_pretraining import training as pretraining
from tests.commands.tiny_squad import BATCHES as SQUAD_BATCHES
from tests.commands.tiny_squad import squad_training
from tests.commands.tiny_task import BATCHES, PLAIN, SIZES, Task, flags


def test_two_hosts_answer_as_one_does(
    answering: dict[int, Path], squad_files: Path, task: Task, tmp_path: Path
) -> None:
    """Questions to windows, training, scores, and the same answers with the same probabilities.

    Where two answers are equally probable for one host, two may choose the other.
    """
    one, two = answering[1], tmp_path
    run_hosts("run_squad", [*SQUAD_BATCHES, *squad_training(squad_files, task, 1, two), "--num_workers=1"])
    assert_same_model("last", one, two)
    answers, n_best = read(two / "predictions.json"), read(one / "nbest_predictions.json")
    assert answers.keys() == n_best.keys()
    assert len(answers) == 11
    for question, choices in n_best.items():
        found = read(two / "nbest_predictions.json")[question]
        assert abs(found[0]["probability"] - choices[0]["probability"]) < 1e-5
        best = [one["text"] for one in choices if one["probability"] > choices[0]["probability"] - 1e-5]
        assert answers[question] in best


def test_two_hosts_pretrain_as_one_does(pretrained: Path, corpus: Corpus, tmp_path: Path) -> None:
    """The same records and masks in each step, and the same results of the evaluation."""
    run_hosts("run_pretraining", ["--compile_cache=", *pretraining(corpus, corpus.whole, tmp_path)])
    assert_same_model("pretrained", pretrained, tmp_path)
    assert_same_results("pretrained", pretrained, tmp_path)


def test_four_hosts_share_weights_and_rows(plain: Path, task: Task, tmp_path: Path) -> None:
    """Over data 2 and fsdp 2 no host has all rows or all weights: the model and its scores are those of one host."""
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path, mesh="data:2,fsdp:2")
    run_hosts("run_classifier", [*BATCHES, *task.records, *PLAIN, *where], 4)
    assert_same_model("last", plain, tmp_path)
    assert_same_results("last", plain, tmp_path)


def test_a_record_that_one_host_finds_damaged_ends_all(task: Task, tmp_path: Path) -> None:
    """The last record is the second host's to check: both end with code 2, and name the record."""
    content = bytearray((task.folder / "train.tf_record").read_bytes())
    content[-10] ^= 1
    damaged = tmp_path / "damaged.tf_record"
    damaged.write_bytes(content)
    source = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "model")
    command = [*BATCHES, *task.records, *source, f"--train_data_path={damaged}"]
    results = watch_hosts("run_classifier", command, lambda hosts: None)
    assert [code for code, _ in results] == [2, 2], results
    for _, err in results:
        assert err.count("error: ") == 1, err
        assert f"error: `{damaged}` record {SIZES['train'] - 1} " in err
