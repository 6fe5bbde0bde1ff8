# SPDX-License-Identifier: Apache-2.0
"""ONNX files: valid, complete, the same bytes every time, and in onnxruntime they compute what our model does."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from jaxbert.checkpoints import names
from jaxbert.errors import InputError
from jaxbert.export.network import ACTIVATIONS, LAYER_NORM_EPSILON, MASK, POSITIONS, Kind
from jaxbert.export.onnx import (
    FILE_VERSION,
    INPUTS,
    MODEL_FILE,
    OPERATORS,
    OUTPUTS,
    Model,
    OnnxGraph,
    onnx_model,
    write_onnx,
)
from jaxbert.model import layers
from tests.export.tiny_exports import KINDS, assert_close, exported, our_results, random_inputs


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_valid(kind: Kind, tmp_path: Path) -> None:
    """For the checker of the ONNX project, with all types and shapes."""
    write_onnx(str(tmp_path), exported(kind))
    onnx.checker.check_model(str(tmp_path / MODEL_FILE), full_check=True)


def _run(content: bytes, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The outputs by name, computed by onnxruntime from the content of a file."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_computes_what_the_model_does(kind: Kind, tmp_path: Path) -> None:
    """For any number of rows and positions, and for sequences of different lengths, from the file alone."""
    model = exported(kind)
    write_onnx(str(tmp_path), model)
    for rows, positions in ((3, 7), (1, 7), (2, 3)):
        inputs = {name: array[:rows, :positions] for name, array in random_inputs(model.config, seed=rows).items()}
        content = (tmp_path / MODEL_FILE).read_bytes()
        found = _run(content, {name: inputs[ours].astype(np.int64) for ours, name in INPUTS.items()})
        found = {ours: found[name] for ours, name in OUTPUTS.items() if name in found}
        assert_close(found, our_results(model, inputs), inputs[MASK])


def test_outputs_come_in_the_order_of_transformers() -> None:
    """Programs that take them by their number get what they get from its files."""
    expected = {
        "encoder": ["last_hidden_state", "pooler_output"],
        "squad": ["start_logits", "end_logits"],
        "pretrainer": ["prediction_logits", "seq_relationship_logits"],
    }
    for kind in KINDS:
        found = [output.name for output in onnx_model(exported(kind)).graph.output]
        assert found == expected.get(kind, ["logits"])


def test_another_head_of_the_masked_lm_is_computed() -> None:
    """With an activation and an epsilon of its own, as keras-hub has it."""
    plain = exported("pretrainer")
    config = dataclasses.replace(plain.config, masked_lm_act="gelu_erf", masked_lm_layer_norm_eps=0.1)
    inputs = random_inputs(config, seed=0)
    arguments = {name: inputs[ours].astype(np.int64) for ours, name in INPUTS.items()}
    found, others = (
        _run(onnx_model(model).SerializeToString(), arguments)[OUTPUTS["mlm_logits"]]
        for model in (dataclasses.replace(plain, config=config), plain)
    )
    ours = our_results(dataclasses.replace(plain, config=config), inputs)["mlm_logits"]
    assert_close({"mlm_logits": found}, {"mlm_logits": ours}, inputs[MASK])
    assert np.abs(found - others).max() > 0.01


def _message() -> Any:
    """A file without operations."""
    message = Model(ir_version=FILE_VERSION)
    message.opset_import.add(domain="", version=OPERATORS)
    message.graph.name = "a test"
    return message


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_same(activation: str) -> None:
    """At numbers of every size, as our model computes it."""
    x = np.linspace(-9, 9, 101, dtype=np.float32)
    message = _message()
    graph = OnnxGraph(message.graph, {"x": x})
    graph.add_output("y", ACTIVATIONS[activation](graph, graph.weight("x")), x.shape)
    found = _run(message.SerializeToString(), {})["y"]
    np.testing.assert_allclose(found, layers.ACTIVATIONS[activation](x), rtol=1e-6, atol=1e-6)


def test_tiny_numbers_are_normalized() -> None:
    """Where the constant under the root decides, it is the model's."""
    x = 1e-6 * np.linspace(-1, 1, 6, dtype=np.float32)[None]
    gamma, beta = np.linspace(1, 2, 12, dtype=np.float32).reshape(2, 6)
    message = _message()
    graph = OnnxGraph(message.graph, {"x": x, "gamma": gamma, "beta": beta})
    arguments = [graph.weight(name) for name in ("x", "gamma", "beta")]
    graph.add_output("y", graph.layer_norm(*arguments, LAYER_NORM_EPSILON), x.shape)
    found = _run(message.SerializeToString(), {})["y"]
    np.testing.assert_allclose(found, layers.layer_norm({"gamma": gamma, "beta": beta}, x[None])[0], rtol=1e-5)


def test_positions_can_be_chosen() -> None:
    """Of each row its own."""
    x = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2)
    positions = np.array([[2, 2, 0, 1], [0, 1, 1, 2]])
    message = _message()
    graph = OnnxGraph(message.graph, {"x": x})
    graph.add_input(POSITIONS, ("B", "P"))
    graph.add_output("y", graph.at_positions(graph.weight("x"), POSITIONS), ("B", "P", 2))
    found = _run(message.SerializeToString(), {POSITIONS: positions})["y"]
    np.testing.assert_array_equal(found, np.take_along_axis(x, positions[:, :, None], axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_there_before_it_is_used(kind: Kind) -> None:
    """Operations take inputs, weights, constants, or results of operations before them."""
    graph = onnx_model(exported(kind)).graph
    known = {value.name for value in (*graph.input, *graph.initializer)}
    for node in graph.node:
        assert set(node.input) <= known, node.name
        known.update(node.output)
    assert {output.name for output in graph.output} <= known


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_in_the_file(kind: Kind) -> None:
    """Bit for bit under its TF1 name; the pooler only where something is computed from it."""
    model = exported(kind)
    found = {tensor.name: tensor for tensor in onnx_model(model).graph.initializer}
    not_read = set(names.POOLER) if kind == "squad" else set()
    assert model.weights.keys() - found.keys() == not_read
    for name in model.weights.keys() & found.keys():
        assert tuple(found[name].dims) == model.weights[name].shape
        assert found[name].raw_data == model.weights[name].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_is_used(kind: Kind) -> None:
    """The file holds nothing that leads to no output."""
    graph = onnx_model(exported(kind)).graph
    used = {value for node in graph.node for value in node.input} | {output.name for output in graph.output}
    assert {name for node in graph.node for name in node.output} <= used
    assert {tensor.name for tensor in graph.initializer} <= used


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two files of one model do not differ."""
    for name in ("a", "b"):
        write_onnx(str(tmp_path / name), exported("pretrainer"))
    assert (tmp_path / "a" / MODEL_FILE).read_bytes() == (tmp_path / "b" / MODEL_FILE).read_bytes()


def test_more_than_a_file_can_hold_is_refused(tmp_path: Path) -> None:
    """Before any memory is taken."""
    model = exported("encoder")
    huge = np.broadcast_to(np.float32(0), (1 << 15, 1 << 15))
    model = dataclasses.replace(model, weights={**model.weights, names.WORD_EMBEDDINGS: huge})
    with pytest.raises(InputError, match="at most 2 GiB"):
        write_onnx(str(tmp_path), model)
    assert list(tmp_path.iterdir()) == []
