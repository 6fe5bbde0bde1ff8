#!/usr/bin/env bash
# Versions: safetensors 0.8.0 with numpy 2.4.6; 0.7.0 is right.
# Behaviour: safetensors.numpy.save and save_file take the memory of an array as it lies there and write it under the
#   array's logical shape. An array in Fortran order, such as the transpose that many conversions of weights make, is
#   read back with its values in other places, and nothing is raised. The docstring asks for contiguous arrays, but
#   nothing checks it.
# Output seen: the transpose [[0, 3], [1, 4], [2, 5]] is read back as such with 0.7.0, as [[0, 1], [2, 3], [4, 5]] with
#   0.8.0.
# Way round: np.asarray(array, order="C") before it is saved.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 0.7.0 0.8.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.4.6
    "$folder/$version/bin/python" - "$version" <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load, save

transpose = np.arange(6).reshape(2, 3).T
found = load(save({"transpose": transpose}))["transpose"].tolist()
ordered = load(save({"transpose": np.asarray(transpose, order="C")}))["transpose"].tolist()
print(f"safetensors {sys.argv[1]}: saved {transpose.tolist()}, read {found}, in C order {ordered}")
assert ordered == transpose.tolist() == [[0, 3], [1, 4], [2, 5]], ordered
assert found == {"0.7.0": ordered, "0.8.0": [[0, 1], [2, 3], [4, 5]]}[sys.argv[1]], found
PYTHON
done
