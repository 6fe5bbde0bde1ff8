# SPDX-License-Identifier: Apache-2.0
"""Finding BERT's weights in a TF2 object graph by structure, wherever in the saved model the encoder stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxbert.checkpoints import names
from jaxbert.checkpoints.object_graph import ObjectGraph

_MOST_ENCODERS = 50  # looking closely at each costs time; real models have one
_LAYER_EDGE = re.compile(r"layer-(\d{1,9})$")


@dataclass(frozen=True)
class FoundWeights:
    """Weights found in a graph: TF1 name -> key in the checkpoint.

    `undecided` are the keys of kernel and bias of a dense head [H, 2] that may be a classifier's or SQuAD's.
    """

    keys: Mapping[str, str]
    layout: names.Layout
    place: str
    undecided: tuple[str, str] | None = None


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
        raise ValueError(f"it holds {len(tables)} encoders: {', '.join(f'`{place}`' for place in tables.values())}")
    node, layout, encoder = max(candidates, key=lambda candidate: len(candidate[2]))
    heads: dict[str, str] = {}
    undecided: tuple[str, str] | None = None
    same = _standing_for(graph, {node for node, _ in encoders})
    for parent in graph.from_root():
        if not same.isdisjoint(graph.nodes[parent].children.values()):
            found, other = _heads(graph, parent, same, shapes)
            heads, undecided = heads | found, other or undecided
    if heads.get(names.NEXT_SENTENCE[0]) == heads.get(names.CLASSIFIER[0]):
        heads = {name: key for name, key in heads.items() if name not in names.CLASSIFIER}  # seen from two objects
    if undecided and undecided[0] in heads.values():
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
    """The nodes of the encoder, several of which may lead to it, and layers that a model has in its place.

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
    return encoders | modules


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
    graph: ObjectGraph, parent: int, encoders: set[int], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, str], tuple[str, str] | None]:
    """The heads among the children of `parent`, which is a model around an encoder; and a dense one of unclear kind."""
    children = graph.nodes[parent].children
    listed = graph.nodes[children[names.HEADS_EDGE]].children.values() if names.HEADS_EDGE in children else ()
    others = list(dict.fromkeys(child for child in (*children.values(), *listed) if child not in encoders))
    named = {children[edge]: kind for edge, kind in names.HEAD_EDGES.items() if edge in children}
    numbers = _layer_numbers(graph, parent)
    encoder = next((number for child, number in numbers.items() if child in encoders), None)
    masked_lm, found = _masked_lm(graph, others)
    undecided = None
    if names.POOLER_EDGE in children:
        found |= _pooler(graph, children[names.POOLER_EDGE])
    for head in others:
        new_style = _dense(graph, head, f"{names.CLASSIFIER_HEAD}/")
        own_pooler = _pooler(graph, head, "dense/")
        plain = None if parent in encoders else _dense(graph, head)  # an encoder's plain dense layer is its pooler
        old_style = head != masked_lm and (_dense(graph, head, f"{names.DENSE_HEAD}/") or plain)
        if new_style and (own_pooler or graph.follow(head, "dense") is None):
            found |= zip(names.CLASSIFIER if masked_lm is None else names.NEXT_SENTENCE, new_style, strict=True)
            found |= own_pooler
        elif old_style and head != children.get(names.POOLER_EDGE):
            is_pair = shapes[old_style[0]][-1:] == (2,)
            steps = numbers[head] - encoder if head in numbers and encoder is not None else None
            of_graph = names.NEXT_SENTENCE if masked_lm is not None else _dense_kind(is_pair, steps)
            if kind := named.get(head, of_graph):
                found |= zip(kind, old_style, strict=True)
            else:
                undecided = old_style
    return found, undecided


def _layer_numbers(graph: ObjectGraph, model: int) -> dict[int, int]:
    """The place of each layer of a functional model: N of its edges `layer-N`."""
    found = ((_LAYER_EDGE.match(edge), child) for edge, child in graph.nodes[model].children.items())
    return {child: int(edge[1]) for edge, child in found if edge}


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


def _dense_kind(is_pair: bool, steps: int | None) -> tuple[str, str] | None:
    """Whether a dense head is a classifier's or SQuAD's, which official code stores under the same keys.

    Only a classifier has another number of outputs than two. Else it shows in the number of layers from the encoder
    to the head: a classifier has dropout between them, a SQuAD model nothing.
    """
    if not is_pair:
        return names.CLASSIFIER
    if steps is None:
        return None
    return names.SQUAD if steps == 1 else names.CLASSIFIER
