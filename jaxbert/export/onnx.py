# SPDX-License-Identifier: Apache-2.0
"""An ONNX file: the network of `export.network` as nodes, weights as initializers, sizes of inputs left open.

Messages, operators and attributes are those of https://github.com/onnx/onnx (onnx.proto3, docs/Operators.md); only the
fields that are used are declared, so that writing needs no package of ONNX.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import jaxbert
from jaxbert.errors import InputError
from jaxbert.export.network import IDS, MASK, TYPES, Exported, Plain, Value, served_results
from jaxbert.io import files
from jaxbert.io.protobuf import Field, declare

MODEL_FILE = "model.onnx"
INPUTS = {IDS: "input_ids", MASK: "attention_mask", TYPES: "token_type_ids"}
OUTPUTS = {  # in the order of transformers
    "sequence_output": "last_hidden_state",
    "pooled_output": "pooler_output",
    "sentence_prediction": "logits",
    "start_positions": "start_logits",
    "end_positions": "end_logits",
    "mlm_logits": "prediction_logits",
    "next_sentence": "seq_relationship_logits",
}
OPERATORS, FILE_VERSION = 17, 8  # LayerNormalization is there since 17; onnxruntime reads these since 1.12 (2022)
_MOST_BYTES = 2**31 - 1  # of one protocol buffer message


def write_onnx(folder: str, model: Exported) -> None:
    """Write `model` as `model.onnx` into `folder`. Raises InputError where it is larger than a file can be."""
    size = sum(weight.nbytes for weight in model.weights.values())
    if size > _MOST_BYTES - (1 << 24):  # the graph itself takes less than that
        raise InputError(f"an ONNX file holds at most 2 GiB, these weights take {size} bytes", "choose another format")
    with files.whole_file(os.path.join(folder, MODEL_FILE)) as file:
        file.write(onnx_model(model).SerializeToString())


def onnx_model(model: Exported) -> Any:
    """The message in the file; the masked LM is computed at all positions."""
    message = Model(ir_version=FILE_VERSION, producer_name="jaxbert", producer_version=jaxbert.__version__)
    message.opset_import.add(domain="", version=OPERATORS)
    message.graph.name = model.kind
    graph = OnnxGraph(message.graph, model.weights)
    for name in INPUTS.values():
        graph.add_input(name, ("B", "S"))
    results = served_results(graph, model, INPUTS)
    for name in filter(results.__contains__, OUTPUTS):
        graph.add_output(OUTPUTS[name], results[name].value, results[name].shape)
    return message


_MESSAGES: dict[str, tuple[Field, ...]] = {
    "Attribute": (
        (1, "name", "string"),
        (2, "f", "float"),
        (3, "i", "int64"),
        (8, "ints", "*int64"),
        (20, "type", "int32"),
    ),
    "Node": (
        (1, "input", "*string"),
        (2, "output", "*string"),
        (3, "name", "string"),
        (4, "op_type", "string"),
        (5, "attribute", "*Attribute"),
    ),
    "Tensor": (
        (1, "dims", "*int64"),
        (2, "data_type", "int32"),
        (8, "name", "string"),
        (9, "raw_data", "bytes"),
    ),
    "Dim": ((1, "dim_value", "int64"), (2, "dim_param", "string")),
    "Shape": ((1, "dim", "*Dim"),),
    "TensorType": ((1, "elem_type", "int32"), (2, "shape", "Shape")),
    "Type": ((1, "tensor_type", "TensorType"),),
    "ValueInfo": ((1, "name", "string"), (2, "type", "Type")),
    "Graph": (
        (1, "node", "*Node"),
        (2, "name", "string"),
        (5, "initializer", "*Tensor"),
        (11, "input", "*ValueInfo"),
        (12, "output", "*ValueInfo"),
    ),
    "Operators": ((1, "domain", "string"), (2, "version", "int64")),
    "Model": (
        (1, "ir_version", "int64"),
        (2, "producer_name", "string"),
        (3, "producer_version", "string"),
        (7, "graph", "Graph"),
        (8, "opset_import", "*Operators"),
    ),
}

Model: Any = declare("jaxbert.onnx", _MESSAGES, "proto2")["Model"]

# The numbers are those of TensorProto.DataType and AttributeProto.AttributeType.
FLOAT, INT64 = 1, 7
_DTYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 2, 7

_PLAIN: dict[Plain, str] = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "minimum": "Min",
    "matmul": "MatMul",
    "batch_matmul": "MatMul",
    "softmax": "Softmax",  # of the last axis, as by default
    "tanh": "Tanh",
    "erf": "Erf",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "gather": "Gather",  # along the first axis, as by default
}
_AXES = {"B": "batch", "S": "sequence", "P": "positions"}

Attributes = Mapping[str, int | float | Sequence[int]]


class OnnxGraph:
    """A graph that grows by one of BERT's operations with each call; see `Operations` for what they are.

    Where nodes could be chosen they are those that `onnxruntime.transformers.optimizer` finds in files from PyTorch: it
    fuses no others. `message` is where it is written; `weights` have TF1 names and shapes.
    """

    def __init__(self, message: Any, weights: Mapping[str, np.ndarray]) -> None:
        self._message, self._weights = message, weights
        self._seen: dict[object, Value] = {}  # results that are the same wherever they are asked for

    def weight(self, name: str) -> Value:
        """An initializer under its TF1 name."""
        if name not in self._seen:
            self._seen[name] = self._initializer(name, self._weights[name])
        return self._seen[name]

    def constant(self, value: float) -> Value:
        """An initializer."""
        return self._constant(np.array(value, np.float32))

    def apply(self, operation: Plain, *inputs: Value) -> Value:
        """The operation of the table."""
        return self._node(_PLAIN[operation], inputs)

    def insert_axes(self, x: Value, axes: Sequence[int]) -> Value:
        """An Unsqueeze for each axis."""
        for axis in axes:
            x = self._node("Unsqueeze", [x, self._constant(np.array([axis], np.int64))])
        return x

    def to_float(self, x: Value) -> Value:
        """Cast."""
        return self._node("Cast", [x], {"to": FLOAT})

    def size(self, x: Value, axis: int) -> Value:
        """Gather of Shape."""
        if ("shape", x) not in self._seen:
            self._seen["shape", x] = self._node("Shape", [x])
        index = self._constant(np.array(axis, np.int64))
        return self.insert_axes(self._node("Gather", [self._seen["shape", x], index]), [0])

    def reshape(self, x: Value, shape: Sequence[int | Value]) -> Value:
        """Reshape."""
        return self._node("Reshape", [x, self._vector(shape)])

    def rows(self, x: Value, width: int) -> Value:
        """`x`: MatMul takes stacks of rows."""
        return x

    def unrows(self, x: Value, sizes: tuple[Value, Value], width: int) -> Value:
        """`x`, as in `rows`."""
        return x

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """Transpose."""
        return self._node("Transpose", [x], {"perm": axes})

    def select(self, x: Value, axis: int, index: int) -> Value:
        """Gather of one index, which removes the axis."""
        return self._node("Gather", [x, self._constant(np.array(index, np.int64))], {"axis": axis})

    def first_rows(self, table: Value, count: Value, width: int) -> Value:
        """Gather of the first positions [1, S] of all."""
        positions = self._constant(np.arange(len(self._weights[table]))[None])
        zero, one = (self._constant(np.array([number], np.int64)) for number in (0, 1))
        return self._node("Gather", [table, self._node("Slice", [positions, zero, count, one, one])])

    def at_positions(self, x: Value, positions: Value) -> Value:
        """GatherND, row by row of the batch."""
        last = self._constant(np.array([-1], np.int64))
        return self._node("GatherND", [x, self._node("Unsqueeze", [positions, last])], {"batch_dims": 1})

    def layer_norm(self, x: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
        """LayerNormalization of the last axis, as by default."""
        return self._node("LayerNormalization", [x, gamma, beta], {"epsilon": epsilon})

    def dropout(self, x: Value, rate: float) -> Value:
        """`x`: these graphs are not for training."""
        return x

    def add_input(self, name: str, sizes: Sequence[int | str]) -> None:
        """An input of int64."""
        _describe(self._message.input.add(name=name), INT64, sizes)

    def add_output(self, name: str, value: Value, sizes: Sequence[int | str]) -> None:
        """An output of float32."""
        self._message.node.add(name=name, op_type="Identity", input=[value], output=[name])
        _describe(self._message.output.add(name=name), FLOAT, sizes)

    def _vector(self, sizes: Sequence[int | Value]) -> Value:
        """Sizes as one int64 vector."""
        if (integers := [size for size in sizes if isinstance(size, int)]) == list(sizes):
            return self._constant(np.array(integers, np.int64))
        if ("vector", *sizes) not in self._seen:
            parts = [self._constant(np.array([x], np.int64)) if isinstance(x, int) else x for x in sizes]
            self._seen["vector", *sizes] = self._node("Concat", parts, {"axis": 0})
        return self._seen["vector", *sizes]

    def _constant(self, array: np.ndarray) -> Value:
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._seen:
            self._seen[key] = self._initializer(f"constant_{len(self._message.initializer)}", array)
        return self._seen[key]

    def _initializer(self, name: str, array: np.ndarray) -> Value:
        tensor = self._message.initializer.add(name=name, dims=array.shape, data_type=_DTYPES[array.dtype])
        tensor.raw_data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        return name

    def _node(self, op: str, inputs: Sequence[Value], attributes: Attributes = {}) -> Value:  # noqa: B006 (not changed)
        name = f"{op}_{len(self._message.node)}"
        node = self._message.node.add(name=name, op_type=op, input=inputs, output=[name])
        for key, value in attributes.items():
            if isinstance(value, float):
                node.attribute.add(name=key, f=value, type=_ATTRIBUTE_FLOAT)
            elif isinstance(value, int):
                node.attribute.add(name=key, i=value, type=_ATTRIBUTE_INT)
            else:
                node.attribute.add(name=key, ints=value, type=_ATTRIBUTE_INTS)
        return name


def _describe(info: Any, dtype: int, sizes: Sequence[int | str]) -> None:
    info.type.tensor_type.elem_type = dtype
    shape = info.type.tensor_type.shape
    for size in sizes:
        if isinstance(size, int):
            shape.dim.add(dim_value=size)
        else:
            shape.dim.add(dim_param=_AXES[size])
