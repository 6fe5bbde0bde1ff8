# SPDX-License-Identifier: Apache-2.0
"""tf.train.Example: ours against protobuf's own encoding, and every way in which records may differ or be wrong."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.tfrecord.example import decode, encode, parse_example
from jaxbert.tfrecord.files import stream
from jaxbert.tfrecord.schema import Feature, classification_schema, sequence_features

int64 = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40000)
float32 = st.floats(width=32)
LIST = Feature("ids", "int64", 4)
NUMBER = Feature("label", "int64")
FLOATS = Feature("weights", "float32", 2)
DTYPES = {"ids": np.int64, "label": np.int64, "weights": np.float32}


FIELD = descriptor_pb2.FieldDescriptorProto


def example_class(is_packed: bool) -> type[Any]:
    """The message type tf.train.Example, built from its published definition."""
    package = "packed" if is_packed else "unpacked"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, kind in (
        ("BytesList", FIELD.TYPE_BYTES),
        ("FloatList", FIELD.TYPE_FLOAT),
        ("Int64List", FIELD.TYPE_INT64),
    ):
        value = file.message_type.add(name=name).field.add(
            name="value", number=1, type=kind, label=FIELD.LABEL_REPEATED
        )
        value.options.packed = is_packed and kind != FIELD.TYPE_BYTES
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("Bytes", "Float", "Int64"), 1):
        add_message(feature, f"{name.lower()}_list", number, f".{package}.{name}List").oneof_index = 0
    features = file.message_type.add(name="Features")
    add_message(features, "feature", 1, f".{package}.Features.FeatureEntry").label = FIELD.LABEL_REPEATED
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    add_message(entry, "value", 2, f".{package}.Feature")
    add_message(file.message_type.add(name="Example"), "features", 1, f".{package}.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Example"))


def add_message(holder: Any, name: str, number: int, type_name: str) -> Any:
    """A field whose value is another message."""
    return holder.field.add(
        name=name, number=number, type=FIELD.TYPE_MESSAGE, label=FIELD.LABEL_OPTIONAL, type_name=type_name
    )


PACKED, UNPACKED = example_class(True), example_class(False)


def reference(values: Mapping[str, Any], shuffle: int = 0, kind: type[Any] = PACKED) -> bytes:
    """A record as protobuf writes it: ints, floats or bytes by name, the names in a random order."""
    names = list(values)
    random.Random(shuffle).shuffle(names)
    entries = b""
    for name in names:
        features = kind().features
        holder = {int: "int64_list", float: "float_list", bytes: "bytes_list"}[type(values[name][0])]
        getattr(features.feature[name], holder).value.extend(values[name])
        entries += features.SerializeToString()
    message = kind()
    message.features.MergeFromString(entries)
    start = message.SerializeToString()[: -len(entries)]  # tag and length, which do not depend on the order
    return start + entries


def compiled(payload: bytes) -> dict[str, np.ndarray]:
    """The features of a record by the published definition; byte strings as objects."""
    features = PACKED.FromString(payload).features.feature
    found = {}
    for name in features:
        kind = features[name].WhichOneof("kind") or "int64_list"
        dtype = {"int64_list": np.int64, "float_list": np.float32, "bytes_list": object}[kind]
        found[name] = np.array(getattr(features[name], kind).value, dtype)
    return found


records = st.lists(
    st.tuples(
        st.lists(int64, min_size=4, max_size=4), int64, st.lists(float32, min_size=2, max_size=2), st.integers(0, 9)
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60)
@given(rows=records)
def test_protobuf_reads_what_we_write(rows: list[tuple[list[int], int, list[float], int]]) -> None:
    """Every value of our encoding arrives in protobuf's parser, record by record."""
    arrays = {
        "ids": np.array([row[0] for row in rows], np.int64),
        "label": np.array([row[1] for row in rows], np.int64),
        "weights": np.array([row[2] for row in rows], np.float32),
    }
    payloads = encode(arrays, (LIST, NUMBER, FLOATS))
    for (ids, label, weights, _), payload in zip(rows, payloads, strict=True):
        features = PACKED.FromString(payload).features.feature
        assert list(features["ids"].int64_list.value) == ids
        assert list(features["label"].int64_list.value) == [label]
        np.testing.assert_array_equal(np.float32(features["weights"].float_list.value), np.float32(weights))


@settings(max_examples=60)
@given(rows=records, kind=st.sampled_from([PACKED, UNPACKED]))
def test_we_read_what_protobuf_writes(rows: list[tuple[list[int], int, list[float], int]], kind: type[Any]) -> None:
    """Values of a batch arrive whatever the order of the features, packed or not."""
    schema = (LIST, NUMBER, FLOATS)
    payloads = [
        reference({"ids": ids, "label": [label], "weights": weights, "name": [b"x" * order]}, order, kind)
        for ids, label, weights, order in rows
    ]
    arrays = decode(payloads, schema)
    assert {name: array.dtype for name, array in arrays.items()} == DTYPES
    np.testing.assert_array_equal(arrays["ids"], [row[0] for row in rows])
    np.testing.assert_array_equal(arrays["label"], [row[1] for row in rows])
    np.testing.assert_array_equal(arrays["weights"], np.float32([row[2] for row in rows]))


@settings(max_examples=60)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_never_gets_through_unseen(position: int, byte: int, cut: bool) -> None:
    """A changed or missing byte gives an InputError or what protobuf's own class reads, never another exception."""
    payload = reference({"ids": [1, 300, 70000, 4], "label": [1], "weights": [1.0, 2.0]})
    position %= len(payload)
    damaged = payload[:position] if cut else payload[:position] + bytes([byte]) + payload[position + 1 :]
    schema = (LIST, NUMBER, FLOATS)
    try:
        expected = compiled(damaged)
        fits = {name: expected[name].dtype for name in expected.keys() & DTYPES} == DTYPES
        fits = fits and all(len(expected[feature.name]) == feature.count for feature in schema)
    except DecodeError:
        fits = False
    if not fits:
        with pytest.raises(InputError, match="record 1"):
            decode([payload, damaged, payload], schema)
        return
    arrays = decode([payload, damaged, payload], schema)
    np.testing.assert_array_equal(arrays["ids"][1], expected["ids"])
    np.testing.assert_array_equal(arrays["weights"][1], expected["weights"])
    np.testing.assert_array_equal(arrays["ids"][[0, 2]], [[1, 300, 70000, 4]] * 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ids": [1, 2, 3, 4]}, "record 1 has no feature `label`; it has ids"),
        ({"ids": [1, 2, 3], "label": [0]}, "record 1 has 3 values in `ids`; expected 4 x int64"),
        ({"ids": [1, 2, 3, 4], "label": [0.5]}, "record 1 has `label` of type float32"),
        ({"ids": [b"text"], "label": [0]}, "record 1 has `ids` of type bytes"),
    ],
)
def test_misfits(values: Mapping[str, Any], message: str) -> None:
    """A record that is not as the schema says is named, and what is wrong with it."""
    good = {"ids": [1, 2, 3, 4], "label": [0]}
    with pytest.raises(InputError, match=message):
        decode([reference(good), reference(values)], (LIST, NUMBER))


def test_unfinished_number() -> None:
    """Enough numbers followed by bytes of one that does not end are damage, not numbers."""
    payload = reference({"ids": [1, 2, 3, 4, 300]})
    with pytest.raises(InputError, match=r"record 1 is no tf\.train\.Example: its bytes cannot be parsed"):
        decode([reference({"ids": [1, 2, 3, 4]}), payload[:-1] + b"\x82"], (LIST,))


def field(number: int, content: bytes) -> bytes:
    """A field of bytes or of another message, up to 127 bytes long."""
    return bytes([number << 3 | 2, len(content)]) + content


def test_other_legal_encodings() -> None:
    """Of a key that comes twice, and of two lists in one feature, the last counts; unknown fields are passed over."""
    ints, floats = field(3, field(1, b"\x01\x02") + field(1, b"\x03\x04")), field(2, field(1, b"\x00\x00\x80\x3f" * 4))
    unknown = field(9, b"new") + b"\x78\x07"  # of a later definition: bytes in field 9, a number in field 15
    before = field(1, field(2, field(3, field(1, b"\x09" * 9))) + field(1, b"ids"))  # value, then key
    entry = field(1, field(1, b"ids") + field(2, floats + unknown + ints))
    payload = unknown + field(1, before + unknown) + field(1, entry)  # entries in two `Features`
    assert compiled(payload)["ids"].tolist() == [1, 2, 3, 4]
    found = parse_example(payload)
    assert {name: np.array(values).tolist() for name, values in found.items()} == {"ids": [1, 2, 3, 4]}
    assert decode([payload], (LIST,))["ids"].tolist() == [[1, 2, 3, 4]]


def test_the_record_is_named() -> None:
    """The caller's name for a record is the one in the message."""
    with pytest.raises(InputError, match="`file` record 17 has no feature"):
        decode([reference({"x": [1]})], (NUMBER,), lambda index: f"`file` record {17 + index}")


def test_aliases_and_defaults() -> None:
    """The names of newer tools are understood, and optional features filled in, record by record."""
    schema = classification_schema(2, "float", has_weights=True)
    old = {"input_ids": [5, 6], "input_mask": [1, 1], "segment_ids": [0, 1], "label_ids": [2.5], "weight": [0.5]}
    new = {
        "input_word_ids": [7, 8],
        "input_mask": [1, 0],
        "input_type_ids": [0, 0],
        "label_ids": [1.5],
    }
    arrays = decode([reference(old), reference(new)], schema)
    expected = {
        "input_ids": [[5, 6], [7, 8]],
        "input_mask": [[1, 1], [1, 0]],
        "segment_ids": [[0, 1], [0, 0]],
        "label_ids": [2.5, 1.5],
        "is_real_example": [1, 1],
        "weight": [0.5, 1.0],
    }
    assert {name: array.tolist() for name, array in arrays.items()} == expected


def test_an_optional_feature_without_a_list_has_its_default() -> None:
    """As in TensorFlow: it is there by name only; a required one, and an empty list of the kind, are refused."""
    schema = (Feature("label", "int64"), Feature("weight", "float32", default=1.0))

    def record(name: str, holder: str | None) -> bytes:
        example = PACKED.FromString(reference({"label": [1], "weight": [0.5]}))
        example.features.feature[name].Clear()
        if holder:
            getattr(example.features.feature[name], holder).SetInParent()
        payload: bytes = example.SerializeToString()
        return payload

    assert decode([record("weight", None)], schema)["weight"].tolist() == [1.0]
    for name, holder in (("weight", "float_list"), ("weight", "int64_list"), ("label", None)):
        with pytest.raises(InputError, match=f"has .*`{name}`"):
            decode([record(name, holder)], schema)


def test_no_records() -> None:
    """An empty batch has arrays of the right shapes."""
    assert {name: array.shape for name, array in decode([], (LIST, NUMBER)).items()} == {"ids": (0, 4), "label": (0,)}


def test_official_files(shared: Path) -> None:
    """Every record the official code wrote is parsed; ids, mask and segments read together equal those read singly."""
    paths = sorted(path for path in (shared / "official/data").rglob("*") if path.suffix in (".tf_record", ".tfrecord"))
    assert paths
    for path in paths:
        payloads = list(stream(str(path)))
        parsed = [parse_example(payload) for payload in payloads]
        schema = sequence_features(len(parsed[0]["input_ids"]))
        for name, array in decode(payloads, schema).items():
            np.testing.assert_array_equal(array, [features[name] for features in parsed])
