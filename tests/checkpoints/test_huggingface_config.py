# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's `config.json` and ours."""

from typing import Any, get_args

import pytest

from jaxbert.checkpoints import huggingface, names
from jaxbert.config.bert_config import Activation, BertConfig
from jaxbert.errors import InputError

_KNOWN = [name for name in get_args(Activation) if not name.startswith("hard")]


@pytest.mark.parametrize("activation", _KNOWN)
def test_a_configuration_goes_there_and_back(activation: Activation) -> None:
    """Every size and constant, and every activation that transformers knows."""
    config = BertConfig(31, 12, 3, 4, 20, activation, 0.2, 0.3, 40, 3, 0.05)
    assert huggingface.from_huggingface_config(huggingface.to_huggingface_config(config, "BertModel")) == config


def test_missing_keys_have_the_defaults_of_transformers() -> None:
    """An empty file is bert-base-uncased with the exact GELU."""
    assert huggingface.from_huggingface_config({}) == BertConfig(30522, hidden_act="gelu_erf", type_vocab_size=2)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("gelu", "gelu_erf"), ("gelu_new", "gelu"), ("gelu_pytorch_tanh", "gelu"), ("silu", "swish"), ("relu", "relu")],
)
def test_activations_keep_their_meaning(name: str, meaning: str) -> None:
    """Their `gelu` is the exact one, the others are the tanh form."""
    assert huggingface.from_huggingface_config({"hidden_act": name}).hidden_act == meaning


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"model_type": "roberta"}, "`model_type` is `roberta`: only `bert`"),
        ({"layer_norm_eps": 1e-5}, "`layer_norm_eps` is `1e-05`: only `1e-12`"),
        ({"position_embedding_type": "relative_key"}, "`position_embedding_type` is `relative_key`"),
        ({"is_decoder": True}, "`is_decoder` is `True`"),
        ({"hidden_act": "quick_gelu"}, "`hidden_act` is"),
        ({"hidden_size": "12"}, "`hidden_size` is"),
    ],
)
def test_other_networks_are_refused(content: dict[str, Any], problem: str) -> None:
    """A configuration that describes something else than BERT's encoder is named."""
    with pytest.raises(InputError, match=problem):
        huggingface.from_huggingface_config(content)


def test_an_activation_they_do_not_know_is_refused() -> None:
    """Nothing is written that transformers would compute in another way."""
    with pytest.raises(InputError, match="`hidden_act` is `hard_swish`"):
        huggingface.to_huggingface_config(BertConfig(5, hidden_act="hard_swish"), "BertModel")


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ((), "BertModel"),
        (names.CLASSIFIER, "BertForSequenceClassification"),
        (names.SQUAD, "BertForQuestionAnswering"),
        ((names.MASKED_LM_BIAS,), "BertForMaskedLM"),
        (names.NEXT_SENTENCE, "BertForNextSentencePrediction"),
        ((names.MASKED_LM_BIAS, *names.NEXT_SENTENCE), "BertForPreTraining"),
    ],
)
def test_heads_name_the_class(heads: tuple[str, ...], expected: str) -> None:
    """The class of transformers is the one that has these heads."""
    assert huggingface.architecture_of([names.WORD_EMBEDDINGS, *heads]) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"id2label": {"1": "yes", "0": "no"}}, ("no", "yes")),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, ()),
        ({"id2label": {"0": "no", "2": "yes"}}, ()),
        ({"id2label": ["no"]}, ()),
        ({}, ()),
    ],
)
def test_class_names_come_in_order(content: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Names by number; invented or incomplete ones are none."""
    assert huggingface.class_names(content) == expected
