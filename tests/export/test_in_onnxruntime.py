# SPDX-License-Identifier: Apache-2.0
"""ONNX files in the tools of the ONNX project and in onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxbert.commands.result_comparison import our_results, random_inputs
from jaxbert.export.network import ACTIVATIONS, MASK, POSITIONS, Kind
from jaxbert.export.onnx import FILE_VERSION, INPUTS, MODEL_FILE, OPERATORS, OUTPUTS, Model, OnnxGraph, write_onnx
from jaxbert.model import layers
from tests.export.tiny_exports import KINDS, assert_close, exported

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_valid(kind: Kind, tmp_path: Path) -> None:
    """With all types and shapes."""
    onnx = pytest.importorskip("onnx")
    write_onnx(str(tmp_path), exported(kind))
    onnx.checker.check_model(str(tmp_path / MODEL_FILE), full_check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_computes_what_we_do(kind: Kind, tmp_path: Path) -> None:
    """For any number of rows and positions."""
    runtime = pytest.importorskip("onnxruntime")
    model = exported(kind)
    write_onnx(str(tmp_path), model)
    session = runtime.InferenceSession(str(tmp_path / MODEL_FILE))
    outputs = [output.name for output in session.get_outputs()]
    for rows, positions in ((3, 7), (1, 7), (2, 3)):
        inputs = {name: array[:rows, :positions] for name, array in random_inputs(model.config, seed=rows).items()}
        results = session.run(None, {name: inputs[ours].astype(np.int64) for ours, name in INPUTS.items()})
        found = dict(zip(outputs, results, strict=True))
        found = {ours: found[name] for ours, name in OUTPUTS.items() if name in found}
        assert_close(found, our_results(model, inputs), inputs[MASK])


def _run(graph: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The one output of a file."""
    runtime = pytest.importorskip("onnxruntime")
    (result,) = runtime.InferenceSession(graph.SerializeToString()).run(None, inputs)
    return result


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_the_same(activation: str) -> None:
    """At numbers of every size."""
    x = np.linspace(-9, 9, 101, dtype=np.float32)
    message = _empty()
    graph = OnnxGraph(message.graph, {"x": x})
    graph.add_output("y", ACTIVATIONS[activation](graph, graph.weight("x")), x.shape)
    np.testing.assert_allclose(_run(message, {}), layers.ACTIVATIONS[activation](x), rtol=1e-6, atol=1e-6)


def test_positions_can_be_chosen() -> None:
    """Of each row its own."""
    x = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2)
    positions = np.array([[2, 2, 0, 1], [0, 1, 1, 2]])
    message = _empty()
    graph = OnnxGraph(message.graph, {"x": x})
    graph.add_input(POSITIONS, ("B", "P"))
    graph.add_output("y", graph.at_positions(graph.weight("x"), POSITIONS), ("B", "P", 2))
    np.testing.assert_array_equal(
        _run(message, {POSITIONS: positions}), np.take_along_axis(x, positions[:, :, None], axis=1)
    )


def _empty() -> Any:
    message = Model(ir_version=FILE_VERSION)
    message.opset_import.add(domain="", version=OPERATORS)
    message.graph.name = "a test"
    return message
