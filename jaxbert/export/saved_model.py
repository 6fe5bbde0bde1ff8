# SPDX-License-Identifier: Apache-2.0
"""A model as a SavedModel: a module for `hub.KerasLayer` and `hub.load`, with a signature for servers.

Written without TensorFlow, from operations that every TensorFlow 2 has. The folder `variables` is at the same time a
TF2 checkpoint in which official code finds the weights.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxbert import files
from jaxbert.checkpoints import names
from jaxbert.checkpoints.object_graph import VALUE
from jaxbert.checkpoints.tf2_writer import official_paths, write_objects
from jaxbert.export import tf_serving
from jaxbert.export.exported import Exported
from jaxbert.export.tf_function import BOOL, FLOAT, Sizes
from jaxbert.export.tf_graph_messages import SavedModel
from jaxbert.export.tf_library import Library
from jaxbert.export.tf_objects import OBJECT, ROOT, Objects, Signature

MODEL_FILE = "saved_model.pb"
_CASE_RULE = "do_lower_case"
_VOCAB = "vocab.txt"
_GRAPH_VERSION = 440  # of TensorFlow 2.3; no operation has changed its meaning since


def write_saved_model(folder: str, model: Exported) -> None:
    """Write `model` into a folder that exists."""
    heads = model.config.num_attention_heads
    stored = {name: names.to_tf2(names.form_of(name), weight, heads) for name, weight in model.weights.items()}
    message = saved_model(model, {name: weight.shape for name, weight in stored.items()})
    official = official_paths(model.weights)
    objects = [([*paths, *official[name]], stored[name]) for name, paths in _paths(model).items()]
    if model.vocab is not None:
        objects.append(([_CASE_RULE], np.array(model.lower_case)))
        files.write_text(os.path.join(folder, "assets", _VOCAB), model.vocab)
    write_objects(os.path.join(folder, "variables", "variables"), objects)
    with files.whole_file(os.path.join(folder, MODEL_FILE)) as file:
        file.write(message.SerializeToString())


def _own_weights(model: Exported) -> list[str]:
    """The weights of the model itself; a pretrainer is an encoder that has another model, the pretrainer, in it."""
    return [name for name in model.weights if model.kind != "pretrainer" or name.startswith("bert/")]


def _paths(model: Exported) -> dict[str, list[str]]:
    """Where the variables are among the objects of the model."""
    paths: dict[str, list[str]] = {name: [] for name in model.weights}
    for number, name in enumerate(_own_weights(model)):
        paths[name].append(f"variables/{number}")
    if model.kind == "pretrainer":
        for number, name in enumerate(model.weights):
            paths[name].append(f"mlm/variables/{number}")
    return paths


def saved_model(model: Exported, shapes: Mapping[str, Sizes]) -> Any:
    """The message in `saved_model.pb`; `shapes` are those of the variables."""
    message = SavedModel(saved_model_schema_version=1)
    meta = message.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = "2.3.0"
    meta.graph_def.versions.producer, meta.graph_def.versions.min_consumer = _GRAPH_VERSION, 12
    variables = [tf_serving.Stored(name, _key(paths[0]), shapes[name], FLOAT) for name, paths in _paths(model).items()]
    if model.vocab is not None:
        variables.append(tf_serving.Stored(_CASE_RULE, _key(_CASE_RULE), (), BOOL))
        tf_serving.add_asset(meta, _VOCAB)
    tf_serving.add_variables(meta, variables)
    library = Library(model, shapes, meta.graph_def.library)
    serving = library.serving()
    tf_serving.add_signature(meta, "serving_default", serving)
    meta.object_graph_def.CopyFrom(_objects(model, shapes, library, serving).graph)
    return message


def _key(path: str) -> str:
    return f"{path}/.ATTRIBUTES/{VALUE}"


def _objects(model: Exported, shapes: Mapping[str, Sizes], library: Library, serving: Signature) -> Objects:
    objects = Objects()
    variables = {name: objects.add_variable(name, sizes, FLOAT, trainable=True) for name, sizes in shapes.items()}
    own = {name: variables[name] for name in _own_weights(model)}
    children = {**_lists(objects, own), "__call__": objects.add_call(library.module(), variables)}
    if model.kind == "pretrainer":
        call = objects.add_call(library.masked_lm(), variables)
        children["mlm"] = objects.add(OBJECT, {**_lists(objects, variables), "__call__": call})
    official = {path: variables[name] for name, paths in official_paths(model.weights).items() for path in paths}
    children |= objects.add_tree(official)
    if model.vocab is not None:
        children["vocab_file"] = objects.add_asset(0)
        children[_CASE_RULE] = objects.add_variable(_CASE_RULE, (), BOOL, trainable=False)
    children["signatures"] = objects.add_signatures({"serving_default": serving}, variables)
    objects.describe(ROOT, OBJECT, children)
    return objects


def _lists(objects: Objects, variables: Mapping[str, int]) -> dict[str, int]:
    """The lists that `hub.KerasLayer` looks for."""
    numbers = list(variables.values())
    return {
        "variables": objects.add_list(numbers),
        "trainable_variables": objects.add_list(numbers),
        "regularization_losses": objects.add_list([]),
    }
