# SPDX-License-Identifier: Apache-2.0
"""The object graph of TF2 checkpoints."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.tf_graph import TrackableObjectGraph, find_weights, parse_graph

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
