# SPDX-License-Identifier: Apache-2.0
"""ONNX files that onnxruntime has optimized or quantized: what became of their operations, weights and results."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from jaxbert.config.bert_config import Activation
from jaxbert.errors import InputError
from jaxbert.export import onnx_tuning
from jaxbert.export.network import MASK, Exported, Kind
from jaxbert.export.onnx import INPUTS, MODEL_FILE, OUTPUTS, write_onnx
from tests.export.tiny_exports import KINDS, assert_close, exported, our_results, random_inputs

LAYERS = 2


def _file(folder: Path, model: Exported) -> str:
    write_onnx(str(folder), model)
    return str(folder / MODEL_FILE)


def _counts(path: str) -> dict[str, int]:
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    return {name: nodes.count(name) for name in nodes}


def _run(path: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    results = [output.name for output in session.get_outputs()]
    found = session.run(None, {name: inputs[ours].astype(np.int64) for ours, name in INPUTS.items()})
    official = {name: ours for ours, name in OUTPUTS.items()}
    return {official[name]: result for name, result in zip(results, found, strict=True)}


@pytest.mark.parametrize(("activation", "fused"), [("gelu", "FastGelu"), ("gelu_erf", "BiasGelu")])
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_can_be_fused_is(
    kind: Kind, activation: Activation, fused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Attention, embeddings, sums before normalizations, biases before GELU: none is left, and it is said."""
    path = _file(tmp_path, model := exported(kind, activation))
    onnx_tuning.optimize(path, model.config)
    counts = _counts(path)
    heads = int(kind == "pretrainer")
    expected = {"EmbedLayerNormalization": 1, "Attention": LAYERS, "SkipLayerNormalization": 2 * LAYERS}
    expected |= {fused: LAYERS + heads} | ({"LayerNormalization": 1} if heads else {})
    assert {name: counts[name] for name in expected} == expected
    assert counts.keys().isdisjoint({"Softmax", "Div", "Mul", "Erf", "Pow", "Slice", "Shape", "Unsqueeze", "Reshape"})
    said = capsys.readouterr().err
    assert all(f"{count} {name}" in said for name, count in expected.items())


@pytest.mark.parametrize("activation", ["gelu", "gelu_erf", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_optimized_file_computes_what_the_model_does(kind: Kind, activation: Activation, tmp_path: Path) -> None:
    """For any number of rows and positions, and for sequences of different lengths."""
    path = _file(tmp_path, model := exported(kind, activation))
    onnx_tuning.optimize(path, model.config)
    for rows, positions in ((3, 7), (1, 7), (2, 3)):
        inputs = {name: array[:rows, :positions] for name, array in random_inputs(model.config, seed=rows).items()}
        assert_close(_run(path, inputs), our_results(model, inputs), inputs[MASK])


def test_another_model_than_before_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the optimizer is wrong, though it is by a thousandth in one bias."""
    path = _file(tmp_path / "a", model := exported("encoder"))
    name = "bert/encoder/layer_1/attention/self/value/bias"
    weights = {**model.weights, name: model.weights[name] + np.float32(0.001)}
    other = onnx.load(_file(tmp_path / "b", dataclasses.replace(model, weights=weights)))
    fuse = onnx_tuning.optimize_by_fusion
    monkeypatch.setattr(onnx_tuning, "optimize_by_fusion", lambda _, *sizes: fuse(other, *sizes))
    with pytest.raises(InputError, match=r"optimizes the model to another one: largest difference (0\.|\de-0)"):
        onnx_tuning.optimize(path, model.config)


@pytest.mark.parametrize("first", [None, onnx_tuning.optimize])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_become_8_bits_with_a_scale_for_each_column(kind: Kind, first: Any, tmp_path: Path) -> None:
    """Each is the weight but for half a step of its column, in an optimized file too."""
    path = _file(tmp_path, model := exported(kind, "gelu_erf"))
    if first is not None:
        first(path, model.config)
    onnx_tuning.quantize(path, model.config)
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    for layer in range(LAYERS):
        for part in ("attention/output", "intermediate", "output"):
            name = f"bert/encoder/layer_{layer}/{part}/dense/kernel"
            assert name not in tensors
            rounded, scale, zero = (tensors[f"{name}_{ending}"] for ending in ("quantized", "scale", "zero_point"))
            assert rounded.dtype == np.uint8
            assert scale.shape == zero.shape == model.weights[name].shape[1:]
            back = (rounded.astype(np.float32) - zero) * scale
            assert (np.abs(back - model.weights[name]) <= 0.501 * scale).all()


def test_a_model_that_loses_too_much_is_refused(tmp_path: Path) -> None:
    """Where one of the numbers that go into a matrix is far larger, no steps are left for the others."""
    model = exported("encoder")
    weights = {name: weight.copy() for name, weight in model.weights.items()}
    weights["bert/encoder/layer_1/output/LayerNorm/gamma"][0] = 1e6
    weights["bert/pooler/dense/kernel"][0] = 0
    weights["bert/pooler/dense/bias"][:] = 0
    path = _file(tmp_path, dataclasses.replace(model, weights=weights))
    with pytest.raises(InputError, match=r"does not stand rounding to 8 bits: largest difference"):
        onnx_tuning.quantize(path, model.config)


def test_results_are_compared_as_they_are_said() -> None:
    """The largest difference of all results, the smallest cosine of one; results without change may be zero."""
    before = {"a": np.array([3.0, 4.0]), "b": np.zeros(2)}
    comparison = onnx_tuning.Comparison(before, {"a": np.array([4.0, 3.0]), "b": np.zeros(2)})
    assert (comparison.difference, comparison.largest, comparison.cosine) == (1, 4, pytest.approx(0.96))
    assert str(comparison).startswith("largest difference 1 in values up to 4, smallest cosine 0.9600, on ")
    assert not onnx_tuning.Comparison(before, before | {"a": np.full(2, np.nan)}).cosine >= 0
