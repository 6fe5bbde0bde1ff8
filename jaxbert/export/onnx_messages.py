# SPDX-License-Identifier: Apache-2.0
"""The protocol buffer messages of an ONNX file, as far as we read and write them.

Field names and numbers are those of onnx.proto3 of the ONNX project.
"""

from typing import Any

from jaxbert.checkpoints.protocol_buffers import Field, declare

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
        (14, "data_location", "int32"),
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
