# SPDX-License-Identifier: Apache-2.0
"""Folders that today's transformers wrote: read whole, computed as it computes them, the same after conversions."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.resolve import Source, find_source
from jaxbert.cli import main
from jaxbert.model.encoder import encode
from jaxbert.model.heads import answer_spans, classify, pretrain, tag
from jaxbert.model.weights import unflatten
from jaxbert.text.tokenizer import open_tokenizer
from jaxbert.text.vocab import read_vocab
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_task import flags

# what the same float32 arithmetic in another order may differ by
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def cases(shared: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name -> folder and what the libraries that wrote it make of it."""
    folder = shared / "cases" / "huggingface5"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return {name: (folder / name, case) for name, case in json.loads((folder / "results.json").read_text()).items()}


def computed(folder: Path, ids: list[int]) -> Iterator[tuple[str, np.ndarray]]:
    """What our model makes of a sequence, under the names of transformers."""
    source = find_source(str(folder))
    config, p = source.config, unflatten(read_initial(source, "classifier").weights)
    assert config is not None
    array = np.array([ids], np.int32)
    is_sep = array == 102
    types = np.cumsum(is_sep, axis=1) - is_sep
    positions = np.arange(len(ids), dtype=np.int32)[None]
    rows = {
        "input_ids": array,
        "type_ids": np.minimum(types, 1).astype(np.int32),
        "positions": positions,
        "sequences": np.ones_like(array),
        "cls_positions": np.zeros((1, 1), np.int32),
        "masked_lm_positions": positions,
    }
    placed = jax.tree.map(jnp.asarray, rows)
    heads = source.contents.shapes
    if "output_weights" in heads:
        yield "logits", np.asarray(classify(p, config, placed))[0, 0]
    if "cls/tagging/output_weights" in heads:
        yield "logits", np.asarray(tag(p, config, placed))[0]
    if "cls/squad/output_weights" in heads:
        spans = np.asarray(answer_spans(p, config, placed))[0]
        yield from (("start_logits", spans[:, 0]), ("end_logits", spans[:, 1]))
    if "cls/seq_relationship/output_weights" in heads:
        words, sentences = pretrain(p, config, placed, next_sentence=True)
        assert sentences is not None
        yield "seq_relationship_logits", np.asarray(sentences)[0, 0]
        yield "prediction_logits_mean", np.asarray(words)[0, :, : config.vocab_size].mean()
    hidden = np.asarray(encode(p["bert"], config, placed))[0]
    mean = hidden.mean(axis=0)
    yield "embedding", mean / np.linalg.norm(mean)


def test_outputs_are_those_of_the_libraries(cases: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    """Every output of every folder, for every input."""
    compared = set()
    for name, (folder, case) in cases.items():
        for result in case["results"]:
            ids = result.get("input_ids") or _ids(find_source(str(folder)), result["text_a"])
            for output, found in computed(folder, ids):
                if output in result:
                    np.testing.assert_allclose(found, result[output], rtol=0, atol=TOLERANCE, err_msg=name)
                    compared.add(name)
    assert set(cases) == compared


def _ids(source: Source, text: str) -> list[int]:
    assert source.vocab_file is not None
    assert source.rules is not None
    tokenizer = open_tokenizer(source.vocab_file, source.rules)
    return [tokenizer.vocab.cls, *tokenizer.ids(text), tokenizer.vocab.sep]


def test_classifiers_predict_from_their_folder_alone(
    cases: dict[str, tuple[Path, dict[str, Any]]], classify: Run, tmp_path: Path
) -> None:
    """`run_classifier` gives the probabilities of the logits, each class under its own name."""
    for name, (folder, case) in cases.items():
        if case["class"] != "BertForSequenceClassification":
            continue
        texts = tmp_path / "texts.tsv"
        pairs = [(result["text_a"], result["text_b"]) for result in case["results"]]
        texts.write_text("a\tb\n" + "".join(f"{first}\t{second}\n" for first, second in pairs))
        given = flags(init_checkpoint=folder, model_dir=tmp_path / name, mode="predict", test_file=texts)
        code, _, err = classify(*given, "--text_a_column=a", "--text_b_column=b")
        assert code == 0, err
        found = np.loadtxt(tmp_path / name / "test_results.tsv", ndmin=2)
        logits = np.array([result["logits"] for result in case["results"]])
        several = json.loads((folder / "config.json").read_text()).get("problem_type") == "multi_label_classification"
        expected = 1 / (1 + np.exp(-logits)) if several else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE, err_msg=name)
        header = (tmp_path / name / "predictions.tsv").read_text().splitlines()[0].split("\t")
        names = json.loads((folder / "config.json").read_text()).get("id2label") or {
            str(number): f"LABEL_{number}" for number in range(logits.shape[1])
        }
        assert header[2:] == [names[str(number)] for number in range(logits.shape[1])]


def test_a_tagger_predicts_from_its_folder_alone(cases: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path) -> None:
    """`run_tagger` gives each word the tag with the largest logit at its first piece, with the names of the folder."""
    folder = tmp_path / "model"
    shutil.copytree(cases["token_classes"][0], folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] -= np.array([1.5, -1.0, -0.5], np.float32)  # as it is, it says `O` of nearly everything
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    names = json.loads((folder / "config.json").read_text())["id2label"]
    source = find_source(str(folder))
    assert source.vocab_file is not None
    assert source.rules is not None
    tokenizer = open_tokenizer(source.vocab_file, source.rules)
    chance = random.Random(0)
    words = [token for token in tokenizer.vocab.tokens if token.isalpha()]
    sentences = [[chance.choice(words) + chance.choice(("", "s")) for _ in range(6)] for _ in range(8)]
    (tmp_path / "words.txt").write_text("\n".join("\n".join((*one, "")) for one in sentences))
    given = flags(predict_checkpoint_path=folder, model_dir=tmp_path / "out", test_file=tmp_path / "words.txt")
    assert main(["run_tagger", "--mode=predict", "--compile_cache=", *given]) == 0
    blocks = (tmp_path / "out/predictions.txt").read_text().split("\n\n")
    seen = set()
    for sentence, block in zip(sentences, blocks, strict=True):
        pieces = [tokenizer.ids(word) for word in sentence]
        ids = [tokenizer.vocab.cls, *(id_ for word in pieces for id_ in word), tokenizer.vocab.sep]
        logits = next(found for output, found in computed(folder, ids) if output == "logits")
        firsts = np.cumsum([1, *map(len, pieces)])[:-1]
        tags = [names[str(number)] for number in logits[firsts].argmax(-1).tolist()]
        assert block.splitlines() == [f"{word} {tag}" for word, tag in zip(sentence, tags, strict=True)]
        seen.update(tags)
    assert seen == set(names.values())


def test_questions_are_answered_from_their_folder_alone(
    cases: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    """`run_squad` gives the part of the context where the library's logits of begin and end are largest together."""
    folder, case = cases["questions"]
    asked = [
        {"context": one["text_b"], "qas": [{"id": str(number), "question": one["text_a"], "answers": []}]}
        for number, one in enumerate(case["results"])
    ]
    (tmp_path / "asked.json").write_text(json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": asked}]}))
    given = flags(init_checkpoint=folder, model_dir=tmp_path / "out", predict_file=tmp_path / "asked.json")
    assert main(["run_squad", "--mode=predict", "--compile_cache=", *given]) == 0
    answers = json.loads((tmp_path / "out/predictions.json").read_text())
    vocab = read_vocab(str(find_source(str(folder)).vocab_file)).tokens
    for number, one in enumerate(case["results"]):
        ids, starts, ends = one["input_ids"], one["start_logits"], one["end_logits"]
        places = range(ids.index(102) + 1, len(ids) - 1)  # of the context
        spans = [(begin, end) for begin in places for end in places if begin <= end < begin + 30]
        begin, end = max(spans, key=lambda span: starts[span[0]] + ends[span[1]])
        pieces = [vocab[id_] for id_ in ids[begin : end + 1]]
        assert answers[str(number)].lower() == " ".join(pieces).replace(" ##", "")


def test_a_known_task_is_mapped_by_name(
    cases: dict[str, tuple[Path, dict[str, Any]]], classify: Run, tmp_path: Path
) -> None:
    """The submission of RTE has the class with the largest logit, in the model's order of classes."""
    folder, case = cases["rte_other_order"]
    (tmp_path / "RTE").mkdir()
    rows = (f"{n}\t{one['text_a']}\t{one['text_b']}\n" for n, one in enumerate(case["results"]))
    (tmp_path / "RTE/test.tsv").write_text("index\tsentence1\tsentence2\n" + "".join(rows))
    given = flags(init_checkpoint=folder, model_dir=tmp_path / "out", mode="predict", data_dir=tmp_path / "RTE")
    code, _, err = classify(*given)
    assert code == 0, err
    names = json.loads((folder / "config.json").read_text())["id2label"]
    expected = [names[str(int(np.argmax(result["logits"])))] for result in case["results"]]
    lines = (tmp_path / "out/submission/RTE.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == expected


def test_conversions_keep_everything_that_is_said(
    cases: dict[str, tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    """To Hugging Face, and through each other format to it, the description of a folder stays the same."""
    for name, (folder, _) in cases.items():
        for to in ("huggingface", "jaxbert", "tf1", *(["tf2"] if name != "token_classes" else [])):
            there, back = tmp_path / name / to, tmp_path / name / f"{to}_back"
            assert main(["convert_checkpoint", *flags(init_checkpoint=folder, output_dir=there, to=to)]) == 0
            assert main(["convert_checkpoint", *flags(init_checkpoint=there, output_dir=back, to="huggingface")]) == 0
            for path in (there, back):
                assert described(path) == described(folder), (name, path)


def described(folder: Path) -> tuple[object, ...]:
    """All that the files of a model say: sizes, vocabulary, rules, task, and the longest sequence."""
    source = find_source(str(folder))
    assert source.vocab_file is not None
    assert source.rules is not None
    tokens = open_tokenizer(source.vocab_file, source.rules).vocab.tokens
    return source.config, tokens, source.rules, source.task, source.max_seq_length


def test_a_classifier_of_tokens_is_not_taken_for_one_of_texts(
    cases: dict[str, tuple[Path, dict[str, Any]]], classify: Run, tmp_path: Path
) -> None:
    """Its head is another network under the same name."""
    folder, _ = cases["token_classes"]
    (tmp_path / "texts.tsv").write_text("red\n")
    given = flags(init_checkpoint=folder, model_dir=tmp_path / "out", mode="predict", text_a_column=0, labels="a,b,c")
    result = classify(*given, f"--test_file={tmp_path}/texts.tsv")
    assert_refused(result, "was trained to tag words", "use `run_tagger`")
