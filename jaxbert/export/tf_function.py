# SPDX-License-Identifier: Apache-2.0
"""BERT's operations as TensorFlow's, in one function of a SavedModel: only operations that every TensorFlow 2 has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.export.operations import Plain, Value
from jaxbert.export.tf_graph_messages import AttrValue, Function

# The numbers are those of TensorFlow's types.proto.
FLOAT, INT32, STRING, BOOL, RESOURCE = 1, 3, 7, 10, 20
_NUMBERS = {np.dtype(np.float32): FLOAT, np.dtype(np.int32): INT32}

# Operation -> TensorFlow's, and the name of its result there.
_PLAIN: dict[Plain, tuple[str, str]] = {
    "add": ("AddV2", "z"),
    "subtract": ("Sub", "z"),
    "multiply": ("Mul", "z"),
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
"""A shape; sizes that change from call to call are letters."""


def set_shape(message: Any, sizes: Sizes) -> None:
    """Fill a shape message; -1 stands for a size that changes."""
    message.SetInParent()
    for size in sizes:
        message.dim.add(size=size if isinstance(size, int) else -1)


def add_node(nodes: Any, name: str, op: str, inputs: Sequence[str], attributes: Attributes) -> None:
    """Append a node to the repeated field `nodes`."""
    node = nodes.add(name=name, op=op, input=inputs)
    for key in sorted(attributes):
        node.attr.add(key=key, value=attributes[key])


def of_type(number: int) -> Any:
    """An attribute that is a type."""
    return AttrValue(type=number)


def of_shapes(shapes: Sequence[Sizes]) -> Any:
    """An attribute that is a list of shapes."""
    value = AttrValue()
    value.list.SetInParent()
    for sizes in shapes:
        set_shape(value.list.shape.add(), sizes)
    return value


def of_tensor(array: np.ndarray) -> dict[str, Any]:
    """The attributes of a constant; arrays of objects hold bytes."""
    number = STRING if array.dtype == object else _NUMBERS[array.dtype]
    value = AttrValue()
    value.tensor.dtype = number
    set_shape(value.tensor.tensor_shape, array.shape)
    if number == STRING:
        value.tensor.string_val.extend(array.flat)
    else:
        value.tensor.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": of_type(number), "value": value}


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

    def to_float(self, x: Value) -> Value:
        """Cast."""
        return self._node("Cast", "y", [x], {"SrcT": of_type(INT32), "DstT": of_type(FLOAT)})

    def size(self, x: Value, axis: int) -> Value:
        """StridedSlice of Shape."""
        kind = INT32 if x in self._inputs else FLOAT
        places = (self._integers([place]) for place in (axis, axis + 1, 1))
        types = {"T": of_type(INT32), "Index": of_type(INT32)}
        return self._node("StridedSlice", "output", [self._shape(x, kind), *places], types)

    def reshape(self, x: Value, shape: Sequence[int | Value]) -> Value:
        """Reshape."""
        types = _OF_FLOATS | {"Tshape": of_type(INT32)}
        return self._node("Reshape", "output", [x, self._vector(shape)], types)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """Transpose."""
        return self._node("Transpose", "y", [x, self._integers(axes)], _OF_FLOATS | {"Tperm": of_type(INT32)})

    def select(self, x: Value, axis: int, index: int) -> Value:
        """StridedSlice that takes all of the axes before."""
        before = (1 << axis) - 1  # all of the axes before it
        masks = {"begin_mask": before, "end_mask": before, "shrink_axis_mask": 1 << axis}
        attributes = _OF_FLOATS | {"Index": of_type(INT32)} | {name: AttrValue(i=mask) for name, mask in masks.items()}
        zeros = [0] * axis
        places = [[*zeros, index], [*zeros, index + 1], [1] * (axis + 1)]
        return self._node("StridedSlice", "output", [x, *map(self._integers, places)], attributes)

    def first_rows(self, table: Value, count: Value, width: int) -> Value:
        """Slice, which fails where the table has too few rows."""
        sizes = [self._integers([0, 0]), self._vector((count, width))]
        return self._node("Slice", "output", [table, *sizes], _OF_FLOATS | {"Index": of_type(INT32)})

    def at_positions(self, x: Value, positions: Value) -> Value:
        """GatherV2, batch by batch."""
        return self._gather(x, positions, axis=1, batch_axes=1)

    def layer_norm(self, x: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
        """Mean, SquaredDifference, Rsqrt: TensorFlow has no single operation for it."""
        mean = self._mean(x)
        variance = self._mean(self._node("SquaredDifference", "z", [x, mean], _OF_FLOATS))
        scale = self._node("Rsqrt", "y", [self.apply("add", variance, self.constant(epsilon))], _OF_FLOATS)
        normal = self.apply("multiply", self.apply("subtract", x, mean), scale)
        return self.apply("add", self.apply("multiply", normal, gamma), beta)

    def dropout(self, x: Value, rate: float) -> Value:
        """RandomUniform, whose numbers below `rate` say what is dropped."""
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
        for number, name in enumerate(self.captured):
            argument = signature.input_arg.add(name=f"variable_{number}", type=RESOURCE)
            set_shape(argument.handle_data.add(dtype=FLOAT).shape, self._variables[name])
        shapes = of_shapes([*self._inputs.values(), *(() for _ in self.captured)])
        self._function.attr.add(key="_input_shapes", value=shapes)
        for name, (value, sizes) in outputs.items():
            signature.output_arg.add(name=name, type=FLOAT)
            known = _OF_FLOATS | {"_output_shapes": of_shapes([sizes])}
            self._function.ret.add(key=name, value=self._node("Identity", "output", [value], known))
        return self._function

    def _gather(self, table: Value, numbers: Value, axis: int, batch_axes: int) -> Value:
        types = {"Tparams": of_type(FLOAT), "Tindices": of_type(INT32), "Taxis": of_type(INT32)}
        inputs = [table, numbers, self._constant(np.array(axis, np.int32))]
        return self._node("GatherV2", "output", inputs, types | {"batch_dims": AttrValue(i=batch_axes)})

    def _mean(self, x: Value) -> Value:
        attributes = _OF_FLOATS | {"Tidx": of_type(INT32), "keep_dims": AttrValue(b=True)}
        return self._node("Mean", "output", [x, self._integers([-1])], attributes)

    def _shape(self, x: Value, kind: int) -> Value:
        return self._node("Shape", "output", [x], {"T": of_type(kind), "out_type": of_type(INT32)})

    def _vector(self, sizes: Sequence[int | Value]) -> Value:
        """Sizes as one vector; of int32, since gradients of older versions take no other."""
        if (integers := [size for size in sizes if isinstance(size, int)]) == list(sizes):
            return self._integers(integers)
        if ("vector", *sizes) not in self._seen:
            parts = [self._integers([size]) if isinstance(size, int) else size for size in sizes]
            attributes = {"N": AttrValue(i=len(parts)), "T": of_type(INT32), "Tidx": of_type(INT32)}
            axis = self._constant(np.array(0, np.int32))
            self._seen["vector", *sizes] = self._node("ConcatV2", "output", [*parts, axis], attributes)
        return self._seen["vector", *sizes]

    def _integers(self, numbers: Sequence[int]) -> Value:
        return self._constant(np.array(numbers, np.int32))

    def _constant(self, array: np.ndarray) -> Value:
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._seen:
            self._seen[key] = self._node("Const", "output", [], of_tensor(array))
        return self._seen[key]

    def _node(self, op: str, result: str, inputs: Sequence[Value], attributes: Attributes) -> Value:
        name = f"{op}_{len(self._function.node_def)}"
        add_node(self._function.node_def, name, op, inputs, attributes)
        return f"{name}:{result}:0"
