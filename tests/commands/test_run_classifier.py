# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning, scoring and predicting as users do it, on a tiny task."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

from jaxbert.train.devices import fastest
from tests.commands.conftest import Run
from tests.commands.tiny_task import SIZES, WORDS, Task, flags, start

EPOCH = SIZES["train"] // 8


def entries(model_dir: Path, part: str) -> list[dict[str, float]]:
    """The lines of `metrics.jsonl` of one part."""
    lines = map(json.loads, (model_dir / "summaries" / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line.pop("part") == part]


@pytest.fixture(scope="module")
def trained(task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model folder, and what its training said: an old command line, in a process of its own."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    old = "--run_eagerly=false --num_train_epochs=3 --distribution_strategy=mirrored --learning_rate=2e-3 --log_steps=1"
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)
    process = start("--mode=train_and_eval", *task.records, *where, *old.split())
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == ""
    return folder, err


def test_training_says_what_a_user_must_know(trained: tuple[Path, str]) -> None:
    """Standard error has the retired flag, what was loaded, each step and evaluation, where the model is; no more."""
    folder, err = trained
    beginnings = [
        "note: `--run_eagerly` has no effect",
        "training on 24 pairs of texts: ",
        "loaded 23 of 25 expected tensors (",
        "memory of each device: ",
    ]
    if fastest("auto") == "bf16":
        beginnings.insert(2, "training in bfloat16, in which this device is faster")
    for epoch in (1, 2, 3):
        beginnings += [f"step {step}/9  loss 0." for step in range(EPOCH * epoch - 2, EPOCH * epoch + 1)]
        beginnings.append(f"evaluation after step {EPOCH * epoch}: accuracy ")
    beginnings += [
        "training waited for records ",
        f"the model is in {folder}",
        "results of 12 examples, 95 % intervals: ",
    ]
    beginnings += ["lowest F1: ", f"the report is in {folder}/report.html"]
    lines = err.splitlines()
    assert len(lines) == len(beginnings), err
    assert all(line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True)), err


def test_model_folder(trained: tuple[Path, str], task: Task) -> None:
    """Best and last model, one training state, flags and summaries; the vocabulary that lay beside the checkpoint."""
    folder, _ = trained
    model = {"model.safetensors", "bert_config.json", "eval_results.json", "meta_data", "vocab.txt"}
    assert {path.name for path in (folder / "best").iterdir()} == model
    assert {path.name for path in (folder / "last").iterdir()} == model
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["9"]
    assert (folder / "last" / "vocab.txt").read_text() == (task.model / "vocab.txt").read_text()
    assert len(list((folder / "summaries" / "train").iterdir())) == 1
    assert [entry["step"] for entry in entries(folder, "train")] == list(range(1, 10))
    assert [entry["step"] for entry in entries(folder, "validation")] == [3, 6, 9]


def test_best_is_the_best_evaluation(trained: tuple[Path, str]) -> None:
    """`best` holds the evaluation with the highest accuracy, the one with the lowest loss where several are equal."""
    folder, _ = trained
    evaluations = entries(folder, "validation")
    best = max(evaluations, key=lambda entry: (entry["accuracy"], -entry["loss"]))
    assert json.loads((folder / "best" / "eval_results.json").read_text()) == best
    assert json.loads((folder / "last" / "eval_results.json").read_text()) == evaluations[-1]


def test_eval_repeats_the_evaluation(trained: tuple[Path, str], task: Task, classify: Run) -> None:
    """`--mode=eval` prints, as JSON, exactly the numbers of training for the same weights."""
    folder, _ = trained
    for which, more in (("best", []), ("last", flags(predict_checkpoint_path=folder / "last"))):
        code, out, err = classify("--mode=eval", *task.records, *flags(model_dir=folder), *more)
        assert code == 0, err
        written = json.loads((folder / which / "eval_results.json").read_text())
        assert json.loads(out) | {"step": written["step"]} == written


def test_data_that_is_missing_is_named_as_text_too(trained: tuple[Path, str], task: Task, classify: Run) -> None:
    """The hint has the flag for a table that the mode looks at."""
    given = [flag for flag in task.records if "eval_data_path" not in flag]
    for mode, name in (("eval", "--eval_file"), ("predict", "--test_file")):
        code, _, err = classify(f"--mode={mode}", *given, *flags(model_dir=trained[0]))
        assert code == 2
        assert f"hint: or give text: `--data_dir` or `{name}`" in err


def test_predictions(trained: tuple[Path, str], task: Task, classify: Run) -> None:
    """Records and text give the same three files: a line for each example in order, probabilities that sum to 1."""
    folder, _ = trained
    from_records = [*task.records[::3], *flags(eval_data_path=task.folder / "test.tf_record", model_dir=folder)]
    assert classify("--mode=predict", *from_records)[0] == 0
    names = ("test_results.tsv", "predictions.tsv", "submission/MRPC.tsv")
    first = [(folder / name).read_text() for name in names]
    probabilities = np.array([line.split("\t") for line in first[0].splitlines()], float)
    assert probabilities.shape == (SIZES["test"], 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    rows = list(csv.DictReader(first[1].splitlines(), delimiter="\t"))
    assert [row["id"] for row in rows] == [str(number) for number in range(SIZES["test"])]
    np.testing.assert_allclose([[float(row["0"]), float(row["1"])] for row in rows], probabilities, atol=5.1e-7)
    chosen = [str(label) for label in probabilities.argmax(1)]
    assert first[2].splitlines() == ["index\tprediction", *(f"{i}\t{label}" for i, label in enumerate(chosen))]
    code, _, err = classify("--mode=predict", *flags(data_dir=task.text, max_seq_length=16, model_dir=folder))
    assert code == 0, err
    assert [(folder / name).read_text() for name in names] == first


def test_finished_training_changes_nothing(trained: tuple[Path, str], task: Task, classify: Run) -> None:
    """The flags a run wrote are the run: given again they find it finished, and touch no file but their own copy."""
    folder, _ = trained
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    code, _, err = classify(f"--flagfile={folder / 'flags.txt'}")
    assert code == 0, err
    assert err.splitlines()[1].startswith("training is finished: 9 of 9 steps are done; a larger `--num_train_epochs`")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert {path.name for path in after if after[path] != before[path]} <= {"flags.txt"}


def test_flag_file_repeats_the_run(trained: tuple[Path, str], classify: Run, tmp_path: Path) -> None:
    """The flags a run wrote, with another folder, make the same weights to the last bit."""
    folder, _ = trained
    code, _, err = classify(f"--flagfile={folder / 'flags.txt'}", f"--model_dir={tmp_path}")
    assert code == 0, err
    for which in ("best", "last"):
        name = f"{which}/model.safetensors"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_two_folders_are_enough(task: Task, classify: Run, tmp_path: Path) -> None:
    """A folder called MRPC and a checkpoint train and predict; records are made once, ids are those of the text."""
    two = flags(data_dir=task.text, init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path)
    code, _, err = classify(*two, "--num_train_epochs=1")
    assert code == 0, err
    assert "making records of MRPC" in err
    code, _, err = classify(*two, "--num_train_epochs=1")
    assert code == 0, err
    assert "making records" not in err
    assert classify(*two, "--mode=predict")[0] == 0
    assert len((tmp_path / "test_results.tsv").read_text().splitlines()) == SIZES["test"]


def test_regression(task: Task, classify: Run, tmp_path: Path) -> None:
    """Tables as of STS-B: correlations are reported and a number is predicted for each example."""
    chance, text = random.Random(1), tmp_path / "STS-B"
    text.mkdir()
    for name, size in SIZES.items():
        rows = ["\t".join("abcdefghi" if name == "test" else "abcdefghij")]
        for number in range(size):
            first, second = (" ".join(chance.choices(WORDS, k=4)) for _ in range(2))
            score = "" if name == "test" else f"\t{len(set(first.split()) & set(second.split())):.3f}"
            rows.append("\t".join([str(number), *"bcdefg", first, second]) + score)
        (text / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    where = flags(data_dir=text, init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "model")
    code, _, err = classify(*where, "--num_train_epochs=1")
    assert code == 0, err
    results = json.loads((tmp_path / "model" / "best" / "eval_results.json").read_text())
    assert list(results) == ["step", "spearman", "pearson", "mean_squared_error", "loss"]
    assert results["loss"] == pytest.approx(results["mean_squared_error"])
    code, _, err = classify(*where, "--mode=predict")
    assert code == 0, err
    numbers = [float(line) for line in (tmp_path / "model" / "test_results.tsv").read_text().splitlines()]
    assert len(numbers) == SIZES["test"]
    rows = (tmp_path / "model" / "submission" / "STS-B.tsv").read_text().splitlines()[1:]
    assert [float(row.split("\t")[1]) for row in rows] == pytest.approx(np.clip(numbers, 0, 5), abs=5.1e-4)
    own = flags(test_file=text / "test.tsv", text_a_column="h", text_b_column="i", model_dir=tmp_path / "model")
    code, _, err = classify("--mode=predict", *own)
    assert code == 0, err
    again = [float(line) for line in (tmp_path / "model" / "test_results.tsv").read_text().splitlines()]
    assert again == pytest.approx(numbers)


def test_tables_of_ones_own(task: Task, classify: Run, tmp_path: Path) -> None:
    """CSV with named columns and named classes; the trained model knows its classes when only a test file is given."""
    chance = random.Random(2)
    for name, size in SIZES.items():
        rows = [(f"{name}-{i}", chance.choice(WORDS), ("yes", "no")[i % 2]) for i in range(size)]
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("key", "text", "answer"), *rows])
    columns = flags(text_a_column="text", label_column="answer", id_column="key", model_dir=tmp_path / "model")
    files = flags(train_file=tmp_path / "train.csv", eval_file=tmp_path / "dev.csv")
    start_from = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1)
    code, _, err = classify(*columns, *files, *start_from)
    assert code == 0, err
    code, _, err = classify(*columns, "--mode=predict", f"--test_file={tmp_path / 'test.csv'}")
    assert code == 0, err
    lines = (tmp_path / "model" / "predictions.tsv").read_text().splitlines()
    assert lines[0] == "id\tprediction\tno\tyes"
    assert [line.split("\t")[0] for line in lines[1:]] == [f"test-{i}" for i in range(SIZES["test"])]
    assert not (tmp_path / "model" / "submission").exists()
