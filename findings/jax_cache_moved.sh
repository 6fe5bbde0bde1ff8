#!/usr/bin/env bash
# Versions: jax 0.10.2 with jaxlib 0.10.2.
# Behaviour: with its default settings the key of a program in jax's persistent compilation cache depends on the path of
#   the cache's folder, on a CPU too: the folder is part of the settings of XLA's own caches, which are hashed with the
#   rest. A cache that was copied, mounted elsewhere or named by a relative path in place of an absolute one holds nothing
#   that is found; every program is compiled again and stored a second time, without a word.
# Output seen: 1 entry after the first start, 1 after the second, 2 after a start with the same folder under another name;
#   with jax_persistent_cache_enable_xla_caches set to none 1, 1 and 1.
# Way round: jax_persistent_cache_enable_xla_caches=none (or JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES=none).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2
cat > "$folder/start.py" <<'PYTHON'
import sys
from pathlib import Path

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.jit(lambda x: x @ x.T + 1).lower(jax.ShapeDtypeStruct((8, 8), "float32")).compile()
print(len([*Path(sys.argv[1]).glob("*-cache")]), end=" ")
PYTHON
counts() { # the entries after two starts, and after one with the folder renamed
    start() { JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/start.py" "$1"; }
    start "$folder/$1"
    start "$folder/$1"
    mv "$folder/$1" "$folder/$1-moved"
    start "$folder/$1-moved"
}
default=$(counts default)
none=$(JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES=none counts none)
printf 'default: %s\nnone: %s\n' "$default" "$none"
[ "$default" = "1 1 2 " ]
[ "$none" = "1 1 1 " ]
