# SPDX-License-Identifier: Apache-2.0
"""The object graph inside TF2 checkpoints: which Python object holds which variable under which attribute.

A variable that several objects share is stored once, under one of its keys; only the graph knows its other paths.
"""

from collections import deque
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from jaxbert.checkpoints.tf_messages import ObjectGraph as ObjectGraphMessage

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"  # the attribute that makes a node a variable


@dataclass(frozen=True)
class Node:
    """One object: the numbers of its children by edge name, and the key of its value if it is a variable."""

    children: Mapping[str, int]
    key: str | None


@dataclass(frozen=True)
class ObjectGraph:
    """All objects of a checkpoint; node 0 is the root. The graph may share nodes and may have cycles."""

    nodes: tuple[Node, ...]

    def follow(self, node: int, path: str) -> int | None:
        """The node at the end of `path` (edge names joined by `/`) from `node`, or None."""
        place: int | None = node
        for edge in path.split("/"):
            if place is None:
                return None
            place = self.nodes[place].children.get(edge)
        return place

    def key(self, node: int, path: str) -> str | None:
        """The key under which the variable at the end of `path` is stored, or None."""
        place = self.follow(node, path)
        return None if place is None else self.nodes[place].key

    def from_root(self) -> Iterator[int]:
        """Every node that the root leads to, nearest first, each once."""
        yield from self._origins()

    def path_to(self, node: int) -> str:
        """A shortest path from the root to `node`; `""` for the root itself."""
        origins, edges = self._origins(), []
        while node != 0:
            node, edge = origins[node]
            edges.append(edge)
        return "/".join(reversed(edges))

    def _origins(self) -> dict[int, tuple[int, str]]:
        """For every node that the root leads to, nearest first, where a shortest path comes from."""
        origins, waiting = {0: (0, "")}, deque([0])
        while waiting:
            node = waiting.popleft()
            for edge, child in self.nodes[node].children.items():
                if child not in origins:
                    origins[child] = (node, edge)
                    waiting.append(child)
        return origins


def parse_graph(content: bytes, stored: Container[str]) -> ObjectGraph:
    """The graph in a serialized TrackableObjectGraph message; `ValueError` where it is damaged.

    Only variables whose key is among `stored` have a key in the graph.
    """
    try:
        message = ObjectGraphMessage.FromString(content)
    except DecodeError as error:
        raise ValueError(f"its object graph is damaged: {error}") from error
    if not message.nodes:
        raise ValueError("its object graph is empty")
    nodes = []
    for node in message.nodes:
        children = {child.local_name: child.node_id for child in node.children}
        key = next((attribute.checkpoint_key for attribute in node.attributes if attribute.name == VALUE), None)
        nodes.append(Node(children, key if key in stored else None))
    if any(not 0 <= child < len(nodes) for node in nodes for child in node.children.values()):
        raise ValueError(f"its object graph names an object that is not among its {len(nodes)}")
    return ObjectGraph(tuple(nodes))
