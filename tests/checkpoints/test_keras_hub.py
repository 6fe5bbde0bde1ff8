# SPDX-License-Identifier: Apache-2.0
"""Presets of keras-hub: every weight, size and rule is read, and what is not understood is refused."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbert.checkpoints import names
from jaxbert.checkpoints.describe import describe_model
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.resolve import find_model, find_source
from jaxbert.checkpoints.sentence_transformers import Pooling
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.export.model import convert_model, export_model
from jaxbert.model.encoder import encode
from jaxbert.model.heads import classify, pool, pretrain
from jaxbert.model.weights import unflatten
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData
from tests.checkpoints.random_models import Weights, assert_same, models, random_weights

_CONFIG = BertConfig(14, 6, 2, 2, 8, max_position_embeddings=10, type_vocab_size=2)
_VOCAB = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "Red", "##s", "cafe", "café", "blue", "你", "好", ".")
_LABELS = ("LABEL_0", "LABEL_1", "LABEL_2")
# Where keras-hub 0.32 puts the weights, as its files were seen: layer by layer, kernel or gamma first.
_IN_LAYER = {
    "attention/self/query": "_self_attention_layer/query_dense",
    "attention/self/key": "_self_attention_layer/key_dense",
    "attention/self/value": "_self_attention_layer/value_dense",
    "attention/output/dense": "_self_attention_layer/output_dense",
    "attention/output/LayerNorm": "_self_attention_layer_norm",
    "intermediate/dense": "_feedforward_intermediate_dense",
    "output/dense": "_feedforward_output_dense",
    "output/LayerNorm": "_feedforward_layer_norm",
}
_OTHERS = {
    "bert/embeddings/word_embeddings": "reversible_embedding/vars/0",
    "bert/embeddings/position_embeddings": "position_embedding/vars/0",
    "bert/embeddings/token_type_embeddings": "embedding/vars/0",
    "bert/embeddings/LayerNorm/gamma": "layer_normalization/vars/0",
    "bert/embeddings/LayerNorm/beta": "layer_normalization/vars/1",
    "bert/pooler/dense/kernel": "dense/vars/0",
    "bert/pooler/dense/bias": "dense/vars/1",
}
_OF_TASK = {
    "output_weights": "dense/vars/0",
    "output_bias": "dense/vars/1",
    "cls/predictions/transform/dense/kernel": "masked_lm_head/_intermediate_dense/vars/0",
    "cls/predictions/transform/dense/bias": "masked_lm_head/_intermediate_dense/vars/1",
    "cls/predictions/transform/LayerNorm/gamma": "masked_lm_head/_intermediate_layer_norm/vars/0",
    "cls/predictions/transform/LayerNorm/beta": "masked_lm_head/_intermediate_layer_norm/vars/1",
    "cls/predictions/output_bias": "masked_lm_head/vars/0",
}
_TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier": ("BertTextClassifier", {"num_classes": 3, "activation": "linear", "dropout": 0.1}),
    "masked LM": ("BertMaskedLM", {}),
}


def _stored(name: str, weight: np.ndarray, heads: int) -> tuple[str, np.ndarray]:
    """Path and value of a weight in keras-hub's file of weights."""
    if (layer := names.layer_of(name)) is not None:
        module, leaf = name.removeprefix(f"bert/encoder/layer_{layer}/").rsplit("/", 1)
        node = "transformer_encoder" + (f"_{layer}" if layer else "")
        path = f"{node}/{_IN_LAYER[module]}/vars/{int(leaf in ('bias', 'beta'))}"
    else:
        path = (_OTHERS | _OF_TASK)[name]
    size = weight.shape[-1] // heads
    if "attention/self" in name:
        weight = weight.reshape(*weight.shape[:-1], heads, size)
    elif name.endswith("attention/output/dense/kernel"):
        weight = weight.reshape(heads, -1, weight.shape[1])
    elif name == "output_weights":
        weight = weight.T
    return f"layers/{path}", weight


def _object(name: str, config: Mapping[str, Any]) -> str:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    return json.dumps({"class_name": name, "config": {"name": "x", "trainable": True, "dtype": policy, **config}})


def _write(folder: Path, weights: Weights, config: BertConfig = _CONFIG, head: str = "none") -> None:
    """A preset as keras-hub writes it."""
    (folder / "assets/tokenizer").mkdir(parents=True)
    sizes = {
        "vocabulary_size": config.vocab_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "hidden_dim": config.hidden_size,
        "intermediate_dim": config.intermediate_size,
        "dropout": 0.1,
        "max_sequence_length": config.max_position_embeddings,
        "num_segments": config.type_vocab_size,
    }
    (folder / "config.json").write_text(_object("BertBackbone", sizes))
    tokenizer = {"config_file": "tokenizer.json", "vocabulary": None, "sequence_length": None, "lowercase": True}
    tokenizer |= {"strip_accents": False, "split": True, "suffix_indicator": "##", "oov_token": "[UNK]"}
    tokenizer |= {"special_tokens": None, "special_tokens_in_strings": False}
    (folder / "tokenizer.json").write_text(_object("BertTokenizer", tokenizer))
    (folder / "assets/tokenizer/vocabulary.txt").write_text("".join(f"{token}\n" for token in _VOCAB))
    if head in _TASKS:
        name, content = _TASKS[head]
        (folder / "task.json").write_text(_object(name, {"backbone": {}, "preprocessor": {}, **content}))
        preprocessor = {"sequence_length": 9, "truncate": "round_robin"}
        (folder / "preprocessor.json").write_text(_object(f"{name}Preprocessor", preprocessor))
    for name, weight in weights.items():
        path, value = _stored(name, weight, config.num_attention_heads)
        with h5py.File(folder / f"{'model' if name.startswith('bert/') else 'task'}.weights.h5", "a") as file:
            file[path] = value
    if head in _TASKS:
        with h5py.File(folder / "task.weights.h5", "a") as file:
            file["optimizer/vars/0"] = np.int32(7)


def _change(path: Path, **changes: object) -> None:
    """Other settings in a file."""
    content = json.loads(path.read_text())
    content["config"] |= changes
    path.write_text(json.dumps(content))


@settings(max_examples=15)
@given(model=models(heads=["none", "classifier", "masked LM"]))
def test_every_weight_and_size_is_read(
    model: tuple[BertConfig, Weights], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of models of any size with any head: the same weights, bitwise, the same sizes, and nothing is left over."""
    config, weights = model
    folder = tmp_path_factory.mktemp("preset")
    head = "masked LM" if names.MASKED_LM_BIAS in weights else "classifier" if "output_bias" in weights else "none"
    _write(folder, weights, config, head)
    read = read_initial(str(folder))
    assert_same(read.weights, weights)
    assert read.unused == (() if head == "none" else ("1 optimizer settings and counters",))
    assert read.attention_heads == config.num_attention_heads
    found = find_source(str(folder)).config
    assert found is not None
    assert dataclasses.replace(found, masked_lm_act=None, masked_lm_layer_norm_eps=None) == config
    is_masked_lm = head == "masked LM"
    assert (found.masked_lm_act, found.masked_lm_layer_norm_eps) == (
        ("gelu_erf", 1e-5) if is_masked_lm else (None, None)
    )


@pytest.mark.parametrize("name", ["", "model.weights.h5", "task.weights.h5"])
def test_the_description_is_that_of_its_files(name: str, tmp_path: Path) -> None:
    """Folder and files of weights mean the same model, with its vocabulary, rules, length and task."""
    _write(tmp_path, random_weights(_CONFIG, "classifier"), head="classifier")
    source = find_source(str(tmp_path / name))
    assert (source.kind, source.path) == ("keras-hub", str(tmp_path / "model.weights.h5"))
    assert source.rules == Rules(True, 100, library=True, strip_accents=False, round_robin=True)
    assert source.max_seq_length == 9
    assert source.task == ClassificationMetaData("", 0, 9, 3, label_list=_LABELS)
    tokens = Tokenizer(find_model(str(tmp_path)).vocab, source.rules).tokens("Reds Café [SEP] 你好.")
    assert tokens == ["red", "##s", "café", *["[UNK]"] * 3, "你", "好", "."]


@pytest.mark.parametrize(
    ("changes", "task"),
    [
        ({"activation": "softmax"}, ClassificationMetaData("", 0, 9, 3, label_list=_LABELS)),
        ({"activation": "sigmoid"}, ClassificationMetaData("", 0, 9, 3, label_list=_LABELS, is_multi_label=True)),
        ({"num_classes": 1}, ClassificationMetaData("", 0, 9, None, "float")),
    ],
)
def test_the_kind_of_problem_is_that_of_the_activation(
    changes: dict[str, Any], task: ClassificationMetaData, tmp_path: Path
) -> None:
    """A sigmoid for each class, a softmax over them or none; one output alone is a number."""
    _write(tmp_path, random_weights(_CONFIG, "classifier", changes.get("num_classes", 3)), head="classifier")
    _change(tmp_path / "task.json", **changes)
    assert find_source(str(tmp_path)).task == task


def test_another_dropout_of_the_classifier_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Training drops as the encoder does, which changes no prediction."""
    _write(tmp_path, random_weights(_CONFIG, "classifier"), head="classifier")
    _change(tmp_path / "task.json", dropout=0.5)
    assert find_source(str(tmp_path)).task is not None
    assert "its own is 0.5" in capsys.readouterr().err


def test_an_embedder_tells_its_pooling(tmp_path: Path) -> None:
    """As a folder of sentence-transformers does, which the export to Hugging Face becomes."""
    _write(tmp_path / "a", random_weights(_CONFIG))
    (tmp_path / "a/task.json").write_text(_object("BertTextEmbedder", {"pooling_mode": "mean", "normalize": True}))
    convert_model(str(tmp_path / "a"), "huggingface", str(tmp_path / "b"))
    for name in ("a", "b"):
        assert find_source(str(tmp_path / name)).pooling == Pooling(("mean",), True)


def test_inspect_tells_all_of_it(tmp_path: Path) -> None:
    """Format, sizes, what the head of the masked LM computes with, rules and longest sequence."""
    _write(tmp_path, random_weights(_CONFIG, "masked LM"), head="masked LM")
    told = "\n".join(describe_model(str(tmp_path), None, None))
    for words in (
        "model.weights.h5: keras-hub preset",
        "masked LM with gelu_erf, epsilon 1e-05 in the head of the masked LM",
        "lower-cases, keeps accents",
        "sequences       up to 9 tokens",
        "unaccounted     none",
    ):
        assert words in told


def test_special_tokens_in_texts_are_those_of_the_tokenizer(tmp_path: Path) -> None:
    """Where it is to look for them."""
    _write(tmp_path, random_weights(_CONFIG))
    _change(tmp_path / "tokenizer.json", special_tokens_in_strings=True)
    model = find_model(str(tmp_path))
    assert model.rules is not None
    assert Tokenizer(model.vocab, model.rules).tokens("RED[SEP]red") == ["red", "[SEP]", "red"]


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("config.json", {"rotary": 3}, "`rotary` is not understood"),
        ("config.json", {"num_layers": "2"}, "`num_layers` is `2`"),
        ("config.json", {"dropout": "0.1"}, "`dropout` is"),
        ("config.json", {"dtype": {"class_name": "DTypePolicyMap"}}, "stored as `DTypePolicyMap`"),
        ("tokenizer.json", {"split": False}, "`split` is `false`"),
        ("tokenizer.json", {"suffix_indicator": "@@"}, '`suffix_indicator` is `"@@"`'),
        ("tokenizer.json", {"lowercase": "yes"}, "`lowercase` is"),
        ("tokenizer.json", {"split_on_cjk": False}, "`split_on_cjk` is not understood"),
        ("preprocessor.json", {"truncate": "waterfall"}, "`truncate` is `waterfall`"),
        ("task.json", {"activation": "tanh"}, '`activation` is `"tanh"` with 3 classes'),
        ("task.json", {"activation": {"class_name": "Function"}}, "`activation` is"),
        ("task.json", {"activation": "softmax", "num_classes": 1}, "with 1 classes"),
        ("task.json", {"labels": 3}, "`labels` is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    file: str, changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    """A setting that means another network, tokenizer or problem ends in a message with its file."""
    _write(tmp_path, random_weights(_CONFIG, "classifier"), head="classifier")
    _change(tmp_path / file, **changes)
    source = find_source(str(tmp_path))
    with pytest.raises(InputError, match=problem) as caught:
        print(source.config, source.rules, source.task)
    assert file in caught.value.message


@pytest.mark.parametrize(("file", "name"), [("config.json", "RobertaBackbone"), ("task.json", "BertTagger")])
def test_other_classes_are_refused_by_name(file: str, name: str, tmp_path: Path) -> None:
    """Another network, or a task that is not known."""
    _write(tmp_path, random_weights(_CONFIG))
    (tmp_path / file).write_text(_object(name, {}))
    with pytest.raises(InputError, match=name):
        assert find_source(str(tmp_path)).config


def test_values_in_other_files_are_not_followed(tmp_path: Path) -> None:
    """HDF5 can point to any file; nothing but the model's own files is read."""
    _write(tmp_path, random_weights(_CONFIG))
    (tmp_path / "secret").write_bytes(bytes(400))
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (6,), np.float32, external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(InputError, match="`layers/dense/vars/1` are in another file"):
        read_initial(str(tmp_path))


def test_a_type_of_number_that_numpy_has_not(tmp_path: Path) -> None:
    """One changed byte makes it: h5py finds out when it is asked for the type."""
    _write(tmp_path, random_weights(_CONFIG))
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        del file["layers/dense/vars/1"]
        wide = h5py.h5t.IEEE_F32LE.copy()
        wide.set_ebias(1 << 20)
        h5py.h5d.create(file["layers/dense/vars"].id, b"1", wide, h5py.h5s.create_simple((6,)))
    with pytest.raises(InputError, match="is not a whole HDF5 file"):
        read_initial(str(tmp_path))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole preset; its file of weights may be damaged and is put back."""
    folder = tmp_path_factory.mktemp("whole")
    _write(folder, random_weights(_CONFIG))
    return folder


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_weights_or_a_message(data: st.DataObject, stored: Path) -> None:
    """A changed byte or a lost end ends in other weights or in an InputError."""
    target = stored / "model.weights.h5"
    content = target.read_bytes()
    index = data.draw(st.integers(0, min(len(content), 4000) - 1))
    damaged = content[:index]
    if data.draw(st.booleans()):
        damaged += bytes([content[index] ^ data.draw(st.integers(1, 255))]) + content[index + 1 :]
    message = str(stored)
    try:
        target.write_bytes(damaged)
        assert all(weight.dtype == np.float32 for weight in read_initial(str(stored)).weights.values())
    except InputError as error:
        message = error.message
    finally:
        target.write_bytes(content)
    assert str(stored) in message


def test_without_h5py_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, by its own name."""
    _write(tmp_path, random_weights(_CONFIG))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match="`h5py`") as caught:
        read_initial(str(tmp_path))
    assert caught.value.hint == "pip install h5py"


@pytest.mark.parametrize("head", ["none", "classifier", "masked LM"])
def test_our_folder_keeps_the_description(head: str, tmp_path: Path) -> None:
    """Weights, sizes, rules, length and task come back from what `--to=jaxbert` writes."""
    _write(tmp_path / "a", random_weights(_CONFIG, head), head=head)
    convert_model(str(tmp_path / "a"), "jaxbert", str(tmp_path / "b"))
    before, after = (find_source(str(tmp_path / name)) for name in ("a", "b"))
    assert_same(read_initial(after).weights, read_initial(before).weights)
    assert (after.config, after.rules, after.task) == (before.config, before.rules, before.task)
    assert after.max_seq_length == before.max_seq_length


@pytest.mark.parametrize("to", ["huggingface", "tf1", "tf2"])
def test_a_masked_lm_that_others_compute_otherwise_is_refused(to: Any, tmp_path: Path) -> None:
    """Its head is another than theirs; the hint gives them the encoder."""
    _write(tmp_path / "a", random_weights(_CONFIG, "masked LM"), head="masked LM")
    with pytest.raises(InputError, match="computes with `gelu_erf` and an epsilon of 1e-05") as caught:
        convert_model(str(tmp_path / "a"), to, str(tmp_path / "b"))
    assert "jaxbert export --model=encoder" in caught.value.hint
    export_model(str(tmp_path / "a"), "huggingface", str(tmp_path / "c"), kind="encoder")
    assert find_source(str(tmp_path / "c")).config == _CONFIG


# Keras asks a variable of its own for a NumPy array in NumPy 1's way.
_OF_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(scope="module")
def library() -> Any:
    """keras-hub on JAX."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras_hub")


def _rows() -> dict[str, np.ndarray]:
    """Three sequences of 9, 4 and 6 tokens, each in a row of its own."""
    random = np.random.default_rng(3)
    positions = np.tile(np.arange(9, dtype=np.int32), (3, 1))
    mask = positions < np.array([[9], [4], [6]])
    return {
        "input_ids": random.integers(0, 14, (3, 9)).astype(np.int32),
        "type_ids": random.integers(0, 2, (3, 9)).astype(np.int32),
        "positions": positions,
        "sequences": np.where(mask, np.arange(1, 4, dtype=np.int32)[:, None], 0),
        "cls_positions": np.zeros((3, 1), np.int32),
        "masked_lm_positions": positions,
    }


def _randomize(model: Any) -> None:
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))


@_OF_KERAS
@pytest.mark.interop
@pytest.mark.parametrize("kind", ["backbone", "classifier", "masked LM"])
def test_keras_hub_computes_the_same(kind: str, library: Any, tmp_path: Path) -> None:
    """Every output of what it saves is ours within 2e-5, on sequences of different lengths."""
    (tmp_path / "vocab").write_text("".join(f"{token}\n" for token in _VOCAB))
    tokenizer = library.models.BertTokenizer(vocabulary=str(tmp_path / "vocab"), lowercase=True)
    backbone = library.models.BertBackbone(14, 2, 2, 8, 12, max_sequence_length=10)
    models = library.models
    model = {
        "backbone": lambda: backbone,
        "classifier": lambda: models.BertTextClassifier(
            backbone, 3, preprocessor=models.BertTextClassifierPreprocessor(tokenizer, sequence_length=9)
        ),
        "masked LM": lambda: models.BertMaskedLM(
            backbone,
            preprocessor=models.BertMaskedLMPreprocessor(tokenizer, sequence_length=9, mask_selection_length=2),
        ),
    }[kind]()
    _randomize(model)
    model.save_to_preset(str(tmp_path / "preset"))
    rows = _rows()
    real = rows["sequences"] > 0
    inputs = {"token_ids": rows["input_ids"], "segment_ids": rows["type_ids"], "padding_mask": real}
    if kind == "masked LM":
        inputs["mask_positions"] = rows["positions"]
    with jax.numpy_rank_promotion("allow"):
        theirs = model(inputs)
    found = find_model(str(tmp_path / "preset"))
    p, config = unflatten(read_initial(str(tmp_path / "preset")).weights), found.config
    arrays = {name: jnp.asarray(array) for name, array in rows.items()}
    if kind == "classifier":
        pairs = [(classify(p, config, arrays)[:, 0], theirs)]
    elif kind == "masked LM":
        pairs = [(pretrain(p, config, arrays, next_sentence=False)[0][..., :14][real], theirs[real])]
    else:
        h = encode(p["bert"], config, arrays)
        pairs = [
            (h[real], theirs["sequence_output"][real]),
            (pool(p["bert"]["pooler"], h[:, :1])[:, 0], theirs["pooled_output"]),
        ]
    for ours, expected in pairs:
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5)


@_OF_KERAS
@pytest.mark.interop
@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_keras_hub_makes_the_same_tokens(lower_case: bool, strip_accents: bool, library: Any, tmp_path: Path) -> None:
    """Of what people write; case folding of rare letters is another, and said."""
    (tmp_path / "vocab").write_text("".join(f"{token}\n" for token in _VOCAB))
    tokenizer = library.models.BertTokenizer(
        vocabulary=str(tmp_path / "vocab"), lowercase=lower_case, strip_accents=strip_accents
    )
    library.models.BertBackbone(14, 1, 2, 8, 12, max_sequence_length=10).save_to_preset(str(tmp_path / "preset"))
    tokenizer.save_to_preset(str(tmp_path / "preset"))
    source = find_source(str(tmp_path / "preset"))
    assert source.vocab_file is not None
    assert source.rules is not None
    ours = Tokenizer(read_vocab(source.vocab_file), source.rules)
    for text in ("Reds red, Red.", "Café cafe CAFÉ", "你好 red你", "[SEP] red", "red\tblue\n"):
        assert ours.ids(text) == np.asarray(tokenizer(text)).tolist()
