# SPDX-License-Identifier: Apache-2.0
"""A model as an ONNX file, with inputs and outputs named as `transformers` names them."""

import os
from typing import Any

import jaxbert
from jaxbert import files
from jaxbert.errors import InputError
from jaxbert.export.exported import Exported
from jaxbert.export.network import IDS, MASK, TYPES
from jaxbert.export.onnx_graph import FILE_VERSION, OPERATORS, OnnxGraph
from jaxbert.export.onnx_messages import Model
from jaxbert.export.results import served_results

MODEL_FILE = "model.onnx"
INPUTS = {IDS: "input_ids", MASK: "attention_mask", TYPES: "token_type_ids"}
OUTPUTS = {
    "sequence_output": "last_hidden_state",
    "pooled_output": "pooler_output",
    "sentence_prediction": "logits",
    "start_positions": "start_logits",
    "end_positions": "end_logits",
    "mlm_logits": "prediction_logits",
    "next_sentence": "seq_relationship_logits",
}
_MOST_BYTES = 2**31 - 1  # of one protocol buffer message


def write_onnx(folder: str, model: Exported) -> None:
    """Write `model` as `model.onnx` into `folder`. Raises InputError where it is larger than a file can be."""
    size = sum(weight.nbytes for weight in model.weights.values())
    if size > _MOST_BYTES - (1 << 24):  # the graph itself takes less than that
        raise InputError(f"an ONNX file holds at most 2 GiB, these weights take {size} bytes", "choose another format")
    with files.whole_file(os.path.join(folder, MODEL_FILE)) as file:
        file.write(onnx_model(model).SerializeToString())


def onnx_model(model: Exported) -> Any:
    """The message in the file; the masked LM is computed at all positions."""
    message = Model(ir_version=FILE_VERSION, producer_name="jaxbert", producer_version=jaxbert.__version__)
    message.opset_import.add(domain="", version=OPERATORS)
    message.graph.name = model.kind
    graph = OnnxGraph(message.graph, model.weights)
    for name in INPUTS.values():
        graph.add_input(name, ("B", "S"))
    for name, output in served_results(graph, model, INPUTS).items():
        graph.add_output(OUTPUTS[name], output.value, output.shape)
    return message
