# SPDX-License-Identifier: Apache-2.0
"""From a path or a name to the model there: fetched, unpacked, and what comes with it."""

import contextlib
import gzip
import io
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jaxbert.checkpoints import fetch, huggingface, names
from jaxbert.checkpoints.fetch import cache_folder, kaggle_handle, locate, unpack
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.names import CLASSIFIER
from jaxbert.checkpoints.released import RELEASED
from jaxbert.checkpoints.resolve import find_source
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.metadata import ClassificationMetaData

Save = Callable[..., None]

_MODULE = "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/1"
_HANDLE = "tensorflow/bert/tensorFlow2/en-uncased-l-12-h-768-a-12/1"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and nothing remembered from other tests."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for function in (fetch._fetch_released, fetch._fetch_from_kaggle, fetch._fetch_from_huggingface):
        function.cache_clear()
    return folder


@pytest.fixture
def module(save_tf2: Save, tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A hub module of a tiny encoder: variables, vocabulary, casing."""
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
    """Sizes are those of the weights; vocabulary and casing are inside."""
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
    head = {CLASSIFIER[0]: np.zeros((1, 6), np.float32), CLASSIFIER[1]: np.zeros(1, np.float32)}
    theirs = dict(huggingface.to_huggingface(name, weight) for name, weight in (tiny_weights | head).items())
    save_file({name: np.ascontiguousarray(weight) for name, weight in theirs.items()}, f"{tmp_path}/model.safetensors")
    several = "multi_label_classification"
    (tmp_path / "config.json").write_text(
        json.dumps({"hidden_size": 6, "num_attention_heads": 3, "id2label": {"0": "a"}, "problem_type": several})
    )
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 5}')
    source = find_source(str(tmp_path))
    config = source.config
    assert config is not None
    assert (config.num_attention_heads, config.hidden_act) == (3, "gelu_erf")
    assert source.rules == Rules(False)
    assert source.task == ClassificationMetaData("", 0, 5, 1, label_list=("a",), is_multi_label=True)


def test_metadata_without_a_head_is_not_of_the_model(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """It is that of records in the same folder; with a classifier beside it, the classifier's."""
    meta = ClassificationMetaData("", 0, 5, 3, label_list=("a", "b", "c"))
    write_model(str(tmp_path), tiny_weights, {"meta_data": meta.to_json()}, {})
    assert find_source(str(tmp_path)).task is None
    head = {CLASSIFIER[0]: np.zeros((3, 6), np.float32), CLASSIFIER[1]: np.zeros(3, np.float32)}
    write_model(str(tmp_path), tiny_weights | head, {"meta_data": meta.to_json()}, {})
    assert find_source(str(tmp_path)).task == meta


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"model_type": "gpt2"}'])
def test_damaged_settings_are_named(
    name: str, content: str, tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """A file beside the weights that cannot be used is named, once; keys that mean nothing there do not matter."""
    save_file(tiny_weights, f"{tmp_path}/model.safetensors")
    (tmp_path / name).write_text(content)
    source = find_source(str(tmp_path))
    if name == "tokenizer_config.json" and "gpt2" in content:
        assert source.rules is None
        return
    with pytest.raises(InputError, match=name) as caught:
        assert source.config if name == "config.json" else source.rules
    assert caught.value.message.count(f"{tmp_path}/{name}") == 1


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


def test_the_best_model_of_a_sweep_is_named(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Wherever its folder is now; of the folder of `run_glue` that of each task."""
    for task in ("MRPC", "RTE"):
        write_model(str(tmp_path / task / "runs/seed-1/best"), tiny_weights, {}, {})
        summary = {"best_run": {"folder": "before/runs/seed-1", "results": {}}}
        (tmp_path / task / "sweep.json").write_text(json.dumps(summary))
    (tmp_path / "glue.json").write_text("{}")
    mrpc, rte = (f"`{tmp_path}/{task}/runs/seed-1/best`" for task in ("MRPC", "RTE"))
    for path, problem, hint in (
        (tmp_path / "MRPC", "is the folder of a sweep", f"give the model of its best run: {mrpc}"),
        (tmp_path / "MRPC/best", "is not there, but the folder of the sweep is", mrpc),
        (tmp_path, "is the folder of a run of GLUE", f"give the best model of a task: {mrpc} or {rte}"),
    ):
        with pytest.raises(InputError, match=problem) as caught:
            find_source(str(path))
        assert hint in caught.value.hint
    assert find_source(mrpc.strip("`")).kind == "safetensors"


@pytest.mark.parametrize("below", ["checkpoint-500", "snapshots/0a1b", "model"])
@pytest.mark.parametrize("kind", ["safetensors", "checkpoint"])
def test_a_model_one_level_down_is_named(
    below: str, kind: str, tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """The folder that holds it is given as it is to be typed, and works."""
    folder = tmp_path / below
    folder.mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    if kind == "safetensors":
        save_file(tiny_weights, folder / "model.safetensors")
    else:
        write_bundle(f"{folder}/bert_model.ckpt", tiny_weights)
    with pytest.raises(InputError, match="is no model, but has one in a folder of it") as caught:
        find_source(str(folder.parent))
    assert caught.value.hint == f"give `{folder}`"
    assert find_source(str(folder)).kind == kind


def test_the_one_revision_in_the_cache_is_taken(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A model's folder in Hugging Face's cache means its revision; of several one must be named."""
    folder = tmp_path / "models--google-bert--bert-base-cased"
    for revision in ("0a1b", "2c3d"):
        (folder / "snapshots" / revision).mkdir(parents=True)
        save_file(tiny_weights, folder / "snapshots" / revision / "model.safetensors")
        if revision == "0a1b":
            assert find_source(f"{folder}/").path == f"{folder}/snapshots/0a1b/model.safetensors"
    with pytest.raises(InputError, match="holds 2 revisions of the model") as caught:
        find_source(str(folder))
    assert caught.value.hint == f"give `{folder}/snapshots/0a1b` or `{folder}/snapshots/2c3d`"


def test_weights_under_another_name_are_named(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A folder with half-precision weights alone; the file that the hint gives is read, with the files beside it."""
    halves = {name: weight.astype(np.float16) for name, weight in tiny_weights.items()}
    save_file(halves, tmp_path / "model.fp16.safetensors")
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    with pytest.raises(InputError, match=r"has no `model\.safetensors`") as caught:
        find_source(str(tmp_path))
    path = f"{tmp_path}/model.fp16.safetensors"
    assert caught.value.hint == f"give `{path}`"
    with pytest.raises(InputError, match=r"has no `bert_model\.ckpt`") as caught:
        find_source(f"{tmp_path}/bert_model.ckpt")
    assert caught.value.hint == f"give `{path}`"
    assert find_source(path).vocab_file == f"{tmp_path}/vocab.txt"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("models/uncased_L-12_H-768_A-12", "give the name `bert-base-uncased`, by which this model is fetched"),
        ("sentence-transformers/all-MiniLM-L6-v2", "written `hf://sentence-transformers/all-MiniLM-L6-v2`"),
        ("bert-base", "give a name that is fetched: bert-base-uncased, "),
    ],
)
def test_where_nothing_is_the_names_that_are_fetched_are_told(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its archive, as Hugging Face names it, or by a name that is none."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"there is no model, file or folder `{name}`") as caught:
        find_source(name)
    assert hint in caught.value.hint


def test_a_misspelt_checkpoint_is_answered_with_those_there(
    tiny_weights: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are several the folder alone would not do; a name without a folder is no file of this one."""
    for name in ("a.ckpt", "b.ckpt"):
        write_bundle(f"{tmp_path}/{name}", tiny_weights)
    with pytest.raises(InputError, match=r"no checkpoint .*c\.ckpt`") as caught:
        find_source(f"{tmp_path}/c.ckpt")
    assert caught.value.hint == f"give one of these: `{tmp_path}/a.ckpt`, `{tmp_path}/b.ckpt`"
    save_file(tiny_weights, tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no checkpoint `bert-base-uncsed`"):
        find_source("bert-base-uncsed")


def test_a_file_of_google_asked_for_in_a_folder_of_hugging_face(
    tiny_weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """The folder is the model there."""
    save_file(tiny_weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="but its folder is a model") as caught:
        find_source(f"{tmp_path}/bert_model.ckpt")
    assert caught.value.hint == f"give `{tmp_path}`"


def test_official_hub_modules(shared: Path) -> None:
    """Modules of versions 2.3 and 2.20 bring sizes, vocabulary and casing."""
    for folder in sorted((shared / "official/hub").iterdir()):
        source = find_source(str(folder))
        config = source.config
        assert config is not None
        assert (config.vocab_size, config.hidden_size, config.num_attention_heads) == (525, 32, 2)
        assert source.vocab_file == str(folder / "assets/vocab.txt")
        assert source.rules == Rules(True)


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
    ("name", "library", "function", "by_hand"),
    [
        (_MODULE, "kagglehub", "model_download", "tensorflow/bert_en_uncased_L-12_H-768_A-12/1"),
        ("hf://a/b", "huggingface_hub", "snapshot_download", "a/b"),
        ("bert-base-chinese", "huggingface_hub", "snapshot_download", "bert-base-chinese"),
    ],
)
@pytest.mark.parametrize("is_installed", [True, False])
def test_without_network_the_folder_is_named(
    name: str, library: str, function: str, by_hand: str, is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message says what to download and where to put it; put there, it is found."""

    def fail(wanted: str, allow_patterns: object = None, revision: object = None) -> str:
        raise ConnectionError("no\nroute")

    monkeypatch.setitem(sys.modules, library, SimpleNamespace(**{function: fail}) if is_installed else None)
    problem = "cannot be fetched: no route" if is_installed else f"needs `{library}`"
    with pytest.raises(InputError, match=f"is not on this machine.* {problem}") as caught:
        locate(name)
    assert cache_folder(by_hand) in caught.value.hint
    assert (f"pip install {library}`, or" in caught.value.hint) != is_installed
    folder = Path(cache_folder(by_hand))
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("x")
    assert locate(name) == str(folder)


def test_a_released_model_is_fetched_at_its_revision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user is told what comes from where under which licence before it is fetched, and once."""
    calls: list[tuple[str, str, list[str]]] = []

    def fetch(wanted: str, allow_patterns: list[str], revision: str) -> str:
        told = capsys.readouterr().err
        expected = (
            "`bert-base-cased`",
            "model.safetensors",
            f"https://huggingface.co/{wanted}",
            revision,
            "Apache-2.0",
        )
        assert [word for word in expected if word not in told] == []
        calls.append((wanted, revision, allow_patterns))
        return "/somewhere"

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=fetch))
    assert [locate("bert-base-cased"), locate("bert-base-cased")] == ["/somewhere"] * 2
    files = ["config.json", "model.safetensors", "vocab.txt"]
    assert calls == [("google-bert/bert-base-cased", "cd5ef92a9fb2f889e972770a36d4ed042daf221e", files)]
    assert capsys.readouterr().err == ""


def test_revisions_are_commits() -> None:
    """Eight models are fetched, each at a commit of its own, which nobody can move."""
    revisions = [model.revision for model in RELEASED.values() if model.repository]
    commits = [revision for revision in revisions if re.fullmatch("[0-9a-f]{40}", revision or "")]
    assert (len(revisions), len(set(commits))) == (8, 8)


@pytest.mark.parametrize(
    ("name", "archive", "ending"),
    [
        ("bert_uncased_L-2_H-128_A-2", "uncased_L-2_H-128_A-2", "zip"),
        ("bert-large-cased-whole-word-masking", "wwm_cased_L-24_H-1024_A-16", "tar.gz"),
    ],
)
def test_other_models_are_put_there_by_hand(
    name: str, archive: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched; first a message with address and folder, then, with or without the archive's, it is found."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace())
    with pytest.raises(InputError, match=f"`{name}` is not on this machine\nhint: download") as caught:
        locate(name)
    assert f"{archive}.{ending}" in caught.value.hint
    folder = Path(cache_folder(name))
    assert str(folder) in caught.value.hint
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("x")
    assert locate(name) == str(folder)
    (folder / archive).mkdir()
    assert locate(name) == str(folder / archive)


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


def _pack(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _files(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_files_come_out_once(tmp_path: Path) -> None:
    """Files and folders come out; the second time nothing is unpacked; another archive gets another folder."""
    members = [(_member("./assets", tarfile.DIRTYPE), b""), (_member("./assets/vocab.txt"), b"a"), (_member("b"), b"")]
    path = _pack(tmp_path / "m.tar.gz", members)
    folder = unpack(path, str(tmp_path / "cache"))
    assert _files(folder) == {"assets/vocab.txt": b"a", "b": b""}
    (Path(folder) / "b").write_bytes(b"kept")
    assert unpack(path, str(tmp_path / "cache")) == folder
    assert _files(folder)["b"] == b"kept"
    assert unpack(_pack(tmp_path / "n.tar.gz", members), str(tmp_path / "cache")) != folder


def test_a_folder_alone_is_gone_into(tmp_path: Path) -> None:
    """Released checkpoints come in a folder, hub modules without one."""
    path = _pack(tmp_path / "m.tgz", [(_member("uncased/bert_config.json"), b"{}")])
    assert _files(unpack(path, str(tmp_path / "cache"))) == {"bert_config.json": b"{}"}


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (_member("../evil"), "lies outside"),
        (_member("a/../../evil"), "lies outside"),
        (_member("/evil"), "lies outside"),
        (_member("a\\..\\evil"), "lies outside"),
        (_member("C:/evil"), "lies outside"),
        (_member("link", tarfile.SYMTYPE, "/etc"), "neither a file nor a folder"),
        (_member("link", tarfile.LNKTYPE, "vocab.txt"), "neither a file nor a folder"),
        (_member("pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (_member("vocab.txt"), "exists"),
    ],
)
def test_members_cannot_leave(member: tarfile.TarInfo, problem: str, tmp_path: Path) -> None:
    """Paths outside, links, devices and second files of one name are refused, and nothing stays behind."""
    path = _pack(tmp_path / "m.tar.gz", [(_member("vocab.txt"), b"a"), (member, b"")])
    with pytest.raises(InputError, match=rf"m\.tar\.gz` cannot be unpacked: .*{problem}"):
        unpack(path, str(tmp_path / "cache"))
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["cache", "m.tar.gz"]


def test_somebody_else_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process has put the folder there meanwhile, it is used, and nothing else stays behind."""
    path, cache = _pack(tmp_path / "m.tar.gz", [(_member("vocab.txt"), b"a")]), tmp_path / "cache"
    replace = os.replace

    def replace_twice(source: str, target: str) -> None:
        shutil.copytree(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_twice)
    assert _files(unpack(path, str(cache))) == {"vocab.txt": b"a"}
    assert len(list(cache.iterdir())) == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A member that says it is larger than the disk is refused before anything is written."""
    with gzip.open(tmp_path / "m.tar.gz", "wb") as file:
        info = _member("model")
        info.size = 1 << 60
        file.write(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(InputError, match="`model` has 1152921504606846976 bytes, the disk has"):
        unpack(str(tmp_path / "m.tar.gz"), str(tmp_path / "cache"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    """A changed byte or a lost end gives an InputError; what comes out all the same is what was packed."""
    whole = tmp_path / "whole.tar.gz"
    if not whole.exists():
        _pack(whole, [(_member("vocab.txt"), b"abc" * 99), (_member("a/b"), b"x")])
    content = whole.read_bytes()
    index = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:index]
    if data.draw(st.booleans()):
        damaged += bytes([content[index] ^ data.draw(st.integers(1, 255))]) + content[index + 1 :]
    (tmp_path / "m.tar.gz").write_bytes(damaged)
    with contextlib.suppress(InputError):
        folder = unpack(str(tmp_path / "m.tar.gz"), str(tmp_path / "cache"))
        assert _files(folder) == {"vocab.txt": b"abc" * 99, "a/b": b"x"}
