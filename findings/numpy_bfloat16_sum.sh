#!/usr/bin/env bash
# Versions: numpy 2.4.6 with ml_dtypes 0.6.0.
# Behaviour: numpy rounds to bfloat16 after each element that sum, mean and cumsum add. From 256 on two numbers of
#   bfloat16 are 2 apart, so adding 1 changes nothing any more: a sum of ones stops there, however long the array is.
#   The dot product of the same array is right, and so is the sum of numpy's own float16, which adds in a wider type.
# Output seen: for 1,000 ones sum 256, mean 0.255859, cumsum up to 256, dot product 1000, float16 1000, and 1000 with
#   dtype=np.float32.
# Way round: give the dtype of the sum, x.sum(dtype=np.float32), or widen the array first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import ml_dtypes
import numpy as np

ones = np.ones(1000, ml_dtypes.bfloat16)
found = {
    "sum": ones.sum(),
    "mean": ones.mean(),
    "cumsum": ones.cumsum()[-1],
    "dot product": ones @ ones,
    "float16": np.ones(1000, np.float16).sum(),
    "dtype=np.float32": ones.sum(dtype=np.float32),
}
found = {name: float(value) for name, value in found.items()}
print(found)
assert found == {
    "sum": 256,
    "mean": 0.255859375,
    "cumsum": 256,
    "dot product": 1000,
    "float16": 1000,
    "dtype=np.float32": 1000,
}, found
PYTHON
