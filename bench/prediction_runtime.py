# SPDX-License-Identifier: Apache-2.0
"""The other runtimes of bench/prediction.py: onnxruntime and OpenVINO on an ONNX file."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxbert
from bench.prediction import texts
from bench.side_by_side import serve
from jaxbert.checkpoints.resolve import find_model
from jaxbert.examples.text_examples import TextExample
from jaxbert.export.network import IDS, MASK, TYPES
from jaxbert.export.onnx import INPUTS
from jaxbert.features.classification import convert
from jaxbert.text.tokenizer import Tokenizer

Compute = Callable[[dict[str, np.ndarray]], np.ndarray]


def onnxruntime(path: str) -> Compute:
    """Logits by onnxruntime with all cores."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]


def openvino(path: str) -> Compute:
    """Logits by OpenVINO, tuned for many texts; on CPUs with bfloat16 it computes in it by itself."""
    import openvino as runtime

    compiled = runtime.Core().compile_model(path, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    return lambda inputs: np.array(compiled(inputs)[0])


def main() -> None:
    """Answer requests for the classes of all texts."""
    settings = json.loads(sys.argv[1])
    loaded, found = jaxbert.load(settings["model"]), find_model(settings["model"]).for_text()
    assert found.rules is not None  # `for_text`
    tokenizer = Tokenizer(found.vocab, found.rules)
    compute = {"onnxruntime": onnxruntime, "openvino": openvino}[settings["runtime"]](settings["path"])
    asked = texts(settings["table"], settings["text_a"], settings["text_b"])

    def answer(batch: int) -> dict[str, Any]:
        start = time.perf_counter()
        pairs = [text if isinstance(text, tuple) else (text, None) for text in asked]
        examples = [TextExample(first, second, None, "") for first, second in pairs]
        features, _ = convert(examples, tokenizer, loaded.max_seq_length, {})
        lengths = np.count_nonzero(features["input_mask"], axis=1)
        order = np.argsort(lengths, kind="stable")
        labels: list[str] = [""] * len(asked)
        for first in range(0, len(order), batch):
            rows = order[first : first + batch]
            longest = int(lengths[rows[-1]])
            inputs = {
                INPUTS[name]: features[key][rows, :longest]
                for name, key in ((IDS, "input_ids"), (MASK, "input_mask"), (TYPES, "segment_ids"))
            }
            numbers = compute(inputs).argmax(-1)
            for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
                labels[row] = loaded.classes[number]
        return {"seconds": time.perf_counter() - start, "labels": labels}

    serve(answer)


if __name__ == "__main__":
    main()
