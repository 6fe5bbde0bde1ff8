# SPDX-License-Identifier: Apache-2.0
"""Messages from tables: what is written, what is left out, and that nothing read is lost; varints."""

from google.protobuf import struct_pb2, wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.io.protobuf import Field, declare, write_varint

_TABLE: dict[str, tuple[Field, ...]] = {
    "Inner": ((1, "name", "string"), (2, "flag", "bool")),
    "Outer": ((1, "count", "int64"), (2, "inner", "*Inner"), (3, "raw", "bytes")),
}


def test_a_message_is_its_fields() -> None:
    """Numbers, texts, bytes and messages in messages come back."""
    Outer = declare("a", _TABLE, "proto3")["Outer"]
    message = Outer(count=-5, inner=[{"name": "x", "flag": True}, {}], raw=b"\xff")
    assert Outer.FromString(message.SerializeToString()) == message


def test_what_was_set_is_written() -> None:
    """A zero that was set is there in proto2, as a reader needs who tells `false` from nothing; not so in proto3."""
    for syntax, expected in (("proto2", b"\x0a\x00\x10\x00"), ("proto3", b"")):
        Inner = declare(f"b.{syntax}", _TABLE, syntax)["Inner"]
        assert Inner(name="", flag=False).SerializeToString() == expected
        assert Inner().SerializeToString() == b""


def test_the_bytes_are_those_of_compiled_messages() -> None:
    """Maps are repeated entries: what a table writes, a message compiled from a .proto file reads."""
    entry: dict[str, tuple[Field, ...]] = {
        "Value": ((2, "number_value", "double"),),
        "Entry": ((1, "key", "string"), (2, "value", "Value")),
        "Struct": ((1, "fields", "*Entry"),),
    }
    Struct = declare("c", entry, "proto2")["Struct"]
    written = Struct(fields=[{"key": "x", "value": {"number_value": 0.0}}]).SerializeToString()
    assert dict(struct_pb2.Struct.FromString(written)) == {"x": 0.0}


def test_fields_that_are_not_declared_are_kept() -> None:
    """They are written back as they were read."""
    content = declare("d", _TABLE, "proto3")["Outer"](count=3, raw=b"kept").SerializeToString()
    smaller: dict[str, tuple[Field, ...]] = {"Outer": ((1, "count", "int64"),)}
    assert declare("e", smaller, "proto3")["Outer"].FromString(content).SerializeToString() == content


def test_of_alternatives_the_last_one_is_kept() -> None:
    """Setting, or reading, one field of several that exclude each other lets the others go."""
    table: dict[str, tuple[Field, ...]] = {"Value": ((1, "number", "|double"), (2, "text", "|string"))}
    Value = declare("f", table, "proto3")["Value"]
    assert Value().WhichOneof("kind") is None
    both = Value(number=1.0).SerializeToString() + Value(text="x").SerializeToString()
    assert Value.FromString(both).WhichOneof("kind") == "text"
    assert Value.FromString(both).number == 0.0


@given(st.integers(1, 2**64 - 1))
def test_varints_are_those_of_protobuf(number: int) -> None:
    """The bytes are what protobuf writes behind the tag of a numeric field."""
    assert wrappers_pb2.UInt64Value(value=number).SerializeToString() == b"\x08" + write_varint(number)
    assert write_varint(0) == b"\x00"
