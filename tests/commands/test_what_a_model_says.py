# SPDX-License-Identifier: Apache-2.0
"""A classifier in a Hugging Face folder says its classes, their kind and its length; `run_classifier` follows."""

import csv
import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints import names
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.tokenizer_files import write_tokenizer
from jaxbert.cli import main
from jaxbert.config import bert_config
from jaxbert.features.squad import WindowSettings
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.metadata import ClassificationMetaData, SquadMetaData
from tests.checkpoints.random_models import random_weights
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_task import CONFIG, WORDS, Task, flags

HEAD = frozenset(names.CLASSIFIER)


def write_classifier(
    folder: Path, task: Task, labels: tuple[str, ...], *, several: bool = False, length: int = 32
) -> Path:
    """A random classifier in a folder as transformers writes it."""
    config = bert_config.from_dict(CONFIG)
    weights = random_weights(config, "classifier", classes=len(labels))
    folder.mkdir()
    number = len(labels) == 1 and not several
    meta = ClassificationMetaData("", 0, length, None if number else len(labels), label_list=() if number else labels)
    meta = dataclasses.replace(meta, is_multi_label=several)
    write_huggingface(str(folder), {name: w * np.float32(0.3) for name, w in weights.items()}, config, meta)
    shutil.copy(task.model / "vocab.txt", folder)
    write_tokenizer(str(folder), Rules(lower_case=True), length)
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """Flags of two texts to predict, of 3 and 12 words."""
    (tmp_path / "texts.tsv").write_text(f"text\n{' '.join(WORDS[:3])}\n{' '.join((*WORDS, *WORDS[:4]))}\n")
    return flags(test_file=tmp_path / "texts.tsv", text_a_column="text", mode="predict", model_dir=tmp_path / "out")


def predicted(folder: Path) -> list[dict[str, str]]:
    """The rows of what was predicted for people."""
    with (folder / "out" / "predictions.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_classes_in_another_order_are_mapped(task: Task, classify: Run, tmp_path: Path) -> None:
    """A training that changes nothing keeps the outputs of the start, each for the class with its name."""
    start = write_classifier(tmp_path / "start", task, ("1", "0"))
    still = flags(data_dir=task.text, model_dir=tmp_path / "run", learning_rate=0, num_train_epochs=1, mode="train")
    code, _, err = classify(f"--init_checkpoint={start}", *still)
    assert code == 0, err
    assert "the model has the classes in another order, 1, 0: they are mapped by name" in err
    before, after = (read_initial(str(path), "classifier").weights for path in (start, tmp_path / "run" / "last"))
    for name, weight in before.items():
        np.testing.assert_array_equal(after[name], weight[::-1] if name in HEAD else weight, err_msg=name)


def test_records_are_answered_in_the_order_of_their_classes(task: Task, classify: Run, tmp_path: Path) -> None:
    """A model with the classes in another order gives each record what the same model gives in the records' order."""
    same = write_classifier(tmp_path / "same", task, ("0", "1"))
    weights = dict(read_initial(str(same), "classifier").weights)
    turned = write_classifier(tmp_path / "turned", task, ("1", "0"))
    weights |= {name: weights[name][::-1] for name in HEAD}
    meta = ClassificationMetaData("", 0, 32, 2, label_list=("1", "0"))
    write_huggingface(str(turned), weights, bert_config.from_dict(CONFIG), meta)
    found = []
    for start, mode in itertools.product((same, turned), ("eval", "predict")):
        given = flags(init_checkpoint=start, model_dir=tmp_path / f"{start.name}_out", mode=mode)
        code, out, err = classify(*given, *(flag for flag in task.records if "config" not in flag))
        assert code == 0, err
        found.append(out if mode == "eval" else (tmp_path / f"{start.name}_out/test_results.tsv").read_text())
    assert found[:2] == found[2:]


def test_records_of_another_kind_or_without_labels_are_refused(task: Task, classify: Run, tmp_path: Path) -> None:
    """Of a model for several labels at once, and of a test set, whose labels are all written as the first class."""
    several = write_classifier(tmp_path / "several", task, ("0", "1"), several=True)
    given = flags(init_checkpoint=several, model_dir=tmp_path / "out", mode="eval")
    records = [flag for flag in task.records if "config" not in flag]
    assert_refused(
        classify(*given, *records),
        "the model was trained to predict several of the classes 0, 1, the records have one of the classes 0, 1",
        "give records made for this model",
    )
    one = write_classifier(tmp_path / "one", task, ("0", "1"))
    given = flags(init_checkpoint=one, model_dir=tmp_path / "out", mode="eval")
    result = classify(*given, *records, f"--eval_data_path={task.folder}/test.tf_record")
    assert_refused(result, "all 7 records of", "--mode=predict")


def test_one_class_is_not_learnt_but_may_be_evaluated(task: Task, classify: Run, tmp_path: Path) -> None:
    """Texts to train on need two; texts to evaluate on have their own labels, if all are the first class, too."""
    (tmp_path / "one.tsv").write_text("text\tlabel\n" + "".join(f"{word}\t0\n" for word in WORDS))
    columns = flags(text_a_column="text", label_column="label", model_dir=tmp_path / "run")
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", train_file=tmp_path / "one.tsv", mode="train")
    assert_refused(classify(*columns, *start), "has one class, `0`", "`--label_column`")
    model = write_classifier(tmp_path / "model", task, ("0", "1"))
    code, out, err = classify(f"--init_checkpoint={model}", *columns, *_evaluated(tmp_path / "one.tsv"))
    assert code == 0, err
    assert 0 <= json.loads(out)["accuracy"] <= 1


def test_other_classes_get_a_new_head(task: Task, classify: Run, tmp_path: Path) -> None:
    """Of as many classes, too: the outputs of the start are for something else."""
    start = write_classifier(tmp_path / "start", task, ("good", "bad"))
    rows = "".join(f"{word}\t{'no' if number % 2 else 'yes'}\n" for number, word in enumerate(WORDS))
    (tmp_path / "own.tsv").write_text(f"text\tanswer\n{rows}")
    columns = flags(init_checkpoint=start, text_a_column="text", label_column="answer")
    still = flags(train_file=tmp_path / "own.tsv", model_dir=tmp_path / "run", learning_rate=0, num_train_epochs=1)
    code, _, err = classify(*columns, *still, "--mode=train")
    assert code == 0, err
    assert "the model was trained for good, bad: for the new classes its output layer starts at random" in err
    assert "loaded 23 of 23 expected tensors" in err
    assert "not used: output_bias, output_weights" in err
    before, after = (read_initial(str(path), "classifier").weights for path in (start, tmp_path / "run" / "last"))
    for name, weight in before.items():
        assert np.array_equal(after[name], weight) == (name not in HEAD), name
    answers = flags(eval_file=tmp_path / "own.tsv", model_dir=tmp_path / "out", mode="eval")
    assert_refused(
        classify(*columns, *answers), "unknown label `yes`, expected one of `good`, `bad`", "the file of this task"
    )


def test_classes_without_names_go_by_their_numbers(task: Task, classify: Run, tmp_path: Path) -> None:
    """MRPC's classes are 0 and 1: the model's are taken in their order, and both are said."""
    start = write_classifier(tmp_path / "start", task, ("not_equivalent", "equivalent"))
    answers = flags(data_dir=task.text, model_dir=tmp_path / "out", mode="predict")
    code, _, err = classify(f"--init_checkpoint={start}", *answers)
    assert code == 0, err
    assert "classes go by their numbers: not_equivalent, equivalent of the model are 0, 1 of the data" in err


def test_classes_are_known_by_their_numbers(task: Task, classify: Run, texts: list[str], tmp_path: Path) -> None:
    """The names that transformers gives to classes without names are theirs."""
    start = write_classifier(tmp_path / "start", task, ("LABEL_0", "LABEL_1", "LABEL_2"))
    code, _, err = classify(f"--init_checkpoint={start}", *texts)
    assert code == 0, err
    assert {row["prediction"] for row in predicted(tmp_path)} <= {"LABEL_0", "LABEL_1", "LABEL_2"}


def test_classes_are_evaluated_by_their_numbers(task: Task, classify: Run, tmp_path: Path) -> None:
    """As training maps them: what the numbers of the classes give is what their names give."""
    start = write_classifier(tmp_path / "start", task, ("LABEL_0", "LABEL_1", "LABEL_2"))
    found = []
    for prefix in ("", "LABEL_"):
        rows = (f"{word}\t{prefix}{(5 * number) % 3}\n" for number, word in enumerate(WORDS))
        (tmp_path / "own.tsv").write_text("text\tlabel\n" + "".join(rows))
        asked = flags(init_checkpoint=start, text_a_column="text", model_dir=tmp_path / "out")
        code, out, err = classify(*asked, *_evaluated(tmp_path / "own.tsv"))
        assert code == 0, err
        found.append(json.loads(out))
    assert found[0] == found[1]


def test_one_output_is_a_number(task: Task, classify: Run, texts: list[str], tmp_path: Path) -> None:
    """As transformers takes it."""
    start = write_classifier(tmp_path / "start", task, ("LABEL_0",))
    code, _, err = classify(f"--init_checkpoint={start}", *texts)
    assert code == 0, err
    rows = predicted(tmp_path)
    assert list(rows[0]) == ["id", "prediction"]
    assert len({float(row["prediction"]) for row in rows}) == 2


def test_several_labels_at_once(task: Task, classify: Run, texts: list[str], tmp_path: Path) -> None:
    """Each label has a probability of its own, by the logistic function of the logits that one class's are from."""
    labels = ("a", "b", "c")
    several = write_classifier(tmp_path / "several", task, labels, several=True)
    assert classify(f"--init_checkpoint={several}", *texts)[0] == 0
    found = predicted(tmp_path)
    one = write_classifier(tmp_path / "one", task, labels)
    assert classify(f"--init_checkpoint={one}", *texts)[0] == 0
    for row, of_one in zip(found, predicted(tmp_path), strict=True):
        shares = {label: float(row[label]) for label in labels}
        assert row["prediction"] == "|".join(label for label, share in shares.items() if share >= 0.5)
        odds = np.array([share / (1 - share) for share in shares.values()])
        # six digits are printed, and the odds of a probability near 1 have few of them
        np.testing.assert_allclose(
            odds / odds.sum(), [float(of_one[label]) for label in labels], rtol=0, atol=1e-6 + 1e-6 * odds.max()
        )


def test_conversions_keep_the_kind_of_classes(task: Task, classify: Run, texts: list[str], tmp_path: Path) -> None:
    """In every format, and back for Hugging Face: what is predicted stays the same to the last digit."""
    several = write_classifier(tmp_path / "several", task, ("a", "b"), several=True)
    assert classify(f"--init_checkpoint={several}", *texts)[0] == 0
    before = predicted(tmp_path)
    for to in ("tf1", "tf2", "jaxbert", "huggingface"):
        there, back = tmp_path / to, tmp_path / f"{to}_back"
        assert main(["convert_checkpoint", *flags(init_checkpoint=several, output_dir=there, to=to)]) == 0
        assert classify(f"--init_checkpoint={there}", *texts)[0] == 0
        assert predicted(tmp_path) == before
        assert main(["convert_checkpoint", *flags(init_checkpoint=there, output_dir=back, to="huggingface")]) == 0
        for name in ("config.json", "tokenizer_config.json"):
            assert (back / name).read_bytes() == (several / name).read_bytes(), to


@pytest.mark.parametrize("form", ["a|b", "list", "columns"])
def test_several_labels_are_learnt(form: str, task: Task, classify: Run, tmp_path: Path) -> None:
    """Each form of the labels gives the same model; what it evaluates is what it predicts, thresholds included."""
    pairs = itertools.product(WORDS, WORDS)
    rows = [(" ".join(pair), [word for word in ("red", "blue") if word in pair]) for pair in pairs]
    path = tmp_path / ("data.jsonl" if form == "list" else "data.tsv")
    if form == "list":
        path.write_text("".join(json.dumps({"text": text, "label": labels}) + "\n" for text, labels in rows))
    elif form == "columns":
        lines = (f"{text}\t{int('red' in labels)}\t{int('blue' in labels)}\n" for text, labels in rows)
        path.write_text("text\tred\tblue\n" + "".join(lines))
    else:
        path.write_text("text\tlabel\n" + "".join(f"{text}\t{'|'.join(labels)}\n" for text, labels in rows))
    label = "blue,red" if form == "columns" else "label"
    columns = flags(text_a_column="text", label_column=label, multi_label=True)
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "run", learning_rate=1e-2)
    files = flags(train_file=path, eval_file=path, num_train_epochs=10)
    code, _, err = classify(*columns, *start, *files)
    assert code == 0, err
    assert "training on 64 texts: 15 `blue`, 15 `red`, 36 none" in err
    meta = json.loads((tmp_path / "run/best/meta_data").read_text())
    assert (meta["label_list"], meta["problem_type"]) == (["blue", "red"], "multi_label_classification")
    results = json.loads((tmp_path / "run/best/eval_results.json").read_text())
    assert list(results)[1:] == ["micro_f1", "macro_f1", "exact_match", "loss"]
    assert results["micro_f1"] > 0.7  # 0.38 for all labels on each
    code, out, err = classify(*columns[:2], f"--eval_file={path}", f"--model_dir={tmp_path}/run", "--mode=eval")
    assert code == 0, err
    assert json.loads(out) == {name: value for name, value in results.items() if name != "step"}
    code, _, err = classify(
        "--text_a_column=text", f"--test_file={path}", f"--model_dir={tmp_path}/run", "--mode=predict"
    )
    assert code == 0, err
    with (tmp_path / "run" / "predictions.tsv").open(newline="") as file:
        found = [row["prediction"] for row in csv.DictReader(file, delimiter="\t")]
    right = sum(prediction == "|".join(sorted(labels)) for prediction, (_, labels) in zip(found, rows, strict=True))
    assert right / len(rows) == pytest.approx(results["exact_match"], abs=1e-12)


def test_a_model_of_pairs_is_not_used_without_the_second_text(task: Task, classify: Run, tmp_path: Path) -> None:
    """Nor one of single texts with pairs; in evaluation and prediction, from texts and from records."""
    where = flags(data_dir=task.text, model_dir=tmp_path / "run", init_checkpoint=task.model / "bert_model.ckpt")
    assert classify(*where, "--mode=train", "--num_train_epochs=1")[0] == 0
    assert json.loads((tmp_path / "run/last/meta_data").read_text())["pairs"] is True
    (tmp_path / "one.tsv").write_text("text\tmore\tlabel\nred\tred\t1\nblue\tred\t0\n")
    one = flags(text_a_column="text", model_dir=tmp_path / "run")
    for mode in (["--mode=predict", f"--test_file={tmp_path}/one.tsv"], _evaluated(tmp_path / "one.tsv")):
        assert_refused(
            classify(*one, *mode), "was trained with pairs of texts, here are single texts", "`--text_b_column`"
        )
        assert classify(*one, *mode, "--text_b_column=more")[0] == 0
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", text_a_column="text", model_dir=tmp_path / "single")
    learnt = flags(label_column="label", train_file=tmp_path / "one.tsv", mode="train", train_batch_size=2)
    assert classify(*start, *learnt)[0] == 0
    single = flags(model_dir=tmp_path / "single")
    paired = [*single, "--text_a_column=text", "--text_b_column=more"]
    for given in ([*paired, *_evaluated(tmp_path / "one.tsv")], [*single, "--mode=eval", *task.records]):
        assert_refused(classify(*given), "was trained with single texts, here are pairs of texts", "`--text_b_column`")


def test_a_model_is_not_used_for_another_kind_of_task(
    task: Task, classify: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A classifier answers no questions and a model for answers has no classes, which its files say."""
    start = write_classifier(tmp_path / "start", task, ("a", "b"))
    (tmp_path / "text.tsv").write_text("red\n")
    texts = flags(test_file=tmp_path / "text.tsv", text_a_column=0, mode="predict", model_dir=tmp_path / "out")
    squad = SquadMetaData(0, WindowSettings(16, 4, 4), version_2_with_negative=False)
    (tmp_path / "answers").mkdir()
    config = bert_config.from_dict(CONFIG)
    write_model(str(tmp_path / "answers"), random_weights(config, "squad"), {"meta_data": squad.to_json()}, {})
    shutil.copy(task.model / "bert_config.json", tmp_path / "answers")
    shutil.copy(task.model / "vocab.txt", tmp_path / "answers")
    result = classify(f"--init_checkpoint={tmp_path}/answers", *texts)
    assert_refused(result, "was trained to answer questions", "use `run_squad`")
    (tmp_path / "dev.json").write_text('{"version": "1.1", "data": []}')
    asked = flags(init_checkpoint=start, predict_file=tmp_path / "dev.json", mode="predict", model_dir=tmp_path / "out")
    capsys.readouterr()
    code = main(["run_squad", *asked])
    assert_refused((code, *capsys.readouterr()), "was trained to predict one of the classes a, b", "`run_classifier`")


def test_flags_that_contradict_records_are_refused(task: Task, classify: Run, tmp_path: Path) -> None:
    """Nothing that is said of them is left out in silence."""
    given = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "out", mode="train")
    refused = classify(*given, *task.records, "--max_seq_length=32")
    assert_refused(refused, "`--max_seq_length=32`, but the records have 16 by their metadata", "leave the flag out")
    for flag in ("regression", "multi_label"):
        refused = classify(*given, *task.records, f"--{flag}")
        assert_refused(refused, f"`--{flag}`, but the records have one of the classes 0, 1", "leave the flag out")


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_prediction_from_a_run_is_what_its_evaluation_saw(kind: str, task: Task, classify: Run, tmp_path: Path) -> None:
    """With no flag but the texts: columns are the run's, length, casing and order of the classes the best model's."""
    chance = np.random.default_rng(0)
    texts = [" ".join(chance.choice(WORDS, size)) for size in chance.integers(1, 12, 40)]
    labels = [text.count("red") + 0.5 if kind == "numbers" else "xyz"[len(text) % 3] for text in texts]
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)))
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "run", text_a_column="text")
    more = ["--regression"] if kind == "numbers" else ["--labels=z,x,y"]
    how = flags(train_file=path, eval_file=path, label_column="label", max_seq_length=7, num_train_epochs=2)
    code, _, err = classify(*where, *how, *more, "--learning_rate=1e-2")
    assert code == 0, err
    results = json.loads((tmp_path / "run/best/eval_results.json").read_text())
    code, out, err = classify(*flags(eval_file=path, model_dir=tmp_path / "run", mode="eval"))
    assert code == 0, err
    assert "columns as in training: --text_a_column=text --label_column=label" in err
    assert json.loads(out) == {name: value for name, value in results.items() if name != "step"}
    code, _, err = classify(*flags(test_file=path, model_dir=tmp_path / "run", mode="predict"))
    assert code == 0, err
    with (tmp_path / "run/predictions.tsv").open(newline="") as file:
        found = [row["prediction"] for row in csv.DictReader(file, delimiter="\t")]
    if kind == "numbers":
        error = np.mean((np.array(found, float) - np.array(labels, float)) ** 2)
        assert error == pytest.approx(results["mean_squared_error"], abs=1e-5)  # six digits are printed
    else:
        assert np.mean(np.array(found) == np.array(labels)) == results["accuracy"]
    output = tmp_path / "out.jsonl"
    assert (
        main(["predict", "--compile_cache=", *flags(model=tmp_path / "run", input_file=path, output_file=output)]) == 0
    )
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    if kind == "numbers":
        np.testing.assert_allclose([line["number"] for line in lines], np.array(found, float), rtol=0, atol=1e-5)
    else:
        assert [line["label"] for line in lines] == found
    (tmp_path / "other.tsv").write_text("body\tlabel\nred\tx\n")
    result = classify(*flags(test_file=tmp_path / "other.tsv", model_dir=tmp_path / "run", mode="predict"))
    assert_refused(result, "`--text_a_column` must be given", "by its name in the first line")


def _evaluated(path: Path) -> list[str]:
    return flags(mode="eval", eval_file=path, label_column="label")


def test_the_longest_sequence_is_that_of_the_model(task: Task, classify: Run, texts: list[str], tmp_path: Path) -> None:
    """Without a flag; one that is beyond the positions of the model is refused by its name."""
    start = write_classifier(tmp_path / "start", task, ("a", "b"), length=8)
    found = []
    for more in ([], ["--max_seq_length=8"], ["--max_seq_length=16"]):
        assert classify(f"--init_checkpoint={start}", *texts, *more)[0] == 0
        found.append([row["a"] for row in predicted(tmp_path)])
    assert found[0] == found[1]
    assert found[0][0] == found[2][0]
    assert found[0][1] != found[2][1]
    result = classify(f"--init_checkpoint={start}", *texts, "--max_seq_length=33")
    assert_refused(result, "`--max_seq_length=33`, but the model has `max_position_embeddings` 32", "--max_seq_length")


def test_a_trained_model_keeps_its_length(task: Task, classify: Run, tmp_path: Path) -> None:
    """What it predicts from texts without a flag is what it predicts from its records: they are cut alike."""
    where = flags(data_dir=task.text, model_dir=tmp_path / "run")
    how = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1, max_seq_length=6)
    assert classify(*where, *how, "--mode=train")[0] == 0
    results = []
    for more in ([], ["--max_seq_length=6"], ["--max_seq_length=16"]):
        assert classify(*where, "--mode=predict", *more)[0] == 0
        results.append((tmp_path / "run" / "test_results.tsv").read_text())
    assert results[0] == results[1] != results[2]
    assert [path.name for path in (tmp_path / "run" / "records").iterdir()] != []
    assert len(list((tmp_path / "run" / "records").iterdir())) == 1  # of the training; texts to predict need none
