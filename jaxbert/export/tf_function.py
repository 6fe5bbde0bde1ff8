# SPDX-License-Identifier: Apache-2.0
"""A TensorFlow function: the network of `export.network` as its nodes; and the messages of a SavedModel.

Messages, fields and operations are those of tensorflow/core (framework/*.proto, protobuf/*.proto, ops/*.cc); only what
is used is declared. Inside a function a result is named by its node and the operation's own name for it: `AddV2_3:z:0`
is result 0 of `z` of the AddV2 node `AddV2_3`, where the graph around functions says `AddV2_3:0`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.export.network import Plain, Value
from jaxbert.io.protobuf import Field, declare


def _entry(value: str) -> tuple[Field, ...]:
    return (1, "key", "string"), (2, "value", value)


_GRAPH: dict[str, tuple[Field, ...]] = {
    "Dim": ((1, "size", "int64"),),
    "Shape": ((2, "dim", "*Dim"), (3, "unknown_rank", "bool")),
    "Tensor": (
        (1, "dtype", "int32"),
        (2, "tensor_shape", "Shape"),
        (4, "tensor_content", "bytes"),
        (8, "string_val", "*bytes"),
    ),
    "AttrList": ((6, "type", "*int32"), (7, "shape", "*Shape")),
    "NameAttrList": ((1, "name", "string"),),
    "AttrValue": (
        (1, "list", "AttrList"),
        (2, "s", "bytes"),
        (3, "i", "int64"),
        (5, "b", "bool"),
        (6, "type", "int32"),
        (7, "shape", "Shape"),
        (8, "tensor", "Tensor"),
        (10, "func", "NameAttrList"),
    ),
    "AttrEntry": _entry("AttrValue"),
    "Node": ((1, "name", "string"), (2, "op", "string"), (3, "input", "*string"), (5, "attr", "*AttrEntry")),
    "HandleData": ((1, "dtype", "int32"), (2, "shape", "Shape")),
    "Argument": ((1, "name", "string"), (3, "type", "int32"), (7, "handle_data", "*HandleData")),
    "Signature": (
        (1, "name", "string"),
        (2, "input_arg", "*Argument"),
        (3, "output_arg", "*Argument"),
        (17, "is_stateful", "bool"),
    ),
    "StringEntry": _entry("string"),
    "Function": (
        (1, "signature", "Signature"),
        (3, "node_def", "*Node"),
        (4, "ret", "*StringEntry"),
        (5, "attr", "*AttrEntry"),
    ),
    "Library": ((1, "function", "*Function"),),
    "VersionDef": ((1, "producer", "int32"), (2, "min_consumer", "int32")),
    "Graph": ((1, "node", "*Node"), (2, "library", "Library"), (4, "versions", "VersionDef")),
}

_OBJECTS: dict[str, tuple[Field, ...]] = {
    "Nothing": (),
    "TensorSpec": ((1, "name", "string"), (2, "shape", "Shape"), (3, "dtype", "int32")),
    "StructuredEntry": _entry("Structured"),
    "StructuredList": ((1, "values", "*Structured"),),
    "StructuredDict": ((1, "fields", "*StructuredEntry"),),
    "NamedTuple": ((1, "name", "string"), (2, "values", "*StructuredEntry")),
    "Structured": (
        (1, "none_value", "Nothing"),
        (13, "string_value", "string"),
        (14, "bool_value", "bool"),
        (33, "tensor_spec_value", "TensorSpec"),
        (51, "list_value", "StructuredList"),
        (52, "tuple_value", "StructuredList"),
        (53, "dict_value", "StructuredDict"),
        (54, "named_tuple_value", "NamedTuple"),
    ),
    "FunctionSpec": ((1, "fullargspec", "Structured"), (2, "is_method", "bool"), (5, "input_signature", "Structured")),
    "Child": ((1, "node_id", "int32"), (2, "local_name", "string")),
    "UserObject": ((1, "identifier", "string"), (2, "version", "VersionDef")),
    "Asset": ((1, "asset_file_def_index", "int32"),),
    "FunctionObject": ((1, "concrete_functions", "*string"), (2, "function_spec", "FunctionSpec")),
    "Variable": (
        (1, "dtype", "int32"),
        (2, "shape", "Shape"),
        (3, "trainable", "bool"),
        (6, "name", "string"),
    ),
    "BareFunction": ((1, "concrete_function_name", "string"), (2, "argument_keywords", "*string")),
    "Object": (
        (1, "children", "*Child"),
        (4, "user_object", "UserObject"),
        (5, "asset", "Asset"),
        (6, "function", "FunctionObject"),
        (7, "variable", "Variable"),
        (8, "bare_concrete_function", "BareFunction"),
    ),
    "ConcreteFunction": (
        (2, "bound_inputs", "*int32"),
        (3, "canonicalized_input_signature", "Structured"),
        (4, "output_signature", "Structured"),
    ),
    "ConcreteEntry": _entry("ConcreteFunction"),
    "ObjectGraph": ((1, "nodes", "*Object"), (2, "concrete_functions", "*ConcreteEntry")),
}

_MODEL: dict[str, tuple[Field, ...]] = {
    "MetaInfo": ((4, "tags", "*string"), (5, "tensorflow_version", "string")),
    "Saver": (
        (1, "filename_tensor_name", "string"),
        (2, "save_tensor_name", "string"),
        (3, "restore_op_name", "string"),
        (7, "version", "int32"),
    ),
    "TensorInfo": ((1, "name", "string"), (2, "dtype", "int32"), (3, "tensor_shape", "Shape")),
    "TensorInfoEntry": _entry("TensorInfo"),
    "SignatureDef": (
        (1, "inputs", "*TensorInfoEntry"),
        (2, "outputs", "*TensorInfoEntry"),
        (3, "method_name", "string"),
    ),
    "SignatureEntry": _entry("SignatureDef"),
    "AssetFile": ((1, "tensor_info", "TensorInfo"), (2, "filename", "string")),
    "MetaGraph": (
        (1, "meta_info_def", "MetaInfo"),
        (2, "graph_def", "Graph"),
        (3, "saver_def", "Saver"),
        (5, "signature_def", "*SignatureEntry"),
        (6, "asset_file_def", "*AssetFile"),
        (7, "object_graph_def", "ObjectGraph"),
    ),
    "SavedModel": ((1, "saved_model_schema_version", "int64"), (2, "meta_graphs", "*MetaGraph")),
}

_CLASSES: Mapping[str, Any] = declare("jaxbert.saved_model", _GRAPH | _OBJECTS | _MODEL, "proto2")
AttrValue, Function, ObjectGraph, SavedModel, Structured = (
    _CLASSES[name] for name in ("AttrValue", "Function", "ObjectGraph", "SavedModel", "Structured")
)


# The numbers are those of TensorFlow's types.proto.
FLOAT, INT32, STRING, BOOL, RESOURCE = 1, 3, 7, 10, 20
_DTYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int32): INT32}

# Operation -> TensorFlow's, and the name of its result there.
_PLAIN: dict[Plain, tuple[str, str]] = {
    "add": ("AddV2", "z"),
    "subtract": ("Sub", "z"),
    "multiply": ("Mul", "z"),
    "divide": ("RealDiv", "z"),
    "power": ("Pow", "z"),
    "minimum": ("Minimum", "z"),
    "matmul": ("MatMul", "product"),
    "batch_matmul": ("BatchMatMulV2", "output"),
    "softmax": ("Softmax", "softmax"),
    "tanh": ("Tanh", "y"),
    "erf": ("Erf", "y"),
    "relu": ("Relu", "activations"),
    "sigmoid": ("Sigmoid", "y"),
}
_OF_FLOATS = {"T": AttrValue(type=FLOAT)}

Attributes = Mapping[str, Any]
"""Name -> AttrValue message."""
Sizes = Sequence[int | str]
"""A shape; sizes that are known only at a call are letters."""


def set_shape(message: Any, sizes: Sizes) -> None:
    """Fill a shape message; -1 stands for a size that is known only at a call."""
    message.SetInParent()
    for size in sizes:
        message.dim.add(size=size if isinstance(size, int) else -1)


def add_node(nodes: Any, name: str, op: str, inputs: Sequence[str], attributes: Attributes) -> None:
    """Append a node to the repeated field `nodes`."""
    node = nodes.add(name=name, op=op, input=inputs)
    for key in sorted(attributes):
        node.attr.add(key=key, value=attributes[key])


def of_type(dtype: int) -> Any:
    """An attribute that is a type."""
    return AttrValue(type=dtype)


def of_shapes(shapes: Sequence[Sizes]) -> Any:
    """An attribute that is a list of shapes."""
    value = AttrValue()
    value.list.SetInParent()
    for sizes in shapes:
        set_shape(value.list.shape.add(), sizes)
    return value


def of_tensor(array: np.ndarray) -> dict[str, Any]:
    """The attributes of a constant; arrays of objects hold bytes."""
    dtype = STRING if array.dtype == object else _DTYPES[array.dtype]
    value = AttrValue()
    value.tensor.dtype = dtype
    set_shape(value.tensor.tensor_shape, array.shape)
    if dtype == STRING:
        value.tensor.string_val.extend(array.flat)
    else:
        value.tensor.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": of_type(dtype), "value": value}


class TensorflowFunction:
    """A function that grows by one of BERT's operations with each call; see `Operations` for what they are.

    `variables` are the shapes of the stored weights, in their TF2 form, by TF1 name. `captured` are those that the
    function reads, in the order of its resource arguments, which follow its other ones.
    """

    def __init__(self, name: str, inputs: Mapping[str, Sizes], variables: Mapping[str, Sizes], training: bool) -> None:
        self.name = name
        self.captured: list[str] = []
        self._inputs, self._variables, self._training = inputs, variables, training
        self._function = Function()
        self._seen: dict[object, Value] = {}  # results that are the same wherever they are asked for

    def weight(self, name: str) -> Value:
        """ReadVariableOp of its resource, and what brings the value from its TF2 into its TF1 shape."""
        if ("weight", name) not in self._seen:
            argument = f"variable_{len(self.captured)}"
            self.captured.append(name)
            shape = self._variables[name]
            known = {"dtype": of_type(FLOAT), "_output_shapes": of_shapes([shape])}
            value = self._node("ReadVariableOp", "value", [argument], known)
            if names.form_of(name) is names.Form.TRANSPOSED:
                value = self.transpose(value, (1, 0))
            elif (tf1_shape := names.tf1_shape(names.form_of(name), tuple(map(int, shape)))) != tuple(shape):
                value = self.reshape(value, tf1_shape)
            self._seen["weight", name] = value
        return self._seen["weight", name]

    def constant(self, value: float) -> Value:
        """Const."""
        return self._constant(np.array(value, np.float32))

    def apply(self, operation: Plain, *inputs: Value) -> Value:
        """The operation of the table, or GatherV2."""
        if operation == "gather":
            return self._gather(inputs[0], inputs[1], axis=0, batch_axes=0)
        op, result = _PLAIN[operation]
        return self._node(op, result, inputs, _OF_FLOATS)

    def insert_axes(self, x: Value, axes: Sequence[int]) -> Value:
        """An ExpandDims for each axis."""
        types = {"T": of_type(INT32), "Tdim": of_type(INT32)}
        for axis in axes:
            x = self._node("ExpandDims", "output", [x, self._constant(np.array(axis, np.int32))], types)
        return x

    def to_float(self, x: Value) -> Value:
        """Cast."""
        return self._node("Cast", "y", [x], {"SrcT": of_type(INT32), "DstT": of_type(FLOAT)})

    def size(self, x: Value, axis: int) -> Value:
        """StridedSlice of Shape."""
        shape = self._shape(x, INT32 if x in self._inputs else FLOAT)
        begin_end_strides = (self._integers([index]) for index in (axis, axis + 1, 1))
        types = {"T": of_type(INT32), "Index": of_type(INT32)}
        return self._node("StridedSlice", "output", [shape, *begin_end_strides], types)

    def reshape(self, x: Value, shape: Sequence[int | Value]) -> Value:
        """Reshape."""
        types = _OF_FLOATS | {"Tshape": of_type(INT32)}
        return self._node("Reshape", "output", [x, self._vector(shape)], types)

    def rows(self, x: Value, width: int) -> Value:
        """Reshape: MatMul takes two axes, and a stack of products is slower."""
        return self.reshape(x, (-1, width))

    def unrows(self, x: Value, sizes: tuple[Value, Value], width: int) -> Value:
        """Reshape."""
        return self.reshape(x, (*sizes, width))

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """Transpose."""
        return self._node("Transpose", "y", [x, self._integers(axes)], _OF_FLOATS | {"Tperm": of_type(INT32)})

    def select(self, x: Value, axis: int, index: int) -> Value:
        """StridedSlice; bit i of its masks is for axis i.

        x[:, :, 5] has begin [0, 0, 5], end [0, 0, 6], strides [1, 1, 1]; begin and end count for axis 2 only, as the
        masks 0b011 say, and `shrink_axis_mask` 0b100 removes that axis.
        """
        before = (1 << axis) - 1
        masks = {"begin_mask": before, "end_mask": before, "shrink_axis_mask": 1 << axis}
        attributes = _OF_FLOATS | {"Index": of_type(INT32)} | {name: AttrValue(i=mask) for name, mask in masks.items()}
        zeros = [0] * axis
        begin_end_strides = [[*zeros, index], [*zeros, index + 1], [1] * (axis + 1)]
        return self._node("StridedSlice", "output", [x, *map(self._integers, begin_end_strides)], attributes)

    def first_rows(self, table: Value, count: Value, width: int) -> Value:
        """Slice, which fails where the table has too few rows."""
        sizes = [self._integers([0, 0]), self._vector((count, width))]
        return self._node("Slice", "output", [table, *sizes], _OF_FLOATS | {"Index": of_type(INT32)})

    def at_positions(self, x: Value, positions: Value) -> Value:
        """GatherV2, row by row of the batch."""
        return self._gather(x, positions, axis=1, batch_axes=1)

    def layer_norm(self, x: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
        """Mean, SquaredDifference, Rsqrt: TensorFlow has no single operation for it."""
        mean = self._mean(x)
        variance = self._mean(self._node("SquaredDifference", "z", [x, mean], _OF_FLOATS))
        scale = self._node("Rsqrt", "y", [self.apply("add", variance, self.constant(epsilon))], _OF_FLOATS)
        normal = self.apply("multiply", self.apply("subtract", x, mean), scale)
        return self.apply("add", self.apply("multiply", normal, gamma), beta)

    def dropout(self, x: Value, rate: float) -> Value:
        """RandomUniform; values where it is below `rate` are dropped, the others scaled by 1 / (1 - rate)."""
        if not self._training or rate == 0:
            return x
        types = {"T": of_type(INT32), "dtype": of_type(FLOAT)}
        uniform = self._node("RandomUniform", "output", [self._shape(x, FLOAT)], types)
        keep = self._node("GreaterEqual", "z", [uniform, self.constant(rate)], _OF_FLOATS)
        keep = self._node("Cast", "y", [keep], {"SrcT": of_type(BOOL), "DstT": of_type(FLOAT)})
        return self.apply("multiply", self.apply("multiply", x, self.constant(1 / (1 - rate))), keep)

    def finish(self, outputs: Mapping[str, tuple[Value, Sizes]]) -> Any:
        """The function with these results (name -> value and shape), in this order, as a message."""
        signature = self._function.signature
        signature.name, signature.is_stateful = self.name, True
        for name in self._inputs:
            signature.input_arg.add(name=name, type=INT32)
        for index, name in enumerate(self.captured):
            argument = signature.input_arg.add(name=f"variable_{index}", type=RESOURCE)
            set_shape(argument.handle_data.add(dtype=FLOAT).shape, self._variables[name])
        shapes = of_shapes([*self._inputs.values(), *(() for _ in self.captured)])
        self._function.attr.add(key="_input_shapes", value=shapes)
        for name, (value, sizes) in outputs.items():
            signature.output_arg.add(name=name, type=FLOAT)
            known = _OF_FLOATS | {"_output_shapes": of_shapes([sizes])}
            self._function.ret.add(key=name, value=self._node("Identity", "output", [value], known))
        return self._function

    def _gather(self, table: Value, indices: Value, axis: int, batch_axes: int) -> Value:
        types = {"Tparams": of_type(FLOAT), "Tindices": of_type(INT32), "Taxis": of_type(INT32)}
        inputs = [table, indices, self._constant(np.array(axis, np.int32))]
        return self._node("GatherV2", "output", inputs, types | {"batch_dims": AttrValue(i=batch_axes)})

    def _mean(self, x: Value) -> Value:
        attributes = _OF_FLOATS | {"Tidx": of_type(INT32), "keep_dims": AttrValue(b=True)}
        return self._node("Mean", "output", [x, self._integers([-1])], attributes)

    def _shape(self, x: Value, dtype: int) -> Value:
        return self._node("Shape", "output", [x], {"T": of_type(dtype), "out_type": of_type(INT32)})

    def _vector(self, sizes: Sequence[int | Value]) -> Value:
        """Sizes as one int32 vector: the gradients of older versions of TensorFlow take no other."""
        if (integers := [size for size in sizes if isinstance(size, int)]) == list(sizes):
            return self._integers(integers)
        if ("vector", *sizes) not in self._seen:
            parts = [self._integers([size]) if isinstance(size, int) else size for size in sizes]
            attributes = {"N": AttrValue(i=len(parts)), "T": of_type(INT32), "Tidx": of_type(INT32)}
            axis = self._constant(np.array(0, np.int32))
            self._seen["vector", *sizes] = self._node("ConcatV2", "output", [*parts, axis], attributes)
        return self._seen["vector", *sizes]

    def _integers(self, values: Sequence[int]) -> Value:
        return self._constant(np.array(values, np.int32))

    def _constant(self, array: np.ndarray) -> Value:
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._seen:
            self._seen[key] = self._node("Const", "output", [], of_tensor(array))
        return self._seen[key]

    def _node(self, op: str, result: str, inputs: Sequence[Value], attributes: Attributes) -> Value:
        name = f"{op}_{len(self._function.node_def)}"
        add_node(self._function.node_def, name, op, inputs, attributes)
        return f"{name}:{result}:0"
