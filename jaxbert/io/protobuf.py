# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers declared from tables of their fields, so that no generated code is needed."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = tuple[int, str, str]
"""Number, name, type: `*` before the type marks a repeated field, `|` a member of the message's only `oneof`, `kind`;
a capital letter begins the name of another message of the table."""


def declare(package: str, messages: Mapping[str, tuple[Field, ...]], syntax: Literal["proto2", "proto3"]) -> Any:
    """The message classes by name. In `proto2` whatever was set is written; in `proto3` zeros and "" are left out."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _describe(message.field.add(), package, *field)
        if any(kind.startswith("|") for _, _, kind in fields):
            message.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()  # our own: TensorFlow in the same process declares its messages elsewhere
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _describe(field: descriptor_pb2.FieldDescriptorProto, package: str, number: int, name: str, kind: str) -> None:
    field.number, field.name = number, name
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    if kind.startswith("|"):
        field.oneof_index = 0
    kind = kind.removeprefix("*").removeprefix("|")
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
