# SPDX-License-Identifier: Apache-2.0
"""Trainers write a report: its figures are those of the run, again and again the same."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from jaxbert.cli import main
from tests.commands.conftest import Run
from tests.commands.tiny_choices import BATCHES as CHOICE_BATCHES
from tests.commands.tiny_choices import SIZES as CHOICE_SIZES
from tests.commands.tiny_choices import write_swag
from tests.commands.tiny_task import PLAIN, SIZES, Task, flags

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def read(folder: Path) -> dict[str, Any]:
    """The figures in the folder of a run."""
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def undated(folder: Path) -> list[str]:
    """Both files of a report, without the date that each holds once."""
    found = [DATE.subn("", (folder / name).read_text()) for name in ("report.json", "report.html")]
    assert [count for _, count in found] == [1, 1]
    return [text for text, _ in found]


def test_classifier(plain: Path) -> None:
    """Metrics are those of the best weights, each within its interval; classes and lengths count every example."""
    report = read(plain)
    best = json.loads((plain / "best" / "eval_results.json").read_text())
    assert report["results"].pop("step") == best.pop("step")
    assert {name: one["value"] for name, one in report["results"]["metrics"].items()} == best
    assert all(one["low"] <= one["value"] <= one["high"] for one in report["results"]["metrics"].values())
    assert sum(one["support"] for one in report["classes"]) == report["results"]["examples"] == SIZES["dev"]
    assert sum(one["count"] for one in report["lengths"]["bands"]) == SIZES["dev"]
    right = sum(report["confusion"]["matrix"][number][number] for number in (0, 1)) / SIZES["dev"]
    assert right == best["accuracy"]
    assert len(report["mistakes"]) == round((1 - right) * SIZES["dev"])
    assert [line["step"] for line in report["curves"]["train"]] == [1, 2, 3]
    assert report["run"]["flags"]["train_batch_size"] == 8
    assert "model_dir" not in report["run"]["flags"]


def test_texts_are_those_of_the_examples(plain: Path, task: Task) -> None:
    """A mistake is shown with the two texts that its example has in the file."""
    rows = [line.split("\t") for line in (task.text / "dev.tsv").read_text().splitlines()[1:]]
    mistakes = read(plain)["mistakes"]
    assert mistakes
    for one in mistakes:
        assert one["texts"] == rows[one["example"]][3:]
        assert one["label"] == rows[one["example"]][0]


def test_the_same_run_has_the_same_report(plain: Path, task: Task, classify: Run, tmp_path: Path) -> None:
    """In another folder every byte but the date is the same; so it is where a later command writes what is missing."""
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path)
    code, _, err = classify(*task.records, *PLAIN, *where)
    assert code == 0, err
    assert undated(tmp_path) == undated(plain)
    stamp = (tmp_path / "report.json").stat().st_mtime_ns
    assert classify(*task.records, *PLAIN, *where)[0] == 0
    assert (tmp_path / "report.json").stat().st_mtime_ns == stamp
    (tmp_path / "report.json").unlink()
    (tmp_path / "report.html").unlink()
    assert classify(*task.records, *PLAIN, *where)[0] == 0
    assert undated(tmp_path) == undated(plain)


def test_evaluation_reports(plain: Path, task: Task, classify: Run, tmp_path: Path) -> None:
    """`--mode=eval` writes the figures of what it evaluated; without matplotlib all but the page, and says so."""
    given = flags(predict_checkpoint_path=plain / "best", model_dir=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        for name in [
            name for name in sys.modules if name.startswith(("jaxbert.reports.page", "jaxbert.reports.charts"))
        ]:
            patch.delitem(sys.modules, name)
        patch.delattr("jaxbert.reports.page", raising=False)
        patch.setitem(sys.modules, "matplotlib", None)
        code, out, err = classify("--mode=eval", *task.records, *given)
    assert code == 0
    assert err.splitlines()[-1] == (
        f"the report is in {tmp_path}/report.json; `pip install matplotlib` to have it as a page with charts"
    )
    assert not (tmp_path / "report.html").exists()
    found, before = read(tmp_path), read(plain)
    assert {name: one["value"] for name, one in found["results"]["metrics"].items()} == json.loads(out)
    for part in ("classes", "confusion", "calibration", "lengths"):
        assert found[part] == before[part]
    assert found["curves"] == {"train": [], "validation": []}


@pytest.mark.parametrize("version", [1, 2])
def test_answers(answering: dict[int, Path], version: int) -> None:
    """Scores are those of the best weights; each group of questions holds each question once."""
    report = read(answering[version])
    best = json.loads((answering[version] / "best" / "eval_results.json").read_text())
    assert report["results"].pop("step") == best.pop("step")
    metrics = report["results"]["metrics"]
    assert [*metrics] == [*best]
    for name, one in metrics.items():
        assert one["value"] == pytest.approx(best[name], abs=1e-9)  # percent; sums are taken in another order
        assert (one["low"] < one["high"]) <= (name in ("exact", "exact_match", "f1"))
    for group in report["groups"]:
        assert sum(row["count"] for row in group["rows"]) == 11
        mean = sum(row["count"] * row["f1"] for row in group["rows"]) / 11
        assert mean == pytest.approx(best["f1"])
    assert ("confusion" in report) == (version == 2)
    assert (answering[version] / "report.html").is_file()


def test_choices(task: Task, tmp_path: Path) -> None:
    """Metrics are those of the best weights; the right choices of mistakes are those of the file, as are the chosen."""
    swag = write_swag(tmp_path / "swag")
    where = flags(data_dir=swag, init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / "out")
    assert main(["run_multiple_choice", *CHOICE_BATCHES, *PLAIN, *where]) == 0
    report = read(tmp_path / "out")
    best = json.loads((tmp_path / "out/best/eval_results.json").read_text())
    assert report["results"].pop("step") == best.pop("step")
    assert {name: one["value"] for name, one in report["results"]["metrics"].items()} == best
    assert sum(one["support"] for one in report["classes"]) == CHOICE_SIZES["val"]
    with (swag / "val.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert report["mistakes"]
    for one in report["mistakes"]:
        row = rows[one["example"]]
        assert one["label"] == f"choice {row['label']}"
        right, chosen = (f"ending{one[name][-1]}" for name in ("label", "predicted"))
        assert one["texts"] == [
            row["sent1"],
            f"right: {row['sent2']} {row[right]}",
            f"chosen: {row['sent2']} {row[chosen]}",
        ]
    assert (tmp_path / "out/report.html").is_file()


def test_training_alone(task: Task, classify: Run, tmp_path: Path) -> None:
    """Without evaluation there are curves and what was trained, and a sentence in place of figures."""
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path, mode="train")
    code, _, err = classify(*task.records, *PLAIN, *where)
    assert code == 0, err
    report = read(tmp_path)
    assert report["results"] == {"metrics": {}, "note": "Nothing was evaluated."}
    assert len(report["curves"]["train"]) == 3
    assert "Nothing was evaluated." in (tmp_path / "report.html").read_text()
    assert "results" not in err


def test_pretraining(pretrained: Path) -> None:
    """Losses by frequency and by length have, weighted by their tokens, the mean that the evaluation has."""
    report = read(pretrained)
    best = json.loads((pretrained / "pretrained" / "eval_results.json").read_text())
    assert report["results"].pop("step") == best.pop("step")
    assert {name: one["value"] for name, one in report["results"]["metrics"].items()} == best
    assert [group["title"] for group in report["groups"]] == ["Loss by frequency", "Loss by length"]
    for group in report["groups"]:
        total = sum(row["count"] for row in group["rows"])
        for name in ("loss", "accuracy"):
            mean = sum(row["count"] * row[name] for row in group["rows"]) / total
            assert mean == pytest.approx(best[f"masked_lm_{name}"], rel=1e-5)  # of float32
    assert (pretrained / "report.html").is_file()


def test_numbers_and_several_labels(task: Task, tmp_path: Path) -> None:
    """A regression has residuals, several labels of a text a threshold for each; neither has a confusion matrix."""
    shutil.copy(task.model / "vocab.txt", tmp_path)
    tables = {
        "regression": "text,label\n" + "".join(f"red blue,{number}.5\ngreen,{number}\n" for number in range(8)),
        "multi_label": "text,label\n" + "red blue,a\ngreen,b\ngrey pink,a;b\ngold,\n" * 4,
    }
    for kind, table in tables.items():
        path = tmp_path / f"{kind}.csv"
        path.write_text(table)
        given = flags(train_file=path, eval_file=path, text_a_column="text", label_column="label", num_train_epochs=1)
        where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=tmp_path / kind, compile_cache="")
        assert main(["run_classifier", f"--{kind}", *given, *where, "--train_batch_size=8", "--max_seq_length=8"]) == 0
        report = read(tmp_path / kind)
        assert report["kind"] == kind.replace("multi_label", "several labels")
        assert ("residuals" in report) == (kind == "regression")
        assert ("classes" in report) == (kind == "multi_label")
        assert "confusion" not in report
        assert (tmp_path / kind / "report.html").is_file()
