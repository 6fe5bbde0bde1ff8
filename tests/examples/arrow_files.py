# SPDX-License-Identifier: Apache-2.0
"""Files as the library `datasets` writes them, made with `pyarrow` alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

Columns = Mapping[str, Sequence[Any]]
Classes = Mapping[str, Sequence[str]]
TEXT_TYPES = (
    pyarrow.string(),
    pyarrow.large_string(),
    pyarrow.string_view(),
    pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    pyarrow.dictionary(pyarrow.int32(), pyarrow.large_string()),
)
"""The types that columns of texts have."""


def table(columns: Columns, classes: Classes | None = None) -> pyarrow.Table:
    """A table whose schema says the names of the classes of some columns."""
    found = pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()})
    return found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features(classes or {})}})})


def features(classes: Classes) -> dict[str, Any]:
    """What `datasets` says of columns that hold classes."""
    return {name: {"names": list(names), "_type": "ClassLabel"} for name, names in classes.items()}


def write_parquet(path: Path, columns: Columns, classes: Classes | None = None, rows: int | None = None) -> str:
    """A Parquet file with groups of so many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table(columns, classes), path, row_group_size=rows)
    return str(path)


def save_to_disk(folder: Path, parts: Sequence[Columns], classes: Classes | None = None) -> str:
    """A data set of several files of Arrow's stream, whose schemas do not say the classes: `dataset_info.json` does."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05}-of-{len(parts):05}.arrow" for number in range(len(parts))]
    for name, columns in zip(names, parts, strict=True):
        content = table(columns).replace_schema_metadata(None)
        with pyarrow.ipc.new_stream(str(folder / name), content.schema) as stream:
            stream.write_table(content, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features(classes or {})}))
    return str(folder)
