# SPDX-License-Identifier: Apache-2.0
"""Files that look like a model and are none that is read: each is named, with what to do."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxbert.checkpoints.keras_hub import WEIGHTS_FILE
from jaxbert.checkpoints.other_formats import refuse_pointer
from jaxbert.checkpoints.resolve import find_source
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.errors import InputError

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 437955512\n"
Weights = dict[str, np.ndarray]


@pytest.mark.parametrize(
    "name", ["model.safetensors", WEIGHTS_FILE, "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"]
)
def test_pointers_of_git_lfs_are_named(name: str, tiny_weights: Weights, tmp_path: Path) -> None:
    """A clone without Git LFS has a few lines in place of the weights, of whatever kind they are."""
    if "ckpt" in name:
        write_bundle(f"{tmp_path}/bert_model.ckpt", tiny_weights)
    (tmp_path / name).write_bytes(_POINTER)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=f"{name}` is a pointer of Git LFS") as caught:
        assert find_source(str(tmp_path)).contents
    assert "git lfs pull" in caught.value.hint


def test_a_pointer_in_place_of_the_vocabulary_is_named(tiny_weights: Weights, tmp_path: Path) -> None:
    """Large `tokenizer.json` files are kept in Git LFS as well."""
    save_file(tiny_weights, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_bytes(_POINTER)
    with pytest.raises(InputError, match=r"tokenizer\.json` is a pointer of Git LFS"):
        assert find_source(str(tmp_path)).vocab_file


def test_whole_files_are_no_pointers(tiny_weights: Weights, tmp_path: Path) -> None:
    """Nor is a file that is not there, which others report."""
    save_file(tiny_weights, tmp_path / "model.safetensors")
    refuse_pointer(str(tmp_path / "model.safetensors"))
    refuse_pointer(str(tmp_path / "nothing"))


def test_an_adapter_is_named_with_its_model(tiny_weights: Weights, tmp_path: Path) -> None:
    """Without the weights of LoRA, which would be lost, the model beside it is another one."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "bert-base-cased"}))
    save_file({"base_model.model.bert.x.lora_A.weight": np.ones(2, np.float32)}, tmp_path / "adapter_model.safetensors")
    for path in (tmp_path, tmp_path / "adapter_model.safetensors"):
        with pytest.raises(InputError, match=r"holds an adapter \(LoRA\) for the model `bert-base-cased`") as caught:
            find_source(str(path))
        assert "merge_and_unload()" in caught.value.hint
    save_file(tiny_weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="holds an adapter"):
        find_source(str(tmp_path))


def test_a_file_of_llama_cpp_is_named(tmp_path: Path) -> None:
    """By its first bytes."""
    (tmp_path / "bert.gguf").write_bytes(b"GGUF\3\0\0\0")
    with pytest.raises(InputError, match="is a GGUF file"):
        find_source(str(tmp_path / "bert.gguf"))
