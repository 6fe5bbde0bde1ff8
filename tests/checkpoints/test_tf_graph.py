# SPDX-License-Identifier: Apache-2.0
"""The object graph of TF2: walked, BERT found in it in every layout, and written for official code of every version."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import DenseHead, read_initial
from jaxbert.checkpoints.tf_bundle import Bundle, open_bundle
from jaxbert.checkpoints.tf_graph import (
    GRAPH_KEY,
    ObjectGraph,
    TrackableObjectGraph,
    find_weights,
    parse_graph,
    write_tf2,
)
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from tests.checkpoints.random_models import HEADS, Weights, assert_same, models, random_weights

_EDGES = ("model", "layer_with_weights-0", "embeddings", "layer_with_weights-4", "_attention_layer", "_query_dense")


def _graph(nodes: list[dict[str, int]], keys: dict[int, str] | None = None) -> bytes:
    message = TrackableObjectGraph()
    for number, children in enumerate(nodes):
        node = message.nodes.add()
        for name, child in children.items():
            node.children.add(local_name=name, node_id=child)
        if number in (keys or {}):
            node.attributes.add(name="VARIABLE_VALUE", checkpoint_key=keys[number])
    return message.SerializeToString()


def _cyclic() -> bytes:
    return _graph([{"a": 1, "b": 2}, {"back": 0, "v": 3}, {"v": 3}, {}], {3: "key"})


def test_paths_lead_through_cycles_and_shared_nodes() -> None:
    """A variable is found by each of its paths, and the shortest path to it is known."""
    graph = parse_graph(_cyclic(), {"key"})
    assert graph.key(0, "a/v") == graph.key(0, "b/v") == graph.key(0, "a/back/b/v") == "key"
    assert graph.follow(0, "a/x/v") is None
    assert list(graph.from_root()) == [0, 1, 2, 3]
    assert (graph.path_to(0), graph.path_to(3)) == ("", "a/v")


def test_a_key_that_is_not_stored_is_no_variable() -> None:
    """An object whose value is not in the file has no key."""
    assert parse_graph(_cyclic(), {"other"}).key(0, "a/v") is None


def test_a_long_chain_is_walked_without_recursion() -> None:
    """Depth costs neither stack nor square time."""
    graph = parse_graph(_graph([{"next": min(number + 1, 49_999)} for number in range(50_000)]), set())
    assert sum(1 for _ in graph.from_root()) == 50_000
    assert graph.path_to(49_999).count("next") == 49_999
    assert find_weights(graph, {}) is None


def test_a_crowd_of_encoders_is_refused_at_once() -> None:
    """Thousands of objects that share one encoder's parts cost no more than looking at each once."""
    parts = [{"layer_with_weights-0": 1, "layer_with_weights-4": 2, "next": 5}, {"embeddings": 4}]
    parts += [{"_attention_layer": 3}, {"_query_dense": 6}, {}]
    crowd = [parts[0] | {"next": number} for number in (*range(8, 5_000), 0)]
    graph = parse_graph(_graph([*parts, {"next": 7}, {"kernel": 4}, *crowd], {4: "key"}), {"key"})
    with pytest.raises(ValueError, match="4994 of its objects look like encoders"):
        find_weights(graph, {"key": (4, 2)})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\xff", "is damaged"),
        (_graph([{"a": 1}]), "among its 1"),
        (_graph([{"a": -1}]), "among its"),
    ],
)
def test_damage_is_refused(content: bytes, problem: str) -> None:
    """No message, another message, or edges into nothing: each is an error."""
    with pytest.raises(ValueError, match=problem):
        parse_graph(content, set())


@given(
    st.lists(st.dictionaries(st.sampled_from(_EDGES), st.integers(0, 5)), min_size=6, max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_any_graph_is_searched(nodes: list[dict[str, int]], variables: set[int]) -> None:
    """Whatever the edges, cycles included, the search for an encoder ends, in weights, nothing, or a ValueError."""
    keys = {number: f"key{number}" for number in variables}
    graph = parse_graph(_graph(nodes, keys), set(keys.values()))
    found = None
    with contextlib.suppress(ValueError):
        found = find_weights(graph, {key: (4, 2) for key in keys.values()})
    assert found is None or set(found.keys.values()) <= set(keys.values())


_ATTENTION_HEADS = 2
_OLD_DENSE = "layer_with_weights-1/layer_with_weights-0"
_KERNEL = np.arange(12, dtype=np.float32).reshape(6, 2)
_BIAS = np.array([0.25, -0.5], dtype=np.float32)
Save = Callable[..., None]


def _encoder(weights: Mapping[str, np.ndarray], layout: names.Layout, root: str) -> dict[str, np.ndarray]:
    """The variables (path -> array) of an encoder below `root` as official code of this layout stores them."""
    keep_shape = layout is names.STACKED
    return {
        f"{root}{path}": weights[name]
        if keep_shape
        else names.to_tf2(names.form_of(name), weights[name], _ATTENTION_HEADS)
        for name, path in layout.paths(2).items()
    }


@pytest.mark.parametrize("layout", names.LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("root", ["model/", "encoder/", "model/layer_with_weights-0/", "a/b/encoder_network/", ""])
def test_an_encoder_is_found_at_any_path(
    layout: names.Layout, root: str, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Every layout under every root gives back all weights in TF1's shapes, with a word on what was found."""
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, root))
    read = read_initial(f"{tmp_path}/c")
    assert_same(read.weights, tiny_weights)
    assert layout.name in read.layout
    assert f"`{root[:-1]}`" in read.layout if root else "itself is the root" in read.layout
    assert read.unused == ()
    assert read.attention_heads == (None if layout is names.STACKED else _ATTENTION_HEADS)


def test_a_shared_word_embedding_is_found_through_the_graph(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Pretrainers store the table only with the masked LM head; the encoder's own path leads to it in the graph."""
    variables = _encoder(tiny_weights, names.FUNCTIONAL_B, "encoder/")
    table = variables.pop("encoder/layer_with_weights-0/embeddings")
    head = {"dense/kernel": _KERNEL, "dense/bias": _BIAS, "layer_norm/gamma": _BIAS, "layer_norm/beta": _BIAS}
    variables |= {f"masked_lm/{path}": array for path, array in {"bias": _BIAS, **head}.items()}
    variables["masked_lm/embedding_table"] = table
    aliases = {"encoder/layer_with_weights-0/embeddings": "masked_lm/embedding_table", "encoder/owner": "encoder"}
    save_tf2(f"{tmp_path}/c", variables, aliases)
    read = read_initial(f"{tmp_path}/c")
    heads = dict(zip(names.MASKED_LM[0], (_KERNEL, _BIAS, _BIAS, _BIAS, _BIAS), strict=True))
    assert_same(read.weights, tiny_weights | heads)


def _model_with_head(weights: Mapping[str, np.ndarray], head: str, kernel: np.ndarray) -> dict[str, np.ndarray]:
    encoder = _encoder(weights, names.FUNCTIONAL_A, "model/layer_with_weights-0/")
    return encoder | {f"model/{head}/kernel": kernel, f"model/{head}/bias": _BIAS}


def _layer_numbers(encoder: int, head: int) -> dict[str, str]:
    return {
        f"model/layer-{encoder}": "model/layer_with_weights-0",
        f"model/layer-{head}": "model/layer_with_weights-1",
    }


@pytest.mark.parametrize(
    ("head", "outputs", "numbers", "found"),
    [
        ("layer_with_weights-1/out_proj", 2, {}, names.CLASSIFIER),
        (_OLD_DENSE, 3, {}, names.CLASSIFIER),
        (_OLD_DENSE, 2, _layer_numbers(3, 5), names.CLASSIFIER),
        (_OLD_DENSE, 2, _layer_numbers(3, 4), names.SQUAD),
        ("classifier/out_proj", 3, {"model/layer_with_weights-1": "model/classifier"}, names.CLASSIFIER),
        ("classifier/layer_with_weights-0", 3, {"model/layer_with_weights-1": "model/classifier"}, names.CLASSIFIER),
        ("classifier", 3, {"model/layer_with_weights-1": "model/classifier"}, names.TAGGER),
        ("classifier", 2, _layer_numbers(3, 5), names.TAGGER),
    ],
)
def test_heads_get_their_tf1_names_and_shapes(
    head: str,
    outputs: int,
    numbers: dict[str, str],
    found: tuple[str, str],
    tiny_weights: dict[str, np.ndarray],
    save_tf2: Save,
    tmp_path: Path,
) -> None:
    """Classifier (all namings), SQuAD and tagger are told apart, and kernels are transposed to [C, H].

    A tagger, `BertTokenClassifier` of official code since 2.5, has its dense layer itself at the edge `classifier`.
    """
    kernel = np.arange(6 * outputs, dtype=np.float32).reshape(6, outputs)
    save_tf2(f"{tmp_path}/c", _model_with_head(tiny_weights, head, kernel), numbers)
    expected = tiny_weights | dict(zip(found, (kernel.T, _BIAS), strict=True))
    assert_same(read_initial(f"{tmp_path}/c").weights, expected)


def test_a_head_with_half_a_pooler_is_not_taken(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """A head that does not read the encoder's pooler would give wrong scores with it: it stays unused."""
    variables = _model_with_head(tiny_weights, "layer_with_weights-1/out_proj", _KERNEL)
    save_tf2(f"{tmp_path}/c", variables | {"model/layer_with_weights-1/dense/kernel": _KERNEL})
    read = read_initial(f"{tmp_path}/c")
    assert_same(read.weights, tiny_weights)
    assert len(read.unused) == 3


@pytest.mark.parametrize(
    ("head", "outputs", "numbers", "kinds"),
    [
        (_OLD_DENSE, 2, {}, {"classifier": names.CLASSIFIER, "squad": names.SQUAD}),
        ("layer_with_weights-1", 2, _layer_numbers(3, 5), {"classifier": names.CLASSIFIER, "tagger": names.TAGGER}),
        ("layer_with_weights-1", 3, {}, {"classifier": names.CLASSIFIER, "tagger": names.TAGGER}),
    ],
)
def test_a_head_of_unclear_kind_is_used_only_as_the_caller_says(
    head: str,
    outputs: int,
    numbers: dict[str, str],
    kinds: dict[DenseHead, tuple[str, str]],
    tiny_weights: dict[str, np.ndarray],
    save_tf2: Save,
    tmp_path: Path,
) -> None:
    """Where the graph does not tell classifier from SQuAD, or from tagger as of 2.4, the caller names one of them."""
    kernel = np.arange(6 * outputs, dtype=np.float32).reshape(6, outputs)
    save_tf2(f"{tmp_path}/c", _model_with_head(tiny_weights, head, kernel), numbers)
    read = read_initial(f"{tmp_path}/c")
    assert_same(read.weights, tiny_weights)
    assert [key.split("/.")[0] for key in read.unused] == [f"model/{head}/bias", f"model/{head}/kernel"]
    for kind in ("classifier", "squad", "tagger", "choice"):
        weights = read_initial(f"{tmp_path}/c", kind).weights
        expected = dict(zip(kinds[kind], (kernel.T, _BIAS), strict=True)) if kind in kinds else {}
        assert_same(weights, tiny_weights | expected)


def test_the_first_pretrainers_heads_are_found(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The masked LM of 2.2 is three numbered layers; the dense head beside it is next sentence prediction."""
    root = "model/layer_with_weights-0"
    variables = _encoder(tiny_weights, names.FUNCTIONAL_A, f"{root}/layer_with_weights-0/")
    variables |= {f"{root}/layer_with_weights-1/{path}": _BIAS for path in names.MASKED_LM[1].values()}
    dense = f"{root}/layer_with_weights-2/layer_with_weights-0"
    variables |= {f"{dense}/kernel": _KERNEL, f"{dense}/bias": _BIAS}
    save_tf2(f"{tmp_path}/c", variables)
    expected = tiny_weights | dict.fromkeys(names.MASKED_LM[1], _BIAS)
    expected |= dict(zip(names.NEXT_SENTENCE, (_KERNEL.T, _BIAS), strict=True))
    assert_same(read_initial(f"{tmp_path}/c").weights, expected)


def test_two_encoders_are_refused(tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path) -> None:
    """Which of two encoders is meant cannot be guessed: both paths are named."""
    layout = names.FUNCTIONAL_B
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, "student/") | _encoder(tiny_weights, layout, "teacher/"))
    with pytest.raises(InputError, match=r"holds 2 encoders: (`student`, `teacher`|`teacher`, `student`)"):
        read_initial(f"{tmp_path}/c")


def test_an_incomplete_encoder_gives_what_is_there(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """A missing weight does not hide the others: what to do about it is decided where the model is known."""
    variables = _encoder(tiny_weights, names.LAYER_STYLE_C, "encoder/")
    del variables["encoder/_pooler_layer/bias"]
    save_tf2(f"{tmp_path}/c", variables)
    read = read_initial(f"{tmp_path}/c")
    assert tiny_weights.keys() - read.weights.keys() == {"bert/pooler/dense/bias"}


def _newer_pretrainer(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model in pretraining whose next sentence head has a pooler of its own, and the masked LM head beside it."""
    masked_lm = {"dense/kernel": _KERNEL, "dense/bias": _BIAS, "layer_norm/gamma": _BIAS, "layer_norm/beta": _BIAS}
    head = {"dense/kernel": _POOLER, "dense/bias": _POOLER[0], "out_proj/kernel": _KERNEL, "out_proj/bias": _BIAS}
    return (
        _encoder(weights, names.LAYER_STYLE_C, "model/encoder_network/")
        | {f"model/masked_lm/{path}": array for path, array in {"bias": _BIAS, **masked_lm}.items()}
        | {f"model/classification_heads/0/{path}": array for path, array in head.items()}
    )


_POOLER = np.arange(36, dtype=np.float32).reshape(6, 6)


def test_the_trained_pooler_is_that_of_the_head(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The newer pretrainer trains the pooler of its next sentence head; the encoder's is left over."""
    aliases = {"model/_config/encoder_network": "model/encoder_network"}
    aliases["model/_config/classification_heads"] = "model/classification_heads"
    save_tf2(f"{tmp_path}/c", _newer_pretrainer(tiny_weights), aliases)
    read = read_initial(f"{tmp_path}/c")
    trained = dict(zip(names.POOLER, (_POOLER, _POOLER[0]), strict=True))
    heads = dict(
        zip((*names.MASKED_LM[0], *names.NEXT_SENTENCE), (_KERNEL, *[_BIAS] * 4, _KERNEL.T, _BIAS), strict=True)
    )
    assert_same(read.weights, tiny_weights | trained | heads)
    assert [key.split("/")[2] for key in read.unused] == ["_pooler_layer"] * 2


def test_a_head_on_each_token_is_refused_in_a_pretrainer(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The newer pretrainer gives its heads all tokens; one with `inner_dim=0` has outputs [B, S, 2], no next sentence.

    So in `BertPretrainerV2.call` and `ClassificationHead.call` of official code (2.20).
    """
    variables = _newer_pretrainer(tiny_weights)
    for leaf in ("kernel", "bias"):
        del variables[f"model/classification_heads/0/dense/{leaf}"]
    save_tf2(f"{tmp_path}/c", variables)
    with pytest.raises(
        InputError, match=r"`model/classification_heads/0` has no pooler .* no next sentence prediction"
    ):
        read_initial(f"{tmp_path}/c")


@pytest.mark.parametrize("number", [0, 2])
def test_of_several_heads_next_sentence_is_the_one_with_two_outputs(
    number: int, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Wherever it stands in the list of the newer pretrainer; where two have as many the checkpoint is refused."""
    variables = _newer_pretrainer(tiny_weights)
    root = "model/classification_heads"
    head = {path: variables.pop(path) for path in list(variables) if path.startswith(root)}
    variables |= {path.replace("/0/", f"/{number}/"): array for path, array in head.items()}
    variables |= {path.replace("/0/", "/1/"): array + 1 for path, array in head.items()}
    variables[f"{root}/1/out_proj/kernel"] = np.ones((6, 3), np.float32)
    save_tf2(f"{tmp_path}/c", variables)
    read = read_initial(f"{tmp_path}/c")
    parts = (*names.NEXT_SENTENCE, *names.POOLER)
    expected = dict(zip(parts, (_KERNEL.T, _BIAS, _POOLER, _POOLER[0]), strict=True))
    assert_same({name: read.weights[name] for name in parts}, expected)
    variables[f"{root}/1/out_proj/kernel"] = _KERNEL
    save_tf2(f"{tmp_path}/c", variables)
    with pytest.raises(InputError, match="which of its heads is next sentence prediction does not show"):
        read_initial(f"{tmp_path}/c")


@pytest.mark.parametrize(
    ("heads", "trained"),
    [
        (["next_sentence"], "next_sentence"),
        (["sentence_prediction"], "sentence_prediction"),
        (["order", "next_sentence"], "next_sentence"),
        (["order", "topic"], None),
    ],
)
def test_the_trained_pooler_is_known_by_its_name(
    heads: list[str], trained: str | None, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Pretrainers and classifiers save it by the name of its head, alone; of several no other than next sentence's is.

    The names are those of `checkpoint_items` in official/nlp/modeling/models (2.20, bert_classifier.py).
    """
    variables = _encoder(tiny_weights, names.LAYER_STYLE_C, "encoder/")
    for number, head in enumerate(heads):
        variables[f"{head}.pooler_dense/kernel"] = _POOLER + number
        variables[f"{head}.pooler_dense/bias"] = _POOLER[0] + number
    save_tf2(f"{tmp_path}/c", variables)
    read = read_initial(f"{tmp_path}/c")
    leaves = [f"{trained}.pooler_dense/{leaf}" for leaf in ("kernel", "bias")] if trained else []
    pooler = dict(zip(names.POOLER, (variables[leaf] for leaf in leaves), strict=True)) if trained else {}
    assert_same(read.weights, tiny_weights | pooler)
    assert len(read.unused) == 2 * len(heads)


@pytest.mark.parametrize(
    ("hub_layer", "head", "found"),
    [
        ("layer_with_weights-0", "", names.CLASSIFIER),
        ("layer_with_weights-0/layer_with_weights-0", "/layer_with_weights-0", names.SQUAD),
    ],
)
def test_models_around_a_hub_module_are_read(
    hub_layer: str,
    head: str,
    found: tuple[str, str],
    tiny_weights: dict[str, np.ndarray],
    save_tf2: Save,
    tmp_path: Path,
) -> None:
    """Where official code trains a hub module, the encoder is inside a layer, and the classifier a bare dense layer."""
    variables = _encoder(tiny_weights, names.FUNCTIONAL_A, f"model/{hub_layer}/_func/layer_with_weights-0/")
    variables |= {f"model/layer_with_weights-1{head}/kernel": _KERNEL, f"model/layer_with_weights-1{head}/bias": _BIAS}
    variables[f"model/{hub_layer}/Variable:0"] = np.array(True)
    steps = 2 if found == names.CLASSIFIER else 1
    save_tf2(f"{tmp_path}/c", variables, _layer_numbers(3, 3 + steps))
    read = read_initial(f"{tmp_path}/c")
    assert_same(read.weights, tiny_weights | dict(zip(found, (_KERNEL.T, _BIAS), strict=True)))
    assert read.unused == ()


@pytest.mark.parametrize("layout", names.LAYOUTS, ids=lambda layout: layout.name)
def test_weights_saved_by_keras_are_read(
    layout: names.Layout, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """`save_weights` makes the model the root: an encoder, or a classifier around it."""
    head = {"layer_with_weights-1/out_proj/kernel": _KERNEL, "layer_with_weights-1/out_proj/bias": _BIAS}
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, "layer_with_weights-0/") | head)
    expected = tiny_weights | dict(zip(names.CLASSIFIER, (_KERNEL.T, _BIAS), strict=True))
    assert_same(read_initial(f"{tmp_path}/c").weights, expected)


_CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2)


def _graph_in(bundle: Bundle) -> ObjectGraph:
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
    graph = _graph_in(bundle)
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
    graph = _graph_in(open_bundle(str(tmp_path / "c")))
    edges = Counter(child for node in graph.nodes for child in node.children.values())
    assert all(node.key is not None or edges[number] == (number > 0) for number, node in enumerate(graph.nodes))
    assert len({node.key for node in graph.nodes if node.key}) == sum(node.key is not None for node in graph.nodes)


def test_heads_for_the_same_path_are_refused(tmp_path: Path) -> None:
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
        ours_graph, their_graph = _graph_in(ours), _graph_in(theirs)
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
    for name, addresses in paths.items():
        for address in addresses:
            *edges, last = address.split("/")
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
    root, heads = _MODELS[head]
    cases = [("", {}, roots) for roots in (("model",), ("encoder",), ("model", "encoder"))]
    cases += [(root, paths, ("model",)) for paths in heads]
    for prefix, head_paths, roots in cases:
        paths = {name: [f"{prefix}{found[name]}" for found in encoder_paths] for name in encoder_paths[0]}
        paths |= {name: [path] for name, path in head_paths.items()}
        variables = {name: tensorflow.Variable(np.zeros_like(expected[name])) for name in paths}
        model = _objects(tensorflow, variables, paths)
        status = tensorflow.train.Checkpoint(**dict.fromkeys(roots, model)).restore(str(tmp_path / "c"))
        status.assert_existing_objects_matched()
        assert_same({name: variable.numpy() for name, variable in variables.items()}, {n: expected[n] for n in paths})
