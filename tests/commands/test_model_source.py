# SPDX-License-Identifier: Apache-2.0
"""Trained weights, vocabulary and letter case of the model that a command starts from."""

from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints import model_folder, names
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.commands.model_source import find_case_rule, find_vocab, load_whole
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.model.weights import classifier_table, flatten, shapes, squad_table

_CONFIG = BertConfig(6, 4, 1, 2, 8, max_position_embeddings=5, type_vocab_size=2)
_VOCAB = "[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\n"


def _weights(sizes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: np.ones(shape, np.float32) for name, shape in sizes.items()}


def test_answers_need_no_pooler(tmp_path: Path) -> None:
    """A model for answers is stored without pooler at Hugging Face, and loads whole all the same."""
    write_huggingface(str(tmp_path), _weights(shapes(squad_table(_CONFIG))), _CONFIG)
    found = flatten(load_whole(str(tmp_path), _CONFIG, squad_table(_CONFIG), "squad", "head"))
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
        load_whole(str(tmp_path), _CONFIG, classifier_table(_CONFIG, 3), "classifier", "classifier")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A trained model that lower-cases its text."""
    (tmp_path / "vocab").write_text(_VOCAB)
    texts = model_folder.tokenizer_texts(str(tmp_path / "vocab"), lower_case=True)
    model_folder.write_model(str(tmp_path / "model"), _weights(shapes(squad_table(_CONFIG))), texts, {})
    return str(tmp_path / "model")


@pytest.mark.parametrize(
    ("given", "has_model", "expected"),
    [(None, True, True), (True, True, True), (False, False, False), (None, False, None)],
)
def test_the_case_rule_is_the_models_or_the_flags(
    given: bool | None, has_model: bool, expected: bool | None, model: str
) -> None:
    """Without a flag the model says it; without a model, or where it is gone, the flag."""
    assert find_case_rule(given, model if has_model else None) == expected
    assert find_case_rule(given, "no/model/any/more") == given


def test_a_flag_against_the_model_is_refused(model: str) -> None:
    """Text in another case than in training would be wrong without a word."""
    with pytest.raises(InputError, match=r"`--do_lower_case=false`, but the model in .* lower-cases its text"):
        find_case_rule(False, model)


def test_the_vocabulary_is_the_models_or_the_flags(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag wins, with a note where its content is another; without either there is a message."""
    assert find_vocab(None, _CONFIG, model) == f"{model}/vocab.txt"
    assert find_vocab(str(tmp_path / "vocab"), _CONFIG, model) == str(tmp_path / "vocab")
    assert capsys.readouterr().err == ""
    (tmp_path / "vocab").write_text(_VOCAB.replace("red", "blue"))
    assert find_vocab(str(tmp_path / "vocab"), _CONFIG, model) == str(tmp_path / "vocab")
    assert "is not the vocabulary that comes with the model" in capsys.readouterr().err
    with pytest.raises(InputError, match="the vocabulary is not known"):
        find_vocab(None, _CONFIG, None)
