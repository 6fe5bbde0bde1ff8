# SPDX-License-Identifier: Apache-2.0
"""The functions of a SavedModel computed with numpy, operation by operation, from the files alone."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxbert.checkpoints.tf_bundle import open_bundle
from jaxbert.export import saved_model
from jaxbert.export.tf_function import FLOAT, INT32, SavedModel

Arrays = dict[str, np.ndarray]
Attributes = Mapping[str, Any]


def run_saved_model(folder: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The results of `serving_default` by name for int32 inputs by name."""
    graph = SavedModel.FromString(Path(folder, saved_model.MODEL_FILE).read_bytes()).meta_graphs[0]
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
        values[node.name] = _OPERATIONS[node.op](_by_key(node.attr), *(values[_node_of(name)] for name in node.input))
    returned = _by_key(function.ret)
    return [values[_node_of(returned[output.name])] for output in function.signature.output_arg]


def _node_of(value: str) -> str:
    """`Mul_3` of `Mul_3:z:0`."""
    return value.split(":")[0]


def _by_key(entries: Any) -> dict[str, Any]:
    return {entry.key: entry.value for entry in entries}


def _softmax(_: Attributes, x: np.ndarray) -> Any:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _strided_slice(attributes: Attributes, x: np.ndarray, begin: Any, end: Any, strides: Any) -> np.ndarray:
    """With the masks that are used: of an axis all indices are taken, or one."""
    full, single = (attributes[name].i if name in attributes else 0 for name in ("begin_mask", "shrink_axis_mask"))
    index: list[Any] = []
    for axis in range(len(begin)):
        if single >> axis & 1:
            index.append(int(begin[axis]))
        else:
            index.append(slice(None) if full >> axis & 1 else slice(begin[axis], end[axis]))
    return np.asarray(x[tuple(index)])


def _gather(attributes: Attributes, table: np.ndarray, numbers: np.ndarray, axis: Any) -> np.ndarray:
    if attributes["batch_dims"].i:
        return np.stack([np.take(row, number, int(axis) - 1) for row, number in zip(table, numbers, strict=True)])
    return np.take(table, numbers, int(axis))


def _constant(attributes: Attributes) -> np.ndarray:
    tensor = attributes["value"].tensor
    dtype = {FLOAT: np.float32, INT32: np.int32}[tensor.dtype]
    return np.frombuffer(tensor.tensor_content, dtype).reshape([dim.size for dim in tensor.tensor_shape.dim])


# Operation -> (its attributes, its operands) -> its result.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "AddV2": lambda _, x, y: x + y,
    "BatchMatMulV2": lambda _, x, y: x @ y,
    "Cast": lambda _, x: x.astype(np.float32),
    "ConcatV2": lambda _, *parts: np.concatenate(parts[:-1]),
    "Const": _constant,
    "Erf": lambda _, x: np.vectorize(math.erf, otypes=[x.dtype])(x),
    "ExpandDims": lambda _, x, axis: np.expand_dims(x, int(axis)),
    "GatherV2": _gather,
    "Identity": lambda _, x: x,
    "MatMul": lambda _, x, y: x @ y,
    "Mean": lambda _, x, axes: x.mean(tuple(axes), keepdims=True),
    "Minimum": lambda _, x, y: np.minimum(x, y),
    "Mul": lambda _, x, y: x * y,
    "Pow": lambda _, x, y: x**y,
    "ReadVariableOp": lambda _, x: x,
    "RealDiv": lambda _, x, y: x / y,
    "Relu": lambda _, x: np.maximum(x, 0),
    "Reshape": lambda _, x, shape: x.reshape(tuple(shape)),
    "Rsqrt": lambda _, x: 1 / np.sqrt(x),
    "Shape": lambda _, x: np.array(x.shape, np.int32),
    "Sigmoid": lambda _, x: 1 / (1 + np.exp(-x)),
    "Slice": lambda _, x, begin, size: x[tuple(map(slice, begin, begin + size))],
    "Softmax": _softmax,
    "SquaredDifference": lambda _, x, y: np.square(x - y),
    "StridedSlice": _strided_slice,
    "Sub": lambda _, x, y: x - y,
    "Tanh": lambda _, x: np.tanh(x),
    "Transpose": lambda _, x, axes: x.transpose(tuple(axes)),
}
