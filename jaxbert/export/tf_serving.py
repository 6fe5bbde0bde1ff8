# SPDX-License-Identifier: Apache-2.0
"""The part of a SavedModel that servers use: variables, how they are restored, and one function with named arguments.

`tf.saved_model.load` in TensorFlow 2 needs nothing of it; TensorFlow Serving and other users of the C++ loader, and
TensorFlow 1, need nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxbert.export.tf_function import (
    FLOAT,
    INT32,
    RESOURCE,
    STRING,
    Sizes,
    add_node,
    of_shapes,
    of_tensor,
    of_type,
    set_shape,
)
from jaxbert.export.tf_graph_messages import AttrValue
from jaxbert.export.tf_objects import Signature, Tensor

_VERSION_2 = 2  # of the way of saving
_ASSET = "asset_path_initializer"
_FILE, _SAVE, _RESTORE = "saver_filename", "saved", "restore_all"


@dataclass(frozen=True)
class Stored:
    """A variable: its name, its key in the checkpoint, shape and type."""

    name: str
    key: str
    sizes: Sizes
    dtype: int


def add_variables(meta: Any, variables: Sequence[Stored]) -> None:
    """Variables, and operations that save and restore all of them; `meta` is the message of a graph."""
    nodes = meta.graph_def.node
    for variable in variables:
        shape = AttrValue()
        set_shape(shape.shape, variable.sizes)
        attributes = {
            "dtype": of_type(variable.dtype),
            "shape": shape,
            "shared_name": AttrValue(s=variable.name.encode()),
        }
        add_node(nodes, variable.name, "VarHandleOp", [], attributes)
    add_node(nodes, _FILE, "Placeholder", [], _placeholder(STRING, ()))
    keys = np.array([variable.key.encode() for variable in variables], dtype=object)
    add_node(nodes, "saved_keys", "Const", [], of_tensor(keys))
    add_node(nodes, "whole_tensors", "Const", [], of_tensor(np.array([b""] * len(keys), dtype=object)))
    dtypes = AttrValue()
    dtypes.list.type.extend(variable.dtype for variable in variables)
    names = [_FILE, "saved_keys", "whole_tensors"]
    _add_restore(nodes, names, variables, dtypes)
    _add_save(nodes, names, variables, dtypes)
    saver = meta.saver_def
    saver.filename_tensor_name, saver.save_tensor_name = f"{_FILE}:0", f"{_SAVE}:0"
    saver.restore_op_name, saver.version = _RESTORE, _VERSION_2


def _add_restore(nodes: Any, names: list[str], variables: Sequence[Stored], dtypes: Any) -> None:
    add_node(nodes, "restored", "RestoreV2", names, {"dtypes": dtypes})
    for number, variable in enumerate(variables):
        inputs = [variable.name, f"restored:{number}"]
        add_node(nodes, f"assign_{number}", "AssignVariableOp", inputs, {"dtype": of_type(variable.dtype)})
    add_node(nodes, _RESTORE, "NoOp", [f"^assign_{number}" for number in range(len(variables))], {})


def _add_save(nodes: Any, names: list[str], variables: Sequence[Stored], dtypes: Any) -> None:
    for number, variable in enumerate(variables):
        add_node(nodes, f"read_{number}", "ReadVariableOp", [variable.name], {"dtype": of_type(variable.dtype)})
    values = [f"read_{number}" for number in range(len(variables))]
    add_node(nodes, "save", "SaveV2", [*names, *values], {"dtypes": dtypes})
    add_node(nodes, _SAVE, "Identity", [_FILE, "^save"], {"T": of_type(STRING)})


def add_signature(meta: Any, name: str, signature: Signature) -> None:
    """One call of a function of the library, with a placeholder for each argument."""
    nodes, definition = meta.graph_def.node, meta.signature_def.add(key=name).value
    definition.method_name = "tensorflow/serving/predict"
    arguments = {argument: f"{name}_{argument}" for argument in sorted(signature.named)}
    for argument, node in arguments.items():
        sizes = signature.named[argument].sizes
        add_node(nodes, node, "Placeholder", [], _placeholder(INT32, sizes))
        _describe(definition.inputs.add(key=argument).value, f"{node}:0", signature.named[argument])
    call = f"call_{name}"
    assert isinstance(signature.results, Mapping)  # servers know results by names
    results = [signature.results[result] for result in sorted(signature.results)]
    attributes = {"f": AttrValue(), "Tin": AttrValue(), "Tout": AttrValue(), "config_proto": AttrValue(s=b"")}
    attributes["f"].func.name = signature.function
    attributes["Tin"].list.type.extend([INT32] * len(arguments) + [RESOURCE] * len(signature.captured))
    attributes["Tout"].list.type.extend([FLOAT] * len(results))
    add_node(nodes, call, "StatefulPartitionedCall", [*arguments.values(), *signature.captured], attributes)
    for number, result in enumerate(results):
        assert isinstance(result, Tensor)
        _describe(definition.outputs.add(key=result.name).value, f"{call}:{number}", result)


def add_asset(meta: Any, filename: str) -> None:
    """A file in `assets`; its path goes into a placeholder."""
    add_node(meta.graph_def.node, _ASSET, "Placeholder", [], _placeholder(STRING, ()))
    asset = meta.asset_file_def.add(filename=filename)
    asset.tensor_info.name = f"{_ASSET}:0"


def _placeholder(dtype: int, sizes: Sizes) -> Mapping[str, Any]:
    shape = AttrValue()
    set_shape(shape.shape, sizes)
    return {"dtype": of_type(dtype), "shape": shape, "_output_shapes": of_shapes([sizes])}


def _describe(info: Any, name: str, tensor: Tensor) -> None:
    info.name, info.dtype = name, tensor.dtype
    set_shape(info.tensor_shape, tensor.sizes)
