# SPDX-License-Identifier: Apache-2.0
"""Folders of Hugging Face, read as `transformers` writes them and as older versions wrote them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jaxbert.checkpoints import huggingface, names
from jaxbert.checkpoints.huggingface import to_huggingface_config
from jaxbert.checkpoints.load import load, read_initial
from jaxbert.checkpoints.resolve import Model, find_source
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.model.weights import classifier_table, pretraining_table
from tests.checkpoints.random_models import Weights, assert_same, models, random_weights, to_tf1

_CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2)


def _theirs(weights: Weights) -> dict[str, np.ndarray]:
    named = (huggingface.to_huggingface(name, weight) for name, weight in weights.items())
    return {name: np.ascontiguousarray(weight) for name, weight in named}


def _save(folder: Path, tensors: Mapping[str, np.ndarray], architecture: str = "BertForPreTraining") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(to_huggingface_config(_CONFIG, architecture)))
    save_file(dict(tensors), str(folder / "model.safetensors"))


def _shard(folder: Path, tensors: Mapping[str, np.ndarray], shards: int) -> dict[str, str]:
    """Write the tensors in turn to several files, with an index; where each one is."""
    file_of = {key: f"model-{number % shards}.safetensors" for number, key in enumerate(tensors)}
    for file in set(file_of.values()):
        save_file({key: tensors[key] for key in tensors if file_of[key] == file}, str(folder / file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": file_of}))
    return file_of


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models(), has_prefix=st.booleans(), has_old_names=st.booleans(), shards=st.integers(1, 3))
def test_every_bit_comes_back(
    model: tuple[BertConfig, Weights], has_prefix: bool, has_old_names: bool, shards: int, tmp_path: Path
) -> None:
    """Whatever sizes, heads, prefix, names of normalizations and number of files."""
    config, weights = model
    tensors = _theirs(weights)
    if not has_prefix:
        tensors = {key.removeprefix("bert."): tensor for key, tensor in tensors.items()}
    if has_old_names:
        old = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
        for new, name in old.items():
            tensors = {key.replace(new, name): tensor for key, tensor in tensors.items()}
    (tmp_path / "config.json").write_text(json.dumps(to_huggingface_config(config, "BertModel")))
    _shard(tmp_path, tensors, shards)
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert (read.unused, read.layout) == ((), "Hugging Face safetensors")
    assert find_source(str(tmp_path)).config == config


def test_a_file_alone_is_read(tmp_path: Path) -> None:
    """The safetensors file may be given itself, under any name, also without configuration."""
    weights = random_weights(_CONFIG)
    save_file(_theirs(weights), str(tmp_path / "bert.safetensors"))
    read = read_initial(str(tmp_path / "bert.safetensors"))
    assert_same(read.weights, weights)
    assert find_source(str(tmp_path / "bert.safetensors")).config is None


def test_second_copies_are_no_leftovers(tmp_path: Path) -> None:
    """The decoder's names for the embedding and its bias may hold copies; positions are listed by old versions."""
    weights = random_weights(_CONFIG, "pretraining")
    tensors = _theirs(weights)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].copy()
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()
    tensors["bert.embeddings.position_ids"] = np.arange(7)[None]
    _save(tmp_path, tensors)
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert read.unused == ("1 lists of positions or types",)


def test_a_bias_stored_only_with_the_decoder_is_found(tmp_path: Path) -> None:
    """Some versions keep the bias of the masked LM under the decoder's name alone."""
    weights = random_weights(_CONFIG, "masked LM")
    tensors = _theirs(weights)
    tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")
    _save(tmp_path, tensors)
    assert_same(read_initial(str(tmp_path)).weights, weights)


def test_a_masked_lm_of_another_kind_is_left_out(tmp_path: Path) -> None:
    """A decoder that is not the embedding would be lost without a word: the head is not used, and that is said."""
    weights = random_weights(_CONFIG, "pretraining")
    decoder = weights[names.WORD_EMBEDDINGS] + 1
    _save(tmp_path, _theirs(weights) | {"cls.predictions.decoder.weight": decoder})
    read = read_initial(str(tmp_path))
    assert_same(read.weights, {name: weights[name] for name in weights if not name.startswith("cls/predictions")})
    assert read.unused == ("masked LM with a decoder of its own (cls.predictions.decoder.weight)",)


def test_a_masked_lm_of_another_kind_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    """Its new head would start at random without a word; the hint says how to want that."""
    weights = random_weights(_CONFIG, "masked LM")
    _save(tmp_path, _theirs(weights) | {"cls.predictions.decoder.weight": weights[names.WORD_EMBEDDINGS] + 1})
    model = Model(find_source(str(tmp_path)), _CONFIG, None, None)
    table = pretraining_table(_CONFIG, next_sentence=False)
    with pytest.raises(InputError, match=r"a decoder of its own \(`cls.predictions.decoder.weight`\)") as caught:
        load(model, table, None, allow_partial=False)
    assert "`--allow_partial_init`" in caught.value.hint
    assert names.MASKED_LM_BIAS not in load(model, table, None, allow_partial=True)[0]
    assert load(model, classifier_table(_CONFIG, 2), "classifier")[1].unused


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "0.auto_model.", "module._orig_mod.", "0.model."]
)
@pytest.mark.parametrize("head", ["none", "pretraining"])
def test_prefixes_of_wrappers_are_left_out(prefix: str, head: str, tmp_path: Path) -> None:
    """Every weight of encoder and heads is found, with second copies; it is said what stood in front."""
    weights = random_weights(_CONFIG, head)
    tensors = {prefix + name: tensor for name, tensor in _theirs(weights).items()}
    if head == "none":
        tensors = {name.replace("bert.", ""): tensor for name, tensor in tensors.items()}
    else:
        tensors[f"{prefix}cls.predictions.decoder.weight"] = weights[names.WORD_EMBEDDINGS].copy()
    _save(tmp_path, tensors)
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert read.unused == ()
    assert f"`{prefix}` in front" in read.layout


def test_a_head_may_stand_outside_of_the_prefix(tmp_path: Path) -> None:
    """As where a model of one's own holds the encoder as an attribute; what else is there is told."""
    weights = random_weights(_CONFIG, "classifier")
    tensors = {f"model.{name}" if name.startswith("bert.") else name: value for name, value in _theirs(weights).items()}
    _save(tmp_path, tensors | {"model.lstm.weight": np.zeros(2, np.float32)})
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert read.unused == ("model.lstm.weight",)


@pytest.mark.parametrize("prefixes", [["roberta."], ["module.roberta."], ["model.", "module."]])
def test_names_of_other_networks_are_not_taken(prefixes: list[str], tmp_path: Path) -> None:
    """RoBERTa calls all but the prefix as BERT does and computes otherwise; of two encoders none is guessed."""
    theirs = {name.removeprefix("bert."): tensor for name, tensor in _theirs(random_weights(_CONFIG)).items()}
    _save(tmp_path, {prefix + name: tensor.copy() for prefix in prefixes for name, tensor in theirs.items()})
    with pytest.raises(InputError, match="holds no BERT encoder"):
        read_initial(str(tmp_path))


def test_weights_in_8_bits_are_refused(tmp_path: Path) -> None:
    """They mean nothing without their scales."""
    tensors = _theirs(random_weights(_CONFIG))
    name = "bert.pooler.dense.bias"
    parts = {key: tensor.tobytes() for key, tensor in tensors.items() if key != name} | {name: bytes(6)}
    header, start = {}, 0
    for key, content in parts.items():
        kind = "F8_E4M3" if key == name else "F32"
        header[key] = {"dtype": kind, "shape": list(tensors[key].shape), "data_offsets": [start, start + len(content)]}
        start += len(content)
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + b"".join(parts.values())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=rf"`{name}` of .* is stored in 8 bits \(`F8_E4M3`\)"):
        read_initial(str(tmp_path))


def test_a_checkpoint_of_keras_3_is_called_that(save_tf2: Callable[..., None], tmp_path: Path) -> None:
    """Its names are other ones; the hint says how to save it so that it can be read."""
    save_tf2(f"{tmp_path}/ckpt", {"model/_operations/9/_query_dense/_kernel": np.zeros((2, 2), np.float32)})
    assert find_source(str(tmp_path)).contents.layout == "TF2 object-based, of a Keras 3 model"
    with pytest.raises(InputError, match="of a Keras 3 model") as caught:
        read_initial(str(tmp_path))
    assert "`save_to_preset`" in caught.value.hint
    save_tf2(f"{tmp_path}/other", {"model/kernel": np.zeros((2, 2), np.float32)})
    assert find_source(f"{tmp_path}/other").contents.layout == "TF2 object-based, of an unknown model"


def test_the_class_tells_a_tagger_from_a_classifier(tmp_path: Path) -> None:
    """Under the same names its weights are those of a head for each token."""
    weights = random_weights(_CONFIG, "tagger")
    _save(tmp_path, _theirs(weights), "BertForTokenClassification")
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert not read.unused


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_becomes_float32(dtype: type, tmp_path: Path) -> None:
    """Weights in 16 bits are read as float32 of the same value."""
    halves = {name: weight.astype(dtype) for name, weight in random_weights(_CONFIG).items()}
    _save(tmp_path, _theirs(halves))
    assert_same(read_initial(str(tmp_path)).weights, {name: half.astype(np.float32) for name, half in halves.items()})


def test_a_weight_under_two_names_is_refused(tmp_path: Path) -> None:
    """Which one counts would be a guess."""
    tensors = _theirs(random_weights(_CONFIG))
    _save(tmp_path, tensors | {"pooler.dense.bias": tensors["bert.pooler.dense.bias"].copy()})
    with pytest.raises(InputError, match=r"same weight as `.*pooler\.dense\.bias` and as `.*pooler\.dense\.bias`"):
        read_initial(str(tmp_path))


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ("[" * 100_000, r"index\.json` is not JSON: .*\nhint: expected an index of safetensors files"),
        ("{}", r"index\.json` names no weights"),
        ('{"weight_map": {}}', "names no weights"),
        (
            '{"weight_map": {"bert.pooler.dense.bias": "../model-0.safetensors"}}',
            "no safetensors file of the same folder",
        ),
        ('{"weight_map": {"bert.pooler.dense.bias": "/etc/passwd"}}', "no safetensors file of the same folder"),
        ('{"weight_map": {"bert.pooler.dense.bias": 3}}', "no safetensors file of the same folder"),
        ('{"weight_map": {"bert.pooler.dense.bias": "model-9.safetensors"}}', "model-9.safetensors` is missing"),
        ('{"weight_map": {"no.such.weight": "model-0.safetensors"}}', "`no.such.weight` is in .* where it is not"),
    ],
)
def test_wrong_indexes_are_refused(index: str, problem: str, tmp_path: Path) -> None:
    """An index leads to files of its own folder, which hold what it says, or to a message."""
    _shard(tmp_path, _theirs(random_weights(_CONFIG)), 1)
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=problem):
        read_initial(str(tmp_path))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole folder; its files may be damaged and are put back."""
    folder = tmp_path_factory.mktemp("whole")
    _save(folder, _theirs(random_weights(_CONFIG, "classifier")), "BertForSequenceClassification")
    return folder


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_to_the_header_gives_weights_or_a_message(data: st.DataObject, stored: Path) -> None:
    """A changed byte of the header, or a lost end, ends in other weights or an InputError that names the file."""
    target = stored / "model.safetensors"
    content = target.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    index = data.draw(st.integers(0, header - 1))
    damaged = content[:index]
    if data.draw(st.booleans()):
        damaged += bytes([content[index] ^ data.draw(st.integers(1, 255))]) + content[index + 1 :]
    message = "model.safetensors"
    try:
        target.write_bytes(damaged)
        found = read_initial(str(stored)).weights
        assert all(weight.dtype == np.float32 for weight in found.values())
    except InputError as error:
        message = error.message
    finally:
        target.write_bytes(content)
    assert "model.safetensors" in message


@pytest.mark.interop
@pytest.mark.parametrize("shard", ["4GB", "2KB"])
@pytest.mark.parametrize(
    "architecture",
    [
        "BertModel",
        "BertForPreTraining",
        "BertForMaskedLM",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForQuestionAnswering",
    ],
)
def test_what_transformers_writes_is_read_in_full(architecture: str, shard: str, tmp_path: Path) -> None:
    """Every parameter of each of its classes is bitwise identical, in one file or many, and nothing is left over."""
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"intermediate_size": 8, "max_position_embeddings": 7, "num_labels": 3 if "Sequence" in architecture else 2}
    model = getattr(transformers, architecture)(transformers.BertConfig(**sizes, **more))
    model.save_pretrained(tmp_path, max_shard_size=shard)
    read = read_initial(str(tmp_path))
    parameters = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    expected = (to_tf1(name, parameter) for name, parameter in parameters.items())
    assert_same(read.weights, dict(expected))
    assert read.unused == ()
    assert find_source(str(tmp_path)).config == BertConfig(
        11, 6, 2, 2, 8, "gelu_erf", max_position_embeddings=7, type_vocab_size=2
    )
