# SPDX-License-Identifier: Apache-2.0
"""The protocol buffers in TensorFlow's checkpoints."""

from typing import Any

from jaxbert.io.protobuf import Field, declare

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
