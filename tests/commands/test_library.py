# SPDX-License-Identifier: Apache-2.0
"""`import jaxbert`: a loaded model gives what the commands give, in any number of calls and from any thread."""

import concurrent.futures
import dataclasses
import importlib
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxbert
from jaxbert.checkpoints import names
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.model_folder import read_results, write_model, write_results
from jaxbert.checkpoints.sentence_transformers import Pooling, pooling_texts
from jaxbert.checkpoints.tf_graph import write_tf2
from jaxbert.config import bert_config
from jaxbert.export.model import convert_model
from jaxbert.features.squad import WindowSettings
from jaxbert.library.model import Ids, TextsCutWarning
from jaxbert.model.encoder import hidden_states
from jaxbert.model.weights import unflatten
from jaxbert.tasks.spans import THRESHOLD
from jaxbert.tfrecord.metadata import (
    ClassificationMetaData,
    MetaData,
    MultipleChoiceMetaData,
    SquadMetaData,
    TaggingMetaData,
)
from tests.checkpoints.random_models import random_weights
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.test_what_a_model_says import write_classifier
from tests.commands.tiny_task import CONFIG, SPECIAL, WORDS, Task, flags

BERT = bert_config.from_dict(CONFIG)
LABELS = ClassificationMetaData("", 0, 32, 3, label_list=("a", "b", "c"))
# float32 sums in another order, of outputs near 1
TOLERANCE = 2e-6


def model_folder(
    folder: Path,
    task: Task,
    head: str,
    meta: MetaData | None = None,
    classes: int = 3,
) -> Path:
    """A random model with a head, in a folder as our trainers write it."""
    weights = {name: array * np.float32(0.3) for name, array in random_weights(BERT, head, classes).items()}
    folder.mkdir()
    write_model(str(folder), weights, {"meta_data": meta.to_json()} if meta else {}, {})
    for name in ("vocab.txt", "bert_config.json"):
        shutil.copy(task.model / name, folder)
    return folder


def some_texts(number: int, seed: int = 0, longest: int = 29) -> list[str]:
    """Texts of 1 word up to this many."""
    chance = np.random.default_rng(seed)
    return [" ".join(chance.choice(WORDS, size)) for size in chance.integers(1, longest + 1, number)]


def test_predictions_are_those_of_the_command(task: Task, classify: Run, tmp_path: Path) -> None:
    """Single texts and pairs, in their order."""
    folder = model_folder(tmp_path / "model", task, "classifier", LABELS)
    texts = [(first, second) for first, second in zip(some_texts(50, 0, 14), some_texts(50, 1, 14), strict=True)]
    (tmp_path / "texts.tsv").write_text("a\tb\n" + "".join(f"{first}\t{second}\n" for first, second in texts))
    given = flags(init_checkpoint=folder, model_dir=tmp_path / "out", mode="predict", test_file=tmp_path / "texts.tsv")
    assert classify(*given, "--text_a_column=a", "--text_b_column=b")[0] == 0
    expected = np.loadtxt(tmp_path / "out/test_results.tsv")
    found = jaxbert.load(folder, compile_cache="").predict(texts)
    assert isinstance(found, list)
    shares = np.array([list(one.probabilities.values()) for one in found])
    np.testing.assert_allclose(shares, expected, rtol=0, atol=TOLERANCE)
    assert [one.label for one in found] == ["abc"[number] for number in expected.argmax(1)]


@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_those_that_the_model_says(mode: Any, normalize: bool, task: Task, tmp_path: Path) -> None:
    """With files of sentence-transformers its pooling and normalization are taken, unless others are asked for."""
    folder = model_folder(tmp_path / "model", task, "none")
    plain = jaxbert.load(folder, compile_cache="")
    texts = some_texts(5)
    expected = plain.embed(texts, pooling=mode, normalize=normalize)
    mean = plain.embed(texts)
    np.testing.assert_array_equal(mean, plain.embed(texts, pooling="mean", normalize=False))
    for name, text in pooling_texts(Pooling((mode,), normalize), BERT.hidden_size, None).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    model = jaxbert.load(folder, compile_cache="")
    np.testing.assert_array_equal(model.embed(texts), expected)
    np.testing.assert_array_equal(model.embed(texts, pooling="mean"), mean)
    length = np.linalg.norm(model.embed(texts, normalize=True), axis=1)
    np.testing.assert_allclose(length, 1, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        (Pooling(("mean", "cls"), False), "the model pools by mean and cls, which is not computed here"),
        (Pooling(("lasttoken",), False), "the model pools by lasttoken"),
        (Pooling(("mean",), False, prompts={"query": "query: "}, default_prompt="query"), "wants `query: ` in front"),
    ],
)
def test_vectors_that_are_not_computed_are_not_others(own: Pooling, problem: str, task: Task, tmp_path: Path) -> None:
    """A mode, or a prompt, that the model wants and we do not have is refused; what the hint says works."""
    folder = model_folder(tmp_path / "model", task, "none")
    for name, text in pooling_texts(own, BERT.hidden_size, None).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    model = jaxbert.load(folder, compile_cache="")
    with pytest.raises(jaxbert.InputError, match=problem) as caught:
        model.embed(["red"])
    assert caught.value.hint == "choose `pooling` and `normalize`"
    assert model.embed(["red"], pooling="mean", normalize=True).shape == (1, BERT.hidden_size)  # type: ignore[union-attr]


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean", "max", "tokens"])
def test_vectors_do_not_depend_on_the_other_texts(pooling: str, task: Task, tmp_path: Path) -> None:
    """Of many texts each has the vector that it has alone, whatever shares its row."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "pretraining"), compile_cache="")
    texts = some_texts(40)
    together = model.embed(texts, pooling=pooling)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.embed([text], pooling=pooling)[0], vector, rtol=0, atol=TOLERANCE)


def test_vectors_are_those_of_the_layers(task: Task, tmp_path: Path) -> None:
    """The poolings and layers by their definitions, on the outputs of the encoder."""
    folder = model_folder(tmp_path / "model", task, "pretraining")
    model = jaxbert.load(folder, compile_cache="")
    (tokens,) = model.embed(["red blue green"], pooling="tokens", layers=[0, 1])
    ids = np.array([[2, 5, 6, 7, 3]])
    rows = {"input_ids": ids, "type_ids": ids * 0, "positions": np.arange(5)[None], "sequences": ids * 0 + 1}
    weights = {name: array * np.float32(0.3) for name, array in random_weights(BERT, "pretraining", classes=3).items()}
    placed = {name: jnp.asarray(array, jnp.int32) for name, array in rows.items()}
    states = hidden_states(unflatten(weights)["bert"], BERT, placed, (0, 1))
    np.testing.assert_allclose(tokens, np.stack([np.asarray(h)[0] for h in states], axis=1), rtol=0, atol=TOLERANCE)
    last = tokens[:, 1]
    for pooling, expected in (("cls", last[0]), ("mean", last.mean(0)), ("max", last.max(0))):
        np.testing.assert_allclose(
            model.embed(["red blue green"], pooling=pooling)[0], expected, rtol=0, atol=TOLERANCE
        )
    unit = model.embed(["red blue green"], normalize=True)[0]
    np.testing.assert_allclose(unit, last.mean(0) / np.linalg.norm(last.mean(0)), rtol=0, atol=TOLERANCE)


def test_answers_are_parts_of_their_context(task: Task, tmp_path: Path) -> None:
    """At the place that is named, best first, over several windows; a context without words has none."""
    meta = SquadMetaData(0, WindowSettings(16, 4, 6), version_2_with_negative=False)
    model = jaxbert.load(model_folder(tmp_path / "model", task, "squad", meta), compile_cache="")
    context = "  ".join(some_texts(4))
    answers = model.answer("red blue", context, n_best=5)
    assert len(answers) == 5
    assert [answer.text for answer in answers] == [context[answer.start : answer.end] for answer in answers]
    assert [answer.probability for answer in answers] == sorted((one.probability for one in answers), reverse=True)
    assert [answer.text for answer in model.answer("red", " ")] == [""]


def test_a_question_that_is_cut_is_told(task: Task, tmp_path: Path) -> None:
    """To the caller, with the limit of questions, and in the counts; one that just fits is not cut."""
    meta = SquadMetaData(0, WindowSettings(16, 4, 6), version_2_with_negative=False)
    model = jaxbert.load(model_folder(tmp_path / "model", task, "squad", meta), compile_cache="")
    model.answer("red " * model.max_query_length, "blue")
    with pytest.warns(TextsCutWarning, match="1 question is longer than 6 tokens and is cut") as caught:
        model.answer("red " * 7, "blue")
    assert [warning.filename for warning in caught] == [__file__]
    assert (model.counts.texts, model.counts.cut) == (2, 1)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("threshold", [None, -1e9])
def test_answers_are_those_of_the_command(
    version: int, threshold: float | None, answering: dict[int, Path], squad_files: Path, squad: Run, tmp_path: Path
) -> None:
    """In windows as the model was trained with, and with the threshold for no answer that its results hold."""
    shutil.copytree(answering[version] / "best", tmp_path / "best")
    if threshold is not None:
        write_results(str(tmp_path / "best"), read_results(str(tmp_path / "best")) | {THRESHOLD: threshold})
    questions = squad_files / f"dev-v{version}.json"
    assert squad("--mode=predict", *flags(model_dir=tmp_path, predict_file=questions))[0] == 0
    expected = json.loads((tmp_path / "predictions.json").read_text())
    paragraphs = json.loads(questions.read_text())["data"][0]["paragraphs"]
    asked = [(one["qas"][0]["question"], one["context"]) for one in paragraphs]
    found = jaxbert.load(tmp_path, compile_cache="").answers(asked)
    assert [answer.text for (answer,) in found] == [expected[one["qas"][0]["id"]] for one in paragraphs]


def test_masks_are_filled(task: Task, tmp_path: Path) -> None:
    """Each with probabilities over the whole vocabulary, best first; without a mask there is nothing to fill."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "pretraining"), compile_cache="")
    first, second = model.fill("red [MASK] blue [MASK]", top=CONFIG["vocab_size"])
    for candidates in (first, second):
        shares = [candidate.probability for candidate in candidates]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert model.fill("red [MASK] blue [MASK]", top=2) == [first[:2], second[:2]]
    with pytest.raises(jaxbert.InputError, match="`top` is `0`"):
        model.fill("red [MASK]", top=0)
    with pytest.raises(jaxbert.InputError, match=r"has no `\[MASK\]`"):
        model.fill("red")
    with pytest.raises(jaxbert.InputError, match="is no text"):
        model.fill(["[MASK]"])  # type: ignore[arg-type]


def test_masks_are_filled_by_a_masked_lm_alone(task: Task, tmp_path: Path) -> None:
    """`BertForMaskedLM` has no pooler and no head for next sentences, and fills as the whole pretrained model does."""
    whole = model_folder(tmp_path / "whole", task, "pretraining")
    alone = shutil.copytree(whole, tmp_path / "alone")
    weights = load_file(alone / "model.safetensors")
    unused = (*names.POOLER, *names.NEXT_SENTENCE)
    assert set(unused) <= set(weights)
    kept = {name: weight for name, weight in weights.items() if name not in unused}
    save_file(kept, alone / "model.safetensors")
    models = [jaxbert.load(folder, compile_cache="") for folder in (whole, alone)]
    assert models[1].abilities == ("embed", "fill")
    assert models[0].fill("red [MASK]") == models[1].fill("red [MASK]")


def test_masks_are_filled_with_tokens_that_there_are(task: Task, tmp_path: Path) -> None:
    """Rows of word vectors behind the vocabulary are no candidates, but have their share, as in transformers 5.24."""
    config = dataclasses.replace(BERT, vocab_size=16)
    weights = random_weights(config, "pretraining")
    weights["cls/predictions/output_bias"] *= 0
    for table in ("cls/predictions/transform/LayerNorm/gamma", "cls/predictions/transform/LayerNorm/beta"):
        weights[table] *= 0  # then all logits are equal
    write_model(str(tmp_path), weights, {"bert_config.json": bert_config.to_json(config)}, {})
    shutil.copy(task.model / "vocab.txt", tmp_path)
    (found,) = jaxbert.load(tmp_path, compile_cache="").fill("red [MASK]", top=16)
    assert sorted(candidate.token for candidate in found) == sorted(SPECIAL + WORDS)
    np.testing.assert_allclose([candidate.probability for candidate in found], 1 / 16, rtol=1e-6)


def test_any_numbers_of_masks_and_candidates_take_few_programs(
    task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    """Whoever asks cannot have a program compiled for each number."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "pretraining"), compile_cache="")
    texts = ["[MASK] " * number for number in range(9, 17)]
    jax.config.update("jax_log_compiles", True)  # in all threads
    request.addfinalizer(lambda: jax.config.update("jax_log_compiles", False))
    expected = model.fills(texts, top=8)
    for number in (5, 6, 7):
        assert model.fills(texts, top=number) == [[mask[:number] for mask in masks] for masks in expected]
    assert sum("Compiling jit(words)" in record.getMessage() for record in caplog.records) == 1


def test_trainings_of_several_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """States that orbax (0.12.8) is to save at once wait for each other for minutes, and are not saved."""
    module = importlib.import_module("jaxbert.library.fine_tune")
    running, most = threading.Semaphore(1), list[bool]()

    def train(flags: object) -> None:
        most.append(running.acquire(blocking=False))
        time.sleep(0.05)
        running.release()

    for name, instead in (("_train", train), ("load", lambda *_, **__: None), ("trained_checkpoint", str)):
        monkeypatch.setattr(module, name, instead)
    threads = [threading.Thread(target=module._trained, args=(SimpleNamespace(compile_cache=""),)) for _ in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [True] * 3


def test_many_are_answered_as_each_alone(task: Task, tmp_path: Path) -> None:
    """Questions with contexts of any length, one without words, and texts with different numbers of masks."""
    meta = SquadMetaData(0, WindowSettings(16, 4, 6), version_2_with_negative=False)
    model = jaxbert.load(model_folder(tmp_path / "squad", task, "squad", meta), compile_cache="")
    questions = [("red blue", text) for text in some_texts(8)] + [("red", " "), ("", "red")]
    for (question, context), answers in zip(questions, model.answers(questions, n_best=3), strict=True):
        alone = model.answer(question, context, n_best=3)
        assert [answer.text for answer in answers] == [answer.text for answer in alone]
        shares = [[answer.probability for answer in found] for found in (answers, alone)]
        np.testing.assert_allclose(*shares, rtol=0, atol=TOLERANCE)
    model = jaxbert.load(model_folder(tmp_path / "words", task, "pretraining"), compile_cache="")
    texts = ["red [MASK]", "[MASK] [MASK] blue", "[MASK]", "red [MASK] " * 3]
    for text, masks in zip(texts, model.fills(texts), strict=True):
        assert [[one.token for one in mask] for mask in masks] == [
            [one.token for one in mask] for mask in model.fill(text)
        ]
    assert model.fills([]) == []


def test_ids_are_texts_that_are_tokenized(task: Task, tmp_path: Path) -> None:
    """They have the vector of their text, or pair, among others; ids that the model does not know are refused."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "pretraining"), compile_cache="")
    known = model.token_ids
    cls, sep, red, blue = (known[token] for token in ("[CLS]", "[SEP]", "red", "blue"))
    ids = [Ids((cls, red, blue, sep), (0,) * 4), Ids((cls, red, sep, blue, sep), (0, 0, 0, 1, 1))]
    texts: list[Any] = ["red blue", ("red", "blue")]
    found = np.asarray(model.embed([ids[0], "green", ids[1]]))[[0, 2]]
    np.testing.assert_allclose(found, model.embed(texts), rtol=0, atol=TOLERANCE)
    assert model.lengths([*ids, *texts]) == [4, 5, 4, 5]
    for wrong in (
        Ids((99,), (0,)),
        Ids((-1,), (0,)),
        Ids((1,), (2,)),
        Ids((1,), ()),
        Ids((), ()),
        Ids((1,) * 33, (0,) * 33),
    ):
        with pytest.raises(jaxbert.InputError, match="a text has"):
            model.embed([wrong])


def test_threads_get_their_own_results(task: Task, tmp_path: Path) -> None:
    """Whatever is asked at the same time."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "classifier", LABELS), compile_cache="")
    sets = [some_texts(30, seed=seed) for seed in range(6)]
    expected = [model.predict(texts) for texts in sets]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(model.predict, sets)) == expected


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ("red", "`texts` is `'red'`"),
        (("red", "blue"), "`texts` is"),
        ("red " * 100, f"`texts` is `'{'red ' * 14}red`"),
        (["red", 7], "text 1 is `7`"),
        (["red", ("a", "b", "c")], "text 1 is"),
        ([("red", "blue")], r"the model was trained with single texts, `\('red', 'blue'\)` is a pair"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(texts: object, problem: str, task: Task, tmp_path: Path) -> None:
    """A text alone would be read letter by letter, a pair alone as two texts."""
    meta = dataclasses.replace(LABELS, pairs=False)
    model = jaxbert.load(model_folder(tmp_path / "model", task, "classifier", meta), compile_cache="")
    with pytest.raises(jaxbert.InputError, match=problem):
        model.predict(texts)  # type: ignore[arg-type]


def test_wrong_arguments_are_named(task: Task, tmp_path: Path) -> None:
    """With their value, before anything is computed; none of them is taken for something else in silence."""
    squad = SquadMetaData(0, WindowSettings(16, 4, 4), version_2_with_negative=False)
    kinds: dict[str, MetaData | None] = {
        "pretraining": None,
        "squad": squad,
        "tagger": TaggingMetaData(0, 16, ("O", "B-A", "I-A")),
        "choice": MultipleChoiceMetaData(0, 16),
    }
    folders = {head: model_folder(tmp_path / head, task, head, meta) for head, meta in kinds.items()}
    models: list[Any] = [jaxbert.load(folder, compile_cache="") for folder in folders.values()]
    words, answers, tags, choices = models
    load: Any = jaxbert.load
    for call, problem in (
        (lambda: load(None), "`model` is `None`"),
        (lambda: load(folders["squad"], compile_cache=None), "`compile_cache` is `None`"),
        (lambda: load(folders["squad"], dtype="float32"), "`dtype` is `'float32'`"),
        (lambda: load(folders["squad"], max_seq_length="16"), "`max_seq_length` is `'16'`"),
        (lambda: load(folders["squad"], do_lower_case="false"), "`do_lower_case` is `'false'`"),
        (lambda: words.embed(["red"], pooling="meen"), "`pooling` is `'meen'`"),
        (lambda: words.embed(["red"], normalize="false"), "`normalize` is `'false'`"),
        (lambda: words.embed(["red"], layers="-1"), "`layers` is `'-1'`"),
        (lambda: words.embed(["red"], layers=[0, 1.0]), "`layers` is `1.0`"),
        (lambda: words.embed(None), "`texts` is `None`"),
        (lambda: words.embed({"red": 1}), "`texts` is `{'red': 1}`"),
        (lambda: words.tokens("red blue"), "`texts` is `'red blue'`"),
        (lambda: words.lengths("red blue"), "`texts` is `'red blue'`"),
        (lambda: words.lengths([None]), "text 0 is `None`"),
        (lambda: words.fills("red [MASK]"), r"`texts` is `'red \[MASK\]'`"),
        (lambda: words.fill("[MASK]", top=0), "`top` is `0`"),
        (lambda: words.fill("[MASK]", top=2.0), "`top` is `2.0`"),
        (lambda: answers.answer(None, "red"), "question 0 is `.None, 'red'.`"),
        (lambda: answers.answer("red", ["blue"]), "question 0 is"),
        (lambda: answers.answers("ab"), "`questions` is `'ab'`"),
        (lambda: answers.answers([("red", "blue", "lime")]), "question 0 is"),
        (lambda: answers.answer("red", "blue", n_best=0), "`n_best` is `0`"),
        (lambda: answers.answer("red", "blue", n_best=-1), "`n_best` is `-1`"),
        (lambda: answers.answer("red", "blue", max_answer_length=0), "`max_answer_length` is `0`"),
        (lambda: tags.predict([None]), "text 0 is `None`"),
        (lambda: tags.predict([7]), "text 0 is `7`"),
        (lambda: tags.predict(None), "`texts` is `None`"),
        (lambda: choices.choose(None, ["red", "blue"]), "`context` is `None`"),
        (lambda: choices.choose("red", ["red", "blue"], question=None), "`question` is `None`"),
        (lambda: choices.choose("red", None), "`choices` is `None`"),
        (lambda: choices.choose("red", ["red", None]), "`choices` is `.'red', None.`"),
    ):
        with pytest.raises(jaxbert.InputError, match=problem):
            call()


def test_whatever_gives_texts_and_numbers_is_taken(task: Task, tmp_path: Path) -> None:
    """Generators as lists, NumPy's whole numbers as Python's; `tokens` knows ids, too."""
    model: Any = jaxbert.load(model_folder(tmp_path / "model", task, "pretraining"), compile_cache="")
    texts = ["red [MASK]", "blue [MASK]"]
    assert model.fills(iter(texts), top=np.int64(3)) == model.fills(texts, top=3)
    assert model.lengths(iter(texts)) == model.lengths(texts)
    vectors = model.embed(iter(texts), layers=np.array([0, -1]))
    np.testing.assert_array_equal(vectors[:, 1], model.embed(texts, layers=np.int64(-1)))
    assert model.tokens([Ids((2, 5, 3), (0, 0, 0)), "red"]) == [["[CLS]", "red", "[SEP]"]] * 2


def test_a_warning_says_whose_texts_are_cut(task: Task, tmp_path: Path) -> None:
    """It points at the caller, who may make it an error; `counts` holds what became of all texts."""
    model = jaxbert.load(model_folder(tmp_path / "model", task, "none"), compile_cache="")
    with pytest.warns(TextsCutWarning, match="1 text is longer than 32 tokens") as caught:
        model.embed(["red", "red " * 40])
    assert [warning.filename for warning in caught] == [__file__]
    assert (model.counts.texts, model.counts.cut, model.counts.tokens) == (2, 1, 41)
    classes = jaxbert.load(model_folder(tmp_path / "classes", task, "classifier", LABELS), compile_cache="")
    with pytest.warns(TextsCutWarning, match="1 text ") as caught:
        classes.predict(["red " * 40])
    assert [warning.filename for warning in caught] == [__file__]


def test_what_a_model_lacks_is_named(task: Task, tmp_path: Path) -> None:
    """A head that is not there, classes that nobody knows, a layer that does not exist, a length it cannot have."""
    folder = model_folder(tmp_path / "model", task, "none")
    model = jaxbert.load(folder, compile_cache="")
    for call, problem in (
        (lambda: model.predict(["red"]), "has no classifier"),
        (lambda: model.answer("red", "blue"), "has no head for answers to questions: cls/squad"),
        (lambda: model.fill("[MASK]"), "has no masked LM"),
        (lambda: model.embed(["red"], layers=2), "`layers` is"),
        (lambda: model.embed(["red"], layers=[0, 1], pooling="pooler"), "the pooler stands on the last layer"),
        (lambda: jaxbert.load(folder, max_seq_length=33), "`max_seq_length` is 33"),
        (lambda: jaxbert.load(tmp_path / "nothing"), "there is no model"),
    ):
        with pytest.raises(jaxbert.InputError, match=problem):
            call()


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        ("none", "ask `embed`; or give a model that has one"),
        ("squad", "ask `answer` or `embed`"),
        ("pretraining", "ask `fill` or `embed`"),
        ("next sentence", "ask `embed`"),
    ],
)
def test_a_folder_without_a_classifier_says_what_it_can_be_asked(
    head: str, hint: str, task: Task, tmp_path: Path
) -> None:
    """Of Hugging Face, too, whose heads are known; where there is a classifier, only its classes are missing."""
    write_huggingface(str(tmp_path), random_weights(BERT, head), BERT)
    shutil.copy(task.model / "vocab.txt", tmp_path)
    with pytest.raises(jaxbert.InputError, match="has no classifier") as caught:
        jaxbert.load(tmp_path, compile_cache="").predict(["red"])
    assert hint in caught.value.hint
    unnamed = jaxbert.load(model_folder(tmp_path / "unnamed", task, "classifier"), compile_cache="")
    with pytest.raises(jaxbert.InputError, match="do not say which classes") as caught:
        unnamed.predict(["red"])
    assert "`meta_data`" in caught.value.hint


def test_a_model_is_not_asked_what_it_was_not_trained_for(task: Task, tmp_path: Path) -> None:
    """Also where a head of two outputs could be taken for either; what it can be asked is said."""
    squad = SquadMetaData(0, WindowSettings(16, 4, 4), version_2_with_negative=False)
    answers = jaxbert.load(model_folder(tmp_path / "answers", task, "squad", squad), compile_cache="")
    classes = jaxbert.load(model_folder(tmp_path / "classes", task, "classifier", LABELS), compile_cache="")
    of_classes = "it predicts one of the classes a, b, c"
    for call, problem, hint in (
        (lambda: classes.answer("red", "blue"), f"was not trained to answer questions: {of_classes}", "ask `predict`"),
        (lambda: classes.choose("red", ["a", "b"]), f"was not trained for multiple choice: {of_classes}", "`predict`"),
        (lambda: answers.predict(["red"]), "not trained to classify texts: it predicts answers", "`run_squad`"),
    ):
        with pytest.raises(jaxbert.InputError, match=problem) as caught:
            call()
        assert hint in caught.value.hint


def test_what_of_a_model_is_not_used_is_said(task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A head of another class, here a tagger with a CRF, is not taken for one of transformers in silence."""
    start = write_classifier(tmp_path / "model", task, ("a", "b"))
    weights = load_file(start / "model.safetensors") | {"crf.transitions": np.zeros((2, 2), np.float32)}
    save_file(weights, start / "model.safetensors", {"format": "pt"})
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(config | {"architectures": ["BertCrf"]}))
    jaxbert.load(start, compile_cache="")
    err = capsys.readouterr().err
    assert f"not used of `{start}/model.safetensors`: crf.transitions" in err
    assert "names the class `BertCrf`, whose head is read as that of `BertForSequenceClassification`" in err


def test_pairs_need_two_token_types(task: Task, tmp_path: Path) -> None:
    """Types that the model has no vectors for would be taken for others."""
    config = dataclasses.replace(BERT, type_vocab_size=1)
    write_model(str(tmp_path), random_weights(config), {"bert_config.json": bert_config.to_json(config)}, {})
    shutil.copy(task.model / "vocab.txt", tmp_path)
    model = jaxbert.load(tmp_path, compile_cache="")
    assert model.embed(["red"]).shape == (1, BERT.hidden_size)
    with pytest.raises(jaxbert.InputError, match="`type_vocab_size` of the model is 1: it reads no pairs"):
        model.embed([("red", "blue")])
    with pytest.raises(jaxbert.InputError, match="ids end at 12, types at 0"):
        model.embed([Ids((2, 5, 3), (0, 0, 1))])


@pytest.mark.parametrize("head", ["squad", "choice"])
def test_questions_need_two_token_types(head: str, task: Task, squad: Run, tmp_path: Path) -> None:
    """A question with its context, or with a choice, is a pair: no answer is better than one from another type."""
    config, start = dataclasses.replace(BERT, type_vocab_size=1), tmp_path / "model"
    start.mkdir()
    write_model(str(start), random_weights(config, head), {"bert_config.json": bert_config.to_json(config)}, {})
    shutil.copy(task.model / "vocab.txt", start)
    model = jaxbert.load(start, compile_cache="")
    with pytest.raises(jaxbert.InputError, match="`type_vocab_size` of the model is 1: it reads no pairs"):
        model.answer("red", "blue") if head == "squad" else model.choose("red", ["blue", "grey"])
    if head == "squad":
        asked = {"data": [{"paragraphs": [{"context": "red blue", "qas": [{"id": "a", "question": "grey"}]}]}]}
        (tmp_path / "asked.json").write_text(json.dumps(asked))
        given = flags(init_checkpoint=start, predict_file=tmp_path / "asked.json", model_dir=tmp_path / "out")
        assert_refused(squad(*given, "--mode=predict"), "it reads no pairs of texts", "give a model with two types")


@pytest.mark.parametrize("types", [1, 2])
def test_a_tokenizer_without_types_gives_none(types: int, task: Task, tmp_path: Path) -> None:
    """Pairs are read with type 0 throughout where the folder's tokenizer gives no others, also after a conversion."""
    config = dataclasses.replace(BERT, type_vocab_size=types)
    start = tmp_path / "start"
    start.mkdir()
    weights = {name: array * np.float32(0.3) for name, array in random_weights(config, "classifier", 3).items()}
    write_huggingface(str(start), weights, config, LABELS)
    shutil.copy(task.model / "vocab.txt", start)
    (start / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "DistilBertTokenizer"}))
    ids = Ids((2, 5, 3, 6, 7, 3), (0,) * 6)
    expected = jaxbert.load(start, compile_cache="").logits([ids])
    for to in ("jaxbert", "huggingface", "tf1"):
        convert_model(str(start), to, str(tmp_path / to))
        folder = tmp_path / to / ("bert_model.ckpt" if to == "tf1" else "")
        model = jaxbert.load(folder, compile_cache="")
        np.testing.assert_allclose(model.logits([("red", "blue green")]), expected, atol=TOLERANCE)
        assert not model._model.rules.segments  # type: ignore[union-attr]


def test_another_number_of_heads_than_the_file_shows_is_refused(task: Task, tmp_path: Path) -> None:
    """TensorFlow 2 stores kernels by head; with other heads every result would be another."""
    write_tf2(str(tmp_path / "bert_model.ckpt"), random_weights(BERT), BERT.num_attention_heads)
    shutil.copy(task.model / "vocab.txt", tmp_path)
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG | {"num_attention_heads": 4}))
    model = jaxbert.load(tmp_path / "bert_model.ckpt", compile_cache="")
    with pytest.raises(jaxbert.InputError, match="has 2 attention heads"):
        model.embed(["red"])


def test_the_name_alone_imports_nothing_heavy() -> None:
    """Neither jax nor numpy, so that it costs nothing where it is not used."""
    code = "import jaxbert, sys; print(sorted({'jax', 'numpy'} & set(sys.modules)), jaxbert.InputError.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] InputError"


@pytest.mark.parametrize("form", ["tuples", "dicts", "pandas", "arrow"])
def test_rows_are_learnt_as_the_command_learns_them(form: str, task: Task, classify: Run, tmp_path: Path) -> None:
    """In every form the same rows give the weights that the command gives; a second call trains nothing."""
    texts = some_texts(32)
    labels = ["long" if text.count(" ") > 12 else "short" for text in texts]
    rows = [{"sentence": text, "size": label} for text, label in zip(texts, labels, strict=True)]
    data: Any = rows
    if form == "tuples":
        data = list(zip(texts, labels, strict=True))
    elif form == "pandas":
        data = pytest.importorskip("pandas").DataFrame(rows)
    elif form == "arrow":
        data = pytest.importorskip("pyarrow").Table.from_pylist(rows)
    how: dict[str, Any] = {"num_train_epochs": 1, "train_batch_size": 8, "learning_rate": 1e-3}
    more = {"compile_cache": "", "log_steps": 1}
    start = task.model / "bert_model.ckpt"

    def tuned() -> jaxbert.Model:
        output = tmp_path / "run"
        return jaxbert.fine_tune(start, output=output, train=data, text="sentence", label="size", **how, flags=more)

    model = tuned()
    assert model.classes == ("long", "short")
    lines = (f'{{"text_a": "{text}", "label": "{label}"}}\n' for text, label in zip(texts, labels, strict=True))
    (tmp_path / "train.jsonl").write_text("".join(lines))
    given = flags(
        init_checkpoint=start, model_dir=tmp_path / "command", train_file=tmp_path / "train.jsonl", mode="train"
    )
    code, _, err = classify(*given, *flags(text_a_column="text_a", label_column="label", **how))
    assert code == 0, err
    assert model.predict(texts) == jaxbert.load(tmp_path / "command/last", compile_cache="").predict(texts)
    weights = tmp_path / "run/last/model.safetensors"
    before = weights.stat().st_mtime_ns
    assert tuned().predict(texts) == model.predict(texts)
    assert weights.stat().st_mtime_ns == before


def test_pairs_numbers_and_several_labels_are_learnt(task: Task, tmp_path: Path) -> None:
    """The kinds of labels that the commands know."""
    texts = some_texts(16, longest=6)
    how: dict[str, Any] = {"num_train_epochs": 1, "train_batch_size": 8, "flags": {"compile_cache": ""}}
    start = task.model / "bert_model.ckpt"
    pairs = [((text, text), float(len(text))) for text in texts]
    numbers = jaxbert.fine_tune(start, output=tmp_path / "a", train=pairs, evaluate=pairs, task="regression", **how)
    assert numbers.predict([pair for pair, _ in pairs]).shape == (16,)  # type: ignore[union-attr]
    rows = [(text, [word for word in ("red", "blue") if word in text]) for text in texts]
    arrays = [(text, np.array(words)) for text, words in rows]
    several = jaxbert.fine_tune(start, output=tmp_path / "b", train=rows, evaluate=arrays, task="multi_label", **how)
    (one,) = several.predict(["red blue"])
    assert isinstance(one.label, tuple)
    assert list(one.probabilities) == ["blue", "red"]


class NamedClasses(list[dict[str, Any]]):
    """Rows as `datasets` (5) has them: numbers of classes, whose names are in `features`."""

    features: ClassVar[dict[str, Any]] = {"text": SimpleNamespace(), "label": SimpleNamespace(names=["not red", "red"])}


def test_classes_of_a_dataset_have_their_names(task: Task, tmp_path: Path) -> None:
    """Numbers stand for the names that the dataset says; -1 for none, which is refused in training."""
    rows = NamedClasses({"text": text, "label": int("red" in text)} for text in some_texts(16, longest=6))
    how: dict[str, Any] = {"num_train_epochs": 1, "train_batch_size": 8, "flags": {"compile_cache": ""}}
    start = task.model / "bert_model.ckpt"
    assert jaxbert.fine_tune(start, output=tmp_path / "a", train=rows, **how).classes == ("not red", "red")
    for label, problem in ((-1, "line 4"), (2, "a label is 2, of the classes not red, red"), ([0, 2], "a label is 2")):
        rows[3]["label"] = label
        with pytest.raises(jaxbert.InputError, match=problem):
            jaxbert.fine_tune(start, output=tmp_path / "b", train=rows, **how)


def test_questions_are_learnt(task: Task, tmp_path: Path) -> None:
    """Rows in the layout of `datasets`; the answer is a part of the context."""
    rows = [
        {"question": f"{word} ?", "context": f"red blue {word}", "answers": {"text": [word], "answer_start": [9]}}
        for word in WORDS
    ]
    how: dict[str, Any] = {"num_train_epochs": 1, "train_batch_size": 4, "max_seq_length": 24}
    start, more = task.model / "bert_model.ckpt", {"compile_cache": ""}
    model = jaxbert.fine_tune(start, output=tmp_path, train=rows, evaluate=rows, task="squad", **how, flags=more)
    (answer,) = model.answer("red ?", "blue red")
    assert answer.text in "blue red"


@pytest.mark.parametrize("said", [True, False])
def test_questions_without_answers_are_learnt(said: bool, task: Task, tmp_path: Path) -> None:
    """Rows of SQuAD 2.0 say what is impossible or have no answers, and may all have some; the version is asked for."""
    rows: list[dict[str, Any]] = [
        {
            "question": f"{word} ?",
            "context": f"red blue {word}",
            "answers": {"text": [word], "answer_start": [9]} if number % 2 else {"text": [], "answer_start": []},
            **({"is_impossible": np.bool_(number % 2 == 0)} if said else {}),
        }
        for number, word in enumerate(WORDS)
    ]
    how: dict[str, Any] = {"num_train_epochs": 1, "train_batch_size": 4, "max_seq_length": 24, "task": "squad"}
    start, more = task.model / "bert_model.ckpt", {"compile_cache": ""}
    with pytest.raises(jaxbert.InputError, match="question `0` has no answer") as refused:
        jaxbert.fine_tune(start, output=tmp_path / "v1", train=rows, **how, flags=more)
    assert "--version_2_with_negative" in refused.value.hint
    version_2 = {"version_2_with_negative": True, **more}
    for name, learnt in (("all", rows), ("answerable", rows[1::2])):
        jaxbert.fine_tune(start, output=tmp_path / name, train=learnt, evaluate=rows, **how, flags=version_2)
        assert read_results(str(tmp_path / name / "best"))["NoAns_total"] == len(WORDS) / 2


@pytest.mark.parametrize(
    ("rows", "more", "problem"),
    [
        (["red"], {}, "row 0 is `red`"),
        ([("red", 1), (7, 1)], {}, "row 1 has the text `7`"),
        ([{"text": "red"}], {}, "row 0 has no `label`; it has text"),
        ([("red", {1})], {}, r"row 0 has the label `\{1\}`"),
        ([{0: "red", 1: 1}], {}, "row 0 has no `text`; it has 0, 1"),
        ([("red", [0, 1, 1])], {"task": "multi_label"}, r"row 0 has the label `\[0, 1, 1\]`"),
        ([("red", np.array([0.0, 1.0]))], {"task": "multi_label"}, r"row 0 has the label `\[0.0, 1.0\]`"),
        ([("red", 1), ("blue", float("nan"))], {}, "line 2: expected text or a number at `label`, found `NaN`"),
        ([("red", 1), (("red", "blue"), 1)], {}, "of row 0 and row 1 one is a pair of texts"),
        ([(("red", "blue"), 1)], {"evaluate": [("red", 1)]}, "of `train` and `evaluate` one has pairs"),
        ([{"question": "", "context": "", "answers": [""]}], {"task": "squad"}, r"row 0 has the answers `\[''\]`"),
        ([("red", 1)], {"learning_rate": -1}, "`--learning_rate=-1`"),
        ([("red", 1)], {"task": "multilabel"}, "`task` is `'multilabel'`"),
        ([("red", 1)], {"output": None}, "`output` is `None`"),
        ([("red", 1)], {"flags": ["epochs"]}, r"`flags` is `\['epochs'\]`"),
        (None, {}, "`rows` is `None`"),
        ("red", {}, "`rows` is `'red'`"),
        ([("red", 1)], {"evaluate": 7}, "`rows` is `7`"),
        ([("red", 1)], {"flags": {"epochs": 3}}, "unknown flag `--epochs`"),
    ],
)
def test_wrong_rows_and_options_are_named(
    rows: list[Any], more: dict[str, Any], problem: str, task: Task, tmp_path: Path
) -> None:
    """Before anything is trained."""
    with pytest.raises(jaxbert.InputError, match=problem):
        jaxbert.fine_tune(task.model / "bert_model.ckpt", **{"output": tmp_path, "train": rows, **more})
