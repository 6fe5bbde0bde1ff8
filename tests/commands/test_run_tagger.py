# SPDX-License-Identifier: Apache-2.0
"""Tagging words as users do it: training, scores, predictions, spans, and what is refused."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxbert
from jaxbert.batches.devices import device_mesh
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.resolve import find_model
from jaxbert.cli import main
from jaxbert.datasets.tagging import TaggedWindows
from jaxbert.examples.tagged import Sentence
from jaxbert.model.encoder import FLOAT32
from jaxbert.model.weights import unflatten
from jaxbert.tasks.tagging import Tagger
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import TaggingMetaData
from tests.commands.conftest import Run, kept
from tests.commands.damage import assert_refused
from tests.commands.same_runs import assert_report_of_first_epoch, assert_same_model, read
from tests.commands.tiny_tags import make_model, random_flags, sentences, write_columns
from tests.commands.tiny_task import flags, start_command

TRAINED = flags(learning_rate=5e-3, num_train_epochs=12, train_batch_size=16, compile_cache="", log_steps=0)
SHORT = flags(learning_rate=1e-3, num_train_epochs=1, train_batch_size=8, compile_cache="", log_steps=1, dtype="fp32")
# float32 sums in another order, of logits near 10
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a tiny model and files of its grammar; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("tags")
    make_model(folder / "bert")
    write_columns(folder / "train.txt", sentences(400))
    write_columns(folder / "dev.txt", sentences(100, 1), "iob1")
    write_columns(folder / "few.txt", sentences(48, 2), "iobes", document=12)
    with kept(folder):
        yield folder


@pytest.fixture
def tagger(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_tagger` in this process."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run_tagger", "--compile_cache=", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def trained(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training; tests write only predictions into it."""
    folder = tmp_path_factory.mktemp("trained")
    data = flags(train_file=files / "train.txt", eval_file=files / "dev.txt", model_dir=folder)
    assert main(["run_tagger", *TRAINED, *random_flags(files / "bert"), *data]) == 0
    return folder


def short(files: Path, folder: Path) -> list[str]:
    """Flags of one epoch of six steps."""
    data = flags(train_file=files / "few.txt", eval_file=files / "dev.txt", model_dir=folder)
    return [*SHORT, *random_flags(files / "bert"), *data]


@pytest.fixture(scope="module")
def plain(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a short training on one device; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("plain")
    assert main(["run_tagger", *short(files, folder), "--save_checkpoints_steps=2", "--keep_checkpoints=9"]) == 0
    with kept(folder):
        yield folder


def test_a_tagger_learns(trained: Path, files: Path, tagger: Run) -> None:
    """A grammar in which words do not tell by themselves what they are; `--mode=eval` repeats the scores."""
    best = read(trained / "best/eval_results.json")
    assert best["f1"] > 0.98
    code, out, err = tagger("--mode=eval", *flags(model_dir=trained, eval_file=files / "dev.txt"))
    assert code == 0, err
    assert json.loads(out) | {"step": best["step"]} == best
    assert f"`{files}/dev.txt`: 100 sentences, " in err
    assert "tags in IOB1" in err
    assert f"LOC: precision {best['precision_LOC']:.2%}  recall {best['recall_LOC']:.2%}" in err


def test_the_report_has_the_scores(plain: Path) -> None:
    """Metrics are those of the best weights, types of entities have their own, whose counts add up to all of them."""
    report = json.loads((plain / "report.json").read_text())
    best = json.loads((plain / "best" / "eval_results.json").read_text())
    assert report["results"]["step"] == best["step"]
    assert {name: best[name] for name in report["results"]["metrics"]} == {
        name: one["value"] for name, one in report["results"]["metrics"].items()
    }
    for one in report["classes"]:
        assert (one["precision"], one["recall"], one["f1"]) == tuple(
            best[f"{name}_{one['name']}"] for name in ("precision", "recall", "f1")
        )
    support = sum(one["support"] for one in report["classes"])
    assert sum(one["recall"] * one["support"] for one in report["classes"]) / support == pytest.approx(best["recall"])
    assert "<h2>Classes</h2>" in (plain / "report.html").read_text()


def test_flags_of_fine_tuning(files: Path, tagger: Run, tmp_path: Path) -> None:
    """Frozen parts are named, the best evaluation is that by the metric that is named, and patience ends."""
    more = ["--freeze=encoder", "--best_metric=loss", "--patience=1", "--learning_rate=0", "--num_train_epochs=9"]
    code, _, err = tagger(*short(files, tmp_path), *more, "--weight_decay=0.5", "--hidden_dropout_prob=0.2")
    assert code == 0, err
    assert "frozen: embeddings, layer_0" in err
    assert "`hidden_dropout_prob` is 0.2 in this run" in err
    assert "training ends early: the last evaluation was not better than that after step 6" in err
    assert read(tmp_path / "last/eval_results.json")["step"] == 12
    assert_refused(tagger(*short(files, tmp_path / "x"), "--best_metric=x"), "`--best_metric=x`", "f1, precision")


def test_what_is_written_beside_the_model(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tags, in IOB2, how it reads; `inspect` says it."""
    meta = TaggingMetaData.read(str(trained / "best/meta_data"))
    assert meta == TaggingMetaData(400, 32, ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"))
    assert main(["inspect", str(trained / "best")]) == 0
    assert "words of sentences, in windows of up to 32 tokens -> one of the tags O, B-LOC" in capsys.readouterr().out


def test_predictions(trained: Path, tagger: Run, tmp_path: Path) -> None:
    """The input with a column more, and the same as spans; Python gives these spans too."""
    found = sentences(30, 3)
    (tmp_path / "test.txt").write_text("\n\n".join("\n".join(words) for words, _ in found))
    code, _, err = tagger("--mode=predict", *flags(model_dir=trained, test_file=tmp_path / "test.txt"))
    assert code == 0, err
    blocks = (trained / "predictions.txt").read_text().rstrip("\n").split("\n\n")
    written = [[line.split(" ") for line in block.splitlines()] for block in blocks]
    assert [[word for word, _ in block] for block in written] == [words for words, _ in found]
    right = sum([tag for _, tag in block] == tags for block, (_, tags) in zip(written, found, strict=True))
    assert right >= 27
    lines = [json.loads(line) for line in (trained / "spans.jsonl").read_text().splitlines()]
    model = jaxbert.load(trained, compile_cache="")
    assert model.abilities == ("embed", "tag")
    assert model.classes == ("LOC", "PER")
    for texts in ([words for words, _ in found], [" ".join(words) for words, _ in found]):
        for line, spans in zip(lines, model.predict(texts), strict=True):
            assert [(one["start"], one["end"], one["label"]) for one in line["spans"]] == [
                (span.start, span.end, span.label) for span in spans
            ]
            shares = [span.probability for span in spans]
            np.testing.assert_allclose([one["probability"] for one in line["spans"]], shares, rtol=0, atol=TOLERANCE)
            assert all(line["text"][span.start : span.end] == span.text for span in spans)


def test_columns_are_those_of_the_training(trained: Path, files: Path, tagger: Run, tmp_path: Path) -> None:
    """A run that was trained on columns by name finds them in other files, and refuses columns without them; rows of
    JSON lines say what they are.
    """
    run = shutil.copytree(trained, tmp_path / "run")
    with (run / "flags.txt").open("a") as file:
        file.write("--token_column=word\n--tag_column=tag\n")
    found = sentences(5, 3)
    rows = ["".join(f"{at}\t{word}\t{tag}\n" for at, (word, tag) in enumerate(zip(*one, strict=True))) for one in found]
    (tmp_path / "named.tsv").write_text("id\tword\ttag\n" + "\n".join(rows))
    (tmp_path / "plain.txt").write_text("\n".join(rows))
    predict = flags(model_dir=run, mode="predict")
    code, _, err = tagger(*predict, f"--test_file={tmp_path}/named.tsv")
    assert code == 0, err
    assert "columns as in training: --token_column=word\n" in err
    written = (run / "predictions.txt").read_text()
    assert tagger(*predict, f"--test_file={tmp_path}/named.tsv", "--token_column=word")[0] == 0
    assert (run / "predictions.txt").read_text() == written
    assert written.startswith("id\tword\ttag\tprediction\n")
    again = tagger(*predict, f"--test_file={run}/predictions.txt")
    assert_refused(again, f"`{run}/predictions.txt` is read, and would be written over", "another folder")
    problem = f"`{tmp_path}/plain.txt` has no column `word`, by which the model was trained"
    assert_refused(tagger(*predict, f"--test_file={tmp_path}/plain.txt"), problem, "`--token_column`")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": " ".join(found[0][0])}) + "\n")
    code, _, err = tagger(*predict, f"--test_file={tmp_path}/rows.jsonl")
    assert code == 0, err
    code, out, err = tagger(*flags(model_dir=run, mode="eval", eval_file=tmp_path / "named.tsv"))
    assert code == 0, err
    assert json.loads(out)["f1"] > 0.9


def test_packed_equals_alone(trained: Path) -> None:
    """The logits of every word are those that its sentence gives alone, up to rounding."""
    model = find_model(str(trained / "best")).for_text()
    meta = model.task
    assert isinstance(meta, TaggingMetaData)
    assert model.rules is not None
    tokenizer = Tokenizer(model.vocab, model.rules)
    tagger = Tagger(model.config, FLOAT32, device_mesh(jax.local_devices()), meta)
    weights = jax.tree.map(jax.numpy.asarray, unflatten(read_initial(str(trained / "best")).weights))

    def logits(found: list[Sentence]) -> np.ndarray:
        words = sum(len(one.words) for one in found)
        return tagger.word_logits(weights, TaggedWindows(found, np.zeros(words, np.int64), tokenizer, meta), 8)

    found = [Sentence.of_words(words) for words, _ in sentences(20, 4)]
    alone = np.concatenate([logits([one]) for one in found])
    np.testing.assert_allclose(logits(found), alone, rtol=0, atol=TOLERANCE)


def test_a_run_that_stopped_ends_with_the_same_bits(files: Path, plain: Path, tagger: Run, tmp_path: Path) -> None:
    """From the state after four of six steps; with another training file it does not go on."""
    run = tmp_path / "run"
    shutil.copytree(plain, run)
    for name in ("best", "last", "checkpoints/6"):
        shutil.rmtree(run / name)
    again = [*short(files, run), "--save_checkpoints_steps=2", "--keep_checkpoints=9"]
    write_columns(tmp_path / "other.txt", sentences(48, 5), "iobes")
    shutil.copy(files / "few.txt", tmp_path / "few.txt")
    shutil.copy(tmp_path / "other.txt", files / "few.txt")
    assert_refused(tagger(*again), "cannot go on with what is there now: what is made of", "another `--model_dir`")
    shutil.copy(tmp_path / "few.txt", files / "few.txt")
    code, _, err = tagger(*again)
    assert code == 0, err
    assert "going on after step 4" in err
    for name in ("best", "last"):
        model = f"{name}/model.safetensors"
        assert (run / model).read_bytes() == (plain / model).read_bytes()


def test_a_run_that_goes_on_is_evaluated_on_the_same(files: Path, plain: Path, tagger: Run, tmp_path: Path) -> None:
    """Other sentences are refused, whose scores would stand beside those of before."""
    shutil.copytree(plain, tmp_path / "run", ignore=shutil.ignore_patterns("last"))
    result = tagger(*short(files, tmp_path / "run"), f"--eval_file={files}/few.txt")
    problem = f"evaluation was on what is made of `{files}/dev.txt`, is on what is made of `{files}/few.txt`"
    assert_refused(result, f"cannot go on with what is there now: {problem}", "another `--model_dir`")


def test_the_report_of_a_best_epoch_before_a_stop(files: Path, tagger: Run, tmp_path: Path) -> None:
    """A run that goes on without doing better, or ended before its report, has that of the best weights."""
    still = [*short(files, tmp_path), "--learning_rate=0"]
    assert tagger(*still)[0] == 0
    assert_report_of_first_epoch(lambda: tagger(*still, "--num_train_epochs=2"), tmp_path, 6)


def test_four_devices_train_as_one_does(files: Path, plain: Path, tmp_path: Path) -> None:
    """Words are shared out over devices, and the loss is the mean over all of them."""
    count = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    process = start_command("run_tagger", *short(files, tmp_path), XLA_FLAGS=count)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert_same_model("last", plain, tmp_path)


def test_other_schemes_of_the_same_entities(trained: Path, tagger: Run, tmp_path: Path) -> None:
    """A file in any scheme is scored in that of the model, with the same results."""
    results = []
    for scheme in ("iob2", "iobes", "bilou"):
        path = write_columns(tmp_path / f"dev-{scheme}.txt", sentences(100, 1), scheme)  # type: ignore[arg-type]
        code, out, err = tagger("--mode=eval", *flags(model_dir=trained, eval_file=path))
        assert code == 0, err
        results.append(json.loads(out))
    assert results[0] == results[1] == results[2]


def test_documents_are_read_as_wholes(files: Path, tagger: Run, tmp_path: Path) -> None:
    """Windows over sentences, said to be so, remembered by the model; without documents it is refused."""
    given = flags(train_file=files / "few.txt", mode="train", context="document", model_dir=tmp_path)
    code, _, err = tagger(*SHORT, *random_flags(files / "bert"), *given, "--train_batch_size=4")
    assert code == 0, err
    assert "4 of 4 documents are longer than 32 tokens and are read in" in err
    assert TaggingMetaData.read(str(tmp_path / "last/meta_data")).context == "document"
    predict = flags(mode="predict", model_dir=tmp_path)
    code, _, err = tagger(*predict, f"--test_file={files}/dev.txt")
    assert code == 0, err
    assert (tmp_path / "predictions.txt").read_text().count("\n") == (files / "dev.txt").read_text().count("\n")
    (tmp_path / "one.txt").write_text("ann\nlee\n")
    result = tagger(*predict, f"--test_file={tmp_path}/one.txt")
    assert_refused(result, "does not say where documents begin", "--context=sentence")


def test_rows_in_memory_train_a_tagger(trained: Path, tmp_path: Path) -> None:
    """Words with tags, and texts with spans, from Python; the tags that the start has keep their outputs."""
    texts = [(" ".join(words), tags) for words, tags in sentences(16, 6)]
    rows = [{"text": text, "spans": [{"start": 0, "end": len(text.split()[0]), "label": "PER"}]} for text, _ in texts]
    evaluated = [(text.split(), tags) for text, tags in texts]
    still = {"compile_cache": "", "learning_rate": 0}
    model = jaxbert.fine_tune(
        *(trained / "best",), output=tmp_path, train=[*rows, *map(_as_dict, evaluated)], evaluate=evaluated,
        task="tagging", num_train_epochs=1, train_batch_size=8, flags=still,
    )  # fmt: skip
    before, after = (read_initial(str(path)).weights for path in (trained / "best", tmp_path / "best"))
    for name, weight in before.items():
        np.testing.assert_array_equal(after[name], weight, err_msg=name)
    assert [[span.label for span in spans] for spans in model.predict(["ann lee met bob"])] == [["PER", "PER"]]


def _as_dict(row: tuple[list[str], list[str]]) -> dict[str, list[str]]:
    return dict(zip(("tokens", "tags"), row, strict=True))


def test_other_tags_get_a_new_head(trained: Path, files: Path, tagger: Run, tmp_path: Path) -> None:
    """Parts of speech are plain tags, whose scores count words."""
    path = tmp_path / "pos.txt"
    path.write_text((files / "few.txt").read_text().replace("x0", "FIRST").replace("x1", "NEXT"))
    given = flags(init_checkpoint=trained / "best", train_file=path, eval_file=path, tag_column=1, model_dir=tmp_path)
    code, _, err = tagger(*SHORT, *given)
    assert code == 0, err
    assert "plain tags" in err
    assert "for the new classes its output layer starts at random" in err
    scores = read(tmp_path / "best/eval_results.json")
    assert scores["f1"] == pytest.approx(scores["accuracy"])
    assert scores["f1"] == scores["strict_f1"]


def test_to_hugging_face_and_back(trained: Path, tmp_path: Path) -> None:
    """Every bit but the pooler, which its class does not have; the tags are in its `config.json`."""
    there, back, names = tmp_path / "there", tmp_path / "back", tmp_path / "names"
    for source, target, to in ((trained / "best", there, "huggingface"), (there, back, "jaxbert")):
        assert main(["convert_checkpoint", *flags(init_checkpoint=source, output_dir=target, to=to)]) == 0
    config = read(there / "config.json")
    assert config["architectures"] == ["BertForTokenClassification"]
    assert config["id2label"] == dict(zip("01234", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), strict=True))
    ours, theirs = (read_initial(str(path)).weights for path in (trained / "best", back))
    assert ours.keys() - theirs.keys() == {"bert/pooler/dense/kernel", "bert/pooler/dense/bias"}
    for name, weight in theirs.items():
        np.testing.assert_array_equal(weight, ours[name], err_msg=name)
    assert main(["export", *flags(init_checkpoint=trained / "best", output_dir=names, format="huggingface")]) == 0
    spans = [jaxbert.load(path, compile_cache="").predict(["ann lee in new york"]) for path in (trained, there, back)]
    assert spans[0] == spans[1] == spans[2]


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        (["--mode=predict"], "`--test_file` must be given with `--mode=predict`", ""),
        (["--mode=train_and_eval", "--train_file=few.txt"], "`--eval_file` must be given", "`--mode=train`"),
        (["--mode=eval", "--eval_file=new.txt"], "line 1: the model has no tag `B-ORG`", "its tags are O, B-LOC"),
        (["--mode=eval", "--eval_file=pos.txt"], "has plain tags, the model tags of entities: O, B-LOC", "--scheme"),
        (["--mode=train", "--train_file=none.txt"], "has no tag but `O`", "--tag_column"),
        (["--mode=predict", "--test_file=few.txt", "--max_seq_length=64"], "`max_position_embeddings` 32", "lower"),
        (["--mode=train", "--train_file=few.txt", "--model_export_path=x"], "none is made of a model that tags", "con"),
        (["--mode=eval", "--eval_file=few.txt", "--context=document"], "", ""),
    ],
)
def test_wrong_input_is_refused(
    given: list[str], problem: str, hint: str, trained: Path, files: Path, tagger: Run, tmp_path: Path
) -> None:
    """By name, with the line where it is one."""
    (tmp_path / "new.txt").write_text("ann B-ORG\nmet O\n")
    (tmp_path / "pos.txt").write_text("ann NN\nmet VB\n")
    (tmp_path / "none.txt").write_text("ann O\nmet O\n")
    shutil.copy(files / "few.txt", tmp_path / "few.txt")
    paths = [flag.replace("file=", f"file={tmp_path}/") for flag in given]
    is_training = "--mode=train" in given[0]
    start = random_flags(files / "bert") if is_training else [f"--predict_checkpoint_path={trained}/best"]
    result = tagger(*paths, *start, f"--model_dir={tmp_path}/run")
    if problem:
        assert_refused(result, problem, hint)
    else:
        assert result[0] == 0, result[2]


def test_other_commands_say_whose_the_model_is(trained: Path, classify: Run, tmp_path: Path) -> None:
    """A classifier of texts is another network; formats that have no place for tags refuse them by name."""
    (tmp_path / "texts.tsv").write_text("text\nann\n")
    given = flags(mode="predict", init_checkpoint=trained / "best", model_dir=tmp_path / "run")
    result = classify(*given, *flags(test_file=tmp_path / "texts.tsv", text_a_column="text"))
    assert_refused(result, "was trained to tag words", "use `run_tagger`")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["convert_checkpoint", "--to=tf2"], "a tagger is not written for TensorFlow 2"),
        (["export", "--format=onnx"], "a tagger is not written with `--format=onnx`"),
        (["export", "--format=saved_model"], "a tagger is not written with `--format=saved_model`"),
    ],
)
def test_formats_without_tags_refuse_them(
    command: list[str], problem: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, and nothing is written."""
    code = main([*command, *flags(init_checkpoint=trained / "best", output_dir=tmp_path / "out")])
    out, err = capsys.readouterr()
    assert_refused((code, out, err), problem)
    assert not (tmp_path / "out").exists()


@pytest.mark.interop
def test_transformers_computes_the_same(trained: Path, tmp_path: Path) -> None:
    """The folder that is written is one of `BertForTokenClassification`, with the same logits at every word."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    there = tmp_path / "there"
    assert (
        main(["convert_checkpoint", *flags(init_checkpoint=trained / "best", output_dir=there, to="huggingface")]) == 0
    )
    theirs = transformers.BertForTokenClassification.from_pretrained(there)
    tokenizer = transformers.AutoTokenizer.from_pretrained(there)
    model = jaxbert.load(there, compile_cache="")
    for words, _ in sentences(20, 7):
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            logits = theirs(**encoded).logits[0].double().softmax(-1)
        of_word = {word: at for at, word in reversed(list(enumerate(encoded.word_ids()))) if word is not None}
        tags = [theirs.config.id2label[int(logits[at].argmax())] for _, at in sorted(of_word.items())]
        (spans,) = model.predict([words])
        sentence = Sentence.of_words(words)
        found = {(sentence.places.index(next(p for p in sentence.places if p[0] == one.start))): one for one in spans}
        for number, one in found.items():
            assert tags[number].endswith(one.label)
            share = logits[[of_word[number + at] for at in range(len(one.text.split(" ")))]].max(-1).values.mean()
            assert float(share) == pytest.approx(one.probability, abs=1e-5)
