# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers declared from tables of their fields, and those in TensorFlow's checkpoints."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = tuple[int, str, str]
"""Number, name, type; `*` before the type marks a repeated field, a capital letter another message of the table."""


def declare(package: str, messages: Mapping[str, tuple[Field, ...]], syntax: Literal["proto2", "proto3"]) -> Any:
    """The message classes by name. In `proto2` whatever was set is written; in `proto3` zeros and "" are left out."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _describe(message.field.add(), package, *field)
    pool = descriptor_pool.DescriptorPool()  # our own: TensorFlow in the same process declares its messages elsewhere
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _describe(field: descriptor_pb2.FieldDescriptorProto, package: str, number: int, name: str, kind: str) -> None:
    field.number, field.name = number, name
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


_MESSAGES: dict[str, tuple[Field, ...]] = {
    "VersionDef": ((1, "producer", "int32"),),
    "BundleHeader": ((1, "num_shards", "int32"), (2, "endianness", "int32"), (3, "version", "VersionDef")),
    "Dim": ((1, "size", "int64"),),
    "Shape": ((2, "dim", "*Dim"), (3, "unknown_rank", "bool")),
    "BundleEntry": (
        (1, "dtype", "int32"),
        (2, "shape", "Shape"),
        (3, "shard_id", "int32"),
        (4, "offset", "int64"),
        (5, "size", "int64"),
        (6, "crc32c", "fixed32"),
        (7, "slices", "*bytes"),
    ),
    "Child": ((1, "node_id", "int32"), (2, "local_name", "string")),
    "Attribute": ((1, "name", "string"), (2, "full_name", "string"), (3, "checkpoint_key", "string")),
    "SlotVariable": (
        (1, "original_variable_node_id", "int32"),
        (2, "slot_name", "string"),
        (3, "slot_variable_node_id", "int32"),
    ),
    "Node": ((1, "children", "*Child"), (2, "attributes", "*Attribute"), (3, "slot_variables", "*SlotVariable")),
    "ObjectGraph": ((1, "nodes", "*Node"),),
}


_CLASSES = declare("jaxbert.checkpoints", _MESSAGES, "proto3")
BundleHeader: Any = _CLASSES["BundleHeader"]
BundleEntry: Any = _CLASSES["BundleEntry"]
ObjectGraph: Any = _CLASSES["ObjectGraph"]
