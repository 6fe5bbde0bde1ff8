# SPDX-License-Identifier: Apache-2.0
"""Commands that follow each other in one model folder, and the export after them."""

import json
from pathlib import Path

import pytest

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import read_initial
from tests.checkpoints.random_models import assert_same
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_squad import SETTINGS, write_squad
from tests.commands.tiny_task import WORDS, Task, flags


@pytest.fixture
def questions(task: Task, tmp_path: Path) -> list[str]:
    """Flags of a short training on questions, and of the questions to answer."""
    train, dev = write_squad(tmp_path / "train.json", 24), write_squad(tmp_path / "dev.json", 5, seed=1)
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1)
    return [*start, *SETTINGS, *flags(train_file=train, predict_file=dev, model_dir=tmp_path / "model")]


def test_questions_are_scored_after_a_training_that_scored_none(squad: Run, questions: list[str]) -> None:
    """`--mode=train` and then the default mode: the finished model answers, and its scores are printed."""
    code, out, err = squad(*questions, "--mode=train")
    assert (code, out) == (0, ""), err
    assert "/model: `last` as training ended\n" in err
    code, out, err = squad(*questions)
    assert code == 0, err
    assert "training is finished" in err
    assert {"exact_match", "f1"} <= json.loads(out).keys()


def test_no_best_model_is_named_where_none_is(task: Task, classify: Run, tmp_path: Path) -> None:
    """`--mode=train` evaluates nothing, so there are the last weights only."""
    code, _, err = classify("--mode=train", *task.records, *flags(model_dir=tmp_path, num_train_epochs=1))
    assert code == 0, err
    assert f"the model is in {tmp_path}: `last` as training ended" in err.splitlines()


def test_log_lines_can_be_left_out(task: Task, classify: Run, tmp_path: Path) -> None:
    """`--log_steps=0` of old command lines: the last step alone is told."""
    training = [*task.records, *flags(model_dir=tmp_path, num_train_epochs=1, log_steps=0, mode="train")]
    code, _, err = classify(*training)
    assert code == 0, err
    assert [line.split()[1] for line in err.splitlines() if line.startswith("step ")] == ["3/3"]


def test_labels_in_another_order_are_refused(task: Task, classify: Run, tmp_path: Path) -> None:
    """A trained model knows its classes: others, or the same in another order, would give wrong scores."""
    rows = "".join(f"{word}\t{'yes' if number % 2 else 'no'}\n" for number, word in enumerate(WORDS))
    (tmp_path / "own.tsv").write_text(f"text\tanswer\n{rows}")
    own = flags(text_a_column="text", label_column="answer", model_dir=tmp_path / "model", num_train_epochs=1)
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", train_file=tmp_path / "own.tsv")
    assert_refused(classify(*own, *start), "`--mode=train_and_eval`: `own.tsv` has no eval set", "give `--eval_file`")
    assert classify(*own, *start, "--mode=train")[0] == 0
    later = ["--mode=eval", *own, f"--eval_file={tmp_path}/own.tsv"]
    assert_refused(classify(*later, "--labels=yes,no"), "has the classes no,yes", "leave the flag out")
    code, out, err = classify(*later, "--labels=no,yes")
    assert code == 0, err
    assert out == classify(*later)[1]


def test_a_finished_run_may_be_exported(task: Task, classify: Run, tmp_path: Path) -> None:
    """The command of a training, given again with --model_export_path, is the same run."""
    training = [*task.records, *flags(model_dir=tmp_path / "model", num_train_epochs=1)]
    assert classify(*training)[0] == 0
    code, _, err = classify(*training, f"--model_export_path={tmp_path}/out")
    assert code == 0, err
    assert "training is finished" in err
    assert (tmp_path / "out" / "saved_model.pb").exists()


def test_run_squad_exports_what_it_trained(squad: Run, questions: list[str], tmp_path: Path) -> None:
    """After training, and later by --mode=export_only: the same files, which hold the best model with its head."""
    code, out, err = squad(*questions, f"--model_export_path={tmp_path}/a")
    assert code == 0, err
    assert json.loads(out)["f1"] >= 0
    assert f"wrote the SQuAD model to {tmp_path}/a" in err
    where = flags(model_dir=tmp_path / "model", model_export_path=tmp_path / "b")
    code, out, err = squad("--mode=export_only", *where)
    assert (code, out) == (0, ""), err
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    written = read_initial(str(tmp_path / "a"), "squad").weights
    assert names.SQUAD[0] in written
    assert_same(written, read_initial(str(tmp_path / "model" / "best")).weights)
    for path in ([], ["--model_export_path="]):
        result = squad("--mode=export_only", *flags(model_dir=tmp_path), *path)
        assert_refused(result, "`--mode=export_only` needs a folder", "--model_export_path")
