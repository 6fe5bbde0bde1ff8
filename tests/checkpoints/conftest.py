# SPDX-License-Identifier: Apache-2.0
"""A tiny encoder's weights, and a writer of TF2 checkpoints with any object graph."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from jaxbert.checkpoints import names
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.checkpoints.tf_graph import GRAPH_KEY, TrackableObjectGraph

H, A, F, L, V, P, T = 6, 2, 8, 2, 11, 7, 2
_ENDINGS = (
    ("word_embeddings", (V, H)),
    ("position_embeddings", (P, H)),
    ("token_type_embeddings", (T, H)),
    ("intermediate/dense/kernel", (H, F)),
    ("intermediate/dense/bias", (F,)),
    ("attention/output/dense/kernel", (H, H)),
    ("output/dense/kernel", (F, H)),
    ("kernel", (H, H)),
)


@pytest.fixture
def tiny_weights() -> dict[str, np.ndarray]:
    """Weights of an encoder with two layers and two heads, under TF1 names and in TF1 shapes."""
    random = np.random.default_rng(7)
    shapes = {
        name: next((shape for ending, shape in _ENDINGS if name.endswith(ending)), (H,))
        for name in names.encoder_names(L)
    }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _node(graph: object, path: str, stop: int = 0) -> int:
    """The number of the node at `path`, which is made, with all on the way, where it is not there yet."""
    node = 0
    for edge in path.split("/")[: len(path.split("/")) - stop]:
        children = {child.local_name: child.node_id for child in graph.nodes[node].children}
        if edge not in children:
            graph.nodes[node].children.add(local_name=edge, node_id=len(graph.nodes))
            children[edge] = len(graph.nodes)
            graph.nodes.add()
        node = children[edge]
    return node


@pytest.fixture
def save_tf2() -> Callable[..., None]:
    """A function that writes variables (path from the root -> array) as a TF2 checkpoint at a prefix.

    `aliases` are further edges: path of the edge -> path of the node that it leads to.
    """

    def save(prefix: str, variables: Mapping[str, np.ndarray], aliases: Mapping[str, str] | None = None) -> None:
        graph = TrackableObjectGraph()
        graph.nodes.add()
        tensors = {f"{path}/.ATTRIBUTES/VARIABLE_VALUE": array for path, array in variables.items()}
        for path in variables:
            key = f"{path}/.ATTRIBUTES/VARIABLE_VALUE"
            graph.nodes[_node(graph, path)].attributes.add(name="VARIABLE_VALUE", checkpoint_key=key)
        for edge, target in (aliases or {}).items():
            parent = _node(graph, edge, stop=1)
            graph.nodes[parent].children.add(local_name=edge.rsplit("/", 1)[1], node_id=_node(graph, target))
        write_bundle(prefix, tensors | {GRAPH_KEY: np.array(graph.SerializeToString(), dtype=object)})

    return save
