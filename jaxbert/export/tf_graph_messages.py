# SPDX-License-Identifier: Apache-2.0
"""The protocol buffer messages of a SavedModel, as far as we write them.

Field names and numbers are those of TensorFlow's saved_model.proto, meta_graph.proto, graph.proto, function.proto,
saved_object_graph.proto, struct.proto and what these use. Maps are declared as the repeated entries that they are.
"""

from collections.abc import Mapping
from typing import Any

from jaxbert.checkpoints.protocol_buffers import Field, declare


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
