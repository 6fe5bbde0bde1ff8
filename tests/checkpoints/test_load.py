# SPDX-License-Identifier: Apache-2.0
"""Initial weights from files of every kind, and how they match those of a model."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import InitialWeights, OtherShape, match, read_initial
from jaxbert.checkpoints.resolve import find_source
from jaxbert.checkpoints.tf_bundle import open_bundle, write_bundle
from jaxbert.checkpoints.tf_graph import GRAPH_KEY
from jaxbert.config.bert_config import from_dict
from jaxbert.errors import InputError
from tests.checkpoints.random_models import assert_same

_CONFIG = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 2}


@pytest.fixture
def folder(save_tf2: Callable[..., None], tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """A folder with a TF2 checkpoint `c` of a tiny encoder and a classifier head."""
    variables = {
        f"model/layer_with_weights-0/{path}": names.to_tf2(names.form_of(name), tiny_weights[name], heads=2)
        for name, path in names.FUNCTIONAL_A.paths(2).items()
    }
    head = {"model/layer_with_weights-1/out_proj/kernel": np.ones((6, 2), np.float32)}
    save_tf2(f"{tmp_path}/c", variables | head | {"model/layer_with_weights-1/out_proj/bias": np.ones(2, np.float32)})
    return tmp_path


def test_a_name_based_checkpoint_is_read(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Encoder and heads come under their names; slots are counted, anything else is named."""
    heads = {"output_weights": np.ones((3, 6), np.float32), "cls/seq_relationship/output_weights": np.eye(2, 6, 3)}
    slots = {f"{name}/adam_{slot}": weight for name, weight in tiny_weights.items() for slot in "mv"}
    others = {"global_step": np.array(7, np.int64), "mystery": np.zeros(2, np.float32)}
    write_bundle(f"{tmp_path}/bert_model.ckpt", tiny_weights | heads | slots | others)
    (tmp_path / "bert_config.json").write_text(json.dumps(_CONFIG))
    read = read_initial(str(tmp_path))
    assert_same(read.weights, tiny_weights | {name: head.astype(np.float32) for name, head in heads.items()})
    assert read.unused == ("78 optimizer slots", "1 optimizer settings and counters", "mystery")
    assert (read.layout, read.attention_heads) == ("TF1 name-based", None)
    assert find_source(str(tmp_path)).config == from_dict(_CONFIG)
    assert read.source == f"{tmp_path}/bert_model.ckpt"


def test_our_own_folder_is_read(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Weights under TF1 names in safetensors, with the configuration beside them."""
    head = {"output_bias": np.array([1, 2], np.float32)}
    save_file(tiny_weights | head, f"{tmp_path}/model.safetensors")
    (tmp_path / "bert_config.json").write_text(json.dumps(_CONFIG))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        read = read_initial(str(path))
        assert_same(read.weights, tiny_weights | head)
        assert read.layout == "jaxbert safetensors"
        assert find_source(str(path)).config == from_dict(_CONFIG)


def test_half_precision_becomes_float32(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Weights stored in float16 are read as float32 of the same value."""
    halves = {name: weight.astype(np.float16) for name, weight in tiny_weights.items()}
    write_bundle(f"{tmp_path}/c", halves)
    assert_same(read_initial(f"{tmp_path}/c").weights, {name: half.astype(np.float32) for name, half in halves.items()})


def test_whole_numbers_are_no_weights(tiny_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A weight stored as integers is refused by name."""
    write_bundle(f"{tmp_path}/c", tiny_weights | {"bert/pooler/dense/bias": np.zeros(6, np.int32)})
    with pytest.raises(InputError, match=r"`bert/pooler/dense/bias` in `.*/c` is int32"):
        read_initial(f"{tmp_path}/c")


@pytest.mark.parametrize("key", ["albert/embeddings/word_embeddings", GRAPH_KEY])
def test_a_checkpoint_of_something_else_is_refused(key: str, save_tf2: Callable[..., None], tmp_path: Path) -> None:
    """Without a BERT encoder the message says so, and shows what is there."""
    tensor = {"some/variable": np.zeros(3, np.float32)}
    if key == GRAPH_KEY:
        save_tf2(f"{tmp_path}/c", tensor)
    else:
        write_bundle(f"{tmp_path}/c", tensor | {key: np.zeros((4, 2), np.float32)})
    with pytest.raises(InputError, match=rf"holds no BERT encoder.*starts with `{key}`, `some/variable"):
        read_initial(f"{tmp_path}/c")


@pytest.mark.parametrize("content", [np.zeros(3, np.float32), np.array([b""], object), np.array(b"\xff", object)])
def test_a_damaged_object_graph_is_refused(content: np.ndarray, tmp_path: Path) -> None:
    """An object graph that is no string, or no graph, ends in a message."""
    write_bundle(f"{tmp_path}/c", {GRAPH_KEY: content})
    with pytest.raises(InputError, match="object graph is"):
        read_initial(f"{tmp_path}/c")


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b""}, "PyTorch"),
        ({"config.json": b"{}", "tf_model.h5": b""}, "Keras"),
    ],
)
def test_folders_of_other_kinds_are_named(files: dict[str, bytes], kind: str, tmp_path: Path) -> None:
    """A model folder that is not read is answered with what it is."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"is .*{kind}.* which is not read\nhint: "):
        read_initial(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("weights.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("pytorch_model.bin", b"PK\x03\x04", "PyTorch model of Hugging Face"),
        ("model.pt", b"PK\x03\x04", "zip archive"),
        ("old.bin", b"\x80\x02}q", "pickle"),
        ("bert.gz", b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_files_of_other_kinds_are_named(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    """A file that is not read is named after its name or its first bytes."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"is .*{kind}.* which is not read"):
        read_initial(str(tmp_path / name))


@pytest.mark.parametrize(
    ("weights", "problem"),
    [(None, "is not a whole safetensors file"), ({"bert.pooler.weight": np.zeros(2, np.float32)}, "no BERT encoder")],
)
def test_other_safetensors_files_are_refused(weights: dict | None, problem: str, tmp_path: Path) -> None:
    """A damaged file, and one with names of another library, each have their message."""
    path = tmp_path / "model.safetensors"
    if weights is None:
        path.write_bytes(b"\xff" * 20)
    else:
        save_file(weights, str(path))
    with pytest.raises(InputError, match=problem):
        read_initial(str(path))


@pytest.mark.parametrize("content", ["[1]", "{", "[" * 100_000])
def test_a_damaged_configuration_is_refused(content: str, tiny_weights: dict, tmp_path: Path) -> None:
    """What stands beside the weights under the name of a configuration must be one."""
    write_bundle(f"{tmp_path}/c", tiny_weights)
    (tmp_path / "bert_config.json").write_text(content)
    with pytest.raises(InputError, match=r"bert_config\.json` ((line 1 )?is not JSON|holds no JSON object)"):
        assert find_source(f"{tmp_path}/c").config


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_file_is_refused(data: st.DataObject, folder: Path) -> None:
    """A changed byte, or a lost end, of index or data gives an InputError."""
    target = folder / data.draw(st.sampled_from(["c.index", "c.data-00000-of-00001"]))
    content = target.read_bytes()
    index = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:index]
    if data.draw(st.booleans()):
        damaged += bytes([content[index] ^ data.draw(st.integers(1, 255))]) + content[index + 1 :]
    try:
        target.write_bytes(damaged)
        with pytest.raises(InputError):
            read_initial(str(folder / "c"))
    finally:
        target.write_bytes(content)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4)
)
def test_any_object_graph_gives_weights_or_a_message(edits: list[tuple[int, bytes, int]], folder: Path) -> None:
    """A graph with pieces replaced, under right checksums, ends in weights or an InputError, nothing else."""
    bundle = open_bundle(str(folder / "c"))
    tensors = {key: bundle.read(key) for key in bundle.entries}
    graph = tensors[GRAPH_KEY].item()
    for index, piece, removed in edits:
        index %= len(graph)
        graph = graph[:index] + piece + graph[index + removed :]
    write_bundle(str(folder / "edited"), tensors | {GRAPH_KEY: np.array(graph, dtype=object)})
    with contextlib.suppress(InputError):
        read_initial(str(folder / "edited"))


def _official(shared: Path) -> list[Path]:
    """The prefixes of all official checkpoints."""
    prefixes = [path.with_suffix("") for path in sorted((shared / "official").rglob("*.index"))]
    assert prefixes
    return prefixes


def test_every_official_layout_holds_the_same_weights(shared: Path) -> None:
    """Bit for bit, whatever the version, root and model."""
    master = np.load(shared / "official/master_weights_tf1_names.npz")
    for prefix in _official(shared):
        if {"tf1", "tf2", "hub"} & set(prefix.parts):
            weights = read_initial(str(prefix)).weights
            assert set(names.encoder_names(2)) <= weights.keys()
            assert_same(weights, {name: master[name] for name in weights})
            assert ("pretrainer" in str(prefix) or "tf1" in str(prefix)) == ("cls/predictions/output_bias" in weights)


def test_every_tensor_of_every_official_file_is_accounted_for(shared: Path) -> None:
    """Each is a weight, or in a known group, or the object graph; none is left over."""
    for prefix in _official(shared):
        read = read_initial(str(prefix))
        entries = open_bundle(str(prefix)).entries
        notes = (GRAPH_KEY in entries) + any(key.startswith("do_lower_case/") for key in entries)
        assert len(read.weights) + _count_groups(read) + notes == len(entries), prefix


def _count_groups(read: InitialWeights) -> int:
    """The number of unused tensors; unknown ones would not match."""
    groups = re.compile(r"(\d+) optimizer (slots|settings and counters)")
    return sum(int(groups.fullmatch(text)[1]) for text in read.unused)


@pytest.mark.parametrize(
    ("task", "head"), [("classifier", names.CLASSIFIER), ("squad", names.SQUAD), ("pretrain", names.NEXT_SENTENCE)]
)
def test_trained_official_models_give_their_final_weights(task: str, head: tuple[str, str], shared: Path) -> None:
    """Checkpoints of the official trainers hold the final weights, the dense heads under their own names included."""
    golden = np.load(shared / "official/train/golden_train_2.3.npz")
    final = {name.split("/final/")[1][:-2]: golden[name] for name in golden if name.startswith(f"{task}_adamw/final/")}
    weights = read_initial(str(shared / f"official/train/official-2.3_{task}_adamw")).weights
    assert len(weights) == len(final)
    np.testing.assert_array_equal(weights[head[0]], final["predictions/transform/logits/kernel"].T)
    np.testing.assert_array_equal(weights[head[1]], final["predictions/transform/logits/bias"])
    np.testing.assert_array_equal(weights["bert/pooler/dense/kernel"], final["pooler_transform/kernel"])
    for part in ("cls/predictions/transform/dense/kernel", "cls/predictions/transform/LayerNorm/beta"):
        assert (part in weights) == (task == "pretrain")
        np.testing.assert_array_equal(weights.get(part), final.get(part))


def test_official_run_folders_are_read(shared: Path) -> None:
    """The state file in an output folder leads to the checkpoint, and heads are found."""
    runs = {
        "cls-2.3-mirrored": names.CLASSIFIER,
        "squadv1.1-2.3-mirrored": names.SQUAD,
        "pretrain-2.3": names.NEXT_SENTENCE,
    }
    for run, head in runs.items():
        assert set(head) <= read_initial(str(shared / "official/runs" / run)).weights.keys()


_HEAD = {"output_weights": (2, 6), "output_bias": (2,)}
_NAMES = st.sampled_from([f"cls/{letter}" for letter in "abcdef"])
_SHAPES = st.dictionaries(_NAMES, st.sampled_from([(), (2,), (3,), (2, 2)]))


def _shapes(weights: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: weight.shape for name, weight in weights.items()}


@given(_SHAPES, _SHAPES)
def test_every_weight_has_exactly_one_fate(found: dict, expected: dict) -> None:
    """Expected weights are loaded, missing or of other shape; found ones are loaded, of other shape or unused."""
    report = match({name: np.zeros(shape) for name, shape in found.items()}, expected, "file")
    other = [other.name for other in report.other_shapes]
    assert sorted((*report.loaded, *report.missing, *other)) == sorted(expected)
    assert sorted((*report.loaded, *report.unused, *other)) == sorted(found)
    assert all(found[name] == expected[name] for name in report.loaded)
    assert report.expected_values == sum(int(np.prod(shape)) for shape in expected.values())


def test_the_report_says_what_was_loaded_and_what_not(tiny_weights: dict[str, np.ndarray]) -> None:
    """One line with counts, share of the values, leftovers, and weights that keep their initial value."""
    expected = _shapes(tiny_weights) | _HEAD
    found = tiny_weights | {"cls/predictions/output_bias": np.zeros(11)}
    report = match(found, expected, "bert.ckpt", unused=("78 optimizer slots",))
    percent = 100 * report.loaded_values / (report.loaded_values + 14)
    assert str(report) == (
        f"loaded 39 of 41 expected tensors ({percent:.1f} % of the values) from bert.ckpt; not used: "
        "cls/predictions/output_bias, 78 optimizer slots; stay at their initial value: output_weights, output_bias"
    )


def test_a_head_for_other_classes_stays_at_its_initial_value(tiny_weights: dict[str, np.ndarray]) -> None:
    """A classifier of three classes does not stop a model of two: it is reported."""
    found = tiny_weights | {"output_weights": np.zeros((3, 6)), "output_bias": np.zeros(2)}
    report = match(found, _shapes(tiny_weights) | _HEAD, "bert.ckpt")
    assert report.other_shapes == (OtherShape("output_weights", (3, 6), (2, 6)),)
    assert "initial value: output_weights (file [3, 6], model [2, 6])" in str(report)


@pytest.mark.parametrize(
    ("name", "axis", "setting"),
    [
        ("bert/embeddings/word_embeddings", 0, "vocab_size"),
        ("bert/embeddings/position_embeddings", 0, "max_position_embeddings"),
        ("bert/embeddings/token_type_embeddings", 0, "type_vocab_size"),
        ("bert/embeddings/word_embeddings", 1, "hidden_size"),
        ("bert/encoder/layer_1/intermediate/dense/kernel", 1, "intermediate_size"),
    ],
)
def test_a_weight_of_another_size_names_the_setting(
    name: str, axis: int, setting: str, tiny_weights: dict[str, np.ndarray]
) -> None:
    """An encoder weight of another shape is refused with both shapes and the setting to look at."""
    expected = _shapes(tiny_weights)
    sizes = list(expected[name])
    sizes[axis] += 5
    expected[name] = tuple(sizes)
    file, ours = tiny_weights[name].shape[axis], sizes[axis]
    with pytest.raises(InputError) as caught:
        match(tiny_weights, expected, "bert.ckpt")
    assert f"{name} (file {list(tiny_weights[name].shape)}, model {sizes})" in caught.value.message
    assert f"{setting} differs: file {file}, bert_config.json {ours}" in caught.value.hint
    assert match(tiny_weights, expected, "bert.ckpt", allow_partial=True).other_shapes[0].name == name


@pytest.mark.parametrize(("choice", "is_told"), [(None, False), (False, True)])
def test_what_allows_a_part_is_told_where_it_is_there(
    choice: bool | None, is_told: bool, tiny_weights: dict[str, np.ndarray]
) -> None:
    """Only trainers can begin with a part of an encoder; other commands have no such flag."""
    found = {name: weight for name, weight in tiny_weights.items() if "layer_1" not in name}
    with pytest.raises(InputError) as caught:
        match(found, _shapes(tiny_weights), "bert.ckpt", allow_partial=choice)
    assert ("--allow_partial_init" in caught.value.hint) == is_told


def test_missing_layers_are_refused(tiny_weights: dict[str, np.ndarray]) -> None:
    """A file with one layer does not fill a model with two, and the message counts and shortens."""
    found = {name: weight for name, weight in tiny_weights.items() if "layer_1" not in name}
    with pytest.raises(InputError) as caught:
        match(found, _shapes(tiny_weights), "bert.ckpt")
    assert "16 of 39 expected tensors are missing" in caught.value.message
    assert caught.value.message.endswith(" and 10 more")
    assert "num_hidden_layers differs: file 1, bert_config.json 2" in caught.value.hint


def test_further_layers_are_refused(tiny_weights: dict[str, np.ndarray]) -> None:
    """A model with one layer does not silently take the first of two."""
    expected = {name: shape for name, shape in _shapes(tiny_weights).items() if "layer_1" not in name}
    with pytest.raises(InputError, match=r"16 tensors of further layers(.|\n)*num_hidden_layers differs: file 2"):
        match(tiny_weights, expected, "bert.ckpt")
    assert len(match(tiny_weights, expected, "bert.ckpt", allow_partial=True).unused) == 16


def test_an_encoder_without_a_pooler_may_be_expected(tiny_weights: dict[str, np.ndarray]) -> None:
    """A model that needs no pooler takes an encoder with one: it is only reported as unused."""
    expected = {name: shape for name, shape in _shapes(tiny_weights).items() if "pooler" not in name}
    report = match(tiny_weights, expected, "bert.ckpt")
    assert report.unused == ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")


def test_a_pooler_may_be_missing_as_a_whole(tiny_weights: dict[str, np.ndarray]) -> None:
    """Models of a masked LM or of answers are stored without one; half a pooler is damage."""
    rest = {name: weight for name, weight in tiny_weights.items() if name not in names.POOLER}
    report = match(rest, _shapes(tiny_weights), "bert.ckpt")
    assert set(report.missing) == set(names.POOLER)
    half = rest | {names.POOLER[0]: tiny_weights[names.POOLER[0]]}
    with pytest.raises(InputError, match="does not fit the model: 1 of 39 expected tensors are missing"):
        match(half, _shapes(tiny_weights), "bert.ckpt")
