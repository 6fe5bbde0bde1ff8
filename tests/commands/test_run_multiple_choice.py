# SPDX-License-Identifier: Apache-2.0
"""`run_multiple_choice` from files to predictions, and its models in the other commands and in Python."""

import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxbert
from jaxbert.checkpoints.load import read_initial
from jaxbert.cli import main
from jaxbert.errors import InputError
from tests.commands.conftest import Run, kept
from tests.commands.damage import assert_refused
from tests.commands.same_runs import assert_report_of_first_epoch, assert_same_model, losses
from tests.commands.test_run_classifier_stopped import lines, stop_after
from tests.commands.tiny_choices import BATCHES, PLAIN, SIZES, write_swag
from tests.commands.tiny_task import WORDS, Task, flags, start_command


@pytest.fixture(scope="module")
def swag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The questions; nothing may be written into the folder."""
    with kept(write_swag(tmp_path_factory.mktemp("questions") / "swag")) as folder:
        yield folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, standard output, standard error."""

    def of(command: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([command, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return of


@pytest.fixture
def choose(run: Run) -> Run:
    """Runs `run_multiple_choice` in this process with batches of 8."""
    return lambda *arguments: run("run_multiple_choice", *BATCHES, *arguments)


@pytest.fixture(scope="module")
def plain(swag: Path, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one epoch on one device; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("plain")
    where = flags(data_dir=swag, init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)
    assert main(["run_multiple_choice", *BATCHES, *PLAIN, *where]) == 0
    with kept(folder):
        yield folder


@pytest.fixture
def training(swag: Path, task: Task, tmp_path: Path) -> list[str]:
    """The flags of that training in a folder of its own."""
    return [*PLAIN, *flags(data_dir=swag, init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "out")]


def table(path: Path) -> list[list[str]]:
    """The cells of a TSV file."""
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_it_learns(training: list[str], choose: Run, tmp_path: Path) -> None:
    """On new questions the loss falls from ln 4 below 1, and 80 % are right; `best` is best by accuracy."""
    code, _, err = choose(*training, "--learning_rate=5e-3", "--num_train_epochs=10")
    assert code == 0, err
    reached = [line for line in lines(tmp_path / "out") if line["part"] == "validation"]
    assert reached[0]["loss"] == pytest.approx(np.log(4), abs=0.05)
    assert reached[-1]["loss"] < 1
    assert reached[-1]["accuracy"] >= 0.8
    best = json.loads((tmp_path / "out/best/eval_results.json").read_text())
    assert best["accuracy"] == max(line["accuracy"] for line in reached)


def test_flags_of_fine_tuning(training: list[str], task: Task, choose: Run, tmp_path: Path) -> None:
    """Frozen weights are those of the checkpoint to the last bit; the metric is one of those that are printed."""
    code, _, err = choose(
        *training, "--freeze=encoder", "--hidden_dropout_prob=0", "--best_metric=loss", "--patience=9"
    )
    assert code == 0, err
    assert "frozen: embeddings, layer_0" in err
    assert "`hidden_dropout_prob` is 0 in this run" in err
    before, after = read_initial(str(task.model)).weights, load_file(tmp_path / "out/last/model.safetensors")
    layer = "bert/encoder/layer_0/output/dense/kernel"
    np.testing.assert_array_equal(after[layer], before[layer])
    assert_refused(
        choose(*training, "--best_metric=f1", f"--model_dir={tmp_path}/x"), "`--best_metric=f1`", "accuracy, loss"
    )


def test_predictions(swag: Path, plain: Path, choose: Run, tmp_path: Path) -> None:
    """Of each question the number of the most probable choice; what the model says from Python is the same."""
    where = flags(model_dir=tmp_path, predict_checkpoint_path=plain / "best", data_dir=swag)
    code, _, err = choose("--mode=predict", *where)
    assert code == 0, err
    head, *rows = table(tmp_path / "predictions.tsv")
    assert head == ["id", "prediction", "0", "1", "2", "3"]
    assert len(rows) == SIZES["test"]
    model = jaxbert.load(plain, compile_cache="")
    with (swag / "test.csv").open() as file:
        for row, question in zip(rows, csv.DictReader(file), strict=True):
            choices = [question[f"ending{number}"] for number in range(4)]
            found = model.choose(question["sent1"], choices, question=question["sent2"])
            assert row[1] == str(found.number)
            assert found.text == choices[found.number]
            np.testing.assert_allclose([float(cell) for cell in row[2:]], found.probabilities, rtol=0, atol=2e-6)
            assert sum(found.probabilities) == pytest.approx(1)


def test_choices_of_any_number(plain: Path, choose: Run, tmp_path: Path) -> None:
    """Questions with 2 and with 5 choices stand in one batch, and each has the probabilities that it has alone."""
    questions = [
        {"id": name, "question": {"stem": WORDS[0], "choices": [{"text": word, "label": word[0]} for word in words]}}
        for name, words in (("two", ("red", "blue")), ("five", ("red", "blue", "green", "pink", "lime")))
    ]
    found = {}
    for name, asked in (("both", questions), ("two", questions[:1]), ("five", questions[1:])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in asked))
        where = flags(model_dir=tmp_path / name, predict_checkpoint_path=plain / "best", test_file=path)
        assert choose("--mode=predict", *where)[0] == 0
        found[name] = table(tmp_path / name / "predictions.tsv")
    assert [row[0] for row in found["both"]] == ["id", "two", "five"]
    for name, row in zip(("two", "five"), found["both"][1:], strict=True):
        alone = found[name][1]
        assert row[:2] == alone[:2]
        shares = [float(cell) for cell in row[2:] if cell]
        assert len(shares) == {"two": 2, "five": 5}[name]
        np.testing.assert_allclose(shares, [float(cell) for cell in alone[2:]], rtol=0, atol=2e-6)


def test_evaluation_is_that_of_training(swag: Path, plain: Path, choose: Run, tmp_path: Path) -> None:
    """`--mode=eval` gives the numbers that were written beside the weights."""
    where = flags(model_dir=tmp_path, predict_checkpoint_path=plain / "best", data_dir=swag)
    code, out, err = choose("--mode=eval", *where)
    assert code == 0, err
    written = json.loads((plain / "best" / "eval_results.json").read_text())
    assert json.loads(out) == pytest.approx({name: written[name] for name in ("accuracy", "loss")}, abs=1e-6)


def test_same_arithmetic(training: list[str], choose: Run, plain: Path, tmp_path: Path) -> None:
    """Micro-batches and several steps in a call train the same model."""
    code, _, err = choose(*training, "--gradient_accumulation_steps=2", "--steps_per_loop=2")
    assert code == 0, err
    assert_same_model("last", plain, tmp_path / "out")


def test_devices(training: list[str], plain: Path, tmp_path: Path) -> None:
    """Two devices, with choices of one question on both, train the same model as one."""
    two = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    process = start_command("run_multiple_choice", *BATCHES, *training, XLA_FLAGS=two)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert_same_model("last", plain, tmp_path / "out")


def test_columns_are_those_of_the_training(training: list[str], swag: Path, choose: Run, tmp_path: Path) -> None:
    """A run that was trained on columns by name finds them in other files, and takes a known layout as it is."""
    names = {"sent1": "about", "sent2": "asked", "label": "right", "ending": "choice"}
    for part in ("train", "val"):
        text = (swag / f"{part}.csv").read_text()
        head, rest = text.split("\n", 1)
        for old, new in names.items():
            head = head.replace(old, new)
        (tmp_path / f"{part}.csv").write_text(f"{head}\n{rest}")
    val, run = tmp_path / "val.csv", flags(model_dir=tmp_path / "out")
    own = [*training, *flags(train_file=tmp_path / "train.csv", eval_file=val)]
    columns = flags(context_column="about", question_column="asked", label_column="right")
    columns += flags(choice_columns="choice0,choice1,choice2,choice3")
    assert choose(*(flag for flag in own if not flag.startswith("--data_dir")), *columns)[0] == 0
    for mode, name in (("eval", "eval_file"), ("predict", "test_file")):
        given = [f"--mode={mode}", f"--{name}={val}", *run]
        code, out, err = choose(*given)
        assert code == 0, err
        assert "columns as in training: --context_column=about --question_column=asked --choice_columns=choice0," in err
        written = (tmp_path / "out/predictions.tsv").read_bytes() if mode == "predict" else b""
        assert choose(*given, *columns)[1] == out
        assert not written or (tmp_path / "out/predictions.tsv").read_bytes() == written
    code, _, err = choose("--mode=predict", f"--data_dir={swag}", *run)
    assert code == 0, err
    assert "columns as in training" not in err


def test_stopped_and_gone_on(training: list[str], choose: Run, tmp_path: Path) -> None:
    """A run that SIGTERM stopped ends with the bits of one that nothing stopped."""
    longer = [*training, "--num_train_epochs=4"]
    assert choose(*longer)[0] == 0
    straight = tmp_path / "straight"
    shutil.move(tmp_path / "out", straight)
    process = start_command("run_multiple_choice", *BATCHES, *longer)
    code, err = stop_after(process, tmp_path / "out", 4, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM, err
    assert len(losses(tmp_path / "out")) < 32
    assert choose(*longer)[0] == 0
    assert lines(tmp_path / "out") == lines(straight)
    for name in ("best/model.safetensors", "last/model.safetensors", "best/eval_results.json"):
        assert (tmp_path / "out" / name).read_bytes() == (straight / name).read_bytes(), name


def test_the_report_of_a_best_epoch_before_a_stop(training: list[str], choose: Run, tmp_path: Path) -> None:
    """A run that goes on without doing better, or ended before its report, has that of the best weights."""
    still = [*training, "--learning_rate=0"]
    assert choose(*still)[0] == 0
    assert_report_of_first_epoch(lambda: choose(*still, "--num_train_epochs=2"), tmp_path / "out", 8)


def test_a_run_is_bound_to_its_questions(task: Task, choose: Run, tmp_path: Path) -> None:
    """Another answer to one question is another run; the same file again says that all is done."""
    swag = write_swag(tmp_path / "swag")
    where = flags(data_dir=swag, init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "out")
    assert choose(*PLAIN, *where)[0] == 0
    assert "training is finished" in choose(*PLAIN, *where)[2]
    head, first, *rows = (swag / "train.csv").read_text().splitlines()
    other = str((int(first[-1]) + 1) % 4)
    (swag / "train.csv").write_text("\n".join([head, first[:-1] + other, *rows]) + "\n")
    assert_refused(choose(*PLAIN, *where), f"what is made of `{swag}` was changed", "another `--model_dir`")


def test_a_run_that_goes_on_is_evaluated_on_the_same(
    training: list[str], swag: Path, plain: Path, choose: Run, tmp_path: Path
) -> None:
    """Other questions are refused, whose scores would stand beside those of before."""
    shutil.copytree(plain, tmp_path / "out", ignore=shutil.ignore_patterns("last"))
    result = choose(*training, f"--eval_file={swag}/train.csv")
    problem = f"evaluation was on what is made of `{swag}`, is on what is made of `{swag}/train.csv`"
    assert_refused(result, f"cannot go on with what is there now: {problem}", "another `--model_dir`")


def test_there_and_back(plain: Path, run: Run, tmp_path: Path) -> None:
    """As a folder of transformers and back every weight has its bits, and the model its task."""
    first, theirs, back = plain / "best", tmp_path / "theirs", tmp_path / "back"
    assert run("convert_checkpoint", *flags(to="huggingface", init_checkpoint=first, output_dir=theirs))[0] == 0
    assert run("convert_checkpoint", *flags(to="jaxbert", init_checkpoint=theirs, output_dir=back))[0] == 0
    assert (back / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    assert json.loads((theirs / "config.json").read_text())["architectures"] == ["BertForMultipleChoice"]
    assert load_file(theirs / "model.safetensors")["classifier.weight"].shape == (1, 16)
    told = "trained for     questions, up to 12 tokens with each choice -> one of the choices of each question"
    for folder in (first, theirs, back):
        assert told in run("inspect", str(folder))[1]
    (theirs / "meta_data").unlink()
    (theirs / "tokenizer_config.json").unlink()
    assert told.replace("12", "32") in run("inspect", str(theirs))[1]
    assert "metadata of a model that chooses" in run("inspect", str(first / "meta_data"))[1]


def test_other_commands_refuse_the_model(swag: Path, task: Task, plain: Path, run: Run, tmp_path: Path) -> None:
    """By what it was trained for; and this one refuses those of others."""
    model, out = plain / "best", tmp_path / "out"
    where = flags(predict_checkpoint_path=model, model_dir=out)
    trained = "was trained to choose among answers"
    classifier = run("run_classifier", "--mode=predict", *where, *flags(data_dir=task.text))
    assert_refused(classifier, f"`{model}` {trained}", "use `run_multiple_choice`")
    (tmp_path / "questions.json").write_text("{}")
    squad = run("run_squad", "--mode=predict", *where, *flags(predict_file=tmp_path / "questions.json"))
    assert_refused(squad, f"`{model}` {trained}", "use `run_multiple_choice`")
    for asked in (["a text"], flags(input_file=swag / "test.csv")):
        assert_refused(run("predict", *flags(model=model), *asked), "one of the choices of each question")
    saved = run("export", *flags(format="saved_model", init_checkpoint=model, output_dir=out))
    assert_refused(saved, "a model for multiple choice is not written with `--format=saved_model`", "huggingface")
    tf2 = run("convert_checkpoint", *flags(to="tf2", init_checkpoint=model, output_dir=out))
    assert_refused(tf2, "TensorFlow 2", "huggingface")
    assert not list(tmp_path.glob("out/*"))


def test_a_model_without_a_pooler_is_refused(swag: Path, plain: Path, choose: Run, tmp_path: Path) -> None:
    """With a pooler of zeros all choices would be equally likely."""
    shutil.copytree(plain / "best", tmp_path / "best")
    weights = load_file(tmp_path / "best/model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, tmp_path / "best/model.safetensors")
    result = choose("--mode=eval", *flags(data_dir=swag, init_checkpoint=tmp_path / "best", model_dir=tmp_path / "out"))
    assert_refused(result, "bert/pooler/dense/bias", "")


def test_a_classifier_is_refused(swag: Path, task: Task, plain: Path, choose: Run, tmp_path: Path) -> None:
    """A model of another task does not choose; an encoder has no head for it."""
    meta = {"task_type": "bert_classification", "num_labels": 2, "train_data_size": 1, "max_seq_length": 12}
    other = tmp_path / "classifier"
    shutil.copytree(plain / "best", other)
    (other / "meta_data").write_text(json.dumps(meta))
    where = flags(data_dir=swag, model_dir=tmp_path / "out")
    refused = choose("--mode=predict", *where, *flags(predict_checkpoint_path=other))
    assert_refused(refused, "was trained to predict one of the classes 0, 1", "use `run_classifier`")
    encoder = flags(predict_checkpoint_path=task.model / "bert_model.ckpt")
    assert_refused(
        choose("--mode=predict", *where, *encoder), "holds no head for multiple choice: cls/choice/output_bias"
    )


WRONG_FLAGS: list[tuple[list[str], str]] = [
    (["--mode=predict"], "needs `--test_file`"),
    (["--mode=export_only", "--data_dir=x"], "`--mode=export_only`: expected one of"),
    (["--data_dir=x", "--model_export_path=y"], "not written as SavedModel"),
    (["--train_file=x", "--choice_columns=a,b"], "not all that are needed"),
    (["--train_file=x", "--context_column=t", "--label_column=l"], "not all that are needed"),
    (["--train_file=x", "--choice_columns=a,a", "--context_column=t", "--label_column=l"], "not named apart"),
    (["--train_file=x", "--choice_columns=a,", "--context_column=t", "--label_column=l"], "not named apart"),
    (["--train_file=x", "--choice_columns=a,b", "--context_column=t"], "`--label_column` must be given"),
    (["--data_dir=x", "--max_seq_length=33"], "`max_position_embeddings` 32"),
    (["--data_dir=missing"], "`missing"),
]


@pytest.mark.parametrize(("more", "problem"), WRONG_FLAGS, ids=[problem for _, problem in WRONG_FLAGS])
def test_wrong_flags(more: list[str], problem: str, task: Task, choose: Run, tmp_path: Path) -> None:
    """One message, and nothing is made."""
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "out")
    assert_refused(choose(*where, *more), problem)
    assert not (tmp_path / "out").exists()


def test_rows_in_memory_train_like_a_file(swag: Path, task: Task, plain: Path, tmp_path: Path) -> None:
    """`fine_tune` on the rows of the file gives the model of the command; rows without choices are refused."""

    def rows(name: str) -> list[dict[str, object]]:
        with (swag / name).open(newline="") as file:
            return [
                {
                    "context": row["sent1"],
                    "question": row["sent2"],
                    "choices": [row[f"ending{number}"] for number in range(4)],
                    "answer": int(row["label"]),
                }
                for row in csv.DictReader(file)
            ]

    settings = (pair.removeprefix("--").split("=") for pair in (*BATCHES, *PLAIN))
    model = jaxbert.fine_tune(
        task.model / "bert_model.ckpt", output=tmp_path / "run", train=rows("train.csv"), evaluate=rows("val.csv"),
        task="multiple_choice", label="answer", flags=dict(settings),
    )  # fmt: skip
    assert_same_model("best", plain, tmp_path / "run")
    one = rows("val.csv")[0]
    assert len(model.choose(str(one["context"]), ["one", "two", "three"]).probabilities) == 3
    with pytest.raises(InputError, match="expected a dict with choices, label"):
        jaxbert.fine_tune(plain / "best", output=tmp_path / "no", train=[("a", 1)], task="multiple_choice")


def test_what_python_refuses(plain: Path) -> None:
    """Fewer than two choices, an empty one, a text in their place; and other questions than choices."""
    model = jaxbert.load(plain, compile_cache="")
    for choices in (["red"], ["red", " "], "red"):
        with pytest.raises(InputError, match="`choices` is"):
            model.choose("blue", choices)
    with pytest.raises(InputError, match="one of the choices"):
        model.predict(["red"])
    with pytest.warns(UserWarning, match="1 choice with its question is longer than 12 tokens"):
        model.choose("red", ["red", " ".join(["blue"] * 20)])


@pytest.mark.interop
def test_transformers_chooses_the_same(plain: Path, run: Run, tmp_path: Path) -> None:
    """Its tokenizer and BertForMultipleChoice give the logits of our packed rows, up to rounding."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    assert (
        run("convert_checkpoint", *flags(to="huggingface", init_checkpoint=plain / "best", output_dir=tmp_path / "hf"))[
            0
        ]
        == 0
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "hf"))
    theirs, info = transformers.BertForMultipleChoice.from_pretrained(str(tmp_path / "hf"), output_loading_info=True)
    assert not any(info.values())
    ours = jaxbert.load(tmp_path / "hf", compile_cache="")
    for choices in (["red", "blue grey"], ["pink", "red", "gold gold teal", "lime", "green"]):
        second = [f"blue {choice}" for choice in choices]
        batch = tokenizer(["red green"] * len(choices), second, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = theirs.eval()(**{name: array[None] for name, array in batch.items()}).logits[0]
        found = ours.choose("red green", choices, question="blue")
        np.testing.assert_allclose(found.probabilities, torch.softmax(logits.double(), 0), rtol=0, atol=1e-5)
