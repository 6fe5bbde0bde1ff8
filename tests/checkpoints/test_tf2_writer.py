# SPDX-License-Identifier: Apache-2.0
"""TF2 checkpoints of ours: what is written is read again, and official objects of every version find their weights."""

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.tf_bundle import Bundle, open_bundle
from jaxbert.checkpoints.tf_graph import GRAPH_KEY, ObjectGraph, parse_graph, write_tf2
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from tests.checkpoints.random_models import HEADS, Weights, assert_same, models, random_weights

_CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2)


def _graph(bundle: Bundle) -> ObjectGraph:
    return parse_graph(bundle.read(GRAPH_KEY).item(), bundle.entries)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models())
def test_what_is_written_is_read_again(model: tuple[BertConfig, Weights], tmp_path: Path) -> None:
    """Every bit of encoder and head, whatever the sizes, and the number of attention heads."""
    config, weights = model
    write_tf2(str(tmp_path / "c"), weights, config.num_attention_heads)
    read = read_initial(str(tmp_path / "c"))
    assert_same(read.weights, weights)
    assert read.attention_heads == config.num_attention_heads
    assert read.unused == ("1 optimizer settings and counters",)


@pytest.mark.parametrize("layout", [names.FUNCTIONAL_A, names.FUNCTIONAL_B, names.LAYER_STYLE_C], ids=lambda x: x.name)
@pytest.mark.parametrize("head", HEADS)
def test_encoders_of_all_versions_find_their_weights(head: str, layout: names.Layout, tmp_path: Path) -> None:
    """The paths of every layout lead from both roots to the same variables, with any head."""
    weights = random_weights(_CONFIG, head)
    write_tf2(str(tmp_path / "c"), weights, 2)
    bundle = open_bundle(str(tmp_path / "c"))
    graph = _graph(bundle)
    for name, path in layout.paths(2).items():
        keys = {graph.key(0, f"{root}/{path}") for root in ("model", "encoder")}
        assert len(keys) == 1, path
        stored = names.to_tf1(names.form_of(name), bundle.read(keys.pop()))
        np.testing.assert_array_equal(stored, weights[name], err_msg=path)


@pytest.mark.parametrize("head", HEADS)
def test_the_same_weights_give_the_same_bytes(head: str, tmp_path: Path) -> None:
    """Two files of one model do not differ, whatever order its weights come in."""
    weights = random_weights(_CONFIG, head)
    write_tf2(str(tmp_path / "a"), weights, 2)
    write_tf2(str(tmp_path / "b"), dict(reversed(weights.items())), 2)
    for ending in ("index", "data-00000-of-00001"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


@pytest.mark.parametrize("head", HEADS)
def test_only_variables_are_reached_by_several_edges(head: str, tmp_path: Path) -> None:
    """A node shared between objects would be tied to the first of them, and the others would stay as they were."""
    write_tf2(str(tmp_path / "c"), random_weights(_CONFIG, head), 2)
    graph = _graph(open_bundle(str(tmp_path / "c")))
    edges = Counter(child for node in graph.nodes for child in node.children.values())
    assert all(node.key is not None or edges[number] == (number > 0) for number, node in enumerate(graph.nodes))
    assert len({node.key for node in graph.nodes if node.key}) == sum(node.key is not None for node in graph.nodes)


def test_heads_for_the_same_place_are_refused(tmp_path: Path) -> None:
    """An official model is a classifier or answers questions; nothing is written for both."""
    weights = random_weights(_CONFIG, "classifier") | random_weights(_CONFIG, "squad")
    with pytest.raises(InputError, match="heads of a classifier and of SQuAD"):
        write_tf2(str(tmp_path / "c"), weights, 2)
    assert list(tmp_path.iterdir()) == []


def _official(shared: Path) -> list[Path]:
    """Prefixes of checkpoints that official code wrote from objects of its own."""
    roots = [shared / "official" / part for part in ("tf2", "runs", "train")]
    found = [path.with_suffix("") for root in roots for path in sorted(root.rglob("*.index"))]
    assert len(found) > 10
    return found


def _tied(ours: ObjectGraph, theirs: ObjectGraph) -> dict[int, int]:
    """The objects of `theirs` to which TensorFlow ties the nodes of `ours`, walking both along the same edges."""
    tied, waiting = {0: 0}, [0]
    while waiting:
        node = waiting.pop()
        for edge, child in ours.nodes[node].children.items():
            target = theirs.nodes[tied[node]].children.get(edge)
            if target is not None and child not in tied:
                tied[child] = target
                waiting.append(child)
            assert tied.get(child) == target or target is None, f"another object reaches node {child} by `{edge}`"
    return tied


def test_every_official_object_finds_its_weights(shared: Path, tmp_path: Path) -> None:
    """All variables of the official encoders and whole models get from our file what theirs has."""
    for prefix in _official(shared):
        theirs = open_bundle(str(prefix))
        write_tf2(str(tmp_path / "c"), read_initial(str(prefix), "classifier").weights, attention_heads=2)
        ours = open_bundle(str(tmp_path / "c"))
        ours_graph, their_graph = _graph(ours), _graph(theirs)
        tied = _tied(ours_graph, their_graph).items()
        found = {their_graph.nodes[target].key: ours_graph.nodes[node].key for node, target in tied}
        for key in {node.key for node in their_graph.nodes} - {None}:
            if ".OPTIMIZER_SLOT" not in key and not key.startswith(("optimizer/", "global_step", "save_counter")):
                np.testing.assert_array_equal(ours.read(found[key]), theirs.read(key), err_msg=f"{prefix}: {key}")


_A, _B, _C = names.FUNCTIONAL_A, names.FUNCTIONAL_B, names.LAYER_STYLE_C
_VERSIONS = {"2.2": (_A,), "2.3": (_A, _B), "2.20": (_B, _C), "2.20 layer-style": (_C,)}  # edges of their encoders
_FIRST = "layer_with_weights-0/"
_MASKED_LM = {name: f"{_FIRST}layer_with_weights-2/{path}" for name, path in names.MASKED_LM[0].items()}
# head -> where its model has the encoder, and where its weights, in one version or another
_MODELS: dict[str, tuple[str, list[dict[str, str]]]] = {
    "none": ("", [{}]),
    "classifier": (
        _FIRST,
        [
            {"output_weights": f"{head}/kernel", "output_bias": f"{head}/bias"}
            for head in ("layer_with_weights-1/layer_with_weights-0", "layer_with_weights-1/out_proj")
        ],
    ),
    "squad": (
        _FIRST,
        [
            {"cls/squad/output_weights": f"{head}/kernel", "cls/squad/output_bias": f"{head}/bias"}
            for head in ("layer_with_weights-1/layer_with_weights-0", "span_labeling/layer_with_weights-0")
        ],
    ),
    "pretraining": (
        _FIRST * 2,
        [
            _MASKED_LM
            | {
                "cls/seq_relationship/output_weights": f"{_FIRST}layer_with_weights-1/layer_with_weights-0/kernel",
                "cls/seq_relationship/output_bias": f"{_FIRST}layer_with_weights-1/layer_with_weights-0/bias",
            }
        ],
    ),
}


def _objects(tensorflow: ModuleType, variables: dict[str, Any], paths: dict[str, list[str]]) -> Any:
    """Objects of TensorFlow that hold `variables` (name -> variable), each at all of its paths."""
    root = tensorflow.Module()
    for name, places in paths.items():
        for place in places:
            *edges, last = place.split("/")
            node = root
            for edge in edges:
                if not hasattr(node, edge):
                    setattr(node, edge, tensorflow.Module())
                node = getattr(node, edge)
            setattr(node, last, variables[name])
    return root


@pytest.mark.interop
@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("head", _MODELS)
def test_tensorflow_restores_objects_of_every_version(version: str, head: str, tmp_path: Path) -> None:
    """Encoders as `model=`, as `encoder=` and as both, whole models as `model=`: all matched, every bit restored."""
    tensorflow = pytest.importorskip("tensorflow")
    weights = random_weights(_CONFIG, head)
    write_tf2(str(tmp_path / "c"), weights, 2)
    expected = {name: names.to_tf2(names.form_of(name), array, 2) for name, array in weights.items()}
    encoder_paths = [layout.paths(2) for layout in _VERSIONS[version]]
    place, heads = _MODELS[head]
    cases = [("", {}, roots) for roots in (("model",), ("encoder",), ("model", "encoder"))]
    cases += [(place, paths, ("model",)) for paths in heads]
    for prefix, head_paths, roots in cases:
        paths = {name: [f"{prefix}{found[name]}" for found in encoder_paths] for name in encoder_paths[0]}
        paths |= {name: [path] for name, path in head_paths.items()}
        variables = {name: tensorflow.Variable(np.zeros_like(expected[name])) for name in paths}
        model = _objects(tensorflow, variables, paths)
        status = tensorflow.train.Checkpoint(**dict.fromkeys(roots, model)).restore(str(tmp_path / "c"))
        status.assert_existing_objects_matched()
        assert_same({name: variable.numpy() for name, variable in variables.items()}, {n: expected[n] for n in paths})
