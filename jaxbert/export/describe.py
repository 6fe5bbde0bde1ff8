# SPDX-License-Identifier: Apache-2.0
"""What is in an ONNX file: who made it, what goes in and comes out, every operation and tensor."""

import collections
import math
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from jaxbert.errors import InputError
from jaxbert.io.files import map_input, open_input

_VERSION_TAG = b"\x08"  # of the field `ir_version`, which every writer puts first
_AGAIN = "download or export it again"
_PACKED = ("int2", "uint2", "int4", "uint4", "float4_", "float6_")  # types of which a byte holds several values


def describe_onnx(path: str) -> list[str]:
    """The lines that say what is in an ONNX file; none where the file is of another kind.

    Raises InputError where the name ends in `.onnx`, or it is one, and it is damaged.
    """
    is_named = path.endswith(".onnx")
    with open_input(path) as file:
        if not is_named and file.read(1) != _VERSION_TAG:
            return []
    try:
        model = onnx.ModelProto.FromString(map_input(path))
        is_model = model.HasField("graph") and len(model.opset_import) > 0
    except DecodeError:
        is_model = False
    if is_model:
        _check_names(path, model)
        return list(_describe(path, model))
    if is_named:
        raise InputError(f"`{path}` is no complete ONNX file: it holds no graph", _AGAIN)
    return []


def _check_names(path: str, model: onnx.ModelProto) -> None:
    """Refuse names that are not UTF-8: protobuf gives them as bytes, since messages of `proto2` are not checked."""
    graph = model.graph
    names = [model.producer_name, model.producer_version, graph.name]
    names += [one.domain for one in model.opset_import]
    names += [one.name for one in (*graph.initializer, *graph.input, *graph.output)]
    names += [node.op_type for node in graph.node]
    names += [dim.dim_param for one in (*graph.input, *graph.output) for dim in one.type.tensor_type.shape.dim]
    if damaged := [name for name in names if isinstance(name, bytes)]:
        raise InputError(f"`{path}` is damaged: the name {damaged[0]!r} is not UTF-8", _AGAIN)


def _describe(path: str, model: onnx.ModelProto) -> Iterator[str]:
    graph = model.graph
    tensors = sorted(graph.initializer, key=lambda tensor: tensor.name)
    weights = {tensor.name for tensor in tensors}
    producer = f"{model.producer_name} {model.producer_version}".strip() or "an unknown program"
    versions = (f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import)
    yield f"{path}: ONNX model `{graph.name}`, made by {producer}"
    yield f"versions        of the format {model.ir_version}, of operators {', '.join(versions)}"
    yield from _values("input", (value for value in graph.input if value.name not in weights))  # old files list both
    yield from _values("output", graph.output)
    yield f"weights         {_size(path, tensors)}"
    counts = collections.Counter(node.op_type for node in graph.node).most_common()
    yield f"operations      {len(graph.node)}: {', '.join(f'{count} {name}' for name, count in counts) or 'none'}"
    yield ""
    width = max((len(name) for name in weights), default=0)
    for tensor in tensors:
        yield f"{tensor.name:{width}}  {list(tensor.dims)!s:18}  {_type(tensor.data_type)[0]}"


def _values(kind: str, values: Iterable[onnx.ValueInfoProto]) -> Iterator[str]:
    for value in values:
        tensor = value.type.tensor_type
        sizes = [str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
        of_type = f"{_type(tensor.elem_type)[0]} [{', '.join(sizes)}]" if tensor.elem_type else "no tensor"
        yield f"{kind:15} {value.name}: {of_type}"


def _type(number: int) -> tuple[str, int]:
    """The name of a type of TensorProto, and the bytes of one value; 0 where it has no fixed number of them."""
    if number == TensorProto.STRING:
        return "string", 0
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
    except KeyError:
        return f"type {number}", 0
    return dtype.name, 0 if dtype.name.startswith(_PACKED) else dtype.itemsize


def _size(path: str, tensors: Iterable[TensorProto]) -> str:
    """How many there are, and how much; values in the file itself must be all there."""
    count, values, size, elsewhere = 0, 0, 0, 0
    for tensor in tensors:
        of_tensor = math.prod(tensor.dims)
        _, width = _type(tensor.data_type)
        if min(tensor.dims, default=0) < 0:
            raise InputError(f"`{path}` is damaged: `{tensor.name}` has the sizes {list(tensor.dims)}", _AGAIN)
        if tensor.raw_data and width and len(tensor.raw_data) != of_tensor * width:
            raise InputError(
                f"`{path}` is damaged: `{tensor.name}` has {len(tensor.raw_data)} bytes, expected {of_tensor * width}",
                _AGAIN,
            )
        count, values, size = count + 1, values + of_tensor, size + of_tensor * width
        elsewhere += tensor.data_location == TensorProto.EXTERNAL
    text = f"{count} tensors with {values:,} values, {size:,} bytes"
    return text + (f"; {elsewhere} of them in another file" if elsewhere else "")
