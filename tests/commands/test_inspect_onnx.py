# SPDX-License-Identifier: Apache-2.0
"""What `inspect` says of ONNX files."""

import sys
from pathlib import Path

import onnx
import pytest

from jaxbert.cli import main
from jaxbert.export.onnx import MODEL_FILE, onnx_model, write_onnx
from tests.export.tiny_exports import exported


def _inspect(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["inspect", str(path)])
    out, err = capsys.readouterr()
    return code, err if code else out


@pytest.mark.parametrize("name", [MODEL_FILE, "", "renamed"])
def test_a_file_is_told_in_full(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By itself, by its folder and by another name: maker, inputs, outputs, sizes, operations, every tensor."""
    model = exported("classifier")
    write_onnx(str(tmp_path), model)
    (tmp_path / "renamed").write_bytes((tmp_path / MODEL_FILE).read_bytes())
    code, out = _inspect(tmp_path / name, capsys)
    assert code == 0, out
    graph = onnx_model(model).graph
    held = sum(len(tensor.raw_data) for tensor in graph.initializer)
    for line in (
        "ONNX model `classifier`, made by jaxbert 0.",
        "versions        of the format 8, of operators ai.onnx 17\n",
        "input           input_ids: int64 [batch, sequence]\n",
        "input           token_type_ids: int64 [batch, sequence]\n",
        f"output          logits: float32 [batch, {model.classes}]\n",
        f"weights         {len(graph.initializer)} tensors with ",
        f" {held:,} bytes\n",
        f"operations      {len(graph.node)}: ",
        " 5 LayerNormalization",
    ):
        assert line in out
    rows = [line.split("  ") for line in out.split("\n\n")[1].splitlines()]
    assert len(rows) == len(graph.initializer)
    assert ["bert/embeddings/word_embeddings", "[11, 6]", "float32"] in [[x.strip() for x in row if x] for row in rows]


def test_files_of_other_programs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights among the inputs, as in old files, weights in other files, unknown types, inputs that are no tensors."""
    message = onnx.ModelProto(ir_version=3)
    message.opset_import.add(domain="com.microsoft", version=1)
    graph = message.graph
    graph.initializer.add(name="w", dims=[3, 5], data_type=16, data_location=1)
    graph.initializer.add(name="odd", dims=[4], data_type=99)
    for name, dtype in (("w", 16), ("x", 99)):
        graph.input.add(name=name).type.tensor_type.elem_type = dtype
    graph.input[1].type.tensor_type.shape.dim.add()
    graph.output.add(name="y")
    (tmp_path / "m.onnx").write_bytes(message.SerializeToString())
    code, out = _inspect(tmp_path / "m.onnx", capsys)
    assert code == 0, out
    assert "made by an unknown program" in out
    assert "operators com.microsoft 1\n" in out
    assert [line for line in out.splitlines() if line.startswith(("input", "output"))] == [
        "input           x: type 99 [?]",
        "output          y: no tensor",
    ]
    assert "2 tensors with 19 values, 30 bytes; 1 of them in another file\n" in out


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_part_of_a_file_ends_in_a_message(kept: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut off anywhere."""
    content = onnx_model(exported("encoder")).SerializeToString()
    (tmp_path / MODEL_FILE).write_bytes(content[: int(kept * len(content))])
    code, err = _inspect(tmp_path / MODEL_FILE, capsys)
    assert code == 2
    assert "no complete ONNX file" in err


def test_a_tensor_that_is_too_short_ends_in_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name and both sizes are told."""
    message = onnx_model(exported("encoder"))
    message.graph.initializer[0].raw_data = b"1234"
    (tmp_path / MODEL_FILE).write_bytes(message.SerializeToString())
    code, err = _inspect(tmp_path / MODEL_FILE, capsys)
    assert code == 2
    assert f"`{message.graph.initializer[0].name}` has 4 bytes, expected " in err


def test_sizes_below_zero_end_in_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They would be counted as values that are not there."""
    message = onnx_model(exported("encoder"))
    tensor = next(tensor for tensor in message.graph.initializer if tensor.dims)
    tensor.dims[0] *= -1
    (tmp_path / MODEL_FILE).write_bytes(message.SerializeToString())
    code, err = _inspect(tmp_path / MODEL_FILE, capsys)
    assert code == 2
    assert f"`{tensor.name}` has the sizes [-" in err


@pytest.mark.parametrize(
    "name", ["jaxbert", "encoder", "attention_mask", "pooler_output", "batch", "MatMul", "bert/pooler/dense/bias"]
)
def test_a_name_that_is_not_utf8_ends_in_a_message(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the producer, the graph, an input, an output, an axis, an operation, a tensor: one flipped bit is enough."""
    content = onnx_model(exported("encoder")).SerializeToString()
    prefixed = bytes([len(name)]) + name.encode()  # a string field is its length, then its bytes
    damaged = prefixed[:-1] + bytes([prefixed[-1] ^ 0x80])
    assert prefixed in content
    (tmp_path / MODEL_FILE).write_bytes(content.replace(prefixed, damaged))
    code, err = _inspect(tmp_path / MODEL_FILE, capsys)
    assert code == 2
    assert f"the name {damaged[1:]!r} is not UTF-8" in err


def test_without_the_package_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ONNX file needs it, and the hint installs it; files of other kinds are told as ever."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "jaxbert.export.describe", raising=False)
    write_onnx(str(tmp_path), exported("encoder"))
    code, err = _inspect(tmp_path, capsys)
    assert code == 2
    assert "needs the package `onnx`" in err
    assert "hint: pip install onnx" in err
    (tmp_path / "other").write_bytes(b"\x08 no model")
    assert "is no model in a known format" in _inspect(tmp_path / "other", capsys)[1]


def test_an_onnx_file_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that read weights say what it is."""
    write_onnx(str(tmp_path / "m"), exported("encoder"))
    paths = (f"--init_checkpoint={tmp_path}/m", f"--output_dir={tmp_path}/out")
    assert main(["convert_checkpoint", *paths, "--to=tf1"]) == 2
    assert "is an ONNX model, which is not read" in capsys.readouterr().err
