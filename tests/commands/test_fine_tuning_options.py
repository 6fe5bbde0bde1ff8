# SPDX-License-Identifier: Apache-2.0
"""What fine-tuning is told besides the data: each flag does what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import jaxbert
from jaxbert.checkpoints.load import read_initial
from jaxbert.config import bert_config
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.model.weights import classifier_table, flatten, initialize, part_of
from jaxbert.tasks import fine_tuning
from jaxbert.train.run import Epoch
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.loopback import run_hosts
from tests.commands.tiny_squad import SETTINGS, run_squad, write_squad
from tests.commands.tiny_task import BATCHES, CONFIG, Task, flags
from tests.train.test_losses import plain_loss, plain_multi_label_loss

STILL = flags(hidden_dropout_prob=0, attention_dropout_prob=0, learning_rate=0, log_steps=1, dtype="fp32")
"""Nothing is drawn and nothing is learnt: the loss of a batch is that of the first weights."""


def lines(model_dir: Path, part: str) -> list[dict[str, float]]:
    """The metrics of training, or of validation."""
    found = map(json.loads, (model_dir / "summaries/metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["part"] == part]


def results(folder: Path) -> dict[str, float]:
    """What is written with the weights in a folder."""
    found: dict[str, float] = json.loads((folder / "eval_results.json").read_text())
    return found


def first_weights(task: Task) -> dict[str, np.ndarray]:
    """The encoder that trainings begin with."""
    return dict(read_initial(str(task.model / "bert_model.ckpt")).weights)


def test_best_metric_decides(task: Task, classify: Run, tmp_path: Path) -> None:
    """`best` holds the weights of the evaluation with the lowest loss, which here is not the most accurate one."""
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path, num_train_epochs=8)
    code, _, err = classify(*task.records, *start, "--learning_rate=3e-3", "--best_metric=loss")
    assert code == 0, err
    evaluations = lines(tmp_path, "validation")
    best = min(evaluations, key=lambda line: line["loss"])
    assert results(tmp_path / "best")["step"] == best["step"]
    assert best["step"] != max(evaluations, key=lambda line: line["accuracy"])["step"]


def test_an_unknown_metric_is_refused(task: Task, classify: Run, tmp_path: Path) -> None:
    """By name, before anything is trained, with those that there are."""
    given = [*task.records, f"--model_dir={tmp_path}"]
    result = classify(*given, "--best_metric=mcc")
    assert_refused(result, "`--best_metric=mcc` is no metric of this task", "give one of accuracy, f1, loss")
    result = classify(*given, "--best_metric=f1", "--mode=train")
    assert_refused(result, "`--best_metric=f1` needs evaluations, and `--mode=train` has none")
    assert not (tmp_path / "last").exists()


@pytest.mark.parametrize(
    ("metric", "now", "is_best"),
    [
        ("accuracy", {"accuracy": 0.8, "loss": 9.0}, True),
        ("accuracy", {"accuracy": 0.75, "loss": 0.4}, True),
        ("accuracy", {"accuracy": 0.75, "loss": 0.5}, False),
        ("accuracy", {"accuracy": 0.75, "loss": 0.6}, False),
        ("loss", {"accuracy": 0.1, "loss": 0.4}, True),
        ("loss", {"accuracy": 0.9, "loss": 0.6}, False),
        ("mean_squared_error", {"mean_squared_error": 0.5, "loss": 0.5}, True),
        ("mean_squared_error", {"mean_squared_error": 2.0, "loss": 2.0}, False),
        ("f1", {"f1": 1.0}, True),
    ],
)
def test_what_is_better(metric: str, now: dict[str, float], is_best: bool, tmp_path: Path) -> None:
    """More of a metric, less of loss and squared error, of equal ones the lower loss, of equal ones the earlier."""
    (tmp_path / "best").mkdir()
    before = {"step": 3, "accuracy": 0.75, "loss": 0.5, "mean_squared_error": 1.0}
    (tmp_path / "best" / "eval_results.json").write_text(json.dumps(before))
    epoch = Epoch(6, {}, None)  # type: ignore[arg-type]
    options = ClassifierFlags(model_dir=str(tmp_path), mode="eval")
    folders = fine_tuning.model_folders(options, epoch, now, metric)
    assert (str(tmp_path / "best") in folders) == is_best
    assert folders[-1] == str(tmp_path / "last")


def test_patience_ends_the_training(task: Task, classify: Run, tmp_path: Path) -> None:
    """Where nothing is learnt the first evaluation is the best: two more, and the run is finished, for good.

    With more patience it goes on, and is in the end the same as one that had it from the beginning.
    """
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=9, log_steps=1)
    given = [*task.records, *start, "--learning_rate=0"]
    code, _, err = classify(*given, "--patience=2", f"--model_dir={tmp_path}/a")
    assert code == 0, err
    assert "training ends early: the last 2 evaluations were not better than that after step 3" in err
    assert [line["step"] for line in lines(tmp_path / "a", "validation")] == [3, 6, 9]
    assert len(lines(tmp_path / "a", "train")) == 9
    code, _, err = classify(*given, "--patience=2", f"--model_dir={tmp_path}/a")
    assert code == 0, err
    assert "training is finished: 9 of 27 steps are done, and the last 2 evaluations were not better" in err
    assert len(lines(tmp_path / "a", "train")) == 9
    for folder in ("a", "b"):
        code, _, err = classify(*given, "--patience=3", f"--model_dir={tmp_path}/{folder}")
        assert code == 0, err
        assert [line["step"] for line in lines(tmp_path / folder, "validation")] == [3, 6, 9, 12]
    assert lines(tmp_path / "a", "train") == lines(tmp_path / "b", "train")
    a, b = (load_file(tmp_path / folder / "last/model.safetensors") for folder in ("a", "b"))
    assert all(np.array_equal(a[path], b[path]) for path in b)


def test_the_loss_of_an_evaluation_of_answers(task: Task, tmp_path: Path) -> None:
    """It is that of training on the same questions, of which one has an answer that is not there.

    It may decide which weights are best, and when training ends.
    """
    path = write_squad(tmp_path / "all.json", 24)
    content = json.loads(path.read_text())
    content["data"][0]["paragraphs"][3]["qas"][0]["answers"][0]["text"] = "purple"
    path.write_text(json.dumps(content))
    given = [*SETTINGS, *STILL, *flags(train_file=path, predict_file=path, num_train_epochs=4, train_batch_size=23)]
    given += flags(
        init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "run", best_metric="loss", patience=1
    )
    assert run_squad(*given) == 0
    (step, _), (evaluation, _) = lines(tmp_path / "run", "train"), lines(tmp_path / "run", "validation")
    assert evaluation["loss"] == pytest.approx(step["loss"], rel=1e-5)
    assert results(tmp_path / "run/best")["loss"] == evaluation["loss"]


def test_frozen_weights_and_those_that_start_at_random(task: Task, classify: Run, tmp_path: Path) -> None:
    """Frozen ones are those of the checkpoint to the last bit; re-initialised ones are drawn by the seed."""
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1, learning_rate=1e-3)
    before = first_weights(task)
    code, _, err = classify(*task.records, *start, "--freeze=encoder", f"--model_dir={tmp_path}/a", "--mode=train")
    assert code == 0, err
    assert "frozen: embeddings, layer_0 (3,008 of 3,314 parameters)" in err
    after = load_file(tmp_path / "a/last/model.safetensors")
    assert {path for path in before if np.array_equal(before[path], after[path])} == {
        path for path in before if part_of(path) != "pooler"
    }
    still = [
        *task.records,
        *start,
        *STILL,
        "--reinit_layers=1",
        "--seed=7",
        f"--model_dir={tmp_path}/b",
        "--mode=train",
    ]
    code, _, err = classify(*still)
    assert code == 0, err
    assert "start at random: layer_0, pooler, in place of as loaded" in err
    config = bert_config.from_dict(CONFIG)
    drawn = flatten(initialize(classifier_table(config, 2), 7, config.initializer_range))
    after = load_file(tmp_path / "b/last/model.safetensors")
    for path in before:
        expected = before[path] if part_of(path) == "embeddings" else np.asarray(drawn[path])
        np.testing.assert_array_equal(after[path], expected, err_msg=path)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (
            "--freeze=layer_1",
            "the model has no `layer_1`",
            "its parts are layer_0 to layer_0, encoder, embeddings, pooler",
        ),
        ("--freeze=layer_0-1", "the model has no `layer_0-1`", "write several layers as `layer_0-3`"),
        ("--freeze=bert", "`--freeze=bert`: the model has no `bert`", ""),
        ("--reinit_layers=2", "`--reinit_layers=2`, but the model has 1 layer", "lower it"),
        ("--freeze=layer_0 --reinit_layers=1", "lets start at random: layer_0", "leave out one of them"),
        ("--layer_lr_decay=0", "`--layer_lr_decay=0.0`: expected above 0, at most 1", ""),
        ("--hidden_dropout_prob=1", "`--hidden_dropout_prob=1.0`: expected 0 <= p < 1", ""),
        ("--class_weights=1:2.0,2:1", "there is no class `2`", "the classes are 0, 1"),
        ("--class_weights=1=2.0", "`--class_weights=1=2.0` is not read", "name:2.0,other:0.5"),
        ("--class_weights=1:2,1:3", "`--class_weights=1:2,1:3` is not read", "name:2.0,other:0.5"),
        ("--class_weights=1:-1", "`-1` is no number above 0", ""),
        ("--long_texts=windows", "is for texts: in records they are cut", "--train_file"),
        ("--window_pooling=max", "`--window_pooling=max`, but texts that are too long are cut", "leave it out"),
        ("--eval_share=0.2", "`--eval_share=0.2`, but there are records", "leave it out"),
    ],
)
def test_what_a_model_or_task_does_not_have_is_refused(
    given: str, message: str, hint: str, task: Task, classify: Run, tmp_path: Path
) -> None:
    """One message, before the first step."""
    assert_refused(classify(*task.records, *given.split(), f"--model_dir={tmp_path}/a"), message, hint)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--freeze=layer_7", "the model has no `layer_7`"),
        ("--reinit_layers=2", "`--reinit_layers=2`, but the model has 1 layer"),
        ("--class_weights=1:2.0,2:1", "there is no class `2`"),
        ("--class_weights=1:-1", "`-1` is no number above 0"),
        (
            "--class_weights=balanced --train_data_size=1",
            "`--class_weights=balanced`: 0 of 1 examples to train on have",
        ),
        ("--best_metric=mcc", "`--best_metric=mcc` is no metric of this task"),
    ],
)
def test_what_is_wrong_is_refused_before_records_are_made(
    given: str, message: str, task: Task, classify: Run, tmp_path: Path
) -> None:
    """Making them takes minutes where there are many texts."""
    start = flags(data_dir=task.text, init_checkpoint=task.model, model_dir=tmp_path / "a")
    result = classify(*start, *given.split())
    assert_refused(result, message)
    assert "making records" not in result[2]
    assert not (tmp_path / "a").exists()


def test_parts_to_freeze_are_refused_before_records_are_made(task: Task, squad: Run, tmp_path: Path) -> None:
    """Of questions, too: the pooler is a part of that model, a head is none."""
    path = write_squad(tmp_path / "all.json", 3)
    given = flags(train_file=path, predict_file=path, init_checkpoint=task.model, model_dir=tmp_path / "a")
    result = squad(*given, *SETTINGS, "--freeze=pooler,head")
    assert_refused(result, "`--freeze=pooler,head`: the model has no `head`", "encoder, embeddings, pooler")
    assert not (tmp_path / "a").exists()


def test_dropout_rates_of_a_run(task: Task, classify: Run, tmp_path: Path) -> None:
    """Flags train as a configuration with these rates does, to the last bit; the model keeps its own configuration."""
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "other.json").write_text(json.dumps({**CONFIG, **rates}))
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1, learning_rate=1e-3, log_steps=1)
    by_flag = flags(hidden_dropout_prob=0.3, attention_dropout_prob=0, model_dir=tmp_path / "a")
    code, _, err = classify(*task.records, *start, *by_flag)
    assert code == 0, err
    assert "`hidden_dropout_prob` is 0.3 in this run; the configuration of the model says 0.1" in err
    by_file = flags(bert_config_file=tmp_path / "other.json", model_dir=tmp_path / "b")
    code, _, err = classify(*task.records, *start, *by_file)
    assert code == 0, err
    assert lines(tmp_path / "a", "train") == lines(tmp_path / "b", "train")
    assert json.loads((tmp_path / "a/last/bert_config.json").read_text())["hidden_dropout_prob"] == 0.1


def test_classifier_dropout_is_followed(task: Task, classify: Run, tmp_path: Path) -> None:
    """The key of Hugging Face: its rate before the head alone changes the losses, and is kept with the model."""
    start = flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=1, log_steps=1, mode="train")
    for name, rate in (("a", None), ("b", 0.6)):
        (tmp_path / f"{name}.json").write_text(json.dumps({**CONFIG, "classifier_dropout": rate}))
        code, _, err = classify(
            *task.records, *start, *flags(bert_config_file=tmp_path / f"{name}.json", model_dir=tmp_path / name)
        )
        assert code == 0, err
    assert lines(tmp_path / "a", "train") != lines(tmp_path / "b", "train")
    assert json.loads((tmp_path / "b/last/bert_config.json").read_text())["classifier_dropout"] == 0.6


def own_table(folder: Path, rows: list[tuple[str, str]]) -> list[str]:
    """Flags of a table of texts and labels to train on."""
    (folder / "train.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return flags(train_file=folder / "train.tsv", text_a_column="text", label_column="label")


ROWS = [("red blue", "a"), ("green", "b"), ("grey pink gold", "b"), ("lime", "c"), ("teal red", "b"), ("blue", "a")]


@pytest.mark.parametrize(
    ("given", "weights", "smoothing"),
    [
        ("--class_weights=balanced", (1.0, 2 / 3, 2.0), 0.0),
        ("--class_weights=c:3,a:0.5 --label_smoothing=0.2 --gradient_accumulation_steps=3", (0.5, 1.0, 3.0), 0.2),
    ],
)
def test_the_loss_of_a_batch(
    given: str, weights: tuple[float, ...], smoothing: float, task: Task, classify: Run, tmp_path: Path
) -> None:
    """It is the weighted mean over the whole batch, by the equation, however the batch is cut into micro-batches."""
    training = [*own_table(tmp_path, ROWS), *STILL, "--mode=train", "--train_batch_size=6", "--num_train_epochs=1"]
    start = flags(init_checkpoint=task.model, model_dir=tmp_path / "run")
    code, _, err = classify(*training, *start, *given.split())
    assert code == 0, err
    model = jaxbert.load(tmp_path / "run")
    logits = model.logits([text for text, _ in ROWS])
    labels = np.array([model.classes.index(label) for _, label in ROWS])
    (step,) = lines(tmp_path / "run", "train")
    assert step["loss"] == pytest.approx(plain_loss(logits, labels, np.array(weights), smoothing), rel=1e-5)


def test_the_loss_of_several_labels(task: Task, classify: Run, tmp_path: Path) -> None:
    """Balanced: for each label the examples without it over those with it, in the cross entropy where it is there."""
    rows = [("red", "a|b"), ("blue", "a"), ("green", ""), ("grey", "b"), ("pink", "b"), ("gold", "b")]
    training = [*own_table(tmp_path, rows), *STILL, "--mode=train", "--train_batch_size=6", "--num_train_epochs=1"]
    start = flags(init_checkpoint=task.model, model_dir=tmp_path / "run")
    code, _, err = classify(*training, *start, "--multi_label", "--class_weights=balanced")
    assert code == 0, err
    assert "weights in the loss: `a` 2, `b` 0.5" in err
    logits = jaxbert.load(tmp_path / "run").logits([text for text, _ in rows])
    labels = np.array([["a" in label, "b" in label] for _, label in rows])
    (step,) = lines(tmp_path / "run", "train")
    assert step["loss"] == pytest.approx(plain_multi_label_loss(logits, labels, np.array([2, 0.5])), rel=1e-5)


def test_hosts_do_not_change_a_weighted_loss(task: Task, classify: Run, tmp_path: Path) -> None:
    """Two hosts that store parts of the weights, some of them frozen, train as one does, and end as early."""
    given = [*task.records, *flags(init_checkpoint=task.model / "bert_model.ckpt", num_train_epochs=4, log_steps=1)]
    given += ["--class_weights=1:3", "--label_smoothing=0.1", "--freeze=embeddings", "--layer_lr_decay=0.5"]
    given += ["--learning_rate=0", "--patience=1"]
    run_hosts("run_classifier", [*BATCHES, *given, "--mesh=fsdp:2", f"--model_dir={tmp_path}/two"])
    code, _, err = classify(*given, f"--model_dir={tmp_path}/one")
    assert code == 0, err
    for name in ("loss", "gradient_norm"):
        one, both = ([line[name] for line in lines(tmp_path / which, "train")] for which in ("one", "two"))
        assert len(one) == 6
        np.testing.assert_allclose(both, one, rtol=1e-5)


def test_a_share_is_held_out(task: Task, classify: Run, tmp_path: Path) -> None:
    """Of each class alike, by the seed; what is evaluated is what the file names, and it is not trained on."""
    rows = [(f"red {'blue ' * (number % 3)}green", "a" if number % 3 else "b") for number in range(60)]
    given = [*own_table(tmp_path, rows), *STILL, *flags(init_checkpoint=task.model, num_train_epochs=1)]
    code, _, err = classify(*given, "--eval_share=0.1", f"--model_dir={tmp_path}/run")
    assert code == 0, err
    ids = [int(line) for line in (tmp_path / "run/held_out_ids.txt").read_text().splitlines()]
    assert sorted(rows[number][1] for number in ids) == ["a"] * 4 + ["b"] * 2
    assert "training on 54 texts: 36 `a`, 18 `b`" in err
    (evaluation,) = lines(tmp_path / "run", "validation")
    model = jaxbert.load(tmp_path / "run")
    logits = model.logits([rows[number][0] for number in ids])
    labels = np.array([model.classes.index(rows[number][1]) for number in ids])
    assert evaluation["loss"] == pytest.approx(plain_loss(logits, labels, np.ones(2), 0), rel=1e-5)
    result = classify(*given, "--eval_share=0.2", f"--model_dir={tmp_path}/run")
    assert_refused(result, "--eval_share was `0.1`, is `0.2`")
    dev = [*given, f"--eval_file={tmp_path}/train.tsv"]
    assert_refused(classify(*dev, "--eval_share=0.2", f"--model_dir={tmp_path}/b"), "but there is `--eval_file`")


def test_long_texts_in_windows(task: Task, classify: Run, tmp_path: Path) -> None:
    """Each window is trained with the label of its text; a text is what its windows are together, kept with the model.

    Asked for each window alone, a model that cuts gives the logits of windows.
    """
    long = "red blue green grey pink gold lime teal red blue green"
    rows = [("red", "a"), (long, "b"), ("blue", "a"), ("green red", "b")]
    given = [*own_table(tmp_path, rows), f"--eval_file={tmp_path}/train.tsv", *STILL, "--train_batch_size=6"]
    options = flags(long_texts="windows", window_pooling="max", max_seq_length=8, doc_stride=4, num_train_epochs=1)
    code, _, err = classify(*given, *options, *flags(init_checkpoint=task.model, model_dir=tmp_path / "run"))
    assert code == 0, err
    assert "1 of 4 texts are longer than 8 tokens and are read in 3 windows" in err
    assert "training on 6 texts, or windows of them: 2 `a`, 4 `b`" in err
    words = long.split()
    windows = [" ".join(words[first : first + 6]) for first in (0, 4, 8)]
    model = jaxbert.load(tmp_path / "run")
    of_windows = model.logits(windows)
    expected = of_windows.max(0)
    found = model.logits([text for text, _ in rows])
    np.testing.assert_allclose(found[1], expected, rtol=1e-5)
    labels = np.array([model.classes.index(label) for _, label in rows])
    (evaluation,) = lines(tmp_path / "run", "validation")
    assert evaluation["loss"] == pytest.approx(plain_loss(found, labels, np.ones(2), 0), rel=1e-5)
    (step,) = lines(tmp_path / "run", "train")
    singles = np.concatenate([of_windows, found[[0, 2, 3]]])
    assert step["loss"] == pytest.approx(plain_loss(singles, np.array([1, 1, 1, 0, 0, 1]), np.ones(2), 0), rel=1e-5)
    where = flags(mode="predict", test_file=tmp_path / "train.tsv", text_a_column="text", model_dir=tmp_path / "run")
    code, _, err = classify(*where)
    assert code == 0, err
    assert "read in 3 windows" in err
    shares = np.loadtxt(tmp_path / "run/test_results.tsv")
    np.testing.assert_allclose(shares, np.exp(found) / np.exp(found).sum(-1, keepdims=True), rtol=1e-4)
    assert_refused(classify(*where, "--long_texts=cut", "--doc_stride=2"), "`--doc_stride=2`, but texts", "windows")


def test_from_python(task: Task, tmp_path: Path) -> None:
    """The same names: what is held out is evaluated, weights of classes may be a dict, and the run has these flags."""
    rows = [(text, label) for text, label in ROWS for _ in range(4)]
    model = jaxbert.fine_tune(
        task.model,
        output=tmp_path / "run",
        train=rows,
        num_train_epochs=4,
        train_batch_size=4,
        learning_rate=0,
        eval_share=0.25,
        patience=1,
        best_metric="loss",
        class_weights={"a": 2.0, "c": 0.5},
        freeze="embeddings",
        long_texts="windows",
        flags={"compile_cache": ""},
    )
    assert model.classes == ("a", "b", "c")
    assert [line["step"] for line in lines(tmp_path / "run", "validation")] == [4, 8]
    given = (tmp_path / "run/flags.txt").read_text().splitlines()
    assert {"--class_weights=a:2.0,c:0.5", "--freeze=embeddings", "--best_metric=loss", "--eval_share=0.25"} <= {*given}
    with pytest.raises(jaxbert.InputError, match="class_weights"):
        jaxbert.fine_tune(task.model, output=tmp_path / "b", train=[], task="squad", class_weights="balanced")
