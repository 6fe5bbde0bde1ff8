#!/usr/bin/env bash
# Versions: jax 0.10.2 with jaxlib 0.10.2.
# Behaviour: XLA's CPU compiler can hand products to oneDNN, which is inside jaxlib (`--xla_cpu_use_onednn=true` with
#   `--xla_cpu_experimental_onednn_fusion_type=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT`). A program with such a product is
#   never kept in jax's persistent compilation cache, since that part of it cannot be written: a start that finds all
#   other programs compiles this one again, each time. A warning says so, when the program is compiled and nowhere else.
# Output seen: without the flags 1 entry after the first start and 1 after the second; with them 0 and 0, and in both
#   starts the warning "Error writing persistent compilation cache entry ... ToProto is not implemented for thunk kind:
#   onednn-fusion".
# Way round: none; what oneDNN gains in each step has to be weighed against the compilation at each start.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
cat > "$folder/start.py" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
matrix = jax.ShapeDtypeStruct((256, 256), "float32")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    jax.jit(lambda x, y: x @ y).lower(matrix, matrix).compile()
kind = any("not implemented for thunk kind: onednn-fusion" in str(one.message) for one in told)
print(len([*Path(sys.argv[1]).glob("*-cache")]), "warned" if kind else "silent", end="; ")
PYTHON
starts() { # entries and warning after each of two starts
    for _ in 1 2; do JAX_PLATFORMS=cpu XLA_FLAGS="$2" "$folder/venv/bin/python" "$folder/start.py" "$folder/$1"; done
}
plain=$(starts plain "")
onednn=$(starts onednn "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_fusion_type=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT")
printf 'without: %s\nwith oneDNN: %s\n' "$plain" "$onednn"
[ "$plain" = "1 silent; 1 silent; " ]
[ "$onednn" = "0 warned; 0 warned; " ]
