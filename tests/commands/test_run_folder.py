# SPDX-License-Identifier: Apache-2.0
"""A run is bound to what it was begun with, may be trained longer, and takes no number that is none."""

import json
import re
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxbert.checkpoints.model_folder import saved_steps
from jaxbert.errors import InputError
from jaxbert.train.evaluate import streamed_outputs
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_pretraining import Corpus, make_records, training
from tests.commands.tiny_squad import squad_training
from tests.commands.tiny_task import PLAIN, Task, flags

SHORT = flags(num_train_epochs=1, learning_rate=1e-3, log_steps=1)


def lines(model_dir: Path) -> list[dict[str, float]]:
    """The metrics of each step of training."""
    found = map(json.loads, (model_dir / "summaries/metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["part"] == "train"]


def own_task(task: Task, folder: Path) -> list[str]:
    """Flags of a copy of the tiny task, as tables, whose files may be edited."""
    for name in ("train", "dev"):
        rows = [line.split("\t") for line in (task.text / f"{name}.tsv").read_text().splitlines()[1:]]
        text = "".join(f"{label}\t{first}\t{second}\n" for label, _, _, first, second in rows)
        (folder / f"{name}.tsv").write_text(f"label\tfirst\tsecond\n{text}")
    shutil.copytree(task.model, folder / "bert")
    columns = flags(text_a_column="first", text_b_column="second", label_column="label", max_seq_length=16)
    data = flags(train_file=folder / "train.tsv", eval_file=folder / "dev.tsv", init_checkpoint=folder / "bert")
    return [*data, *columns, *SHORT, *flags(model_dir=folder / "run")]


def edit(path: Path, old: str, new: str) -> None:
    """Change a text where it stands last."""
    before, _, after = path.read_text().rpartition(old)
    assert len(old) == len(new)
    path.write_text(f"{before}{new}{after}")


@pytest.mark.parametrize("is_finished", [True, False])
def test_edited_texts_are_noticed(is_finished: bool, task: Task, classify: Run, tmp_path: Path) -> None:
    """One word of another text, in a file of the same size: a finished run says so, another does not go on."""
    given = own_task(task, tmp_path)
    assert classify(*given)[0] == 0
    if not is_finished:  # as if the second epoch had been stopped
        given += ["--num_train_epochs=2"]
        content = json.loads((tmp_path / "run/run.json").read_text())
        content["schedule"]["total_steps"] = 6
        (tmp_path / "run/run.json").write_text(json.dumps(content))
    before = (tmp_path / "train.tsv").read_text()
    edit(tmp_path / "train.tsv", "blue", "pink")
    problem = "is finished, and was not trained on" if is_finished else "cannot go on with"
    result = classify(*given)
    assert_refused(result, f"the run in `{tmp_path}/run` {problem} what is there now: ", "another `--model_dir`")
    assert f"what is made of `{tmp_path}/train.tsv` was changed" in result[2]
    (tmp_path / "train.tsv").write_text(before)
    code, _, err = classify(*given)
    assert code == 0, err
    content = json.loads((tmp_path / "run/run.json").read_text())
    for damaged in ({}, content | {"schedule": content["schedule"] | {"total_steps": "6"}}):
        (tmp_path / "run/run.json").write_text(json.dumps(damaged))
        assert_refused(classify(*given), "run.json` does not hold `data`, `model` and `schedule`", "remove the file")


def test_other_texts_to_evaluate_are_no_other_run(task: Task, classify: Run, tmp_path: Path) -> None:
    """They may be edited, and a file of another name may take their place."""
    given = own_task(task, tmp_path)
    assert classify(*given)[0] == 0
    edit(tmp_path / "dev.tsv", "blue", "pink")
    shutil.copy(tmp_path / "dev.tsv", tmp_path / "other.tsv")
    for evaluated in (tmp_path / "dev.tsv", tmp_path / "other.tsv"):
        code, _, err = classify(*given, f"--eval_file={evaluated}")
        assert code == 0, err
        assert "training is finished" in err


def test_a_run_that_goes_on_is_evaluated_on_the_same(task: Task, plain: Path, classify: Run, tmp_path: Path) -> None:
    """Its metrics are compared with one another: other records are refused, the same under another name are not; once
    it is finished, others may be given and are not taken for what it was evaluated on.
    """
    run, other, same = tmp_path / "run", task.folder / "train.tf_record", tmp_path / "same.tf_record"
    shutil.copytree(plain, run)
    shutil.rmtree(run / "last")  # as if it had been stopped before the last evaluation
    shutil.copy(task.folder / "eval.tf_record", same)
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=run)
    given = [*task.records, *PLAIN, *start]
    result = classify(*given, f"--eval_data_path={other}")
    problem = f"evaluation was on `{task.folder}/eval.tf_record`, is on `{other}`"
    assert_refused(result, f"cannot go on with what is there now: {problem}", "another `--model_dir`")
    assert not (run / "last").exists()
    for evaluated in (same, other):
        code, _, err = classify(*given, f"--eval_data_path={evaluated}")
        assert code == 0, err
    known = json.loads((run / "run.json").read_text())["evaluation"]
    assert [*known] == [f"`{same}`"]
    longer = classify(*given, f"--eval_data_path={other}", "--num_train_epochs=2")
    assert_refused(longer, f"cannot go on with what is there now: evaluation was on `{same}`", "another `--model_dir`")


def test_edited_texts_to_evaluate_are_noticed(task: Task, classify: Run, tmp_path: Path) -> None:
    """Where the run goes on, also where they are in memory; a command that evaluates nothing takes them."""
    given = [*own_task(task, tmp_path), "--long_texts=windows"]
    assert classify(*given)[0] == 0
    shutil.rmtree(tmp_path / "run/last")
    edit(tmp_path / "dev.tsv", "blue", "pink")
    problem = f"cannot go on with what is there now: for evaluation what is made of `{tmp_path}/dev.tsv` was changed"
    assert_refused(classify(*given), problem, "restore what was changed")
    assert classify(*given, "--mode=train")[0] == 0
    assert_refused(classify(*given, "--num_train_epochs=2"), problem, "restore what was changed")


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("vocab.txt", "teal", "team", "the vocabulary of the model was changed"),
        ("bert_config.json", '"num_attention_heads": 2', '"num_attention_heads": 4', "the configuration of the model"),
    ],
)
def test_an_edited_model_is_noticed(
    name: str, old: str, new: str, problem: str, task: Task, classify: Run, tmp_path: Path
) -> None:
    """Vocabulary and configuration belong to the run as its texts do."""
    given = own_task(task, tmp_path)
    assert classify(*given)[0] == 0
    edit(tmp_path / "bert" / name, old, new)
    assert_refused(classify(*given), problem, "restore what was changed")


def test_edited_records_are_noticed(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Other records under the same name, and one file more under a glob, are no data of the run."""
    (tmp_path / "text.txt").write_text((corpus.folder / "text.txt").read_text())
    shutil.copy(corpus.folder / "vocab.txt", tmp_path)
    make_records(tmp_path, "static", f"{tmp_path}/one-0")
    given = training(corpus, f"{tmp_path}/one-*", tmp_path / "run", eval_files="", num_train_epochs=1)
    given.remove("--eval_files=")
    assert pretrain(*given)[0] == 0
    before = (tmp_path / "one-0").read_bytes()
    make_records(tmp_path, "static", f"{tmp_path}/one-0", random_seed=7)
    assert_refused(pretrain(*given), f"`{tmp_path}/one-0` was changed")
    (tmp_path / "one-0").write_bytes(before)
    (tmp_path / "one-1").write_bytes(before)
    assert_refused(pretrain(*given), f"`{tmp_path}/one-1` is new")
    (tmp_path / "one-1").unlink()
    (tmp_path / "one-0").rename(tmp_path / "one-2")
    assert_refused(pretrain(*given), f"`{tmp_path}/one-0` is not there any more, `{tmp_path}/one-2` is new")


def test_a_finished_run_is_trained_longer(task: Task, classify: Run, tmp_path: Path) -> None:
    """It goes on from its last state by the longer schedule, which is said, as two of its numbers are; not shorter."""
    given = [*task.records, *SHORT, *flags(model_dir=tmp_path)]
    code, _, err = classify(*given)
    assert "a larger `--num_train_epochs` goes on from there" in classify(*given)[2]
    before = lines(tmp_path)
    code, _, err = classify(*given, "--num_train_epochs=3")
    assert code == 0, err
    assert "going on after step 3" in err
    found = re.search(r"to step 9 in place of 3, .* after step 3 it jumps from 0 to (\S+)\n", err)
    assert found, err
    assert lines(tmp_path)[:3] == before
    rates = [line["learning_rate"] for line in lines(tmp_path)]
    assert len(rates) == 9
    assert rates[3] == pytest.approx(1e-3 * (1 - 3 / 9)) == pytest.approx(float(found[1]), rel=1e-2)
    assert saved_steps(str(tmp_path / "checkpoints")) == [9]
    code, _, err = classify(*given, "--num_train_epochs=3")
    assert code == 0, err
    assert "in place of" not in err
    shorter = classify(*given, "--num_train_epochs=2")
    assert_refused(shorter, "holds another run: --num_train_epochs was `3.0`, is `2.0`", "another `--model_dir`")
    assert_refused(classify(*given, "--num_train_epochs=4", "--seed=3"), "--seed was `0`, is `3`")


def test_a_finished_run_without_states_is_kept(task: Task, classify: Run, tmp_path: Path) -> None:
    """Its states removed to save space: its own flags find it finished; other flags, other texts and a longer training,
    which has nothing to go on from, are refused, and its model stays as it is."""
    given = own_task(task, tmp_path)
    assert classify(*given)[0] == 0
    shutil.rmtree(tmp_path / "run/checkpoints")
    models = {path: path.read_bytes() for path in tmp_path.glob("run/*/model.safetensors")}
    code, _, err = classify(*given)
    assert code == 0, err
    assert "training is finished: 3 of 3 steps are done\n" in err
    assert_refused(classify(*given, "--seed=3"), "holds another run: --seed was `0`, is `3`", "another `--model_dir`")
    longer = classify(*given, "--num_train_epochs=2")
    assert_refused(longer, "cannot go on: its saved states were removed", "another `--model_dir`")
    edit(tmp_path / "train.tsv", "blue", "pink")
    assert_refused(classify(*given), "is finished, and was not trained on what is there now", "another `--model_dir`")
    assert len(models) == 2
    assert {path: path.read_bytes() for path in models} == models


def test_a_run_stopped_before_its_first_state_begins_anew(task: Task, classify: Run, tmp_path: Path) -> None:
    """With other flags, too, as there is nothing to lose; a model that came there by other ways is none of the run."""
    given = own_task(task, tmp_path)
    assert classify(*given)[0] == 0
    for name in ("checkpoints", "best", "last"):
        (tmp_path / "run" / name).rename(tmp_path / name)
    code, _, err = classify(*given, "--seed=3")
    assert code == 0, err
    shutil.copytree(tmp_path / "last", tmp_path / "other/last")
    code, _, err = classify(*given, *flags(model_dir=tmp_path / "other"))
    assert code == 0, err
    assert "training is finished" not in err


def test_a_finished_run_says_whether_it_was_evaluated(task: Task, classify: Run, tmp_path: Path) -> None:
    """Trained without evaluation, then asked for both: it is not called evaluated."""
    given = [*task.records, *SHORT, *flags(model_dir=tmp_path)]
    assert classify(*given, "--mode=train")[0] == 0
    code, _, err = classify(*given)
    assert code == 0, err
    assert "it was not evaluated; `--mode=eval` scores what is given now" in err


def test_questions_and_pretraining_go_on_longer(
    answering: dict[int, Path], squad_files: Path, task: Task, squad: Run, pretrained: Path, corpus: Corpus,
    pretrain: Run, tmp_path: Path,
) -> None:  # fmt: skip
    """The other trainers do the same, and evaluate what they trained."""
    shutil.copytree(answering[1], tmp_path / "squad")
    shutil.copytree(pretrained, tmp_path / "pretrain")
    for run, given, steps in (
        (squad, squad_training(squad_files, task, 1, tmp_path / "squad"), 0),
        (pretrain, training(corpus, corpus.whole, tmp_path / "pretrain"), 18),
    ):
        code, _, err = run(*given, "--num_train_epochs=3")
        assert code == 0, err
        assert "training goes on to step" in err
        folder = next(path for name in ("last", "pretrained") if (path := Path(given_folder(given)) / name).exists())
        results = json.loads((folder / "eval_results.json").read_text())
        assert results["step"] == max(steps, lines(folder.parent)[-1]["step"])


def given_folder(given: list[str]) -> str:
    """The value of --model_dir."""
    return next(flag.partition("=")[2] for flag in given if flag.startswith("--model_dir="))


def test_the_folder_of_another_command(pretrained: Path, task: Task, classify: Run, tmp_path: Path) -> None:
    """A classifier in the folder of a pretraining: what it holds is said, no flag that nobody gave; the hint works."""
    result = classify(*task.records, *SHORT, *flags(model_dir=pretrained))
    hint = f"`--init_checkpoint={pretrained}/pretrained`"
    assert_refused(result, f"`{pretrained}` is the folder of another command's run", hint)
    assert "input_files" not in result[2]
    code, _, err = classify(*task.records, *SHORT, hint.strip("`"), *flags(model_dir=tmp_path))
    assert code == 0, err


def test_the_model_that_is_there_is_named(task: Task, classify: Run, plain: Path, tmp_path: Path) -> None:
    """`best` of a run that evaluated nothing: its `last` is named."""
    shutil.copytree(plain / "last", tmp_path / "last")
    predict = ["--mode=predict", *task.records, *flags(model_dir=tmp_path / "out")]
    result = classify(*predict, f"--predict_checkpoint_path={tmp_path}/best")
    assert_refused(result, f"`{tmp_path}/best` is not there", f"`{tmp_path}/last`")
    assert classify(*predict, f"--predict_checkpoint_path={tmp_path}/last")[0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("mode", ["train", "eval", "predict"])
def test_weights_that_are_no_numbers_are_refused(
    mode: str, value: float, plain: Path, task: Task, classify: Run, tmp_path: Path
) -> None:
    """By their name, whatever is to be computed with them; nothing is written."""
    shutil.copytree(plain / "last", tmp_path / "model")
    weights = load_file(tmp_path / "model/model.safetensors")
    name = "bert/encoder/layer_0/output/dense/kernel"
    weights[name] = weights[name].copy()
    weights[name][3, 2] = value
    save_file(weights, tmp_path / "model/model.safetensors")
    start = flags(init_checkpoint=tmp_path / "model", model_dir=tmp_path / "run", mode=mode)
    result = classify(*task.records, *SHORT, *start)
    assert_refused(result, f"`{name}` in `{tmp_path}/model/model.safetensors` holds NaN or infinity in 1 of 512 places")
    assert not list(tmp_path.glob("run/*.tsv"))


def test_outputs_that_are_no_numbers_are_refused() -> None:
    """NaN and plus infinity end in a message with the example; minus infinity stands for what is ruled out."""
    examples = jnp.array([[4, 7, -1]])
    fine = {"best": jnp.array([[[1.0, -np.inf], [0.5, 2.0], [np.nan, 0.0]]], jnp.float32)}
    (found,) = streamed_outputs(lambda weights, batch: fine, {}, [{"examples": examples}])
    np.testing.assert_array_equal(found[1]["best"], np.asarray(fine["best"])[0, :2])
    for value in (np.nan, np.inf):
        wrong = jnp.array([[[1.0], [value], [0.0]]], jnp.float32)
        with pytest.raises(InputError, match="output for example 7 is NaN or infinite"):
            list(streamed_outputs(lambda weights, batch, wrong=wrong: wrong, {}, [{"examples": examples}]))
