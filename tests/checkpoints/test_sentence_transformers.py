# SPDX-License-Identifier: Apache-2.0
"""Folders of sentence-transformers in any layout, there and back: encoder, pooling, length and casing."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxbert
from jaxbert.checkpoints.describe import describe_model
from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.resolve import find_model, find_source
from jaxbert.checkpoints.sentence_transformers import (
    Pooling,
    Settings,
    pooling_texts,
    read_pooling,
    read_settings,
)
from jaxbert.checkpoints.tokenizer_files import write_tokenizer
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.export.model import convert_model, export_model
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import read_vocab
from tests.checkpoints.random_models import random_weights

_CONFIG = BertConfig(30, 12, 2, 3, 16, "gelu_erf", max_position_embeddings=9, type_vocab_size=2)
_VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\nRed\ncafe\ncafé\n##s\n"
_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_POOLINGS = st.builds(
    Pooling,
    st.lists(st.sampled_from(_MODES), min_size=1, max_size=3, unique=True).map(tuple),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "cosine", "dot", "euclidean", "manhattan"]),
    st.dictionaries(st.sampled_from(["query", "document"]), st.sampled_from(["", "query: "])),
)


def _write(folder: Path, content: dict[str, Any]) -> None:
    for name, value in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def _model(folder: Path, lower_case: bool = False) -> None:
    """An encoder as transformers has it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight / 4 for name, weight in random_weights(_CONFIG).items()}
    write_huggingface(str(folder), weights, _CONFIG)
    (folder / "vocab.txt").write_text(_VOCAB)
    write_tokenizer(str(folder), Rules(lower_case), 8)


def _modules(transformer: str, *others: str, package: str = "sentence_transformers.models") -> list[dict[str, Any]]:
    folders = [transformer, *(f"{number}_{name}" for number, name in enumerate(others, start=1))]
    return [
        {"idx": number, "name": str(number), "path": folder, "type": f"{package}.{name}"}
        for number, (folder, name) in enumerate(zip(folders, ("Transformer", *others), strict=True))
    ]


@given(pooling=_POOLINGS, length=st.one_of(st.none(), st.integers(1, 99)))
def test_a_description_comes_back(
    pooling: Pooling, length: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is said of pooling and length is the same when the files written for it are read."""
    folder = tmp_path_factory.mktemp("written")
    _write(folder, dict(pooling_texts(pooling, 12, length)))
    assert read_pooling(str(folder)) == pooling
    assert read_settings(str(folder)).max_seq_length == length


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("config_sentence_transformers.json", {"model_type": "CrossEncoder", "activation_fn": "torch.nn.{}"}),
        ("config.json", {"sentence_transformers": {"activation_fn": "torch.nn.{}"}}),
        ("config.json", {"sbert_ce_default_activation_function": "torch.nn.{}"}),
    ],
)
def test_what_a_cross_encoder_makes_of_outputs_is_said(
    file: str, said: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As each version writes it: outputs are given as they are, which is nothing to say where the library does so."""
    _model(tmp_path)
    before = json.loads((tmp_path / file).read_text()) if (tmp_path / file).exists() else {}
    for name in ("modules.activation.Sigmoid", "modules.linear.Identity"):
        _write(tmp_path, {file: before | json.loads(json.dumps(said).replace("{}", name))})
        find_model(str(tmp_path))
        assert ("sentence-transformers gives their Sigmoid" in capsys.readouterr().err) == name.endswith("Sigmoid")


@pytest.mark.parametrize("to", ["huggingface", "jaxbert", "tf1", "tf2"])
def test_what_a_cross_encoder_makes_of_outputs_goes_along(to: Any, tmp_path: Path) -> None:
    """Through every format: without it the library puts a sigmoid on one output, which changes every score."""
    start, name = tmp_path / "a", "torch.nn.modules.linear.Identity"
    start.mkdir()
    write_huggingface(str(start), random_weights(_CONFIG, "classifier", 1), _CONFIG)
    content = json.loads((start / "config.json").read_text())
    _write(start, {"config.json": content | {"sentence_transformers": {"activation_fn": name}}})
    convert_model(str(start), to, str(tmp_path / "b"))
    convert_model(str(tmp_path / "b"), "huggingface", str(tmp_path / "c"))
    assert find_source(str(tmp_path / "b")).activation == name
    assert json.loads((tmp_path / "c" / "config.json").read_text())["sbert_ce_default_activation_function"] == name


@pytest.mark.parametrize("to", ["huggingface", "jaxbert", "tf1", "tf2"])
@pytest.mark.parametrize("place", ["", "0_Transformer"])
def test_every_conversion_keeps_the_description(to: Any, place: str, tmp_path: Path) -> None:
    """Pooling, length and rules are those of the folder that was converted, and again after the way back."""
    _model(tmp_path / "a" / place)
    pooling = Pooling(("mean",), True, similarity="dot", prompts={"query": "query: "})
    _write(
        tmp_path / "a",
        dict(pooling_texts(pooling, 12, None)) | {"modules.json": _modules(place, "Pooling", "Normalize")},
    )
    _write(tmp_path / "a" / place, {"sentence_bert_config.json": {"max_seq_length": 7, "do_lower_case": True}})
    expected = (pooling, 7, find_source(str(tmp_path / "a")).rules)
    convert_model(str(tmp_path / "a"), to, str(tmp_path / "b"))
    convert_model(str(tmp_path / "b"), "huggingface", str(tmp_path / "c"))
    for name in ("a", "b", "c"):
        source = find_source(str(tmp_path / name))
        assert (source.pooling, source.max_seq_length, source.rules) == expected


def test_exports_keep_the_description(tmp_path: Path) -> None:
    """A SavedModel has pooling and length beside it, an ONNX file the same files."""
    _model(tmp_path / "a")
    pooling = Pooling(("cls",), False, include_prompt=False)
    _write(tmp_path / "a", dict(pooling_texts(pooling, 12, 5)))
    export_model(str(tmp_path / "a"), "saved_model", str(tmp_path / "b"))
    source = find_source(str(tmp_path / "b"))
    assert (source.kind, source.pooling, source.max_seq_length) == ("SavedModel", pooling, 5)
    export_model(str(tmp_path / "a"), "onnx", str(tmp_path / "c"))
    assert (read_pooling(str(tmp_path / "c")), read_settings(str(tmp_path / "c")).max_seq_length) == (pooling, 5)


@pytest.mark.parametrize("place", ["", "0_Transformer"])
def test_the_encoder_is_found_at_the_root_and_below(place: str, tmp_path: Path) -> None:
    """The folder, its encoder's folder and the file of weights all mean the same model."""
    _model(tmp_path / place)
    _write(tmp_path, {"modules.json": _modules(place, "Pooling"), "1_Pooling/config.json": {"pooling_mode": "cls"}})
    for path in (tmp_path, tmp_path / place, tmp_path / place / "model.safetensors"):
        source = find_source(str(path))
        assert source.path == str(tmp_path / place / "model.safetensors")
        assert source.config == _CONFIG
        assert source.pooling == Pooling(("cls",), False)


@pytest.mark.parametrize(
    ("content", "modes"),
    [
        ({"embedding_dimension": 12, "pooling_mode": "mean"}, ("mean",)),
        ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
        (
            {"word_embedding_dimension": 12, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            ("cls", "mean"),
        ),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}, ("max",)),
        ({}, ("mean",)),
    ],
)
def test_new_and_old_forms_are_read(content: dict[str, Any], modes: tuple[str, ...], tmp_path: Path) -> None:
    """One name, a list in its order, or a flag for each mode, of which vectors have an order of their own."""
    _write(tmp_path, {"modules.json": _modules("", "Pooling"), "1_Pooling/config.json": content})
    assert read_pooling(str(tmp_path)) == Pooling(modes, False)


def test_the_library_s_own_settings_come_before_the_tokenizer_s(tmp_path: Path) -> None:
    """`sentence_bert_config.json` says length and lower-casing; where it is silent the tokenizer's files do."""
    _model(tmp_path)
    _write(tmp_path, {"modules.json": _modules("", "Pooling"), "1_Pooling/config.json": {}})
    assert find_source(str(tmp_path)).max_seq_length == 8
    own = find_source(str(tmp_path)).rules
    assert own is not None
    for stated, longest in ((5, 5), (512, 9)):  # of 9 positions; the tokenizer says 8
        _write(tmp_path, {"sentence_bert_config.json": {"max_seq_length": stated, "do_lower_case": True}})
        source = find_source(str(tmp_path))
        assert source.max_seq_length == longest
    assert source.rules is not None
    assert (source.rules.lower_case, source.rules.strip_accents) == (True, False)
    assert Tokenizer(read_vocab(str(tmp_path / "vocab.txt")), source.rules).tokens("Red Café") == ["red", "café"]
    (tmp_path / "modules.json").unlink()  # then it is a folder of transformers, which does not know that file
    assert find_source(str(tmp_path)).rules == own


def test_the_settings_may_have_an_older_name(tmp_path: Path) -> None:
    """sentence-transformers 6.2 looks for seven, in this order, and takes the first that says something."""
    _write(tmp_path, {"modules.json": _modules("", "Pooling"), "sentence_bert_config.json": {}})
    for length, name in enumerate(("xlnet", "xlm-roberta", "albert", "camembert", "distilbert", "roberta", "bert"), 3):
        _write(tmp_path, {f"sentence_{name}_config.json": {"max_seq_length": length, "do_lower_case": True}})
        assert read_settings(str(tmp_path)) == Settings(length, lower_case=True)
    _write(tmp_path, {"sentence_bert_config.json": {}, "sentence_roberta_config.json": {"other": 1}})
    with pytest.raises(InputError, match=r"sentence_roberta_config\.json`: `other` is `1`"):
        read_settings(str(tmp_path))


def test_a_cross_encoder_is_a_classifier(tmp_path: Path) -> None:
    """Of an encoder alone nothing is pooled: it is what transformers makes of it."""
    _write(
        tmp_path,
        {
            "modules.json": _modules("", package="sentence_transformers.base.modules.transformer"),
            "sentence_bert_config.json": {
                "transformer_task": "sequence-classification",
                "module_output_name": "scores",
            },
        },
    )
    assert read_pooling(str(tmp_path)) is None
    assert read_settings(str(tmp_path)).max_seq_length is None


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (
            {"modules.json": _modules("", "Pooling", "Dense", "Normalize")},
            "`Transformer`, `Pooling`, `Dense`, `Normalize`",
        ),
        ({"modules.json": _modules("", "Pooling", package="other.models")}, "`other.models.Transformer`"),
        ({"modules.json": _modules("../x", "Pooling")}, "a folder that is not beside it"),
        ({"modules.json": "[" * 100_000}, "lists no modules"),
        ({"modules.json": [1]}, "lists no modules"),
        ({"1_Pooling/config.json": {"pooling_mode": "median"}}, "`pooling_mode` is `\\['median'\\]`"),
        ({"1_Pooling/config.json": {"pooling_mode_median": True}}, "`pooling_mode_median` is `true`"),
        ({"sentence_bert_config.json": {"query_length": 3}}, "`query_length` is `3`"),
        ({"sentence_bert_config.json": {"max_seq_length": "3"}}, "`max_seq_length` is `3`"),
        ({"sentence_bert_config.json": {"transformer_task": "fill-mask"}}, '`transformer_task` is `"fill-mask"`'),
        ({"config_sentence_transformers.json": {"model_type": "SparseEncoder"}}, '`model_type` is `"SparseEncoder"`'),
        ({"config_sentence_transformers.json": {"truncate_dim": 4}}, "`truncate_dim` is `4`"),
        ({"2_Normalize/config.json": {"module_input_name": "token_embeddings"}}, "`module_input_name` is"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(files: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Another module, mode or setting would give other vectors."""
    _model(tmp_path)
    _write(tmp_path, {"modules.json": _modules("", "Pooling", "Normalize"), "1_Pooling/config.json": {}} | files)
    with pytest.raises(InputError, match=problem):
        print(find_source(str(tmp_path)).pooling, find_source(str(tmp_path)).max_seq_length)


def test_a_folder_without_its_pooling_is_refused(tmp_path: Path) -> None:
    """What `modules.json` names must be there."""
    _write(tmp_path, {"modules.json": _modules("", "Pooling")})
    with pytest.raises(InputError, match=r"1_Pooling/config\.json"):
        read_pooling(str(tmp_path))


@pytest.mark.interop
@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("length", [None, 5])
def test_sentence_transformers_reads_the_same(lower_case: bool, length: int | None, tmp_path: Path) -> None:
    """The library takes length and tokens as we do, and makes the same vectors of the folder that we write from it."""
    library = pytest.importorskip("sentence_transformers")
    _model(tmp_path / "a")
    _write(tmp_path / "a", dict(pooling_texts(Pooling(("mean", "cls"), True, similarity="dot"), 12, None)))
    _write(tmp_path / "a", {"sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": lower_case}})
    convert_model(str(tmp_path / "a"), "huggingface", str(tmp_path / "b"))
    source = find_source(str(tmp_path / "a"))
    assert source.vocab_file is not None
    assert source.rules is not None
    text = "Red Café reds red red red"
    ids = Tokenizer(read_vocab(source.vocab_file), source.rules).ids(text)
    vectors = []
    for name in ("a", "b"):
        model = library.SentenceTransformer(str(tmp_path / name), device="cpu")
        assert (model.max_seq_length, model.similarity_fn_name) == (source.max_seq_length, "dot")
        assert model.preprocess([text])["input_ids"][0].tolist() == [2, *ids[: source.max_seq_length - 2], 3]  # type: ignore[operator]
        vectors.append(model.encode([text, "reds"]))
    assert vectors[0].shape == (2, 24)
    np.testing.assert_array_equal(*vectors)


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore:.* are longer than 7 tokens")
@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_sentence_transformers_makes_the_same_vectors(mode: str, normalize: bool, tmp_path: Path) -> None:
    """Of the folder as it is, without a word about pooling, within 1e-5, long texts too."""
    library = pytest.importorskip("sentence_transformers")
    _model(tmp_path)
    _write(tmp_path, dict(pooling_texts(Pooling((mode,), normalize), 12, 7)))
    texts = ["Red Café reds red red red red", "reds", "", "cafe Red"]
    theirs = library.SentenceTransformer(str(tmp_path), device="cpu").encode(texts)
    ours = jaxbert.load(tmp_path, compile_cache="").embed(texts)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_a_real_folder_is_read_whole(shared: Path, tmp_path: Path) -> None:
    """What sentence-transformers 6.2 has written: mean pooling, then normalization, at most 48 tokens."""
    folder = shared / "cases/huggingface5/sentence_mean"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    source = find_source(str(folder))
    told = "\n".join(describe_model(str(folder), None, None))
    assert "vector of text  mean of the outputs, normalized, compared by cosine\n" in told
    assert (source.pooling, source.max_seq_length) == (
        Pooling(("mean",), True, similarity="cosine", prompts={"document": "", "query": ""}),
        48,
    )
    shutil.copytree(folder, tmp_path / "0_Transformer", ignore=shutil.ignore_patterns("modules.json", "1_*", "2_*"))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    _write(tmp_path, {"modules.json": modules})
    for name in ("1_Pooling", "2_Normalize", "config_sentence_transformers.json"):
        (shutil.copytree if (folder / name).is_dir() else shutil.copy)(folder / name, tmp_path / name)
    below = find_source(str(tmp_path))
    assert (below.pooling, below.max_seq_length, below.rules) == (source.pooling, 48, source.rules)
