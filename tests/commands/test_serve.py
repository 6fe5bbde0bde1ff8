# SPDX-License-Identifier: Apache-2.0
"""`jaxbert serve`: what clients get is what the library gives, whoever else asks; what is wrong gets a sentence."""

import base64
import concurrent.futures
import contextlib
import dataclasses
import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxbert
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.config.serving import ServeFlags
from jaxbert.errors import InputError
from jaxbert.features.squad import WindowSettings
from jaxbert.tfrecord.metadata import MetaData, MultipleChoiceMetaData, SquadMetaData, TaggingMetaData
from tests.checkpoints.random_models import random_weights
from tests.commands import browser
from tests.commands.test_library import BERT, LABELS, model_folder, some_texts
from tests.commands.tiny_task import Task, flags, start_command

pytest.importorskip("uvicorn")
from jaxbert.serve import running
from jaxbert.serve.app import Counts, application
from jaxbert.serve.forms import _logistic

# float32 sums in another order, of outputs near 1
TOLERANCE = 5e-6
CONTEXT = "red blue green grey. Pink gold lime teal red."


@dataclasses.dataclass
class Server:
    """A server that runs in this process, and its models."""

    port: int
    models: dict[str, jaxbert.Model]

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (or text) and headers of an answer; a body of bytes is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", path, sent, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(text) if "json" in found.get("content-type", "") else text, found

    def get(self, path: str, body: Any = None) -> Any:
        """The JSON of a good answer."""
        status, found, _ = self.ask(path, body)
        assert status == 200, found
        return found


@contextlib.contextmanager
def serving(models: dict[str, jaxbert.Model], token: str = "", **more: Any) -> Iterator[Server]:
    """A server of these models with these flags."""
    given = ServeFlags(model="none", **more)
    app = application({name: ("-", one) for name, one in models.items()}, given, token, Counts())
    server = running.server(app, 60)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Server(listener.getsockname()[1], models)
    finally:
        server.should_exit = True
        thread.join()


def tiny_models(folder: Path, task: Task) -> dict[str, jaxbert.Model]:
    """A model of each kind."""
    numbers = dataclasses.replace(LABELS, num_labels=None, label_type="float", label_list=(), pairs=True)
    kinds: dict[str, tuple[str, MetaData | None]] = {
        "classes": ("classifier", LABELS),
        "numbers": ("classifier", numbers),
        "questions": ("squad", SquadMetaData(0, WindowSettings(16, 4, 6), version_2_with_negative=False)),
        "words": ("pretraining", None),
        "tags": ("tagger", TaggingMetaData(0, 16, ("O", "B-PER", "I-PER"))),
    }
    models = {}
    for name, (head, meta) in kinds.items():
        path = model_folder(folder / name, task, head, meta, classes=1 if name == "numbers" else 3)
        models[name] = jaxbert.load(path, compile_cache="")
    return models


@pytest.fixture(scope="module")
def models(task: Task, tmp_path_factory: pytest.TempPathFactory) -> dict[str, jaxbert.Model]:
    """A model of each kind."""
    return tiny_models(tmp_path_factory.mktemp("served"), task)


@pytest.fixture(scope="module")
def server(models: dict[str, jaxbert.Model]) -> Iterator[Server]:
    """A server of them all."""
    with serving(models, max_texts=40, max_tokens=800, max_body_bytes=20_000, deadline=60.0) as one:
        yield one


def close(found: Any, expected: Any) -> None:
    """The same numbers, up to rounding."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_vectors_in_the_forms_of_openai_and_tei(server: Server) -> None:
    """As numbers and in base64, of one text and of several, with the length 1 unless the request says otherwise."""
    texts = some_texts(5)
    unit = server.models["words"].embed(texts, normalize=True)
    for encoding in ("float", "base64"):
        found = server.get("/v1/embeddings", {"input": texts, "model": "words", "encoding_format": encoding})
        rows = [one["embedding"] for one in found["data"]]
        if encoding == "base64":
            rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
        close(rows, unit)
        assert [one["index"] for one in found["data"]] == list(range(5))
        assert found["usage"]["total_tokens"] == sum(server.models["words"].lengths(texts))
    close(server.get("/models/words/embed", {"inputs": texts}), unit)
    close(server.get("/models/words/embed", {"inputs": texts[0]}), unit[:1])
    body = {"inputs": {"source_sentence": texts[0], "sentences": texts[1:]}}
    close(server.get("/models/words/similarity", body), unit[1:] @ unit[0])
    plain = server.models["words"].embed(texts)
    close(server.get("/models/words/embed", {"inputs": texts, "normalize": False}), plain)


def test_scores_in_the_forms_of_tei(server: Server) -> None:
    """Classes best first, of one text and of several; numbers; texts in the order in which they fit a query."""
    texts = [text[:40].rpartition(" ")[0] or text for text in some_texts(4)]
    found = server.get("/models/classes/predict", {"inputs": [[text] for text in texts]})
    expected = server.models["classes"].predict(texts)
    for scores, one in zip(found, expected, strict=True):
        assert isinstance(one, jaxbert.Prediction)
        assert [row["label"] for row in scores] == sorted(one.probabilities, key=lambda name: -one.probabilities[name])
        close([row["score"] for row in scores], sorted(one.probabilities.values(), reverse=True))
    assert server.get("/models/classes/predict", {"inputs": texts[0]}) == found[0]
    logits = server.models["classes"].logits(texts[:1])[0]
    raw = server.get("/models/classes/predict", {"inputs": texts[0], "raw_scores": True})
    close([row["score"] for row in raw], sorted(logits, reverse=True))
    query, *others = texts
    numbers = np.asarray(server.models["numbers"].predict([(query, text) for text in others]))
    (number,) = server.get("/models/numbers/predict", {"inputs": [query, others[0]]})
    close(number["score"], numbers[0])
    ranks = server.get("/models/numbers/rerank", {"query": query, "texts": others, "return_text": True})
    order = np.argsort(-numbers)
    assert [(rank["index"], rank["text"]) for rank in ranks] == [(index, others[index]) for index in order]
    close([rank["score"] for rank in ranks], 1 / (1 + np.exp(-numbers[order])))


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_one_output_is_a_score_unless_it_is_a_number(problem_type: str | None, task: Task, tmp_path: Path) -> None:
    """`/predict` gives its sigmoid as TEI and pipelines of transformers do, but not of a regression, nor when asked."""
    write_huggingface(str(tmp_path), random_weights(BERT, "classifier", 1), BERT)
    config = json.loads((tmp_path / "config.json").read_text()) | {"problem_type": problem_type}
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copy(task.model / "vocab.txt", tmp_path)
    model = jaxbert.load(tmp_path, compile_cache="")
    number = float(model.logits(["red blue"])[0, 0])
    with serving({"one": model}) as one:
        (raw,) = one.get("/predict", {"inputs": "red blue", "raw_scores": True})
        (given,) = one.get("/predict", {"inputs": "red blue"})
    close(raw["score"], number)
    close(given["score"], number if problem_type else 1 / (1 + np.exp(-number)))


def test_scores_of_unlikely_texts_are_no_zeros() -> None:
    """The sigmoid keeps the digits of small probabilities, which order what fits badly, and does not overflow."""
    for number in (-700.0, -40.0, -12.0, 0.0, 12.0, 700.0):
        assert _logistic(number) == pytest.approx(float(1 / (1 + Decimal(-number).exp())), rel=1e-14, abs=0)


def test_the_forms_of_tensorflow_serving(server: Server) -> None:
    """Rows and columns, texts and ids, with the outputs of the exported model: logits, or an encoder's vectors."""
    texts = some_texts(3)
    logits = server.models["classes"].logits(texts)
    path = "/v1/models/classes"
    ids, mask, types = np.zeros((3, 32), int), np.zeros((3, 32), int), np.zeros((3, 32), int)
    vocab = server.models["classes"].token_ids
    for row, text in enumerate(texts):
        own = [vocab["[CLS]"], *(vocab[word] for word in text.split()), vocab["[SEP]"]]
        ids[row, : len(own)], mask[row, : len(own)] = own, 1
    columns = {"input_word_ids": ids.tolist(), "input_mask": mask.tolist(), "input_type_ids": types.tolist()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for body in ({"instances": texts}, {"instances": [{"text": text} for text in texts]}, {"instances": rows}):
        close(server.get(f"{path}:predict", body)["predictions"], logits)
    for body in ({"inputs": texts}, {"inputs": {"text": texts}}, {"inputs": columns}):
        close(server.get(f"{path}/versions/1:predict", body)["outputs"], logits)
    results = server.get(f"{path}:classify", {"examples": [{"text": text} for text in texts]})["results"]
    expected = server.models["classes"].predict(texts)
    assert isinstance(expected, list)
    assert [[name for name, _ in row] for row in results] == [list(one.probabilities) for one in expected]
    close([[share for _, share in row] for row in results], [list(one.probabilities.values()) for one in expected])
    pairs = [{"text_a": "red", "text_b": text} for text in texts]
    numbers = server.models["numbers"].predict([("red", text) for text in texts])
    close(server.get("/v1/models/numbers:regress", {"examples": pairs})["results"], numbers)
    encoded = server.get("/v1/models/words:predict", {"instances": texts})["predictions"]
    close([row["pooled_output"] for row in encoded], server.models["words"].embed(texts, pooling="pooler"))
    for row, vectors in zip(encoded, server.models["words"].embed(texts, pooling="tokens"), strict=True):
        close(row["sequence_output"], vectors)
    assert server.get(path)["model_version_status"][0]["state"] == "AVAILABLE"


def test_answers_and_words(server: Server) -> None:
    """What the library says, in our form and in that of Hugging Face's client."""
    expected = server.models["questions"].answer("red ?", CONTEXT, n_best=3)
    body = {"question": "red ?", "context": CONTEXT}
    found = server.get("/models/questions/answer", body | {"n_best": 3})["answers"]
    assert [(one["text"], one["start"], one["end"]) for one in found] == [
        (one.text, one.start, one.end) for one in expected
    ]
    close([one["probability"] for one in found], [one.probability for one in expected])
    theirs = server.get("/models/questions/", {"inputs": body})
    assert theirs["answer"] == expected[0].text
    theirs = server.get("/models/questions/", {"inputs": body, "parameters": {"top_k": 3}})
    assert [one["answer"] for one in theirs] == [one.text for one in expected]
    text = "red [MASK] blue [MASK]"
    words = server.models["words"].fill(text, top=2)
    masks = server.get("/models/words/fill", {"text": text, "top": 2})["masks"]
    assert [[one["token"] for one in mask] for mask in masks] == [[one.token for one in mask] for mask in words]
    (best,) = server.get("/models/words/", {"inputs": "red [MASK]", "parameters": {"top_k": 1}})
    assert best["sequence"] == f"red {best['token_str']}"
    assert server.models["words"].token_ids[best["token_str"]] == best["token"]


def test_parameters_of_pipelines(server: Server) -> None:
    """Functions of logits, tokens to choose from, whether there may be no answer: as pipelines of transformers do."""
    logits = np.sort(server.models["classes"].logits(["red blue"])[0])[::-1]
    functions = {
        "softmax": np.exp(logits) / np.exp(logits).sum(),
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "none": logits,
    }
    for function, expected in functions.items():
        body = {"inputs": "red blue", "parameters": {"function_to_apply": function}}
        (rows,) = server.get("/models/classes/", body)
        close([row["score"] for row in rows], expected)
    (number,) = server.models["numbers"].logits([("red", "blue")])[0]
    body = {"inputs": [["red", "blue"]], "parameters": {"function_to_apply": "sigmoid"}}
    ((row,),) = server.get("/models/numbers/", body)
    close(row["score"], 1 / (1 + np.exp(-number)))
    shares = {one.token: one.probability for one in server.models["words"].fill("red [MASK]", top=100)[0]}
    for targets, tokens in ((["blue", "green", "Blue red"], ("blue", "green")), ("blue", ("blue",))):
        found = server.get("/models/words/", {"inputs": "red [MASK]", "parameters": {"targets": targets}})
        assert [row["token_str"] for row in found] == sorted(tokens, key=lambda token: -shares[token])
        close([row["score"] for row in found], sorted((shares[token] for token in tokens), reverse=True))


def test_whether_there_may_be_no_answer(task: Task, tmp_path: Path) -> None:
    """`handle_impossible_answer` decides it; where it is not given, what the model was trained for does."""
    body = {"inputs": {"question": "red ?", "context": CONTEXT}}
    for trained in (False, True):
        meta = SquadMetaData(0, WindowSettings(16, 4, 6), version_2_with_negative=trained)
        model = jaxbert.load(model_folder(tmp_path / str(trained), task, "squad", meta), compile_cache="")
        with serving({"one": model}) as one:
            for wanted in (None, False, True):
                asked = body | {"parameters": {"top_k": 100, "handle_impossible_answer": wanted}}
                none = [(row["start"], row["end"]) for row in one.get("/", asked) if not row["answer"]]
                assert none == [(0, 0)] * (trained if wanted is None else wanted)


def test_spans_in_the_form_of_hugging_face(server: Server) -> None:
    """Of a text of any length, and of each of several, as the library finds them."""
    texts = [" ".join(some_texts(3)), "red", ""]
    expected: Any = server.models["tags"].predict(texts)
    assert any(expected)
    found = server.get("/models/tags/", {"inputs": texts})
    for row, spans in zip(found, expected, strict=True):
        assert [(one["entity_group"], one["word"], one["start"], one["end"]) for one in row] == [
            (span.label, span.text, span.start, span.end) for span in spans
        ]
        close([one["score"] for one in row], [span.probability for span in spans])
    for path, more in (("predict", {}), ("pipeline/token-classification", {"parameters": {"ignore_labels": ["O"]}})):
        assert server.get(f"/models/tags/{path}", {"inputs": texts[0]} | more) == found[0]


def test_a_model_for_multiple_choice_is_not_served(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused at the start, by its name, as no request could ask it what it is for."""
    from jaxbert.cli import main

    folder = model_folder(tmp_path / "choices", task, "choice", MultipleChoiceMetaData(0, 16))
    assert main(["serve", *flags(model=folder, port=0, compile_cache="")]) == 2
    said = capsys.readouterr().err
    assert "`choices` chooses between texts" in said
    assert "jaxbert run_multiple_choice" in said


WRONG: list[tuple[str, Any, int, str]] = [
    ("/models/words/embed", b"{", 400, "is no JSON"),
    ("/models/words/embed", b"\xff", 400, "is no JSON"),
    ("/models/words/embed", b'{"inputs": "\\ud800"}', 400, "is no JSON"),
    ("/models/words/embed", b"[" * 10_000, 400, "is no JSON"),
    ("/models/words/embed", [], 400, "is no JSON object"),
    ("/models/words/embed", {"inputs": []}, 400, "`inputs` is neither"),
    ("/models/words/embed", {"inputs": ["red", 7]}, 400, "`inputs` is neither"),
    ("/models/words/embed", {"inputs": "red", "normalise": True}, 400, "has `normalise`"),
    ("/models/words/embed", {"inputs": "red", "normalize": 1}, 400, "`normalize` is not"),
    ("/models/words/embed", {"inputs": "red " * 40}, 413, "text 0 has 42 tokens, the model reads 32"),
    ("/models/words/embed", {"inputs": ["red"] * 41}, 413, "41 texts, the most is 40"),
    ("/models/words/embed", {"inputs": ["red " * 29] * 30}, 413, "930 tokens, the most is 800"),
    ("/models/words/embed", {"inputs": "r" * 30_000}, 413, "more than 20000 bytes"),
    ("/models/words/predict", {"inputs": "red"}, 400, "(?s)no weights for `predict`.*it has `/embed`, `/fill`"),
    ("/models/tags/predict", {}, 400, "`inputs` is neither"),
    ("/models/tags/", {"inputs": "red", "parameters": {"aggregation_strategy": "max"}}, 400, "(?s)is `max`.*`first`"),
    ("/v1/models/tags:predict", {"instances": ["red"]}, 400, "(?s)is neither.*it has `/embed`, `/predict`"),
    ("/v1/models/tags:classify", {"examples": ["red"]}, 400, "does not give classes"),
    ("/models/words/answer", {"question": "red", "context": "red"}, 400, "no weights for `answer`"),
    ("/models/words/fill", {"text": "red"}, 400, r"no `\[MASK\]`"),
    ("/models/words/fill", {"text": "[MASK] " * 40}, 413, "40 `"),
    ("/models/classes/predict", {"inputs": "red", "parameters": 0}, 400, "`parameters` is no JSON object"),
    ("/models/classes/predict", {"inputs": "red", "parameters": {"function_to_apply": 1}}, 400, "is `1`"),
    ("/models/words/", {"inputs": "[MASK]", "parameters": {"targets": [""]}}, 400, "`targets` is"),
    ("/models/words/", {"inputs": "[MASK]", "parameters": {"targets": [1]}}, 400, "`targets` is neither"),
    ("/models/words/similarity", {"inputs": {}, "parameters": []}, 400, "`parameters` is no JSON object"),
    ("/models/tags/", {"inputs": "red", "parameters": ""}, 400, "`parameters` is no JSON object"),
    ("/models/tags/", {"inputs": "red", "options": 0}, 400, "`options` is no JSON object"),
    ("/models/words/embed", {"inputs": "red", "truncation_direction": ""}, 400, "`truncation_direction`"),
    ("/v1/models/classes:classify", {"examples": ["red"], "context": []}, 400, "`context`"),
    ("/models/words/", {"inputs": "red", "parameters": {}}, 400, r"no `\[MASK\]`"),
    ("/models/questions/", {"inputs": "red", "parameters": {}}, 400, "(?s)for another task.*`/answer`"),
    ("/models/words/rerank", {"query": "red", "texts": ["blue"]}, 400, "one number"),
    ("/models/numbers/predict", {"inputs": "red"}, 400, "trained with pairs"),
    ("/models/questions/answer", {"question": "red"}, 400, "`context` is missing"),
    ("/models/questions/answer", {"question": "red", "context": "red", "n_best": 0}, 400, "`n_best`"),
    ("/models/classes/predict", {"inputs": ["red", "blue", "red"]}, 400, "no text, pair or list"),
    ("/models/nothing/embed", {"inputs": "red"}, 404, "no model `nothing`"),
    ("/embed", {"inputs": "red"}, 404, "several models"),
    ("/v1/models/classes:predict", {"instances": [{"input_word_ids": [999]}]}, 400, "does not know"),
    (
        "/v1/models/classes:predict",
        {"instances": [{"input_word_ids": [1, 2], "input_mask": [0, 1]}]},
        400,
        "fit together",
    ),
    ("/v1/models/classes:predict", {"instances": ["red"], "inputs": ["red"]}, 400, "one of them"),
    ("/v1/models/classes/versions/2:predict", {"instances": ["red"]}, 404, "there is no `POST"),
    ("/v1/models/classes:predict", {"inputs": {"text": ["red"], "text_b": []}}, 400, "one length"),
    ("/v1/models/classes:regress", {"examples": ["red"]}, 400, "does not give numbers"),
    ("/v1/models/questions:predict", {"instances": ["red"]}, 400, "(?s)is neither.*it has `/embed`, `/answer`"),
    ("/v1/models/questions:classify", {"examples": ["red"]}, 400, "(?s)does not give classes.*`/answer`"),
    ("/nothing", {}, 404, "there is no `POST /nothing`"),
    ("/v1/embeddings", {"input": [[1, 2]], "model": "words"}, 400, "another tokenizer"),
    ("/v1/embeddings", {"input": "red", "model": "text-embedding-3-small"}, 404, "no model `text-embedding-3-small`"),
    ("/v1/embeddings", {"input": "red", "model": "words", "dimensions": 3}, 400, "`dimensions` is `3`"),
]


@pytest.mark.parametrize(("path", "body", "status", "sentence"), WRONG)
def test_what_is_wrong_gets_a_sentence(path: str, body: Any, status: int, sentence: str, server: Server) -> None:
    """With a status of 4xx, the value, and what to do."""
    found, said, _ = server.ask(path, body)
    error = said["error"]["message"] if path.startswith("/v1/embeddings") else said["error"]
    assert re.search(sentence, error), error
    assert "\nhint: " in error
    assert found == status


def test_what_is_not_understood_says_what_is(server: Server) -> None:
    """Another method gets those that there are, a packed request a word: it would be no JSON."""
    for path, allowed in (("/models/words/embed", "POST"), ("/", "GET, HEAD, POST"), ("/info", "GET, HEAD")):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("PUT", path)
            answer = connection.getresponse()
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    body = gzip.compress(b'{"inputs": "red"}')
    status, said, _ = server.ask("/models/words/embed", body, **{"Content-Encoding": "gzip"})
    assert (status, said["error"].partition("\n")[0]) == (415, "the request is packed by `gzip`")


def test_an_answer_has_a_size(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector for each token is more than other clients could wait for; one for each text is not."""
    monkeypatch.setattr("jaxbert.serve.app._MOST_NUMBERS", 10 * 16)
    path, texts = "/v1/models/words:predict", ["red " * 4, "blue"]
    assert len(server.get(path, {"instances": texts})["predictions"]) == 2
    status, said, _ = server.ask(path, {"instances": [*texts, "lime"]})
    assert (status, said["error"].partition(",")[0]) == (413, "the answer would hold 192 numbers")
    assert len(server.get("/models/words/embed", {"inputs": ["red " * 20] * 20})) == 20


def test_texts_are_cut_only_on_request(models: dict[str, jaxbert.Model]) -> None:
    """By the request, or by the server's flag, which a request may contradict."""
    long, model = "red blue " * 30, models["words"]
    with pytest.warns(UserWarning, match="is cut"):
        cut = model.embed([long], normalize=True)
    with serving({"words": model}) as one:
        close(one.get("/embed", {"inputs": long, "truncate": True}), cut)
    with serving({"words": model}, auto_truncate=True) as one:
        close(one.get("/v1/embeddings", {"input": long, "model": "words"})["data"][0]["embedding"], cut[0])
        assert one.ask("/embed", {"inputs": long, "truncate": False})[0] == 413


def test_questions_are_cut_only_on_request(models: dict[str, jaxbert.Model]) -> None:
    """A question longer than the model reads is refused in both forms, while a context may have any length."""
    asked = {"question": "red " * 7, "context": CONTEXT * 3}
    with serving({"questions": models["questions"]}) as one:
        for body in (asked, {"inputs": asked}, asked | {"truncate": False}):
            status, said, _ = one.ask("/answer", body)
            assert (status, said["error"].partition("\n")[0]) == (413, "question 0 has 7 tokens, the model reads 6")
        cut = one.get("/answer", asked | {"truncate": True})
        assert cut == one.get("/answer", asked | {"question": "red " * 6})
        theirs = one.get("/answer", {"inputs": asked, "parameters": {"truncate": True, "top_k": 5}})
        assert [row["answer"] for row in theirs] == [row["text"] for row in cut["answers"]]


def test_everybody_gets_their_own_answer(server: Server) -> None:
    """Many clients at once with right and wrong requests; several requests are computed in one call."""
    model = server.models["words"]

    def client(number: int) -> None:
        for turn in range(4):
            texts = some_texts(1 + (number + turn) % 5, seed=100 * number + turn)
            if (number + turn) % 4 == 0:
                path, body, status, _ = WRONG[(number + turn) % len(WRONG)]
                assert server.ask(path, body)[0] == status
            close(server.get("/models/words/embed", {"inputs": texts}), expected[number, turn])

    expected = {
        (number, turn): model.embed(some_texts(1 + (number + turn) % 5, seed=100 * number + turn), normalize=True)
        for number in range(16)
        for turn in range(4)
    }
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(client, number) for number in range(16)]:
            done.result()
    metrics = server.get("/metrics")
    (calls,) = re.findall(r'jaxbert_requests_together_count{model="words"} ([\d.]+)', metrics)
    (requests,) = re.findall(r'jaxbert_requests_together_sum{model="words"} ([\d.]+)', metrics)
    assert float(calls) < float(requests)
    assert 'jaxbert_requests_total{path="/models/{name}/embed",status="413"}' in metrics


def test_too_much_at_once_and_too_late(models: dict[str, jaxbert.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound of the queue 429, after the deadline 504, both with the time to come back."""
    model = models["words"]
    held, entered = threading.Event(), threading.Semaphore(0)
    embed = model.embed

    def slow(*given: Any, **more: Any) -> Any:
        entered.release()
        assert held.wait(30)
        return embed(*given, **more)

    expected = embed(["red"], normalize=True)
    monkeypatch.setattr(model, "embed", slow)
    monkeypatch.setattr("jaxbert.serve.batching.warm_up", lambda *given: iter(()))
    bounds = {"max_waiting_texts": 2, "max_texts": 2, "deadline": 1.5}
    with serving({"words": model}, **bounds) as one, concurrent.futures.ThreadPoolExecutor(4) as pool:
        computed = []
        for _ in range(2):  # one in each of the model's threads
            computed.append(pool.submit(one.ask, "/embed", {"inputs": "red"}))
            assert entered.acquire(timeout=30)
        late = pool.submit(one.ask, "/embed", {"inputs": ["blue", "blue"]})
        while 'jaxbert_texts_waiting{model="words"} 2.0' not in one.get("/metrics"):
            time.sleep(0.01)
        with monkeypatch.context() as patch:  # such a text is not even tokenized
            patch.setattr(model, "lengths", None)
            status, said, headers = one.ask("/embed", {"inputs": "green"})
        assert (status, headers["retry-after"]) == (429, "1")
        assert "2 texts wait already" in said["error"]
        assert late.result()[0] == 504
        assert [first.result()[0] for first in computed] == [504, 504]
        held.set()
        status, found, _ = pool.submit(one.ask, "/embed", {"inputs": "red"}).result()
        close(found, expected)


def test_requests_that_hang_or_go_away(models: dict[str, jaxbert.Model]) -> None:
    """A body that does not come is not waited for; a client that has gone is only counted."""
    with serving({"words": models["words"]}, deadline=0.5) as one:
        with socket.create_connection(("127.0.0.1", one.port)) as slow:
            slow.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            assert b"408" in slow.recv(1000).split(b"\r\n")[0]
        with socket.create_connection(("127.0.0.1", one.port)) as gone:
            gone.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        while 'path="/embed",status="499"' not in one.get("/metrics"):
            time.sleep(0.01)


def test_only_those_who_may(models: dict[str, jaxbert.Model]) -> None:
    """With a token all but the page and the health need it; a page from elsewhere cannot ask by another host name."""
    with serving({"words": models["words"]}, token="secret") as one:
        for path in ("/models", "/metrics", "/info", "/v1/models/words"):
            assert one.ask(path)[0] == 401
        assert one.ask("/embed", {"inputs": "red"}, Authorization="Bearer wrong")[0] == 401
        assert one.ask("/embed", {"inputs": "red"}, Authorization="Bearer secret")[0] == 200
        assert one.ask("/health")[0] == one.ask("/")[0] == 200
        status, said, _ = one.ask("/health", Host="evil.example")
        assert (status, said["error"].partition("\n")[0]) == (
            400,
            "the server does not answer as the host `evil.example`",
        )
    with serving({"words": models["words"]}, token="geheim ä", host="127.0.0.2") as one:
        assert one.ask("/info", Authorization="Bearer geheim ä".encode().decode("latin-1"))[0] == 200
        assert one.ask("/health", Host="127.0.0.2:8000")[0] == one.ask("/health", Host="[::1]:8000")[0] == 200


def test_a_mistake_of_ours_is_told_without_the_text(
    models: dict[str, jaxbert.Model], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client gets its kind, the log also its place; neither gets the message, which may hold what was asked."""

    def fail(texts: list[str]) -> None:
        raise ValueError(texts[0])

    monkeypatch.setattr(models["words"], "lengths", fail)
    with serving({"words": models["words"]}) as one:
        status, said, _ = one.ask("/embed", {"inputs": "my secret"})
    assert (status, said["error"]) == (500, "the server failed: ValueError")
    log = capsys.readouterr().err
    assert f"ValueError in {__file__} line" in log
    assert "my secret" not in log


def test_what_it_is(server: Server) -> None:
    """Told in the forms of TEI and OpenAI, and to the page."""
    info = server.get("/models/classes/info")
    assert info["model_type"]["classifier"]["id2label"] == {"0": "a", "1": "b", "2": "c"}
    assert info["max_input_length"] == 32
    assert server.get("/models/words/info")["model_type"] == {"embedding": {"pooling": "mean"}}
    assert [one["id"] for one in server.get("/v1/models")["data"]] == list(server.models)
    told = {one["name"]: one["abilities"] for one in server.get("/models")}
    assert told["words"] == ["embed", "fill"]
    assert told["classes"] == ["embed", "predict"]
    assert told["questions"] == ["embed", "answer"]
    assert server.get("/models/tags/info")["abilities"] == told["tags"] == ["embed", "tag"]


def test_each_of_several_models_has_its_address(server: Server) -> None:
    """What the only model of a server has, one of several has behind its name: OpenAI's form, health, counts."""
    assert server.ask("/models/words/health")[0] == server.ask("/models/words/metrics")[0] == 200
    assert server.ask("/models/nothing/health")[0] == server.ask("/models/nothing/metrics")[0] == 404
    named = server.get("/v1/embeddings", {"input": "red", "model": "words"})
    for more in ({}, {"model": "words"}):
        assert server.get("/models/words/v1/embeddings", {"input": "red"} | more)["data"] == named["data"]
    status, said, _ = server.ask("/models/words/v1/embeddings", {"input": "red", "model": "classes"})
    assert (status, said["error"]["message"].partition("\n")[0]) == (
        400,
        "`model` is `classes`, the address that of `words`",
    )


def test_a_task_may_be_named(server: Server) -> None:
    """So that vectors can be had of a classifier, where `POST /` gives what it is for."""
    unit = server.models["classes"].embed(["red"], normalize=True)
    close(server.get("/models/classes/pipeline/feature-extraction", {"inputs": "red"}), unit)
    assert "score" in server.get("/models/classes/", {"inputs": "red"})[0]


def test_a_masked_lm_fills_where_a_task_is_asked_for(server: Server) -> None:
    """Not what a text says decides between vectors and words, but `parameters`, which Hugging Face's client sends."""
    body = {"inputs": "red [MASK]"}
    close(server.get("/models/words/", body), server.models["words"].embed(["red [MASK]"], normalize=True))
    (best, *_) = server.get("/models/words/", body | {"parameters": {}})
    assert best == server.get("/models/words/pipeline/fill-mask", body)[0]
    assert best["token_str"] == server.models["words"].fill("red [MASK]")[0][0].token


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    """No address in it, and its policy forbids what is not its own."""
    _, page, headers = server.ask("/")
    assert "<textarea" not in page  # made by its script
    assert not re.findall(r"https?://|src=|@import|url\(", page)
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_signal_ends_it_after_its_work(task: Task, tmp_path: Path) -> None:
    """What was accepted before SIGTERM is answered; the code says what ended it."""
    folder = model_folder(tmp_path / "tiny", task, "pretraining")
    given = flags(model=folder, port=0, compile_cache="", max_texts=1000, max_tokens=10**6, max_waiting_texts=4000)
    process = start_command("serve", *given)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(int(found[1]) for line in lines if (found := re.search(r"http://127.0.0.1:(\d+)", line)))
        server = Server(port, {})
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(server.ask, "/embed", {"inputs": some_texts(800, seed)}) for seed in range(4)]
            while len(re.findall(r'_count{model="tiny"}|waiting{model="tiny"} [1-9]', server.get("/metrics"))) < 1:
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            assert [done.result()[0] for done in asked] == [200] * 4
        assert process.wait(30) == 128 + signal.SIGTERM
        assert "stopped by SIGTERM" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"model": "a=x,a=y"}, "names `a` twice"),
        ({"model": "a,"}, "names `` twice, or has an empty part"),
        ({"model": "a", "max_texts": 3000}, "is more than `--max_waiting_texts"),
    ],
)
def test_flags_that_do_not_go_together(given: dict[str, Any], problem: str) -> None:
    """Refused before anything is loaded."""
    with pytest.raises(InputError, match=problem):
        ServeFlags(**given).models  # noqa: B018


def test_models_have_names() -> None:
    """The last part of a path, or the given one."""
    assert ServeFlags(model="gs://b/x y/,b=c=d,/e/f=g").models == {
        "x_y": "gs://b/x y/",
        "b": "c=d",
        "f_g": "/e/f=g",
    }


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """Said before a model is loaded."""
    from jaxbert.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--model=nothing", f"--port={taken.getsockname()[1]}"]) == 2
    assert "cannot listen at `127.0.0.1`" in capsys.readouterr().err


def chromium() -> str | None:
    """The browser, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(chromium() is None, reason="no chromium here")
def test_the_page_in_a_browser(server: Server, tmp_path: Path) -> None:
    """It asks what its address says, as for one who types, and shows what the server answers."""

    def shown(**asked: str) -> str:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
        where = f"http://127.0.0.1:{server.port}/#{urllib.parse.urlencode(asked, quote_via=urllib.parse.quote)}"
        browser = [chromium() or "", *arguments, f"--user-data-dir={tmp_path}/profile", where]
        done = subprocess.run(browser, capture_output=True, text=True, timeout=60, check=True)
        (result,) = re.findall(r'(?s)<section id="result".*?</section>', done.stdout)
        return re.sub("<[^>]+>", "|", result)

    found = shown(model="classes", ask="predict", text="red blue")
    (expected,) = server.models["classes"].predict(["red blue"])
    assert isinstance(expected, jaxbert.Prediction)
    assert expected.label in found.split("%")[0]
    found = shown(model="questions", ask="answer", question="red ?", context=CONTEXT)
    best, second = server.models["questions"].answer("red ?", CONTEXT, n_best=2)
    assert f"Answer: {best.text}" in found
    assert f"|{CONTEXT[: best.start]}|{best.text}|{CONTEXT[best.end :]}|" in found
    assert f"|{second.text}|" in found
    assert f"|{server.models['words'].fill('red [MASK]')[0][0].token}|" in shown(
        model="words", ask="fill", text="red [MASK]"
    )
    a, b = server.models["words"].embed(["red", "blue green"], normalize=True)
    assert f"{a @ b:.3f}" in shown(model="words", ask="embed", text="red", second="blue green")
    assert "the text has no `[MASK]`" in shown(model="words", ask="fill", text="red")
    text = " ".join(some_texts(3))
    (spans,) = server.models["tags"].predict([text])
    assert f"|{spans[0].text} ({spans[0].label})|" in shown(model="tags", ask="tag", text=text)


@pytest.mark.skipif(browser.DRIVER is None, reason="no chromedriver here")
def test_the_page_without_a_mouse(server: Server, tmp_path: Path) -> None:
    """The tabulator reaches every control, arrows choose what is asked, Control and Enter ask it."""
    focused = "return document.activeElement.textContent || document.activeElement.name || document.activeElement.id"
    with browser.browser(tmp_path / "profile") as page:
        page.open(f"http://127.0.0.1:{server.port}/#model=words")
        page.wait_for("return !document.getElementById('ask').hidden")
        reached = []
        for _ in range(4):
            page.press(browser.TAB)
            reached.append(page.run(focused))
        assert reached == ["".join(server.models), "Fill in", "text", "Fill in"]
        page.press(3 * browser.TAB + browser.RIGHT)  # around the page, to the first tab, to the second
        assert page.run(focused) == "Compare"
        page.press(browser.TAB + "red" + browser.TAB + "blue green")
        page.press(browser.ENTER, held=browser.CONTROL)
        shown = page.wait_for("return document.getElementById('result').innerText")
    a, b = server.models["words"].embed(["red", "blue green"], normalize=True)
    assert f"{a @ b:.3f}" in shown


@pytest.mark.interop
def test_the_client_of_openai(models: dict[str, jaxbert.Model]) -> None:
    """Reads vectors, which it asks for in base64, and errors."""
    openai = pytest.importorskip("openai")
    texts = some_texts(4)
    with serving(models, token="secret") as one:
        given = {"base_url": f"http://127.0.0.1:{one.port}/v1", "max_retries": 0}
        with openai.OpenAI(api_key="secret", **given) as client:
            found = client.embeddings.create(model="words", input=texts)
            close([row.embedding for row in found.data], models["words"].embed(texts, normalize=True))
            with pytest.raises(openai.NotFoundError, match="no model `nothing`"):
                client.embeddings.create(model="nothing", input="red")
            with pytest.raises(openai.BadRequestError, match="another tokenizer"):
                client.embeddings.create(model="words", input=[[1, 2]])
            assert [model.id for model in client.models.list()] == list(models)
        with openai.OpenAI(api_key="wrong", **given) as client, pytest.raises(openai.AuthenticationError):
            client.embeddings.create(model="words", input=texts)


@pytest.mark.interop
def test_the_client_of_hugging_face(server: Server) -> None:
    """Its tasks, asked of the model's own address."""
    huggingface = pytest.importorskip("huggingface_hub")

    def client(name: str) -> Any:
        return huggingface.InferenceClient(model=f"http://127.0.0.1:{server.port}/models/{name}")

    texts = [text[:60] for text in some_texts(3)]
    unit = server.models["words"].embed(texts, normalize=True)
    close(client("words").feature_extraction(texts[0]), unit[:1])
    masked = "red [MASK]"
    close(client("words").feature_extraction(masked), server.models["words"].embed([masked], normalize=True))
    vectors = client("classes/pipeline/feature-extraction").feature_extraction(texts[0])
    close(vectors, server.models["classes"].embed(texts[:1], normalize=True))
    close(client("words").sentence_similarity(texts[0], other_sentences=texts[1:]), unit[1:] @ unit[0])
    (expected,) = server.models["classes"].predict(texts[:1])
    assert isinstance(expected, jaxbert.Prediction)
    found = client("classes").text_classification(texts[0])
    assert [row.label for row in found] == sorted(expected.probabilities, key=lambda one: -expected.probabilities[one])
    best = server.models["questions"].answer("red ?", CONTEXT)[0].text
    assert client("questions").question_answering(question="red ?", context=CONTEXT).answer == best
    answers = client("questions").question_answering(question="red ?", context=CONTEXT, top_k=2)
    assert [row.answer for row in answers] == [
        row.text for row in server.models["questions"].answer("red ?", CONTEXT, n_best=2)
    ]
    spans: Any = server.models["tags"].predict(texts)
    for text, expected_spans in zip(texts, spans, strict=True):
        entities = client("tags").token_classification(text)
        assert [(one.entity_group, one.word) for one in entities] == [(one.label, one.text) for one in expected_spans]
    (row, *_) = client("classes").text_classification(texts[0], function_to_apply="none")
    close(row.score, server.models["classes"].logits(texts[:1]).max())
    impossible = client("questions").question_answering(
        question="red ?", context=CONTEXT, top_k=100, handle_impossible_answer=True
    )
    assert "" in [row.answer for row in impossible]
    (word,) = client("words").fill_mask("red [MASK]", targets=["blue"])
    assert word.token_str == "blue"
    words = client("words").fill_mask("red [MASK]")
    assert [row.token_str for row in words] == [row.token for row in server.models["words"].fill("red [MASK]")[0]]


@pytest.mark.interop
def test_tensorflow_serving_would_say_the_same(server: Server, task: Task, tmp_path: Path) -> None:
    """The exported model gives for its signature what our server gives for the request of such a client."""
    tensorflow = pytest.importorskip("tensorflow")
    from jaxbert.cli import main

    folder = model_folder(tmp_path / "model", task, "classifier", LABELS)
    given = flags(init_checkpoint=folder, output_dir=tmp_path / "exported", format="saved_model")
    assert main(["export", *given]) == 0
    signature = tensorflow.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    vocab = server.models["classes"].token_ids
    ids = [[vocab[token] for token in ("[CLS]", "red", "blue", "[SEP]")] + [0] * 4]
    columns = {"input_word_ids": ids, "input_mask": [[1] * 4 + [0] * 4], "input_type_ids": [[0] * 8]}
    results = signature(**{name: tensorflow.constant(value, tensorflow.int32) for name, value in columns.items()})
    (expected,) = results.values()
    close(server.get("/v1/models/classes:predict", {"inputs": columns})["outputs"], expected.numpy())
