# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's checkpoint files: read, written, and found from what a user writes.

Source: tensorflow/core/util/tensor_bundle and tensor_bundle.proto. A checkpoint with the prefix `model.ckpt` is
`model.ckpt.index`, a table (see `tf_table`) with one entry for each tensor, and data files such as
`model.ckpt.data-00000-of-00001`, its shards, in which the values stand one after the other. The entry with the empty
key is the header. TF1 and TF2 differ in the keys only; `tf_graph` reads those of TF2.
"""

import contextlib
import glob
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np
from google.protobuf.message import DecodeError

from jaxbert.checkpoints.tf_table import read_table, read_varint, write_table
from jaxbert.errors import InputError
from jaxbert.io.files import find, is_file, is_folder, read_text, view_input, whole_file
from jaxbert.io.protobuf import declare, write_varint
from jaxbert.io.storage import RemoteBytes
from jaxbert.tfrecord.files import masked_crc

# Fields of tensor_bundle.proto, versions.proto and tensor_shape.proto, as far as they are needed.
_MESSAGES = declare(
    "jaxbert.tensor_bundle",
    {
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
    },
    "proto3",
)
BundleHeader: Any = _MESSAGES["BundleHeader"]
BundleEntry: Any = _MESSAGES["BundleEntry"]

_STRING = 7  # like those below a number of TensorFlow's types.proto
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    9: np.dtype("<i8"),
    10: np.dtype(np.bool_),
    14: np.dtype(ml_dtypes.bfloat16),
    19: np.dtype("<f2"),
}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}


def dtype_name(number: int) -> str:
    """NumPy's name of the type with TensorFlow's `number`."""
    return "string" if number == _STRING else str(_DTYPES.get(number, f"type {number} of types.proto"))


@dataclass(frozen=True)
class Entry:
    """What the index says of one tensor; `dtype` is TensorFlow's number, `offset` and `size` are in bytes."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


@dataclass(frozen=True)
class Bundle:
    """An open checkpoint: its entries by name, and its data shards, each opened when first read."""

    prefix: str
    num_shards: int
    entries: Mapping[str, Entry]
    _shards: dict[int, memoryview | RemoteBytes] = field(default_factory=dict, repr=False)

    def read(self, key: str) -> np.ndarray:
        """The tensor `key`, its checksum verified: read-only, not always aligned, of a local file a view.

        String tensors come as an object array of bytes. Raises InputError for damaged or unsupported tensors.
        """
        entry = self.entries[key]
        try:
            data = self._bytes_of(entry)
            return _strings(data, entry) if entry.dtype == _STRING else _numbers(data, entry)
        except ValueError as error:
            raise InputError(
                f"tensor `{key}` of checkpoint `{self.prefix}` cannot be read: {error}",
                "copy or download the checkpoint again",
            ) from error

    def _bytes_of(self, entry: Entry) -> np.ndarray:
        if entry.shard not in self._shards:
            path = _shard_path(self.prefix, entry.shard, self.num_shards)
            content = view_input(path)
            expected = max(other.offset + other.size for other in self.entries.values() if other.shard == entry.shard)
            if len(content) < expected:
                raise InputError(
                    f"`{path}` is cut: it has {len(content)} bytes, its index describes {expected}",
                    "copy or download the checkpoint again",
                )
            self._shards[entry.shard] = content
        return np.frombuffer(self._shards[entry.shard][entry.offset : entry.offset + entry.size], np.uint8)


def open_bundle(path: str) -> Bundle:
    """Read the index of the checkpoint at `path` (see `find_prefix` for what may be given); no tensor is read yet.

    Raises InputError where the index is damaged, big-endian or has tensors saved in parts.
    """
    prefix = find_prefix(path)
    table = read_table(f"{prefix}.index")
    try:
        header = BundleHeader.FromString(table.pop(b"", b""))
        if header.num_shards < 1:
            raise ValueError("it has no header with a number of data shards")
        if header.endianness != 0:
            raise ValueError("it was written on a big-endian machine; only little-endian files are read")
        entries = {key.decode(errors="backslashreplace"): _entry(key, value, header) for key, value in table.items()}
    except (ValueError, DecodeError) as error:
        raise InputError(
            f"`{prefix}.index` is not an index of a TensorFlow checkpoint that can be read: {error}",
            "give a checkpoint written by TensorFlow 1 or 2 on a usual machine",
        ) from error
    return Bundle(prefix, header.num_shards, entries)


def _entry(key: bytes, value: bytes, header: Any) -> Entry:
    message = BundleEntry.FromString(value)
    shape = tuple(dim.size for dim in message.shape.dim)
    entry = Entry(message.dtype, shape, message.shard_id, message.offset, message.size, message.crc32c)
    if message.slices:
        raise ValueError(f"tensor {key!r} is saved in {len(message.slices)} parts; only whole tensors are read")
    if not 0 <= entry.shard < header.num_shards:
        raise ValueError(f"tensor {key!r} lies in data shard {entry.shard} of {header.num_shards}")
    if min(entry.offset, entry.size, *shape) < 0 or message.shape.unknown_rank:
        raise ValueError(f"tensor {key!r} has shape {list(shape)}, offset {entry.offset} and size {entry.size}")
    return entry


def _numbers(data: np.ndarray, entry: Entry) -> np.ndarray:
    if entry.dtype not in _DTYPES:
        raise ValueError(f"type {entry.dtype} of TensorFlow's types.proto is not supported")
    dtype = _DTYPES[entry.dtype]
    if math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise ValueError(f"shape {list(entry.shape)} of {dtype} does not fill its {entry.size} bytes")
    _check(masked_crc(data), entry)
    if not entry.size:
        return np.empty(entry.shape, dtype)
    return np.frombuffer(data, dtype).reshape(entry.shape)


def _strings(data: np.ndarray, entry: Entry) -> np.ndarray:
    """All lengths as varints, the checksum of the lengths (4 bytes), then the strings one after the other.

    `ab` and `c`, for example, are stored as `02 01`, the checksum of `02 00 00 00 01 00 00 00`, and `abc`. The checksum
    in the index covers the same with the lengths in four bytes each.
    """
    content, count = data.tobytes(), math.prod(entry.shape)
    if count > len(content):
        raise ValueError(f"{count} strings do not fit into {len(content)} bytes")
    lengths, end = [], 0
    for _ in range(count):
        length, end = read_varint(content, end)
        lengths.append(length)
    start = end + 4
    if start + sum(lengths) != len(content):
        raise ValueError("the lengths of its strings do not add up to its size")
    _check(masked_crc(_fixed_lengths(lengths) + content[end:]), entry)
    strings = np.empty(count, dtype=object)
    for index, length in enumerate(lengths):
        strings[index] = content[start : start + length]
        start += length
    return strings.reshape(entry.shape)


def _fixed_lengths(lengths: list[int]) -> bytes:
    """What the checksums of string tensors cover instead of varints: 4 bytes for each length, 8 where it needs them."""
    return b"".join(length.to_bytes(4 if length < 1 << 32 else 8, "little") for length in lengths)


def _check(crc32c: int, entry: Entry) -> None:
    if crc32c != entry.crc32c:
        raise ValueError(
            f"wrong checksum of its {entry.size} bytes from byte {entry.offset} of data shard {entry.shard}"
        )


def write_bundle(prefix: str, tensors: Mapping[str, np.ndarray], num_shards: int = 1) -> None:
    """Write `tensors` under their names as a checkpoint that `open_bundle` and TensorFlow read.

    Object arrays are written as string tensors and hold bytes. Tensors go to the shards in turn, in the order
    of their names. The index comes last, so a checkpoint that has one is complete.
    """
    entries = {b"": BundleHeader(num_shards=num_shards, version={"producer": 1}).SerializeToString()}
    with contextlib.ExitStack() as stack:
        paths = [_shard_path(prefix, shard, num_shards) for shard in range(num_shards)]
        shards = [stack.enter_context(whole_file(path)) for path in paths]
        for index, key in enumerate(sorted(tensors, key=str.encode)):
            entries[key.encode()] = _write_tensor(shards, index % num_shards, tensors[key])
    write_table(f"{prefix}.index", entries)


def _write_tensor(shards: list[BinaryIO], shard: int, tensor: np.ndarray) -> bytes:
    """Append `tensor` to its shard; its entry for the index."""
    number = _STRING if tensor.dtype == object else _NUMBERS[tensor.dtype.newbyteorder("<")]
    entry = BundleEntry(dtype=number, shard_id=shard, offset=shards[shard].tell())
    entry.shape.SetInParent()  # TensorFlow writes the shape of a scalar too
    for size in tensor.shape:
        entry.shape.dim.add(size=size)
    if number == _STRING:
        stored, checked = _string_bytes(tensor)
    else:
        stored = checked = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).tobytes()
    entry.size, entry.crc32c = len(stored), masked_crc(checked)
    shards[shard].write(stored)
    return bytes(entry.SerializeToString())


def _string_bytes(tensor: np.ndarray) -> tuple[bytes, bytes]:
    """The bytes of a string tensor as stored, and the bytes that its checksum covers."""
    lengths = [len(string) for string in tensor.flat]
    fixed = _fixed_lengths(lengths)
    rest = masked_crc(fixed).to_bytes(4, "little") + b"".join(tensor.flat)
    return b"".join(map(write_varint, lengths)) + rest, fixed + rest


def _shard_path(prefix: str, shard: int, num_shards: int) -> str:
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


STATE_FILE = "checkpoint"  # names the newest checkpoint of its folder
_FILE_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_NEWEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


def find_prefix(path: str) -> str:
    """The prefix for which `<prefix>.index` exists.

    `path` may be that prefix, its `.index`, `.meta` or `.data-*` file, a prefix without the number that
    `tf.train.Checkpoint.save` appends (where only one number exists), or a folder: then the newest
    according to its `checkpoint` file, or else the only checkpoint in it. Raises InputError naming the candidates.
    """
    if is_folder(path):
        return _prefix_in_folder(path)
    prefix = _FILE_ENDING.sub("", path)
    if is_file(f"{prefix}.index"):
        return prefix
    numbered = _prefixes(f"{glob.escape(prefix)}-*.index")
    if len(numbered) == 1:
        return numbered[0]
    folder = os.path.dirname(prefix) or "."
    is_other = path == prefix and is_file(path)
    raise InputError(
        f"`{path}` is no model in a known format"
        if is_other
        else f"there is no checkpoint `{path}`: expected the file `{prefix}.index`",
        _candidates(numbered or _prefixes(f"{glob.escape(folder)}/*.index"), folder),
    )


def _prefix_in_folder(folder: str) -> str:
    prefixes = _prefixes(f"{glob.escape(folder)}/*.index")
    state = os.path.join(folder, STATE_FILE)
    if is_file(state):
        return _newest(state, folder, prefixes)
    if len(prefixes) == 1:
        return prefixes[0]
    problem = (
        f"{len(prefixes)} checkpoints and no `checkpoint` file that names the newest" if prefixes else "no checkpoint"
    )
    raise InputError(f"folder `{folder}` holds {problem}", _candidates(prefixes, folder))


def _newest(state: str, folder: str, prefixes: list[str]) -> str:
    """The checkpoint named in a state file, always in its own folder: absolute paths are from where it was written."""
    named = _NEWEST.search(read_text(state))
    if named is None:
        raise InputError(f'`{state}` has no line `model_checkpoint_path: "..."`', _candidates(prefixes, folder))
    name = re.sub(r"\\(.)", r"\1", named[1])
    prefix = os.path.join(folder, os.path.basename(name))
    if not is_file(f"{prefix}.index"):
        raise InputError(
            f"`{state}` names `{name}`, but `{prefix}.index` does not exist", _candidates(prefixes, folder)
        )
    return prefix


def _prefixes(pattern: str) -> list[str]:
    return sorted(path.removesuffix(".index") for path in find(pattern))


def _candidates(prefixes: list[str], folder: str) -> str:
    if not prefixes:
        return f"`{folder}` holds no `.index` file: check the path, and that all files of the checkpoint are there"
    shown = ", ".join(f"`{prefix}`" for prefix in prefixes[:8])
    return f"give one of these: {shown}" + (f" (and {len(prefixes) - 8} more)" if len(prefixes) > 8 else "")
