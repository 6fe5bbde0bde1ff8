# SPDX-License-Identifier: Apache-2.0
"""TF2 checkpoints: the graph of objects, BERT found in it, and a graph for official code of any version.

Source: tensorflow/core/protobuf/trackable_object_graph.proto. A TF2 checkpoint is a bundle (see `tf_bundle`) in which
one more tensor describes the objects that were saved: nodes, edges with names between them, and for each variable the
key of its value. A variable is addressed by a path of edges from the root, whatever its key is. For example the first
query kernel of a classifier of tf-models-official 2.3, saved as `tf.train.Checkpoint(model=classifier)`, is at

    model/layer_with_weights-0/layer_with_weights-4/_attention_layer/_query_dense/kernel
      |            |                    |                   |              |         the variable, with a key
      |            |                    |                   |              its query projection
      |            |                    |                   the attention in it
      |            |                    the first layer of the encoder, after three embeddings and their normalization
      |            the first layer of the classifier that has weights: the encoder
      the name that `tf.train.Checkpoint` was given

Other paths lead to the same variable: `model/layer-3` is the encoder too, the fourth layer after three inputs. An
encoder is therefore found not by its key but by looking from every node for what the layouts in `names` have.
"""

import re
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from jaxbert.checkpoints import names
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.errors import InputError
from jaxbert.io.protobuf import declare

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"  # the attribute that makes a node a variable
# Fields of trackable_object_graph.proto; its messages are nested there, and children called ObjectReference.
TrackableObjectGraph: Any = declare(
    "jaxbert.object_graph",
    {
        "Child": ((1, "node_id", "int32"), (2, "local_name", "string")),
        "Attribute": ((1, "name", "string"), (2, "full_name", "string"), (3, "checkpoint_key", "string")),
        "SlotVariable": (
            (1, "original_variable_node_id", "int32"),
            (2, "slot_name", "string"),
            (3, "slot_variable_node_id", "int32"),
        ),
        "Node": ((1, "children", "*Child"), (2, "attributes", "*Attribute"), (3, "slot_variables", "*SlotVariable")),
        "TrackableObjectGraph": ((1, "nodes", "*Node"),),
    },
    "proto3",
)["TrackableObjectGraph"]
_MOST_ENCODERS = 50  # looking closely at each costs time; real models have one
_LAYER_EDGE = re.compile(r"layer-(\d{1,9})$")


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
        found: int | None = node
        for edge in path.split("/"):
            if found is None:
                return None
            found = self.nodes[found].children.get(edge)
        return found

    def key(self, node: int, path: str) -> str | None:
        """The key under which the variable at the end of `path` is stored, or None."""
        found = self.follow(node, path)
        return None if found is None else self.nodes[found].key

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
        message = TrackableObjectGraph.FromString(content)
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


@dataclass(frozen=True)
class UndecidedHead:
    """A dense head that may be of several kinds: the keys of its kernel and bias, and its names in each kind."""

    keys: tuple[str, str]
    kinds: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FoundWeights:
    """Weights found in a graph: TF1 name -> key in the checkpoint.

    `path` leads from the root to the encoder.
    """

    keys: Mapping[str, str]
    layout: names.Layout
    path: str
    undecided: UndecidedHead | None = None


def find_weights(graph: ObjectGraph, shapes: Mapping[str, tuple[int, ...]]) -> FoundWeights | None:
    """The encoder in `graph` and the heads beside it, or None if there is no encoder.

    `shapes` are those of the checkpoint's tensors by key. Raises ValueError if there are several encoders.
    """
    encoders = _encoders(graph)
    if not encoders:
        return None
    candidates = [(node, layout, _encoder_keys(graph, node, layout)) for node, layout in encoders]
    tables = {keys[names.WORD_EMBEDDINGS]: graph.path_to(node) for node, _, keys in reversed(candidates)}
    if len(tables) > 1:
        raise ValueError(f"it holds {len(tables)} encoders: {', '.join(f'`{path}`' for path in tables.values())}")
    node, layout, encoder = max(candidates, key=lambda candidate: len(candidate[2]))
    heads: dict[str, str] = {}
    undecided: UndecidedHead | None = None
    nodes = {node for node, _ in encoders}
    modules = _standing_for(graph, nodes)
    for parent in graph.from_root():
        if not (nodes | modules).isdisjoint(graph.nodes[parent].children.values()):
            found, other = _heads(graph, parent, nodes | modules, modules, shapes)
            heads, undecided = heads | found, other or undecided
    if heads.get(names.NEXT_SENTENCE[0]) == heads.get(names.CLASSIFIER[0]):
        heads = {name: key for name, key in heads.items() if name not in names.CLASSIFIER}  # seen from two objects
    if undecided and undecided.keys[0] in heads.values():
        undecided = None  # another edge says what it is
    return FoundWeights(encoder | heads, layout, graph.path_to(node), undecided)


def _encoders(graph: ObjectGraph) -> list[tuple[int, names.Layout]]:
    """Every node that looks like an encoder in one of the layouts: it leads to a word embedding and a first query."""
    queries = [(layout, layout.layer_paths(0)[names.FIRST_QUERY]) for layout in names.LAYOUTS]
    found = [
        (node, layout)
        for node in graph.from_root()
        for layout, query in queries
        if graph.key(node, layout.tables[0]) and graph.key(node, query)
    ]
    nodes = len({node for node, _ in found})
    if nodes > _MOST_ENCODERS:
        raise ValueError(f"{nodes} of its objects look like encoders")
    return found


def _standing_for(graph: ObjectGraph, encoders: set[int]) -> set[int]:
    """The layers by which a model may hold the encoder instead of one of its nodes.

    Such a layer holds a hub module, or is a model with nothing but such a layer.
    """
    modules = set()
    for node in graph.from_root():
        module = graph.nodes[node].children.get(names.HUB_EDGE)
        if module is not None and not encoders.isdisjoint(graph.nodes[module].children.values()):
            modules.add(node)
    for node in graph.from_root():
        children = graph.nodes[node].children
        if children.get("layer_with_weights-0") in modules and "layer_with_weights-1" not in children:
            modules.add(node)
    return modules


def _encoder_keys(graph: ObjectGraph, node: int, layout: names.Layout) -> dict[str, str]:
    layers = 0
    while graph.follow(node, f"{layout.layer.format(n=layout.first + layers)}/{layout.modules[0]}") is not None:
        layers += 1
    return _keys(graph, node, layout.paths(layers))


def _keys(graph: ObjectGraph, node: int, paths: Mapping[str, str]) -> dict[str, str]:
    """The keys of those weights that are there."""
    keys = {name: graph.key(node, path) for name, path in paths.items()}
    return {name: key for name, key in keys.items() if key}


def _heads(
    graph: ObjectGraph, parent: int, encoders: set[int], modules: set[int], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, str], UndecidedHead | None]:
    """The heads among the children of `parent`, which is a model around an encoder; and a dense one of unclear kind.

    `encoders` are all nodes that stand for the encoder, `modules` those of them that are layers around it.
    """
    children = graph.nodes[parent].children
    listed = graph.nodes[children[names.HEADS_EDGE]].children.values() if names.HEADS_EDGE in children else ()
    poolers = [child for edge, child in children.items() if edge.endswith(names.POOLER_EDGE)]
    known = encoders.union(poolers)
    others = list(dict.fromkeys(child for child in (*children.values(), *listed) if child not in known))
    named = {children[edge]: kind for edge, kind in names.HEAD_EDGES.items() if edge in children}
    # Of the layers of a functional model: N of its edges `layer-N`.
    layers = ((_LAYER_EDGE.match(edge), child) for edge, child in children.items())
    numbers = {child: int(edge[1]) for edge, child in layers if edge}
    encoder = next((number for child, number in numbers.items() if child in encoders), None)
    masked_lm, found = _masked_lm(graph, others)
    undecided = None
    if len(poolers) == 1 or names.NEXT_SENTENCE_POOLER in children:
        found |= _pooler(graph, children.get(names.NEXT_SENTENCE_POOLER, poolers[0]))
    found |= _newer_heads(graph, others, masked_lm is not None, shapes)
    for head in others:
        # A dense layer inside of a small network, or that layer itself.
        bare = None if parent in encoders else _dense(graph, head)  # an encoder's bare dense layer is its pooler
        old_style = head != masked_lm and (bare or _dense(graph, head, f"{names.DENSE_HEAD}/"))
        if old_style:
            is_pair = shapes[old_style[0]][-1:] == (2,)
            steps = numbers[head] - encoder if head in numbers and encoder is not None else None
            is_bare = bare is not None and modules.isdisjoint(children.values())
            kind = named.get(head, names.NEXT_SENTENCE if masked_lm is not None else None)
            kinds = _dense_kinds(kind, is_bare, is_pair, steps)
            if len(kinds) == 1:
                found |= zip(kinds[0], old_style, strict=True)
            else:
                undecided = UndecidedHead(old_style, kinds)
    return found, undecided


def _newer_heads(
    graph: ObjectGraph, nodes: list[int], in_pretrainer: bool, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """The heads in layers of their own, which classifiers have since 2.5 and pretrainers in a list.

    Raises ValueError where several may be next sentence prediction, which has two outputs.
    """
    found = {node: dense for node in nodes if (dense := _dense(graph, node, f"{names.CLASSIFIER_HEAD}/"))}
    if in_pretrainer and len(found) > 1:
        paths = ", ".join(f"`{graph.path_to(node)}`" for node in found)
        found = {node: dense for node, dense in found.items() if shapes[dense[0]][-1:] == (2,)}
        if len(found) != 1:
            raise ValueError(f"which of its heads is next sentence prediction does not show: {paths}")
    keys: dict[str, str] = {}
    for node, dense in found.items():
        keys |= _newer_head(graph, node, dense, in_pretrainer)
    return keys


def _newer_head(graph: ObjectGraph, head: int, dense: tuple[str, str], in_pretrainer: bool) -> dict[str, str]:
    """A classifier, or next sentence prediction in a pretrainer: with a pooler of its own or none, but not half of one.

    Raises ValueError for one without pooler in a pretrainer: it is given all tokens there, and no pooled output.
    """
    own_pooler = _pooler(graph, head, "dense/")
    if not own_pooler and graph.follow(head, "dense") is not None:
        return {}
    if in_pretrainer and not own_pooler:
        raise ValueError(
            f"the head at `{graph.path_to(head)}` has no pooler (`inner_dim=0`) and computes outputs of each token,"
            " which is no next sentence prediction"
        )
    kind = names.NEXT_SENTENCE if in_pretrainer else names.CLASSIFIER
    return dict(zip(kind, dense, strict=True)) | own_pooler


def _masked_lm(graph: ObjectGraph, nodes: list[int]) -> tuple[int | None, dict[str, str]]:
    """The first of `nodes` that is a masked LM head, and the keys of its weights."""
    for node in nodes:
        for paths in names.MASKED_LM:
            keys = _keys(graph, node, paths)
            if len(keys) == len(paths):
                return node, keys
    return None, {}


def _dense(graph: ObjectGraph, node: int, path: str = "") -> tuple[str, str] | None:
    kernel, bias = graph.key(node, f"{path}kernel"), graph.key(node, f"{path}bias")
    return (kernel, bias) if kernel and bias else None


def _pooler(graph: ObjectGraph, node: int, path: str = "") -> dict[str, str]:
    """The pooler that a head has for itself: it was trained, and the encoder's had no part in the loss."""
    found = _dense(graph, node, path)
    return dict(zip(names.POOLER, found, strict=True)) if found else {}


def _dense_kinds(
    named: tuple[str, str] | None, is_bare: bool, is_pair: bool, steps: int | None
) -> tuple[tuple[str, str], ...]:
    """Which head a dense layer is, `named` by the edges of its model or its other heads; several where it is not clear.

    Official code tags words with a bare dense layer, where its classifiers have that layer within another one, and
    since 2.5 calls both `classifier`; without that edge the tagger of 2.4 and models of one's own look the same. Else
    classifier and SQuAD are stored under the same keys. Only a classifier has another number of outputs than two. Else
    it shows in the number of layers from the encoder to the head: a classifier has dropout between them, a SQuAD model
    nothing.
    """
    if named:
        return (names.TAGGER if is_bare and named == names.CLASSIFIER else named,)
    if is_bare:
        return names.CLASSIFIER, names.TAGGER
    if is_pair and steps is None:
        return names.CLASSIFIER, names.SQUAD
    return (names.SQUAD if is_pair and steps == 1 else names.CLASSIFIER,)


_LAYOUTS = (names.FUNCTIONAL_A, names.FUNCTIONAL_B, names.LAYER_STYLE_C)
# The encoder is restored as `model=` or as `encoder=`. The first numbered layer of an encoder is its word embedding,
# that of a classifier or SQuAD model the encoder, and that of a model in pretraining the pretrainer, whose own first
# layer is the encoder: one chain of nodes serves all four.
_ENCODERS = ("model", "encoder")
_IN_FINE_TUNED = "model/layer_with_weights-0"
_IN_PRETRAINER = "model/layer_with_weights-0/layer_with_weights-0"
_CLASSIFIERS = (
    f"model/layer_with_weights-1/{names.DENSE_HEAD}",
    f"model/layer_with_weights-1/{names.CLASSIFIER_HEAD}",
    f"model/{names.CLASSIFIER_EDGE}/{names.CLASSIFIER_HEAD}",
)
_SQUADS = (f"model/layer_with_weights-1/{names.DENSE_HEAD}", f"model/{names.SQUAD_EDGE}/{names.DENSE_HEAD}")
_NEXT_SENTENCES = (
    f"{_IN_FINE_TUNED}/layer_with_weights-1/{names.DENSE_HEAD}",
    f"{_IN_FINE_TUNED}/{names.NEXT_SENTENCE_EDGE}/{names.DENSE_HEAD}",
)
_MASKED_LMS = (f"{_IN_FINE_TUNED}/layer_with_weights-2", f"{_IN_FINE_TUNED}/masked_lm", "masked_lm")


def write_tf2(prefix: str, weights: Mapping[str, np.ndarray], attention_heads: int) -> None:
    """Write `weights` (TF1 names and shapes) as `<prefix>.index` and its data file.

    `tf.train.Checkpoint(model=m).restore(prefix)` restores all of `m` where `m` is the encoder (also by `encoder=`),
    the classifier, or the SQuAD model of tf-models-official 2.2 and later, or the model in pretraining of 2.3 and
    later; `BertEncoderV2` and its masked LM head are found by `encoder=` and `masked_lm=`. Keys are those of version
    2.3. Raises InputError where there are heads of a classifier and of SQuAD.
    """
    if {names.CLASSIFIER[0], names.SQUAD[0]} <= weights.keys():
        raise InputError(
            "there are heads of a classifier and of SQuAD, which have the same path in official models",
            "choose another format",
        )
    stored = {name: names.to_tf2(names.form_of(name), weight, attention_heads) for name, weight in weights.items()}
    objects = [(paths, stored[name]) for name, paths in official_paths(weights).items()]
    # Official code saves by `Checkpoint.save`, and its way of restoring expects the counter of saves.
    write_objects(prefix, [*objects, (["save_counter"], np.array(1, np.int64))])


def write_objects(prefix: str, objects: Sequence[tuple[Sequence[str], np.ndarray]]) -> None:
    """Write variables, each with all paths that lead to it from the root; the first one is its key."""
    tensors = {value_key(paths[0]): value for paths, value in objects}
    graph = _graph([paths for paths, _ in objects])
    write_bundle(prefix, tensors | {GRAPH_KEY: np.array(graph, dtype=object)})


def value_key(path: str) -> str:
    """The key of the value of the object at `path`."""
    return f"{path}/.ATTRIBUTES/{VALUE}"


def official_paths(weights: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """For every weight the paths at which official objects look for it; the first one is its key."""
    found: dict[str, dict[str, None]] = {name: {} for name in sorted(weights)}  # as ordered sets: no path twice
    for paths in (*_encoder_paths(weights), *_head_paths(weights)):
        for name, path in paths.items():
            found[name][path] = None
    return {name: list(paths) for name, paths in found.items()}


def _encoder_paths(weights: Mapping[str, np.ndarray]) -> Iterator[dict[str, str]]:
    layers = sum(name.endswith("attention/self/query/kernel") for name in weights)
    roots = list(_ENCODERS)
    if any(name in weights for name in (names.CLASSIFIER[0], names.SQUAD[0])):
        roots.append(_IN_FINE_TUNED)
    if any(name.startswith("cls/predictions") or name in names.NEXT_SENTENCE for name in weights):
        roots.append(_IN_PRETRAINER)
    for root in roots:
        for layout in _LAYOUTS:
            paths = layout.paths(layers)
            yield {name: f"{root}/{paths[name]}" for name in weights if name in paths}


def _head_paths(weights: Mapping[str, np.ndarray]) -> Iterator[dict[str, str]]:
    for head, nodes in (
        (names.CLASSIFIER, _CLASSIFIERS),
        (names.SQUAD, _SQUADS),
        (names.NEXT_SENTENCE, _NEXT_SENTENCES),
    ):
        for node in nodes:
            paths = zip(head, (f"{node}/kernel", f"{node}/bias"), strict=True)
            yield {name: path for name, path in paths if name in weights}
    for node in _MASKED_LMS:
        if names.MASKED_LM[0].keys() <= weights.keys():
            yield {name: f"{node}/{path}" for name, path in names.MASKED_LM[0].items()}


def _graph(variables: Sequence[Sequence[str]]) -> bytes:
    """The serialized graph whose paths from the root are these; all paths of one list end in the same variable."""
    graph: Any = TrackableObjectGraph()
    graph.nodes.add()
    numbers = {"": 0}  # of the nodes, by their paths
    for paths in variables:
        variable = len(graph.nodes)
        graph.nodes.add().attributes.add(name=VALUE, checkpoint_key=value_key(paths[0]))
        for path in paths:
            parent, _, edge = path.rpartition("/")
            graph.nodes[_number(graph, numbers, parent)].children.add(node_id=variable, local_name=edge)
    return bytes(graph.SerializeToString())


def _number(graph: Any, numbers: dict[str, int], path: str) -> int:
    """The number of the node at `path`, which is made, with all on the way, where it is not there yet."""
    if path not in numbers:
        parent, _, edge = path.rpartition("/")
        parent_number = _number(graph, numbers, parent)
        numbers[path] = len(graph.nodes)
        graph.nodes.add()
        graph.nodes[parent_number].children.add(node_id=numbers[path], local_name=edge)
    return numbers[path]
