# SPDX-License-Identifier: Apache-2.0
"""The model that a command starts from: what its files say and what flags say, and its weights as a whole."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints import model_folder, names
from jaxbert.checkpoints.huggingface import to_huggingface_config, write_huggingface
from jaxbert.checkpoints.load import load_whole
from jaxbert.checkpoints.resolve import Model, find_model, find_source
from jaxbert.checkpoints.tokenizer_files import tokenizer_texts
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.model.weights import classifier_table, flatten, shapes, squad_table
from jaxbert.text.tokenizer import Rules

_CONFIG = BertConfig(5, 4, 1, 2, 8, max_position_embeddings=5, type_vocab_size=2)
_VOCAB = "[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\n"


def _weights(sizes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: np.ones(shape, np.float32) for name, shape in sizes.items()}


def _found(path: str) -> Model:
    return Model(find_source(path), _CONFIG, None, None)


def test_answers_need_no_pooler(tmp_path: Path) -> None:
    """A model for answers is stored without pooler at Hugging Face, and loads whole all the same."""
    write_huggingface(str(tmp_path), _weights(shapes(squad_table(_CONFIG))), _CONFIG)
    found = flatten(load_whole(_found(str(tmp_path)), squad_table(_CONFIG), "squad", "head"))
    assert found.keys() == squad_table(_CONFIG).keys()
    for name, weight in found.items():
        np.testing.assert_array_equal(weight, 0 if name in names.POOLER else 1, err_msg=name)


def test_a_classifier_needs_its_pooler(tmp_path: Path) -> None:
    """The pooler of a classifier is part of what was trained."""
    weights = _weights(shapes(classifier_table(_CONFIG, 3)))
    model_folder.write_model(
        str(tmp_path), {name: weights[name] for name in weights if name not in names.POOLER}, {}, {}
    )
    with pytest.raises(InputError, match="holds no classifier: bert/pooler/dense/bias, bert/pooler/dense/kernel"):
        load_whole(_found(str(tmp_path)), classifier_table(_CONFIG, 3), "classifier", "classifier")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A trained model that lower-cases its text."""
    (tmp_path / "vocab").write_text(_VOCAB)
    texts = tokenizer_texts(str(tmp_path / "vocab"), Rules(lower_case=True))
    texts[model_folder.CONFIG_FILE] = bert_config.to_json(_CONFIG)
    model_folder.write_model(str(tmp_path / "model"), _weights(shapes(squad_table(_CONFIG))), texts, {})
    return str(tmp_path / "model")


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    """A configuration elsewhere, with more positions."""
    (tmp_path / "config.json").write_text(bert_config.to_json(dataclasses.replace(_CONFIG, max_position_embeddings=9)))
    return str(tmp_path / "config.json")


def test_casing_is_the_models_or_the_flags(model: str, config_file: str) -> None:
    """Without a flag the model says it; without a model, or where it is gone, the flag; or nobody."""
    assert find_model(model).rules == Rules(True)
    assert find_model(model, do_lower_case=True).rules == Rules(True)
    for given in (None, True, False):
        rules = None if given is None else Rules(given)
        assert find_model(None, bert_config_file=config_file, do_lower_case=given).rules == rules
        gone = find_model("no/model/any/more", bert_config_file=config_file, do_lower_case=given, may_be_gone=True)
        assert (gone.source, gone.rules) == (None, rules)


def test_casing_that_nobody_says_is_decided_by_the_vocabulary(config_file: str, tmp_path: Path) -> None:
    """A vocabulary without capitals is of lower-cased text; that with them is not."""
    for name, expected in (("red", True), ("Red", False)):
        (tmp_path / "vocab").write_text(_VOCAB.replace("red", name))
        found = find_model(None, bert_config_file=config_file, vocab_file=str(tmp_path / "vocab"))
        assert found.rules is None
        assert found.for_text().rules == Rules(expected)


def test_a_flag_against_the_model_is_refused(model: str) -> None:
    """Text in another casing than in training would be wrong without a word."""
    with pytest.raises(InputError, match=r"`--do_lower_case=false`, but the model in .* lower-cases its text"):
        find_model(model, do_lower_case=False)


def test_the_vocabulary_is_the_models_or_the_flags(
    model: str, config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag wins, with a note where its content is another; without either there is a message."""
    assert find_model(model).vocab_file == f"{model}/vocab.txt"
    other = str(tmp_path / "vocab")
    assert find_model(model, vocab_file=other).vocab_file == other
    assert find_model(model, vocab_file=other).vocab.tokens == find_model(model).vocab.tokens
    assert capsys.readouterr().err == ""
    (tmp_path / "vocab").write_text(_VOCAB.replace("red", "blue"))
    assert "blue" in find_model(model, vocab_file=other).vocab.tokens
    assert "is not the vocabulary that comes with the model" in capsys.readouterr().err
    with pytest.raises(InputError, match="the vocabulary is not known"):
        find_model(None, bert_config_file=config_file).for_text()


def test_a_vocabulary_larger_than_the_embeddings_is_refused(model: str, tmp_path: Path) -> None:
    """Its last tokens would have no vector."""
    (tmp_path / "vocab").write_text(_VOCAB + "blue\ngreen\n")
    with pytest.raises(InputError, match=r"has 7 tokens, bert_config.json says `vocab_size` 5"):
        find_model(model, vocab_file=str(tmp_path / "vocab")).for_text()


def test_a_configuration_that_is_given_replaces_the_one_beside_the_weights(model: str, config_file: str) -> None:
    """The file beside the weights is not even read: it may be damaged."""
    assert find_model(model).config == _CONFIG
    Path(model, model_folder.CONFIG_FILE).write_text("{ damaged")
    assert find_model(model, bert_config_file=config_file).config.max_position_embeddings == 9
    with pytest.raises(InputError, match="is not JSON"):
        find_model(model)


def test_a_configuration_of_hugging_face_keeps_its_meaning(tmp_path: Path) -> None:
    """As a flag too its `gelu` is the exact one, and another network is refused with the file's name."""
    config = to_huggingface_config(dataclasses.replace(_CONFIG, hidden_act="gelu_erf"), "BertModel")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert find_model(None, bert_config_file=str(tmp_path / "config.json")).config.hidden_act == "gelu_erf"
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    with pytest.raises(InputError, match=r"config\.json`: `model_type` is `roberta`"):
        find_model(None, bert_config_file=str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    ("flag", "asked", "there"),
    [("bert_config_file", "bert_config.json", "config.json"), ("vocab_file", "vocab.txt", "tokenizer.json")],
)
def test_what_a_folder_of_hugging_face_has_instead_is_named(
    flag: str, asked: str, there: str, model: str, tmp_path: Path
) -> None:
    """A file of Google's releases that is asked for there."""
    (tmp_path / there).write_text("{}")
    with pytest.raises(InputError, match=f"there is no `{tmp_path}/{asked}`") as caught:
        find_model(model, **{flag: f"{tmp_path}/{asked}"})  # type: ignore[arg-type]
    assert caught.value.hint == f"give `{tmp_path}/{there}`"


def test_a_model_that_is_gone_is_named(config_file: str) -> None:
    """Only a run that goes on, and is told the sizes, does without what it started from."""
    for given in ({}, {"may_be_gone": True}, {"bert_config_file": config_file}):
        with pytest.raises(InputError, match="no/model/any/more"):
            find_model("no/model/any/more", **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the sizes of the model are not known"):
        find_model(None)
