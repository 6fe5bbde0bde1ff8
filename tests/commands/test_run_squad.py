# SPDX-License-Identifier: Apache-2.0
"""Training on questions, answering and scoring as users do it, on tiny SQuAD files."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxbert.cli import main
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_squad import SETTINGS, TRAINING, squad_training, without_answers, write_squad
from tests.commands.tiny_task import Task, flags

FILES = ("predictions.json", "nbest_predictions.json")


@pytest.fixture
def data(squad_files: Path) -> Path:
    """Training and development files of both versions."""
    return squad_files


@pytest.fixture(params=[1, 2], ids=["v1.1", "v2.0"])
def trained(request: pytest.FixtureRequest, answering: dict[int, Path]) -> tuple[Path, int]:
    """A model folder after training, and the version; nothing may be written into it."""
    return answering[request.param], request.param


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


def test_training_writes_answers_and_scores(trained: tuple[Path, int], data: Path, capsys: Any) -> None:
    """The answers in the model folder are those of the best weights, and score what was written with them."""
    folder, version = trained
    results = read(folder / "best" / "eval_results.json")
    metrics = [json.loads(line) for line in (folder / "summaries" / "metrics.jsonl").read_text().splitlines()]
    assert results["f1"] == max(entry["f1"] for entry in metrics if entry["part"] == "validation")
    answers = FILES if version == 1 else (*FILES, "null_odds.json")
    for name in answers:
        assert (folder / name).read_bytes() == (folder / "best" / name).read_bytes()
    assert main(["evaluate_squad", str(data / f"dev-v{version}.json"), str(folder / "predictions.json")]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores.items() <= results.items()


def test_every_answer_is_part_of_its_context(trained: tuple[Path, int], data: Path) -> None:
    """Each question has an n-best list; its texts are parts of the context, its probabilities sum to 1."""
    folder, version = trained
    n_best = read(folder / "nbest_predictions.json")
    for paragraph in read(data / f"dev-v{version}.json")["data"][0]["paragraphs"]:
        (question,) = paragraph["qas"]
        choices = n_best.pop(question["id"])
        assert choices
        assert all(choice["text"] in paragraph["context"] for choice in choices)
        np.testing.assert_allclose(sum(choice["probability"] for choice in choices), 1, atol=1e-9)
    assert not n_best


def test_predicting_later_gives_the_same(
    trained: tuple[Path, int], data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """A copy of the best model answers as in training, its threshold included; a flag overrides that."""
    folder, version = trained
    shutil.copytree(folder / "best", tmp_path / "best")
    questions = without_answers(data / f"dev-v{version}.json", tmp_path / "test.json")
    predict = ["--mode=predict", *flags(model_dir=tmp_path, predict_file=questions)]
    code, out, err = squad(*predict)
    assert code == 0, err
    assert out == ""
    assert read(tmp_path / "predictions.json") == read(folder / "predictions.json")
    if version == 2:
        assert squad(*predict, "--null_score_diff_threshold=-1e9")[0] == 0
        assert set(read(tmp_path / "predictions.json").values()) == {""}


def test_best_threshold_is_applied(trained: tuple[Path, int]) -> None:
    """With the threshold that was found, answers reach the best F1 that any threshold reaches."""
    folder, version = trained
    results = read(folder / "best" / "eval_results.json")
    if version == 1:
        assert "best_f1" not in results
        return
    assert results["f1"] == pytest.approx(results["best_f1"], abs=1e-9)
    answers, odds = read(folder / "predictions.json"), read(folder / "null_odds.json")
    assert all((odds[id_] > results["null_score_diff_threshold"]) == (text == "") for id_, text in answers.items())


def test_evaluation_keeps_the_threshold(trained: tuple[Path, int], data: Path, squad: Run, tmp_path: Path) -> None:
    """`--mode=eval` prints the scores of training, and stores the threshold beside weights that lack it."""
    folder, version = trained
    shutil.copytree(folder / "best", tmp_path / "best")
    written = read(folder / "best" / "eval_results.json")
    (tmp_path / "best" / "eval_results.json").unlink()
    code, out, err = squad("--mode=eval", *flags(model_dir=tmp_path, predict_file=data / f"dev-v{version}.json"))
    assert code == 0, err
    assert json.loads(out) | {"step": written["step"]} == written
    if version == 2:
        name = "null_score_diff_threshold"
        assert read(tmp_path / "best" / "eval_results.json") == {name: written[name]}


def test_finished_training_scores_another_file(
    trained: tuple[Path, int], data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """The command of a finished run answers and scores the file it names, even if it was trained with another."""
    source, version = trained
    folder = shutil.copytree(source, tmp_path / "model")
    for at in ("train", "dev"):
        other = [f"--predict_file={data}/{at}-v{version}.json", f"--model_dir={folder}"]
        again = squad(f"--flagfile={source}/flags.txt", *other)
        assert again[0] == 0, again[2]
        assert "training is finished" in again[2]
        assert set(read(folder / "predictions.json")) == {
            f"{at}-v{version}-{n}" for n in range(24 if at == "train" else 11)
        }
        assert squad("--mode=eval", *other)[1] == again[1]


def test_a_run_that_goes_on_is_scored_on_the_same(
    trained: tuple[Path, int], data: Path, squad: Run, tmp_path: Path
) -> None:
    """Other questions, or answers chosen otherwise, are refused: their scores would stand beside those of before."""
    source, version = trained
    folder = shutil.copytree(source, tmp_path / "model", ignore=shutil.ignore_patterns("last"))
    before, now = (f"what is made of `{data}/{at}-v{version}.json`" for at in ("dev", "train"))
    asked = flags(predict_file=data / f"train-v{version}.json", model_dir=folder)
    problem = f"cannot go on with what is there now: evaluation was on {before}, is on {now}"
    assert_refused(squad(f"--flagfile={source}/flags.txt", *asked), problem, "another `--model_dir`")
    shorter = squad(f"--flagfile={source}/flags.txt", f"--model_dir={folder}", "--max_answer_length=1")
    assert_refused(shorter, "for evaluation `--max_answer_length` was changed", "another `--model_dir`")


def test_finished_training_scores_changed_questions(data: Path, task: Task, squad: Run, tmp_path: Path) -> None:
    """The command of a finished run answers what stands in the file now, and not what did when it was trained."""
    dev, folder = shutil.copy(data / "dev-v1.json", tmp_path / "dev.json"), tmp_path / "model"
    training = [*squad_training(data, task, 1, folder), f"--predict_file={dev}"]
    assert squad(*training)[0] == 0
    content = read(dev)
    del content["data"][0]["paragraphs"][5:]
    dev.write_text(json.dumps(content))
    code, out, err = squad(*training)
    assert code == 0, err
    assert len(read(folder / "predictions.json")) == 5
    assert squad("--mode=eval", *flags(model_dir=folder, predict_file=dev))[1] == out


def test_stored_threshold_that_is_no_number(trained: tuple[Path, int], data: Path, squad: Run, tmp_path: Path) -> None:
    """It is refused with its file when a prediction would use it."""
    folder, version = trained
    shutil.copytree(folder / "best", tmp_path / "best")
    results = tmp_path / "best" / "eval_results.json"
    for wrong in ('"x"', "null", "NaN"):
        results.write_text(f'{{"null_score_diff_threshold": {wrong}}}')
        predict = squad("--mode=predict", *flags(model_dir=tmp_path, predict_file=data / f"dev-v{version}.json"))
        assert_refused(
            predict, "eval_results.json`: `null_score_diff_threshold` is", "give `--null_score_diff_threshold`"
        )


def test_records_train_as_text_does(
    trained: tuple[Path, int], data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """Records and meta data of `create_finetuning_data` train the same model, to the last bit."""
    folder, version = trained
    made = flags(
        fine_tuning_task_type="squad",
        squad_data_file=data / f"train-v{version}.json",
        train_data_output_path=tmp_path / "records",
        meta_data_file_path=tmp_path / "meta",
        vocab_file=task.model / "vocab.txt",
    )
    assert main(["create_finetuning_data", *made, *SETTINGS, f"--version_2_with_negative={version == 2}"]) == 0
    records = flags(train_data_path=tmp_path / "records", input_meta_data_path=tmp_path / "meta")
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "model")
    code, _, err = squad("--mode=train", *records, *where, *TRAINING)
    assert code == 0, err
    assert not (tmp_path / "model" / "best").exists()
    one, other = (path / "last" / "model.safetensors" for path in (folder, tmp_path / "model"))
    assert one.read_bytes() == other.read_bytes()


def test_stopped_training_goes_on(
    trained: tuple[Path, int], data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """Ended before its last evaluation was written, a training makes up for it and ends as if nothing had happened."""
    folder, version = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name in ("last", "best"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "predictions.json").unlink()
    code, out, err = squad(*squad_training(data, task, version, tmp_path))
    assert code == 0, err
    assert "going on after step 6" in err
    weights = "last/model.safetensors"
    assert (tmp_path / weights).read_bytes() == (folder / weights).read_bytes()
    assert json.loads(out) | {"step": 6} == read(folder / "last" / "eval_results.json")
    code, again, err = squad(*squad_training(data, task, version, tmp_path))
    assert "training is finished: 6 of 6 steps are done" in err
    assert again == out


def test_several_files_are_answered(trained: tuple[Path, int], data: Path, squad: Run, tmp_path: Path) -> None:
    """Globs name several files; each one's answers are named after it, and are those it gets alone."""
    folder, version = trained
    for name in ("one", "two"):
        write_squad(tmp_path / f"{name}.json", 5, version_2=version == 2, seed=ord(name[0]))
    where = flags(predict_checkpoint_path=folder / "best", model_dir=tmp_path / "out")
    assert squad("--mode=predict", *where, f"--predict_file={tmp_path}/o*.json,{tmp_path}/t*.json")[0] == 0
    assert squad("--mode=predict", *where, f"--predict_file={tmp_path}/two.json")[0] == 0
    for name in FILES:
        assert (tmp_path / "out" / f"two-{name}").read_bytes() == (tmp_path / "out" / name).read_bytes()
        assert set(read(tmp_path / "out" / f"one-{name}")) == {f"one-{number}" for number in range(5)}


def test_odd_files(trained: tuple[Path, int], squad: Run, tmp_path: Path) -> None:
    """Contexts without a word, of one word, of thousands; unknown characters, odd white space: each is answered."""
    folder, version = trained
    contexts = ["", " \n", "teal", "red " * 5000, "北京 \u3000是中国的首都。", "red\t\tblue\u202fgreen \u200b grey\x00"]
    paragraphs = [
        {"context": text, "qas": [{"id": str(n), "question": "red 谁" * n}]} for n, text in enumerate(contexts)
    ]
    (tmp_path / "odd.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    where = flags(predict_checkpoint_path=folder / "best", model_dir=tmp_path, predict_file=tmp_path / "odd.json")
    code, _, err = squad("--mode=predict", *where, *(["--null_score_diff_threshold=1e9"] if version == 2 else []))
    assert code == 0, err
    answers = read(tmp_path / "predictions.json")
    assert list(answers) == [str(number) for number in range(len(contexts))]
    assert all(answers[str(number)] in text for number, text in enumerate(contexts))
    assert answers["0"] == answers["1"] == ""
    assert answers["2"] == "teal"
    assert all(answers[str(number)] for number in range(2, len(contexts)))


def test_test_set_is_answered_not_scored(data: Path, task: Task, squad: Run, tmp_path: Path) -> None:
    """Without gold answers the default mode trains, answers with the last weights, and says nothing is scored."""
    test = without_answers(data / "dev-v1.json", tmp_path / "test.json")
    code, out, err = squad(*squad_training(data, task, 1, tmp_path / "model"), f"--predict_file={test}")
    assert code == 0, err
    assert out == ""
    assert "holds no gold answers: it is answered, and not scored" in err
    assert len(read(tmp_path / "model" / "predictions.json")) == 11
    assert not (tmp_path / "model" / "best").exists()


def test_the_other_version_is_answered_and_not_scored(
    answering: dict[int, Path], data: Path, squad: Run, tmp_path: Path
) -> None:
    """A model of version 1.1 answers questions of 2.0; scoring them is refused with that as the way out."""
    given = flags(predict_checkpoint_path=answering[1] / "best", model_dir=tmp_path, predict_file=data / "dev-v2.json")
    assert_refused(squad("--mode=eval", *given), "has no answer", "`--mode=predict`")
    code, _, err = squad("--mode=predict", *given)
    assert code == 0, err
    asked = read(data / "dev-v2.json")["data"][0]["paragraphs"]
    assert list(read(tmp_path / "predictions.json")) == [one["qas"][0]["id"] for one in asked]


def test_a_model_of_version_2_on_questions_with_answers(
    answering: dict[int, Path], data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """It may answer none of them: results, report and the metric to choose by are those of version 2.0 alike."""
    shutil.copytree(answering[2] / "best", tmp_path / "best")
    given = flags(model_dir=tmp_path, predict_file=data / "dev-v1.json")
    code, out, err = squad("--mode=eval", *given, "--null_score_diff_threshold=-1e9")
    assert code == 0, err
    report, results = read(tmp_path / "report.json"), json.loads(out)
    assert report["data"]["task"] == "SQuAD 2.0"
    assert results["total"] == results["HasAns_total"] == 11
    assert {name: one["value"] for name, one in report["results"]["metrics"].items()}.items() <= results.items()
    assert [one["support"] for one in report["classes"]] == [11, 0]
    train = [*squad_training(data, task, 2, tmp_path / "out"), *flags(predict_file=data / "dev-v1.json")]
    refused = squad(*train, "--best_metric=exact_match")
    assert_refused(refused, "`--best_metric=exact_match` is no metric of this task", "exact, HasAns_f1")
    assert squad(*train, "--best_metric=exact", "--num_train_epochs=1")[0] == 0


def test_records_may_be_padded_beyond_the_model(data: Path, task: Task, squad: Run, tmp_path: Path) -> None:
    """Where all tokens fit; the trained model says how long its own windows are, and answers long contexts by them."""
    made = flags(
        fine_tuning_task_type="squad",
        squad_data_file=data / "train-v1.json",
        vocab_file=task.model / "vocab.txt",
        train_data_output_path=tmp_path / "train.tf_record",
        meta_data_file_path=tmp_path / "meta",
        max_seq_length=64,
    )
    assert main(["create_finetuning_data", *made]) == 0
    given = flags(
        train_data_path=tmp_path / "train.tf_record",
        input_meta_data_path=tmp_path / "meta",
        predict_file=write_squad(tmp_path / "long.json", 3, words=80),
        init_checkpoint=task.model / "bert_model.ckpt",
        model_dir=tmp_path / "model",
        num_train_epochs=1,
    )
    code, _, err = squad(*given)
    assert code == 0, err
    assert read(tmp_path / "model" / "best" / "meta_data")["max_seq_length"] == 32
    assert squad("--mode=predict", *flags(model_dir=tmp_path / "model", predict_file=tmp_path / "long.json"))[0] == 0


@pytest.mark.parametrize(
    ("more", "problem", "hint"),
    [
        (["--predict_file={data}/dev-v2.json"], "has no answer", "--version_2_with_negative"),
        (["--version_2_with_negative"], "has no key `is_impossible`", "leave out"),
        (["--null_score_diff_threshold=0"], "is for SQuAD 2.0, and this is SQuAD 1.1", "`--version_2_with_negative`"),
        (["--predict_file={data}/dev-*.json"], "means 2 files, one can be scored", "--mode=predict"),
        (["--train_data_path=x"], "`--train_data_path`", "both name training data"),
        (["--max_seq_length=40", "--doc_stride=30"], "`max_position_embeddings` 32", "lower `--max_seq_length`"),
        (["--max_seq_length=6"], "long.json` question `long-0` has 4 tokens: 6 leave no room", ""),
        (["--train_batch_size=64"], "`--train_batch_size=64` is more than the", "give at most 24"),
        (["--mode=predict"], "there is no trained model", "--predict_checkpoint_path"),
        (["--mode=predict", "--predict_checkpoint_path={model}/bert_model.ckpt"], "would be random", "fine-tuned"),
    ],
)
def test_wrong_input(
    more: list[str], problem: str, hint: str, data: Path, task: Task, squad: Run, tmp_path: Path
) -> None:
    """Data and flags that do not go together end with one message before anything is trained."""
    more = [flag.format(data=data, model=task.model) for flag in more]
    sources = [flag for flag in squad_training(data, task, 1, tmp_path / "model") if "init_checkpoint" not in flag]
    rest = [] if "--mode=predict" in more else flags(init_checkpoint=task.model / "bert_model.ckpt")
    rest += flags(bert_config_file=task.model / "bert_config.json", vocab_file=task.model / "vocab.txt")
    long_questions = write_squad(tmp_path / "long.json", 1)
    long_questions.write_text(long_questions.read_text().replace('"question": "', '"question": "red red red '))
    if "--max_seq_length=6" in more:
        more += flags(predict_file=long_questions)
    assert_refused(squad(*sources, *rest, *more), problem, hint)
    assert not list(tmp_path.glob("model/*/model.safetensors"))


def test_flags_against_the_meta_data(trained: tuple[Path, int], data: Path, squad: Run) -> None:
    """A flag that says something else than the meta data of the model is refused."""
    folder, version = trained
    where = flags(model_dir=folder, predict_file=data / f"dev-v{version}.json")
    assert_refused(squad("--mode=predict", *where, "--doc_stride=5"), "`--doc_stride=5`, but `", "leave out the flag")
    other = f"--version_2_with_negative={str(version == 1).lower()}"
    assert_refused(squad("--mode=predict", *where, other), f"`{other}`, but `", "leave out the flag")
    if version == 1:
        refused = squad("--mode=predict", *where, "--null_score_diff_threshold=-2")
        assert_refused(refused, "`--null_score_diff_threshold=-2.0` is for SQuAD 2.0", "leave it out")
