# SPDX-License-Identifier: Apache-2.0
"""The operations that BERT is made of, in a form that both TensorFlow's and ONNX's graphs can be written from."""

from collections.abc import Sequence
from typing import Literal, Protocol

Value = str
"""The name of a tensor in the graph that is being written."""

Plain = Literal[
    "add",
    "subtract",
    "multiply",
    "minimum",
    "matmul",
    "batch_matmul",
    "softmax",
    "tanh",
    "erf",
    "relu",
    "sigmoid",
    "gather",
]
"""Operations without settings, named as in numpy: `matmul` takes two matrices or two stacks of them of equal size,
`softmax` is that of the last axis, `gather` takes a table and the numbers of its rows."""


class Operations(Protocol):
    """A graph that grows by one operation with each call; every method gives the name of its result."""

    def weight(self, name: str) -> Value:
        """The weight with this TF1 name, in its TF1 shape."""
        ...

    def constant(self, value: float) -> Value:
        """A float32 scalar."""
        ...

    def apply(self, operation: Plain, *inputs: Value) -> Value:
        """An operation without settings; operands are broadcast as in numpy."""
        ...

    def to_float(self, x: Value) -> Value:
        """Whole numbers as float32."""
        ...

    def size(self, x: Value, axis: int) -> Value:
        """How long an axis is, as a vector of one whole number."""
        ...

    def reshape(self, x: Value, shape: Sequence[int | Value]) -> Value:
        """The numbers of `x` in another shape, whose sizes are known (one may be -1) or come from `size`."""
        ...

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """The axes of `x` in another order."""
        ...

    def select(self, x: Value, axis: int, index: int) -> Value:
        """`x` at one place of an axis, which is gone in the result."""
        ...

    def first_rows(self, table: Value, count: Value, width: int) -> Value:
        """So many rows of a table [rows, width]; `count` comes from `size`."""
        ...

    def at_positions(self, x: Value, positions: Value) -> Value:
        """x [B, S, H] at positions [B, P] of each row: [B, P, H]."""
        ...

    def layer_norm(self, x: Value, gamma: Value, beta: Value, epsilon: float) -> Value:
        """Normalization of the last axis."""
        ...

    def dropout(self, x: Value, rate: float) -> Value:
        """In a graph for training, `x` with a share of its numbers set to zero and the others raised; else `x`."""
        ...
