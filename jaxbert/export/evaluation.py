# SPDX-License-Identifier: Apache-2.0
"""Written SavedModels and ONNX files, read again and computed with numpy, to see that they give what they should."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxbert.checkpoints.tf_bundle import open_bundle
from jaxbert.export import onnx, saved_model, tf_function
from jaxbert.export.onnx import Model
from jaxbert.export.tf_function import SavedModel
from jaxbert.io import files

Arrays = dict[str, np.ndarray]
Attributes = Mapping[str, Any]


def run_saved_model(folder: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The results of `serving_default` by name for int32 inputs by name, from the files in `folder` alone."""
    graph = SavedModel.FromString(files.read_bytes(os.path.join(folder, saved_model.MODEL_FILE))).meta_graphs[0]
    signature = _by_key(graph.signature_def)["serving_default"]
    nodes = {node.name: node for node in graph.graph_def.node}
    call = nodes[_node_of(signature.outputs[0].value.name)]
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    values = _restored(os.path.join(folder, "variables", "variables"), nodes)
    values |= {_node_of(entry.value.name): inputs[entry.key] for entry in signature.inputs}
    results = run_function(functions[_by_key(call.attr)["f"].func.name], [values[name] for name in call.input])
    return {entry.key: results[int(entry.value.name.split(":")[1])] for entry in signature.outputs}


def _restored(prefix: str, nodes: Mapping[str, Any]) -> Arrays:
    """The values of all variables, found as the graph's own operations find them."""
    bundle = open_bundle(prefix)
    assigned = [node.input for node in nodes.values() if node.op == "AssignVariableOp"]
    restore = nodes[_node_of(assigned[0][1])]
    keys = _by_key(nodes[restore.input[1]].attr)["value"].tensor.string_val
    return {name: bundle.read(keys[int(value.split(":")[1])].decode()) for name, value in assigned}


def run_function(function: Any, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The results of one function of a SavedModel."""
    values = {argument.name: array for argument, array in zip(function.signature.input_arg, arguments, strict=True)}
    for node in function.node_def:
        values[node.name] = _TENSORFLOW[node.op](_by_key(node.attr), *(values[_node_of(name)] for name in node.input))
    returned = _by_key(function.ret)
    return [values[_node_of(returned[output.name])] for output in function.signature.output_arg]


def _node_of(value: str) -> str:
    """`Mul_3` of `Mul_3:z:0`."""
    return value.split(":")[0]


def _by_key(entries: Any) -> dict[str, Any]:
    return {entry.key: entry.value for entry in entries}


def run_onnx(folder: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs by name for int64 inputs by name, from the file in `folder` alone."""
    graph = Model.FromString(files.read_bytes(os.path.join(folder, onnx.MODEL_FILE))).graph
    dtypes = {onnx.FLOAT: np.float32, onnx.INT64: np.int64}
    values = dict(inputs)
    for tensor in graph.initializer:
        values[tensor.name] = np.frombuffer(tensor.raw_data, dtypes[tensor.data_type]).reshape(tuple(tensor.dims))
    for node in graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        values[node.output[0]] = _ONNX[node.op_type](attributes, *(values[name] for name in node.input))
    return {output.name: values[output.name] for output in graph.output}


def _softmax(_: Attributes, x: np.ndarray) -> Any:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _layer_norm(attributes: Attributes, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    normal = centered / np.sqrt(np.square(centered).mean(-1, keepdims=True) + np.float32(attributes["epsilon"].f))
    return normal * gamma + beta


def _strided_slice(attributes: Attributes, x: np.ndarray, begin: Any, end: Any, strides: Any) -> np.ndarray:
    """With the masks that are used: axes are taken whole, or at one place."""
    masks = [attributes[name].i if name in attributes else 0 for name in ("begin_mask", "shrink_axis_mask")]
    places: list[Any] = []
    for axis in range(len(begin)):
        whole, single = (bool(mask >> axis & 1) for mask in masks)
        places.append(int(begin[axis]) if single else slice(None) if whole else slice(begin[axis], end[axis]))
    return np.asarray(x[tuple(places)])


def _gather(attributes: Attributes, table: np.ndarray, numbers: np.ndarray, axis: Any) -> np.ndarray:
    if attributes["batch_dims"].i:
        return np.stack([np.take(row, number, int(axis) - 1) for row, number in zip(table, numbers, strict=True)])
    return np.take(table, numbers, int(axis))


def _constant(attributes: Attributes) -> np.ndarray:
    tensor = attributes["value"].tensor
    dtype = {tf_function.FLOAT: np.float32, tf_function.INT32: np.int32}[tensor.dtype]
    return np.frombuffer(tensor.tensor_content, dtype).reshape([dim.size for dim in tensor.tensor_shape.dim])


_Operation = Callable[..., Any]
# Operation -> (its attributes, its operands) -> its result.
_OF_BOTH: dict[str, _Operation] = {
    "Cast": lambda _, x: x.astype(np.float32),
    "Erf": lambda _, x: np.vectorize(math.erf, otypes=[x.dtype])(x),
    "Identity": lambda _, x: x,
    "MatMul": lambda _, x, y: x @ y,
    "Mul": lambda _, x, y: x * y,
    "Relu": lambda _, x: np.maximum(x, 0),
    "Reshape": lambda _, x, shape: x.reshape(tuple(shape)),
    "Sigmoid": lambda _, x: 1 / (1 + np.exp(-x)),
    "Softmax": _softmax,
    "Sub": lambda _, x, y: x - y,
    "Tanh": lambda _, x: np.tanh(x),
}
_TENSORFLOW = _OF_BOTH | {
    "AddV2": lambda _, x, y: x + y,
    "BatchMatMulV2": lambda _, x, y: x @ y,
    "ConcatV2": lambda _, *parts: np.concatenate(parts[:-1]),
    "Const": _constant,
    "GatherV2": _gather,
    "Mean": lambda _, x, axes: x.mean(tuple(axes), keepdims=True),
    "Minimum": lambda _, x, y: np.minimum(x, y),
    "ReadVariableOp": lambda _, x: x,
    "Rsqrt": lambda _, x: 1 / np.sqrt(x),
    "Shape": lambda _, x: np.array(x.shape, np.int32),
    "Slice": lambda _, x, begin, size: x[tuple(map(slice, begin, begin + size))],
    "SquaredDifference": lambda _, x, y: np.square(x - y),
    "StridedSlice": _strided_slice,
    "Transpose": lambda _, x, axes: x.transpose(tuple(axes)),
}
_ONNX = _OF_BOTH | {
    "Add": lambda _, x, y: x + y,
    "Concat": lambda _, *parts: np.concatenate(parts),
    "Gather": lambda a, x, numbers: np.take(x, numbers, a["axis"].i if "axis" in a else 0),
    "LayerNormalization": _layer_norm,
    "Min": lambda _, x, y: np.minimum(x, y),
    "Shape": lambda a, x: np.array(x.shape[a["start"].i : a["end"].i], np.int64),
    "Slice": lambda _, x, start, end: x[int(start[0]) : int(end[0])],
    "Transpose": lambda a, x: x.transpose(tuple(a["perm"].ints)),
}
