# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers: message classes declared from tables of their fields, and the varint that frames are made of."""

from collections.abc import Mapping
from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = tuple[int, str, str]
"""Number, name, type. `*` before the type marks a repeated field, `|` one of several fields of which only the one that
was set last is kept, a capital letter another message of the table."""


def declare(package: str, messages: Mapping[str, tuple[Field, ...]], syntax: Literal["proto2", "proto3"]) -> Any:
    """The message classes by name. In `proto2` whatever was set is written; in `proto3` zeros and "" are left out."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _describe(message, package, *field)
    pool = descriptor_pool.DescriptorPool()  # our own: TensorFlow in the same process declares its messages elsewhere
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _describe(message: descriptor_pb2.DescriptorProto, package: str, number: int, name: str, kind: str) -> None:
    field = message.field.add(number=number, name=name)
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    if kind.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="kind")
        field.oneof_index = 0
    kind = kind.lstrip("*|")
    if kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


def write_varint(number: int) -> bytes:
    """A number from 0 on as protocol buffers write it: seven bits a byte, the lowest first, the last byte below 128.

    300 is 0b10_0101100: the bytes are 0b1_0101100 (the low seven bits, and 128 because more follow) and 0b10.
    """
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
