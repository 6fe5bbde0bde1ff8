# SPDX-License-Identifier: Apache-2.0
"""`bert_config.json` read strictly and written back."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.config.bert_config import BertConfig, from_dict, read, to_json
from jaxbert.errors import InputError


def test_defaults_are_those_of_the_official_code() -> None:
    """A file with only `vocab_size` describes BERT-base with 16 token types."""
    config = from_dict({"vocab_size": 30522})
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (768, 12, 12)
    assert (config.intermediate_size, config.max_position_embeddings, config.type_vocab_size) == (3072, 512, 16)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)
    assert (config.initializer_range, config.hidden_act, config.head_size) == (0.02, "gelu", 64)


def test_unknown_keys_survive_and_do_not_distinguish() -> None:
    """Keys that mean nothing are written back, and two files that differ only in them are the same model."""
    config = from_dict({"vocab_size": 9, "directionality": "bidi"})
    assert json.loads(to_json(config))["directionality"] == "bidi"
    assert from_dict(json.loads(to_json(config))) == config == BertConfig(vocab_size=9)
    assert hash(config) == hash(BertConfig(vocab_size=9))


@pytest.mark.parametrize(
    ("name", "meaning"), [("GELU", "gelu"), ("gelu_new", "gelu"), ("", "linear"), (None, "linear"), ("silu", "swish")]
)
def test_activation_names(name: str | None, meaning: str) -> None:
    """Several names mean the same function, in any case."""
    assert from_dict({"vocab_size": 9, "hidden_act": name}).hidden_act == meaning


def test_whole_numbers_may_have_a_point_and_shares_may_have_none() -> None:
    """`768.0` is a size and `0` a share; the fields have one type."""
    config = from_dict({"vocab_size": 9, "hidden_size": 768.0, "hidden_dropout_prob": 0})
    assert type(config.hidden_size) is int
    assert type(config.hidden_dropout_prob) is float


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "768"}, '`hidden_size` is `"768"`: expected a whole number'),
        ({"hidden_size": True}, "`hidden_size` is `true`: expected a whole number"),
        ({"hidden_size": 768.5}, "expected a whole number"),
        ({"hidden_size": None}, "`hidden_size` is `null`: expected a whole number"),
        ({"hidden_size": float("inf")}, "expected a whole number"),
        ({"hidden_size": float("nan")}, "expected a whole number"),
        ({"hidden_size": 770}, "expected a multiple of `num_attention_heads`, which is `12`"),
        ({"num_hidden_layers": 0}, "`num_hidden_layers` is `0`: expected at least 1"),
        ({"hidden_dropout_prob": 1}, "expected 0 <= p < 1"),
        ({"attention_probs_dropout_prob": float("nan")}, "expected 0 <= p < 1"),
        ({"hidden_dropout_prob": [0.1]}, "`hidden_dropout_prob` is `[0.1]`: expected a number"),
        ({"initializer_range": 0}, "expected a number above 0"),
        ({"hidden_act": "prelu"}, '`hidden_act` is `"prelu"`: expected one of gelu'),
        ({"hidden_act": 3}, "expected one of gelu"),
        ({"masked_lm_act": "prelu"}, '`masked_lm_act` is `"prelu"`: expected one of gelu'),
        ({"masked_lm_layer_norm_eps": 0}, "`masked_lm_layer_norm_eps` is `0.0`: expected 0 < epsilon < 1"),
        ({"embedding_size": 128}, "`embedding_size` is `128`: factorised embeddings"),
    ],
)
def test_wrong_values(changes: dict[str, Any], message: str) -> None:
    """A value of the wrong type or range is named, with what was expected."""
    with pytest.raises(InputError) as error:
        from_dict({"vocab_size": 9, **changes})
    assert message in error.value.message


def test_another_head_of_the_masked_lm_survives() -> None:
    """What it computes with is written only where it is another; null means as in Google's code."""
    assert "masked_lm" not in to_json(BertConfig(vocab_size=9))
    config = BertConfig(vocab_size=9, masked_lm_act="gelu_erf", masked_lm_layer_norm_eps=1e-5)
    assert from_dict(json.loads(to_json(config))) == config
    assert from_dict({"vocab_size": 9, "masked_lm_act": None}) == BertConfig(vocab_size=9)


def test_embedding_size_that_changes_nothing_is_accepted() -> None:
    """Null, or as wide as the hidden layers, is no factorisation."""
    assert from_dict({"vocab_size": 9, "embedding_size": None}) == from_dict({"vocab_size": 9, "embedding_size": 768})


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"vocab_size": 9,\nx}', "line 2"), ("[9]", "no JSON object"), ("{}", "`vocab_size` is missing"), ("", "line 1")],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    """Whatever is wrong in a file, its path is in the message."""
    path = tmp_path / "bert_config.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read(str(path))
    assert message in error.value.message
    assert f"`{path}`" in error.value.message


def test_reads_every_official_file(shared: Path) -> None:
    """Every `bert_config.json` of the official releases is read."""
    paths = sorted(shared.glob("**/bert_config.json"))
    assert paths
    for path in paths:
        assert read(str(path)).vocab_size == json.loads(path.read_text())["vocab_size"]
