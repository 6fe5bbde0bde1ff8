# SPDX-License-Identifier: Apache-2.0
"""BERT's weights in TensorFlow's checkpoint files: by their names (TF1) or by the object graph (TF2, hub modules)."""

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.contents import Contents, Tensor
from jaxbert.checkpoints.object_graph import GRAPH_KEY, parse_graph
from jaxbert.checkpoints.tf2_weights import FoundWeights, find_weights
from jaxbert.checkpoints.tf_bundle import Bundle, dtype_name
from jaxbert.errors import InputError


def tf_contents(bundle: Bundle) -> Contents:
    """What is in a checkpoint, heads and optimizer included; without an encoder no keys of weights are known.

    Raises InputError for a damaged object graph, and where there are several encoders.
    """
    tensors = {key: Tensor(entry.shape, dtype_name(entry.dtype)) for key, entry in bundle.entries.items()}
    found = _find(bundle) if GRAPH_KEY in bundle.entries else None
    if found:
        keys, layout = found.keys, _describe(found)
        shapes = {name: names.tf1_shape(names.form_of(name), tensors[key].shape) for name, key in keys.items()}
    else:
        keys, layout = {key: key for key in tensors if names.is_weight(key)}, "TF1 name-based"
        shapes = {key: tensors[key].shape for key in keys}

    def read(name: str, key: str) -> np.ndarray:
        weight = bundle.read(key)
        return names.to_tf1(names.form_of(name), weight) if found else weight

    projection = tensors[keys[names.FIRST_QUERY]].shape if names.FIRST_QUERY in keys else ()
    return Contents(
        source=bundle.prefix,
        layout=layout,
        tensors=tensors,
        keys=keys,
        shapes=shapes,
        attention_heads=projection[1] if len(projection) == 3 else None,
        read=read,
        undecided=found.undecided if found else None,
    )


def _find(bundle: Bundle) -> FoundWeights | None:
    shapes = {key: entry.shape for key, entry in bundle.entries.items()}
    content = bundle.read(GRAPH_KEY)
    try:
        if content.dtype != object or content.shape != ():
            raise ValueError("its object graph is not a string")
        return find_weights(parse_graph(content.item(), shapes.keys()), shapes)
    except ValueError as error:
        raise InputError(
            f"checkpoint `{bundle.prefix}` cannot be used: {error}", "give a checkpoint of one BERT model"
        ) from error


def _describe(found: FoundWeights) -> str:
    root = f"root `{found.place}`" if "/" not in found.place else f"encoder at `{found.place}`"
    return f"TF2 object-based, {found.layout.name}, {root if found.place else 'the encoder itself is the root'}"
