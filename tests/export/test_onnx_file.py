# SPDX-License-Identifier: Apache-2.0
"""ONNX files: complete, consistent in themselves, the same bytes every time, and they compute what our model does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints import names
from jaxbert.commands.result_comparison import our_results, random_inputs
from jaxbert.errors import InputError
from jaxbert.export.evaluation import run_onnx
from jaxbert.export.network import ACTIVATIONS, LAYER_NORM_EPSILON, MASK, Kind
from jaxbert.export.onnx import INPUTS, MODEL_FILE, OUTPUTS, Model, OnnxGraph, onnx_model, write_onnx
from jaxbert.model import layers
from tests.export.tiny_exports import KINDS, assert_close, exported


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_computes_what_the_model_does(kind: Kind, tmp_path: Path) -> None:
    """For sequences of different lengths, computed from the file alone."""
    model = exported(kind)
    write_onnx(str(tmp_path), model)
    inputs = random_inputs(model.config, seed=1)
    found = run_onnx(str(tmp_path), {name: inputs[ours].astype(np.int64) for ours, name in INPUTS.items()})
    found = {ours: found[name] for ours, name in OUTPUTS.items() if name in found}
    assert_close(found, our_results(model, inputs), inputs[MASK])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_same(activation: str, tmp_path: Path) -> None:
    """At numbers of every size, as our model computes it."""
    x = np.linspace(-9, 9, 101, dtype=np.float32)
    message = Model()
    graph = OnnxGraph(message.graph, {"x": x})
    graph.add_output("y", ACTIVATIONS[activation](graph, graph.weight("x")), x.shape)
    (tmp_path / MODEL_FILE).write_bytes(message.SerializeToString())
    found = run_onnx(str(tmp_path), {})["y"]
    np.testing.assert_allclose(found, layers.ACTIVATIONS[activation](x), rtol=1e-6, atol=1e-6)


def test_tiny_numbers_are_normalized(tmp_path: Path) -> None:
    """Where the constant under the root decides, it is the model's."""
    x = 1e-6 * np.linspace(-1, 1, 6, dtype=np.float32)[None]
    gamma, beta = np.linspace(1, 2, 12, dtype=np.float32).reshape(2, 6)
    message = Model()
    graph = OnnxGraph(message.graph, {"x": x, "gamma": gamma, "beta": beta})
    arguments = [graph.weight(name) for name in ("x", "gamma", "beta")]
    graph.add_output("y", graph.layer_norm(*arguments, LAYER_NORM_EPSILON), x.shape)
    (tmp_path / MODEL_FILE).write_bytes(message.SerializeToString())
    found = run_onnx(str(tmp_path), {})["y"]
    np.testing.assert_allclose(found, layers.layer_norm({"gamma": gamma, "beta": beta}, x[None])[0], rtol=1e-5)


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
