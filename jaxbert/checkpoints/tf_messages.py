# SPDX-License-Identifier: Apache-2.0
"""The protocol buffer messages inside TensorFlow checkpoints, declared at run time as far as we read and write them.

Field names and numbers are those of TensorFlow's tensor_bundle.proto, tensor_shape.proto, versions.proto and
trackable_object_graph.proto. Fields that are not declared here are kept unread.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "jaxbert.checkpoints"

# message -> its fields: number, name, type; `*` marks a repeated field, a capital letter another message of this table.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
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


def _describe(field: descriptor_pb2.FieldDescriptorProto, number: int, name: str, kind: str) -> None:
    field.number, field.name = number, name
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="jaxbert/tf_messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _describe(message.field.add(), *field)
    pool = descriptor_pool.DescriptorPool()  # our own: TensorFlow in the same process declares its messages elsewhere
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _message_classes()
BundleHeader: Any = _CLASSES["BundleHeader"]
BundleEntry: Any = _CLASSES["BundleEntry"]
ObjectGraph: Any = _CLASSES["ObjectGraph"]
