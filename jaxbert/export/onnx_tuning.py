# SPDX-License-Identifier: Apache-2.0
"""An ONNX file of ours made faster or smaller by onnxruntime, and compared with what it was.

Weights of 8 bits have a scale for each column, where one for each matrix loses more; they are without sign, since
processors without VNNI add up products with signed ones in 16 bits, which overflow.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_by_fusion

from jaxbert.config.bert_config import BertConfig
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.export.network import IDS, MASK, TYPES
from jaxbert.export.onnx import INPUTS

_MOST_DIFFERENCE = 1e-4  # of optimized results, as a share of the largest one; rounding is a hundredth of that
_LEAST_COSINE = 0.9  # of quantized results; those of sound models lie above 0.97
_SEQUENCES, _LONGEST = 8, 64

_VERSION = f"onnxruntime {onnxruntime.__version__}"
Results = dict[str, np.ndarray]


def optimize(path: str, config: BertConfig) -> None:
    """Fuse operations of the model at `path` into larger ones, which only onnxruntime has, and say what was done.

    Raises InputError where the results are not the same but for rounding.
    """
    expected = _results(path, config)
    model = onnx.load(path)
    model.producer_name = ""  # else onnxruntime warns that the file is not from PyTorch
    with _quiet():
        optimized = optimize_by_fusion(model, "bert", config.num_attention_heads, config.hidden_size)
        fused = optimized.get_fused_operator_statistics()
    optimized.save_model_to_file(path)
    comparison = Comparison(expected, _results(path, config))
    if not comparison.difference <= _MOST_DIFFERENCE * comparison.largest:
        raise InputError(f"{_VERSION} optimizes the model to another one: {comparison}", "leave out `--optimize`")
    counts = ", ".join(f"{count} {name}" for name, count in fused.items() if count)
    say(f"optimized by {_VERSION} to {counts}; {comparison}")


def quantize(path: str, config: BertConfig) -> None:
    """Round the weights of the model at `path` to 8 bits, and say what it costs.

    What they are multiplied with is rounded when the model is run. Raises InputError where too little is left of it.
    """
    expected, size = _results(path, config), os.path.getsize(path)
    types = {"DefaultTensorType": onnx.TensorProto.FLOAT}  # fused operations have no rules by which it could be found
    with _quiet():
        quantize_dynamic(path, path, per_channel=True, weight_type=QuantType.QUInt8, extra_options=types)
    comparison = Comparison(expected, _results(path, config))
    if not comparison.cosine >= _LEAST_COSINE:
        raise InputError(f"the model does not stand rounding to 8 bits: {comparison}", "leave out `--quantize`")
    say(f"quantized by {_VERSION}, {size:,} bytes to {os.path.getsize(path):,}; {comparison}")


class Comparison:
    """Results before and after, by name.

    Attributes:
        difference: the largest between two values.
        largest: the largest absolute value before.
        cosine: the smallest between two results.
    """

    def __init__(self, before: Results, after: Results) -> None:
        self.difference = max(float(np.abs(before[name] - after[name]).max()) for name in before)
        self.largest = max(float(np.abs(values).max()) for values in before.values())
        self.cosine = min(_cosine(values, after[name]) for name, values in before.items())

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.2g} in values up to {self.largest:.2g}, smallest cosine"
            f" {self.cosine:.4f}, on {_SEQUENCES} sequences of random tokens"
        )


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if lengths == 0:
        return float(np.array_equal(one, other))
    return float(np.vdot(one, other)) / lengths


def _results(path: str, config: BertConfig) -> Results:
    """What the model gives for random sequences of different lengths, by name; padding gives 0."""
    random = np.random.default_rng(0)
    positions = min(_LONGEST, config.max_position_embeddings)
    lengths = random.integers(1, positions, (_SEQUENCES, 1), endpoint=True)
    mask = np.arange(positions) < lengths
    second = np.arange(positions) >= lengths // 2  # texts of pairs
    inputs = {
        INPUTS[IDS]: random.integers(0, config.vocab_size, mask.shape) * mask,
        INPUTS[MASK]: mask.astype(np.int64),
        INPUTS[TYPES]: (second & mask).astype(np.int64) * (config.type_vocab_size > 1),
    }
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(None, inputs), strict=True))
    return {
        name: values * mask.reshape(*mask.shape, *[1] * (values.ndim - 2)) if values.shape[:2] == mask.shape else values
        for name, values in results.items()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what onnxruntime's Python code logs: it is about files of other programs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
