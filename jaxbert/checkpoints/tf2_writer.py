# SPDX-License-Identifier: Apache-2.0
"""Writing weights as a TF2 object-based checkpoint in which official code of any version finds them.

TensorFlow restores by walking its own objects and the file's graph along the same edge names. Versions differ in
their edges, so the graph has the paths of all of them; each variable is stored once, and every path to it ends in its
one node. Other nodes are never shared: TensorFlow ties a node to the first object that reaches it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.object_graph import GRAPH_KEY, VALUE
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.checkpoints.tf_messages import ObjectGraph
from jaxbert.errors import InputError

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
            "there are heads of a classifier and of SQuAD, which stand at the same place in official models",
            "choose another format",
        )
    stored = {name: names.to_tf2(names.form_of(name), weight, attention_heads) for name, weight in weights.items()}
    objects = [(paths, stored[name]) for name, paths in official_paths(weights).items()]
    # Official code saves by `Checkpoint.save`, and its way of restoring expects the counter of saves.
    write_objects(prefix, [*objects, (["save_counter"], np.array(1, np.int64))])


def write_objects(prefix: str, objects: Sequence[tuple[Sequence[str], np.ndarray]]) -> None:
    """Write variables, each with all paths that lead to it from the root; the first one is its key."""
    tensors = {_key(paths[0]): value for paths, value in objects}
    graph = _graph([paths for paths, _ in objects])
    write_bundle(prefix, tensors | {GRAPH_KEY: np.array(graph, dtype=object)})


def _key(path: str) -> str:
    return f"{path}/.ATTRIBUTES/{VALUE}"


def official_paths(weights: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """For every weight the paths at which official objects look for it; the first one is its key."""
    places: dict[str, dict[str, None]] = {name: {} for name in sorted(weights)}  # no path twice
    for paths in (*_encoder_paths(weights), *_head_paths(weights)):
        for name, path in paths.items():
            places[name][path] = None
    return {name: list(paths) for name, paths in places.items()}


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


def _graph(places: Sequence[Sequence[str]]) -> bytes:
    """The serialized graph whose paths from the root are these; all paths of one list end in the same variable."""
    graph: Any = ObjectGraph()
    graph.nodes.add()
    numbers = {"": 0}  # of the nodes, by their paths
    for paths in places:
        variable = len(graph.nodes)
        graph.nodes.add().attributes.add(name=VALUE, checkpoint_key=_key(paths[0]))
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
