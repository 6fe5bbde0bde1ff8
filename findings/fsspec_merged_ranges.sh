#!/usr/bin/env bash
# Versions: fsspec 2026.1.0 (also 2025.3.0 and 2025.10.0); mended in 2026.9.0.
# Behaviour: fsspec.utils.merge_offset_ranges, which merges byte ranges of a file before they are requested, takes the end
#   of the last range as the end of the merged one. Where a range lies inside the one before it, the merged range stops
#   at the end of the inner one: bytes that were asked for are not in what is returned, and nothing is raised.
# Output seen: asked for 0-100 and 10-20, merged into [(0, 20)] with 2026.1.0, into [(0, 100)] with 2026.9.0.
# Way round: sort the ranges and keep the largest end yourself, or require 2026.9.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 2026.1.0 2026.9.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "fsspec==$version"
    "$folder/$version/bin/python" - "$version" <<'PYTHON'
import sys

from fsspec.utils import merge_offset_ranges

paths, starts, ends = merge_offset_ranges(["f", "f"], [0, 10], [100, 20], max_gap=0)
found = list(zip(starts, ends))
print(f"fsspec {sys.argv[1]}: asked for 0-100 and 10-20, merged into {found}")
assert found == {"2026.1.0": [(0, 20)], "2026.9.0": [(0, 100)]}[sys.argv[1]], found
PYTHON
done
