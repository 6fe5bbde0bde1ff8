# SPDX-License-Identifier: Apache-2.0
"""Names of models, and where on disk they lead."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxbert.checkpoints import resolve
from jaxbert.checkpoints.released import RELEASED
from jaxbert.checkpoints.resolve import kaggle_handle, locate, place_of
from jaxbert.errors import InputError

_MODULE = "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/1"
_HANDLE = "tensorflow/bert/tensorFlow2/en-uncased-l-12-h-768-a-12/1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and nothing remembered from other tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    resolve._from_kaggle.cache_clear()
    resolve._from_huggingface.cache_clear()
    return tmp_path


def test_the_table_holds_what_was_released() -> None:
    """The seven and two checkpoints, eight hub modules, twenty-four small models, with sizes that fit their names."""
    small = [model for model in RELEASED.values() if model.module and "small_bert" in model.module]
    modules = [model for model in RELEASED.values() if model.module and "small_bert" not in model.module]
    with_tf2 = [model for model in RELEASED.values() if len(model.archives) == 2]
    assert (len(RELEASED), len(small), len(modules), len(with_tf2)) == (33, 24, 8, 7)
    assert RELEASED["bert-large-cased"].config.hidden_size == 1024
    assert RELEASED["bert_uncased_L-4_H-256_A-4"].config.intermediate_size == 1024
    for name, model in RELEASED.items():
        assert model.lower_case == (not any(part == "cased" for part in name.replace("_", "-").split("-")))


@pytest.mark.parametrize(
    ("module", "handle"),
    [
        ("tensorflow/bert_en_uncased_L-12_H-768_A-12", _HANDLE),
        ("tensorflow/bert_en_cased_L-12_H-768_A-12", "tensorflow/bert/tensorFlow2/en-cased-l-12-h-768-a-12/1"),
        (
            "tensorflow/small_bert/bert_en_uncased_L-4_H-128_A-2",
            "tensorflow/bert/tensorFlow2/bert-en-uncased-l-4-h-128-a-2/1",
        ),
    ],
)
def test_modules_have_their_names_at_kaggle(module: str, handle: str) -> None:
    """Names that are known to work there."""
    assert kaggle_handle(module, "1") == handle


@pytest.mark.parametrize(
    ("name", "library", "function", "asked"),
    [
        (_MODULE, "kagglehub", "model_download", _HANDLE),
        ("hf://a-b/c.d", "huggingface_hub", "snapshot_download", "a-b/c.d"),
    ],
)
def test_hubs_are_asked_once(
    name: str, library: str, function: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets the name that its hub knows, and what it says is believed for the whole command."""
    calls: list[str] = []

    def fetch(wanted: str, allow_patterns: object = None) -> str:
        calls.append(wanted)
        return "/somewhere"

    monkeypatch.setitem(sys.modules, library, SimpleNamespace(**{function: fetch}))
    assert [locate(name), locate(name)] == ["/somewhere"] * 2
    assert calls == [asked]


@pytest.mark.parametrize(
    ("name", "library", "function", "place"),
    [
        (_MODULE, "kagglehub", "model_download", "tensorflow/bert_en_uncased_L-12_H-768_A-12/1"),
        ("hf://a/b", "huggingface_hub", "snapshot_download", "a/b"),
    ],
)
@pytest.mark.parametrize("is_installed", [True, False])
def test_without_network_the_place_is_named(
    name: str, library: str, function: str, place: str, is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message says what to download and where to put it; put there, it is found."""

    def fail(wanted: str, allow_patterns: object = None) -> str:
        raise ConnectionError("no\nroute")

    monkeypatch.setitem(sys.modules, library, SimpleNamespace(**{function: fail}) if is_installed else None)
    problem = "cannot be fetched: no route" if is_installed else f"needs `{library}`"
    with pytest.raises(InputError, match=problem) as caught:
        locate(name)
    assert place_of(place) in caught.value.hint
    folder = Path(place_of(place))
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("x")
    assert locate(name) == str(folder)


def test_released_models_are_found_where_the_message_says(tmp_path: Path) -> None:
    """First a message with address and place; unpacked there, with or without the archive's folder, it is found."""
    with pytest.raises(InputError, match="`bert-base-chinese` is not on this machine") as caught:
        locate("bert-base-chinese")
    assert "chinese_L-12_H-768_A-12.zip" in caught.value.hint
    folder = Path(place_of("bert-base-chinese"))
    assert str(folder) in caught.value.hint
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("x")
    assert locate("bert-base-chinese") == str(folder)
    (folder / "chinese_L-12_H-768_A-12").mkdir()
    assert locate("bert-base-chinese") == str(folder / "chinese_L-12_H-768_A-12")


@pytest.mark.parametrize(
    "name", ["https://tfhub.dev/google/elmo/3", "https://example.com/x", "hf://only-one", "hf://../..", "hf://a/b/c"]
)
def test_other_addresses_are_refused(name: str) -> None:
    """Nothing is fetched from anywhere else."""
    with pytest.raises(InputError, match="names no model that can be fetched"):
        locate(name)


def test_what_lies_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is called like a released model is that folder; other texts come back for the next to judge."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert-base-uncased").mkdir()
    assert locate("bert-base-uncased") == "bert-base-uncased"
    assert locate("no/such/file") == "no/such/file"
