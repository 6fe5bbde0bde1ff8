# SPDX-License-Identifier: Apache-2.0
"""What is at a path, and what comes with it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxbert.checkpoints import huggingface, names
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.resolve import find_source
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import Rules

Save = Callable[..., None]


@pytest.fixture
def module(save_tf2: Save, tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A hub module of a tiny encoder: variables, vocabulary, case rule."""
    encoder = {
        f"layer_with_weights-0/{path}": names.to_tf2(names.form_of(name), tiny_weights[name], heads=2)
        for name, path in names.FUNCTIONAL_A.paths(2).items()
    }
    folder = tmp_path / "module"
    save_tf2(f"{folder}/variables/variables", encoder | {"do_lower_case": np.array(False)})
    (folder / "saved_model.pb").write_bytes(b"")
    (folder / "assets").mkdir()
    (folder / "assets/wordpieces.txt").write_text("[UNK]\n")
    return folder


@pytest.mark.parametrize("given", ["", "saved_model.pb"])
def test_a_hub_module_brings_all_it_needs(given: str, module: Path) -> None:
    """Sizes are those of the weights; vocabulary and case rule are inside."""
    source = find_source(str(module / given))
    assert source.kind == "SavedModel"
    config = source.config
    assert config is not None
    assert (config.vocab_size, config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (
        11,
        6,
        2,
        2,
    )
    assert (config.intermediate_size, config.max_position_embeddings, config.type_vocab_size) == (8, 7, 2)
    assert source.vocab_file == str(module / "assets/wordpieces.txt")
    assert source.rules == Rules(False)
    assert source.contents.keys.keys() == set(names.encoder_names(2))


def test_vocab_txt_is_the_vocabulary_among_several_assets(module: Path) -> None:
    """Other assets do not matter; without that name several are none."""
    (module / "assets/other.txt").write_text("")
    source = find_source(str(module))
    assert source.vocab_file is None
    (module / "assets/vocab.txt").write_text("")
    assert find_source(str(module)).vocab_file == str(module / "assets/vocab.txt")


def test_sizes_that_do_not_show_are_asked_for(
    save_tf2: Save, tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Kernels of 2019 do not tell the number of heads, and a hidden size of 6 is none of 64 each."""
    encoder = {f"bert/{path}": tiny_weights[name] for name, path in names.STACKED.paths(2).items()}
    save_tf2(f"{tmp_path}/variables/variables", encoder)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="the number of attention heads does not show"):
        assert find_source(str(tmp_path)).config


def test_a_folder_of_hugging_face_brings_configuration_and_case(
    tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """config.json, tokenizer_config.json and the names of classes are read."""
    theirs = dict(huggingface.to_huggingface(name, weight) for name, weight in tiny_weights.items())
    save_file({name: np.ascontiguousarray(weight) for name, weight in theirs.items()}, f"{tmp_path}/model.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps({"hidden_size": 6, "num_attention_heads": 3, "id2label": {"0": "a"}})
    )
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    source = find_source(str(tmp_path))
    config = source.config
    assert config is not None
    assert (config.num_attention_heads, config.hidden_act) == (3, "gelu_erf")
    assert source.rules == Rules(False)
    assert source.class_names == ("a",)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"model_type": "gpt2"}'])
def test_damaged_settings_are_named(
    name: str, content: str, tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """A file beside the weights that cannot be used is named; keys that mean nothing there do not matter."""
    save_file(tiny_weights, f"{tmp_path}/model.safetensors")
    (tmp_path / name).write_text(content)
    source = find_source(str(tmp_path))
    if name == "tokenizer_config.json" and "gpt2" in content:
        assert source.rules is None
        return
    with pytest.raises(InputError, match=name):
        assert source.config if name == "config.json" else source.rules


def test_a_checkpoint_has_no_case_rule(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A TensorFlow checkpoint comes with what lies in its folder."""
    write_bundle(f"{tmp_path}/bert_model.ckpt", tiny_weights)
    source = find_source(str(tmp_path))
    assert (source.kind, source.folder) == ("checkpoint", str(tmp_path))
    assert (source.config, source.rules, source.vocab_file) == (None, None, None)


@pytest.mark.parametrize("name", [names.WORD_EMBEDDINGS, names.CLASSIFIER[0]])
def test_a_weight_without_axes_is_named(name: str, tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """In either kind of file."""
    write_bundle(f"{tmp_path}/a/bert_model.ckpt", tiny_weights | {name: np.array(1.0, np.float32)})
    (tmp_path / "b").mkdir()
    save_file(tiny_weights | {name: np.array(1.0, np.float32)}, tmp_path / "b/model.safetensors")
    for folder in ("a", "b"):
        with pytest.raises(InputError, match=f"the weight `{name}` in .* is a single number"):
            assert find_source(str(tmp_path / folder)).contents


def test_the_folder_of_a_run_is_named(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """With the models in it: which of them is meant, is not guessed."""
    for name in ("best", "last"):
        write_model(str(tmp_path / name), tiny_weights, {}, {})
    with pytest.raises(InputError, match="is the folder of a run") as caught:
        find_source(str(tmp_path))
    assert caught.value.hint == f"give a model in it: `{tmp_path}/best` or `{tmp_path}/last`"


def test_official_hub_modules(shared: Path) -> None:
    """Modules of versions 2.3 and 2.20 bring sizes, vocabulary and case rule."""
    for folder in sorted((shared / "official/hub").iterdir()):
        source = find_source(str(folder))
        config = source.config
        assert config is not None
        assert (config.vocab_size, config.hidden_size, config.num_attention_heads) == (525, 32, 2)
        assert source.vocab_file == str(folder / "assets/vocab.txt")
        assert source.rules == Rules(True)
