# SPDX-License-Identifier: Apache-2.0
"""Model folders for `transformers`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

from jaxbert.checkpoints import names
from jaxbert.checkpoints.huggingface import stored_names, to_tf1, write_huggingface, write_tokenizer
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.model.encoder import encode
from jaxbert.model.heads import answer_spans, classify, pool, pretrain
from jaxbert.model.weights import unflatten
from jaxbert.text.tokenizer import Rules
from tests.checkpoints.random_models import HEADS, Weights, assert_same, random_weights

_CONFIG = BertConfig(30, 12, 3, 3, 16, max_position_embeddings=9, type_vocab_size=2)
_CLASSES = {
    "none": "BertModel",
    "classifier": "BertForSequenceClassification",
    "squad": "BertForQuestionAnswering",
    "masked LM": "BertForMaskedLM",
    "next sentence": "BertForNextSentencePrediction",
    "pretraining": "BertForPreTraining",
}


def _stored(weights: Weights) -> Weights:
    return {name: weights[name] for name in stored_names(weights)}


@pytest.mark.parametrize("head", HEADS)
def test_the_tensors_are_ours_under_their_names(head: str, tmp_path: Path) -> None:
    """Each weight once, nothing else, marked as PyTorch's; the encoder alone has no prefix."""
    weights = random_weights(_CONFIG, head)
    write_huggingface(str(tmp_path), weights, _CONFIG)
    with safe_open(str(tmp_path / "model.safetensors"), framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert file.metadata() == {"format": "pt"}
    assert all(name.startswith("bert.") for name in found if "embeddings" in name) == (head != "none")
    assert_same(dict(to_tf1(name, array) for name, array in found.items()), _stored(weights))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [_CLASSES[head]]


@pytest.mark.parametrize("head", HEADS)
def test_only_classes_without_pooler_lose_it(head: str) -> None:
    """Those of transformers that answer questions or have the masked LM alone."""
    weights = random_weights(_CONFIG, head)
    assert weights.keys() - stored_names(weights) == (set(names.POOLER) if head in ("squad", "masked LM") else set())


@pytest.mark.parametrize(
    ("heads", "named"),
    [(("classifier", "squad"), "classification, SQuAD"), (("squad", "next sentence"), "SQuAD, next sentence")],
)
def test_heads_of_several_tasks_are_refused(heads: tuple[str, str], named: str, tmp_path: Path) -> None:
    """No class has them all, and none is dropped silently."""
    weights = random_weights(_CONFIG, heads[0]) | random_weights(_CONFIG, heads[1])
    with pytest.raises(InputError, match=rf"several tasks \({named}\)"):
        write_huggingface(str(tmp_path), weights, _CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "found"), [(("a", "b", "c"), ["a", "b", "c"]), (("a", "b"), ["LABEL_0", "LABEL_1", "LABEL_2"])]
)
def test_a_classifier_has_a_label_for_each_output(labels: tuple[str, ...], found: list[str], tmp_path: Path) -> None:
    """Their number is how transformers knows the size of the head, so names of another number are not used."""
    write_huggingface(str(tmp_path), random_weights(_CONFIG, "classifier"), _CONFIG, labels)
    assert list(json.loads((tmp_path / "config.json").read_text())["id2label"].values()) == found


def _rows() -> dict[str, np.ndarray]:
    """Three sequences of 9, 4 and 6 tokens, each in a row of its own."""
    random = np.random.default_rng(3)
    mask = np.arange(9)[None] < np.array([9, 4, 6])[:, None]
    return {
        "input_ids": random.integers(0, 30, (3, 9)).astype(np.int32),
        "type_ids": random.integers(0, 2, (3, 9)).astype(np.int32),
        "positions": np.tile(np.arange(9, dtype=np.int32), (3, 1)),
        "sequences": np.where(mask, np.arange(1, 4)[:, None], 0).astype(np.int32),
        "cls_positions": np.zeros((3, 1), np.int32),
        "masked_lm_positions": np.tile(np.arange(9, dtype=np.int32), (3, 1)),
    }


def _our_outputs(head: str, config: BertConfig, weights: Weights, rows: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The outputs of our model under the names of transformers."""
    p = unflatten(weights)
    if head == "classifier":
        return {"logits": classify(p, config, rows)[:, 0]}
    if head == "squad":
        logits = answer_spans(p, config, rows)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
    if head == "pretraining":
        words, sentences = pretrain(p, config, rows, next_sentence=True)
        return {"prediction_logits": words[..., :30], "seq_relationship_logits": sentences[:, 0]}
    h = encode(p["bert"], config, rows)
    return {"last_hidden_state": h, "pooler_output": pool(p["bert"]["pooler"], h[:, :1])[:, 0]}


@pytest.mark.interop
@pytest.mark.parametrize("head", HEADS)
def test_transformers_loads_everything(head: str, tmp_path: Path) -> None:
    """No key is missing, unexpected or of another shape."""
    transformers = pytest.importorskip("transformers")
    write_huggingface(str(tmp_path), random_weights(_CONFIG, head), _CONFIG)
    kind = getattr(transformers, _CLASSES[head])
    _, info = kind.from_pretrained(str(tmp_path), output_loading_info=True)
    assert {name: list(keys) for name, keys in info.items() if keys} == {}


@pytest.mark.interop
@pytest.mark.parametrize("activation", ["gelu", "gelu_erf", "relu", "swish"])
@pytest.mark.parametrize("head", ["none", "classifier", "squad", "pretraining"])
def test_transformers_computes_the_same(head: str, activation: Any, tmp_path: Path) -> None:
    """Its outputs are ours, on sequences of different lengths, up to rounding."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = dataclasses.replace(_CONFIG, hidden_act=activation)
    weights = {name: array / 4 for name, array in random_weights(config, head).items()}
    write_huggingface(str(tmp_path), weights, config)
    rows = _rows()
    ids, types, mask = (
        torch.tensor(array, dtype=torch.int64) for array in (rows["input_ids"], rows["type_ids"], rows["sequences"] > 0)
    )
    with torch.no_grad():
        theirs = getattr(transformers, _CLASSES[head]).from_pretrained(str(tmp_path))(ids, mask, types)
    for name, ours in _our_outputs(head, config, weights, jax.tree.map(jnp.asarray, rows)).items():
        real = rows["sequences"] > 0 if ours.shape[:2] == mask.shape else np.ones(len(ours), bool)
        np.testing.assert_allclose(np.asarray(ours)[real], theirs[name].numpy()[real], atol=1e-5)


@pytest.mark.interop
@pytest.mark.parametrize("lower_case", [True, False])
def test_transformers_tokenizes_as_its_file_says(lower_case: bool, tmp_path: Path) -> None:
    """The tokenizer is found from the folder, with the vocabulary's ids and the model's case."""
    transformers = pytest.importorskip("transformers")
    write_huggingface(str(tmp_path), random_weights(_CONFIG), _CONFIG)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nRed\n##s\n")
    write_tokenizer(str(tmp_path), _CONFIG, Rules(lower_case))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert tokenizer("Reds red", "red")["input_ids"] == [2, 5 if lower_case else 6, 7, 5, 3, 5, 3]
    assert tokenizer.model_max_length == 9
