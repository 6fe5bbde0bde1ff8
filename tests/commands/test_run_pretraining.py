# SPDX-License-Identifier: Apache-2.0
"""Pretraining from records to a model that other commands take, stopped and spread in every way."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.commands.conftest import Run
from tests.commands.same_runs import losses
from tests.commands.tiny_pretraining import STEPS, Corpus, make_records, training
from tests.commands.tiny_task import Task, flags, start_command

METRICS = ("masked_lm_accuracy", "masked_lm_loss", "next_sentence_accuracy", "next_sentence_loss", "loss", "perplexity")


def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """`run_pretraining` as a process of its own."""
    return start_command("run_pretraining", "--compile_cache=", *arguments, **environment)


def weights(model_dir: Path) -> dict[str, np.ndarray]:
    """Of the model that was written."""
    return dict(load_file(model_dir / "pretrained" / "model.safetensors"))


def test_outputs(pretrained: Path, corpus: Corpus) -> None:
    """The loss falls, held-out metrics agree with each other, and the model folder holds what a model needs."""
    assert len(losses(pretrained)) == STEPS
    assert losses(pretrained)[-1] < losses(pretrained)[0]
    results = json.loads((pretrained / "pretrained" / "eval_results.json").read_text())
    assert set(METRICS) < set(results)
    assert results["step"] == STEPS
    assert results["loss"] == pytest.approx(results["masked_lm_loss"] + results["next_sentence_loss"])
    assert results["perplexity"] == pytest.approx(np.exp(results["masked_lm_loss"]))
    assert 0 <= results["masked_lm_accuracy"] <= 1
    assert (pretrained / "pretrained" / "vocab.txt").read_text() == (corpus.folder / "vocab.txt").read_text()
    found = weights(pretrained)
    assert found["bert/embeddings/word_embeddings"].shape[0] == found["cls/predictions/output_bias"].shape[0] == 13


def test_stopped_within_an_epoch_goes_on_to_the_same_bits(
    pretrained: Path, corpus: Corpus, pretrain: Run, tmp_path: Path
) -> None:
    """SIGTERM saves; the same command goes on with the same records and masks, and ends at the same bits."""
    flags = training(corpus, corpus.whole, tmp_path, num_steps_per_epoch=STEPS // 2)
    process = start(*flags)
    path = tmp_path / "summaries" / "metrics.jsonl"
    while process.poll() is None and not (path.exists() and path.read_text().count("\n") > 1):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    if process.returncode:  # it may have been done already
        assert process.returncode == 128 + signal.SIGTERM, err
        assert "the same command goes on" in err
    code, _, err = pretrain(*flags)
    assert code == 0, err
    assert (tmp_path / "pretrained" / "model.safetensors").read_bytes() == (
        pretrained / "pretrained" / "model.safetensors"
    ).read_bytes()
    assert path.read_text() == (pretrained / "summaries" / "metrics.jsonl").read_text()


def test_goes_on_from_any_saved_step(pretrained: Path, corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """A run that saved in the middle of an epoch and lost everything after it ends at the same bits."""
    flags = training(corpus, corpus.whole, tmp_path)
    assert pretrain(*flags, "--save_checkpoints_steps=5", "--keep_checkpoints=9")[0] == 0
    for step in sorted(map(int, os.listdir(tmp_path / "checkpoints")))[1:]:
        (tmp_path / "checkpoints" / str(step)).rename(tmp_path / f"lost-{step}")
    (tmp_path / "pretrained" / "eval_results.json").unlink()
    code, _, err = pretrain(*flags)
    assert code == 0, err
    assert "going on after step 5" in err
    assert all(np.array_equal(weight, weights(pretrained)[path]) for path, weight in weights(tmp_path).items())
    assert losses(tmp_path) == losses(pretrained)


@pytest.mark.parametrize("devices", [4])
def test_devices(devices: int, pretrained: Path, corpus: Corpus, tmp_path: Path) -> None:
    """Several devices train the same model as one."""
    xla_flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    process = start(*training(corpus, corpus.whole, tmp_path), XLA_FLAGS=xla_flags)
    _, err = process.communicate()
    assert process.returncode == 0, err
    np.testing.assert_allclose(losses(tmp_path), losses(pretrained), rtol=0, atol=1e-5)


def test_records_with_masks_as_a_start_for_others(
    corpus: Corpus, pretrain: Run, classify: Run, task: Task, tmp_path: Path
) -> None:
    """Masked records, LAMB, parts of a batch; the model is taken with its heads by pretraining, without by others."""
    first = training(corpus, corpus.masked, tmp_path / "first", num_train_epochs=1)
    code, _, err = pretrain(*first, "--optimizer_type=lamb", "--gradient_accumulation_steps=2")
    assert code == 0, err
    model = tmp_path / "first" / "pretrained"
    again = training(corpus, corpus.masked, tmp_path / "second", num_train_epochs=1, init_checkpoint=model)
    code, _, err = pretrain(*again, "--nouse_next_sentence_label")
    assert code == 0, err
    assert "(100.0 % of the values)" in err
    results = json.loads((tmp_path / "second" / "pretrained" / "eval_results.json").read_text())
    assert "next_sentence_loss" not in results
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    for path in ("bert/pooler/dense/kernel", "cls/seq_relationship/output_weights"):
        np.testing.assert_array_equal(before[path], after[path])
    where = flags(init_checkpoint=model, model_dir=tmp_path / "third", num_train_epochs=1)
    code, _, err = classify(*task.records, *where)
    assert code == 0, err
    assert "not used: cls/predictions/output_bias" in err


def test_compressed_records(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """What `--gzip_compress` writes is trained on, to the same bits as the records that are not compressed."""
    make_records(tmp_path, "static", f"{tmp_path}/packed", source=corpus.folder, gzip_compress=True)
    make_records(tmp_path, "static", f"{tmp_path}/plain", source=corpus.folder)
    for name in ("packed", "plain"):
        given = training(corpus, str(tmp_path / name), tmp_path / f"of-{name}", num_train_epochs=0.5)
        code, _, err = pretrain(*given)
        assert code == 0, err
        assert (f"unpacking `{tmp_path}/packed`" in err) == (name == "packed")
    assert losses(tmp_path / "of-packed") == losses(tmp_path / "of-plain")


def test_a_finished_run_evaluates_other_records(
    pretrained: Path, corpus: Corpus, pretrain: Run, tmp_path: Path
) -> None:
    """Its weights are scored as they would have been in training, and nothing is written."""
    shutil.copytree(pretrained, tmp_path / "run")
    results = (tmp_path / "run" / "pretrained" / "eval_results.json").read_text()
    code, _, err = pretrain(*training(corpus, corpus.whole, tmp_path / "run", eval_files=f"{corpus.folder}/masked-0"))
    assert code == 0, err
    first = re.search(r"evaluation after step 12: .*  masked_lm_loss (\S+)", err)
    code, _, err = pretrain(*training(corpus, corpus.whole, tmp_path / "run"))
    again = re.search(r"evaluation after step 12: .*  masked_lm_loss (\S+)", err)
    assert first
    assert again
    assert float(again[1]) == pytest.approx(json.loads(results)["masked_lm_loss"], abs=6e-5)  # printed with four digits
    assert first[1] != again[1]
    assert (tmp_path / "run" / "pretrained" / "eval_results.json").read_text() == results


def test_masks_to_evaluate_on_are_their_own(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Flags for masks are for records without any; those to evaluate on may have theirs, and keep them."""
    given = training(corpus, corpus.whole, tmp_path, eval_files=f"{corpus.folder}/masked-0", num_train_epochs=0.2)
    code, _, err = pretrain(*given, "--masked_lm_prob=0.3")
    assert code == 0, err
    assert "masked_lm_accuracy" in err


def test_evaluation_masks_do_not_change(pretrained: Path, corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """A rate of zero leaves the weights, so both evaluations of records without masks agree to the bit."""
    code, _, err = pretrain(*training(corpus, corpus.whole, tmp_path, learning_rate=0))
    assert code == 0, err
    lines = map(json.loads, (tmp_path / "summaries" / "metrics.jsonl").read_text().splitlines())
    first, second = ({**line, "step": 0} for line in lines if line["part"] == "validation")
    assert first == second
    assert len(set(losses(tmp_path))) == STEPS
