#!/usr/bin/env bash
# Versions: onnxruntime 1.32.0 with onnx 1.23.2.
# Behaviour: exact GELU, x / 2 * (1 + erf(x / root of 2)), becomes one fused node only in some of the ways to write it
#   as nodes. x times 1 / (root of 2) hides it from sessions always, and from the optimizer in onnxruntime.transformers
#   but for one place of the factor 0.5; x divided by the root hides it from sessions where 0.5 multiplies (1 + erf).
#   The six graphs compute the same, and nothing says which of them stay five nodes.
# Output seen: fused by session / by optimizer: Div: (x*0.5)*e yes/yes, (x*e)*0.5 yes/yes, x*(e*0.5) no/yes; Mul:
#   (x*0.5)*e no/no, (x*e)*0.5 no/no, x*(e*0.5) no/yes, where e is 1 + erf.
# Way round: export a Div by the root of 2, with 0.5 on x or on the whole product.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 \
    sympy==1.14.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import math
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.transformers import optimizer

ENDS = {
    "(x*0.5)*e": (("x", "half", "h"), ("h", "e", "y")),
    "(x*e)*0.5": (("x", "e", "h"), ("h", "half", "y")),
    "x*(e*0.5)": (("e", "half", "h"), ("x", "h", "y")),
}
values = {"bias": np.ones(4), "Div": math.sqrt(2), "Mul": math.sqrt(0.5), "one": 1, "half": 0.5}
weights = [numpy_helper.from_array(np.float32(value), name) for name, value in values.items()]
found, results = {}, []
for first in ("Div", "Mul"):
    for end, products in ENDS.items():
        steps = [("Add", "in", "bias", "x"), (first, "x", first, "a"), ("Erf", "a", "b"), ("Add", "b", "one", "e")]
        steps += [("Mul", *names) for names in products]
        nodes = [helper.make_node(kind, inputs, [output]) for kind, *inputs, output in steps]
        ports = [[helper.make_tensor_value_info(name, 1, ["n", 4])] for name in ("in", "y")]
        graph = helper.make_graph(nodes, "gelu", *ports, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, f"{sys.argv[1]}/gelu.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = f"{sys.argv[1]}/session.onnx"
        options.log_severity_level = 3  # it warns that a file of an optimized model fits one machine
        session = onnxruntime.InferenceSession(f"{sys.argv[1]}/gelu.onnx", options, ["CPUExecutionProvider"])
        results.append(session.run(None, {"in": np.float32([[-3, -1, 0, 2]])})[0])
        by_optimizer = optimizer.optimize_model(f"{sys.argv[1]}/gelu.onnx", "bert", opt_level=0).model
        graphs = (onnx.load(options.optimized_model_filepath).graph, by_optimizer.graph)
        found[first, end] = tuple(any("Gelu" in node.op_type for node in graph.node) for graph in graphs)
        print(f"{first} {end}: fused by session {found[first, end][0]}, by optimizer {found[first, end][1]}")
np.testing.assert_allclose(results, results[:1] * 6, atol=1e-6)
fused = [(True, True), (True, True), (False, True), (False, False), (False, False), (False, True)]
assert list(found.values()) == fused, found
PYTHON
