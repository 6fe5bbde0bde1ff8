# SPDX-License-Identifier: Apache-2.0
"""Parquet and Arrow files, and folders of the library `datasets`: which files there are, their columns, their rows.

What is read is a stream of batches, never a whole file. `pyarrow` is an extra, imported where a file is opened.
"""

import bisect
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxbert.console import say_once
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.io.storage import is_remote

Role = Literal["train", "eval", "test"]
Kind = Literal["Parquet", "Arrow file", "Arrow stream"]
_MARKS: dict[bytes, Kind] = {b"PAR1": "Parquet", b"ARROW1": "Arrow file", b"\xff\xff\xff\xff": "Arrow stream"}
# What the splits are called that serve for a role, the best first.
_ROLES: dict[Role, tuple[str, ...]] = {
    "train": ("train",),
    "eval": ("validation", "dev", "valid", "eval", "validation_matched"),
    "test": ("test", "test_matched"),
}
_BATCH = 100  # rows that are held at a time, which may be whole books
_BUFFER = 1 << 20  # bytes of a column that are read at a time
_SPLIT = re.compile(r"(?P<split>.+?)(?:-[0-9]{5}-of-(?P<parts>[0-9]{5}))?(?:-[0-9a-f]{16})?\.(?:parquet|arrow)")
_NUMBERED = re.compile(r"[0-9]+\.parquet")
_HINT = "`pip install pyarrow`"


def kind_of(path: str) -> Kind | None:
    """What a file is by its first bytes; None for anything else, and where there is no such file."""
    if not files.is_file(path):
        return None
    with files.open_input(path) as file:
        beginning = file.read(6)
    return next((kind for mark, kind in _MARKS.items() if beginning.startswith(mark)), None)


def is_arrow(path: str) -> bool:
    """Whether `path` is a Parquet or Arrow file, a pattern for several, or a folder."""
    return is_pattern(path) or files.is_folder(path) or kind_of(path) is not None


def is_pattern(path: str) -> bool:
    """Whether a path that ends in `.parquet` or `.arrow` stands for several files."""
    return "*" in path and path.endswith((".parquet", ".arrow"))


@dataclasses.dataclass(frozen=True)
class ArrowTable:
    """A table in one file or more, which are read one after the other.

    Attributes:
        path: what the user gave, for messages.
        paths: the files, at least one.
    """

    path: str
    paths: tuple[str, ...]

    @functools.cached_property
    def columns(self) -> dict[str, str]:
        """Name -> type of each column, as the first file has them."""
        with _opened(self.paths[0]) as (schema, _):
            return {field.name: str(field.type) for field in schema}

    @functools.cached_property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the classes in order, of each column of numbers that stand for classes, as the first file says."""
        with _opened(self.paths[0]) as (schema, _):
            return _class_names(schema, self.paths[0])

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """(number of the row from 1, values of these columns); numbers of classes are given as names.

        A value is text, a number, true or false, or a list or dict of those; None where there is none, also for a class
        of -1 and for a float that is no number.

        Raises:
            InputError: a column does not exist, a file is damaged, or there is no class with a number.
        """
        number = 0
        for path in self.paths:
            with _opened(path) as (schema, batches):
                names = _class_names(schema, path)
                _check_columns(schema, columns, path)
                values = [_values(schema.field(column), names.get(column), path) for column in columns]
                for batch in batches(columns, 0):
                    found = [read(batch.column(name)) for name, read in zip(columns, values, strict=True)]
                    for row in zip(*found, strict=True):
                        number += 1
                        yield number, list(row)

    def count(self) -> int:
        """The number of rows, whatever they hold."""
        total = 0
        for path in self.paths:
            with _opened(path) as (schema, batches):
                total += sum(batch.num_rows for batch in batches(schema.names[:1], 0))
        return total


def read_texts(path: str, column: str, start: int = 0) -> Iterator[list[bytes | None]]:
    """The texts of some rows at a time, from the row `start` on, as they are in the file: UTF-8, but unchecked.

    Raises:
        InputError: there is no such column, it holds anything but text, or the file is damaged.
    """
    with _opened(path) as (schema, batches):
        _check_columns(schema, [column], path, f"rename the column of the texts to `{column}`")
        kind = schema.field(column).type
        if not _is_text(kind):
            raise InputError(f"`{path}`: the column `{column}` is of type {kind}, expected text", "write it as text")
        for batch in batches([column], start):
            yield _utf8(batch.column(column))


def open_arrow(path: str, role: Role) -> ArrowTable:
    """The table at `path`: a file, a pattern for several, or the split for `role` in a folder.

    Raises:
        InputError: nothing there, or no split for the role.
    """
    if is_pattern(path):
        return ArrowTable(path, tuple(files.expand(path)))
    if not files.is_folder(path):
        part = _SPLIT.fullmatch(os.path.basename(path))
        if part and part["parts"] not in (None, "00001"):
            say_once(f"note: `{path}` is one of {int(part['parts'])} files; a pattern with * reads them all")
        return ArrowTable(path, (path,))
    found = find_splits(path)
    if not found:
        raise InputError(
            f"`{path}` holds no Parquet or Arrow files of a data set",
            "give a file, or a folder with train-00000-of-00001.parquet or of `save_to_disk`",
        )
    name = next((name for name in _ROLES[role] if name in found), None)
    if name is None and len(found) > 1:
        raise InputError(
            f"`{path}` has no split for this: it has {', '.join(found)}",
            f"give the files of one, such as `{os.path.join(path, next(iter(found)))}...`",
        )
    name = next(iter(found)) if name is None else name
    if name != os.path.basename(os.path.normpath(path)):
        say_once(f"`{path}`: the split {name} is read" + (f", of {', '.join(found)}" if len(found) > 1 else ""))
    return ArrowTable(path, found[name])


def find_splits(folder: str, depth: int = 1) -> dict[str, tuple[str, ...]]:
    """Name of each split in a folder -> its files in order; none where there are no such files.

    The folder is one of `save_to_disk`, or has the Parquet files of a data set as they are on the hub (beside each
    other, in `data`, or in a folder for each split), or holds only one folder that is so, at most `depth` levels down.
    """
    entries = files.names(folder)
    if "dataset_dict.json" in entries:
        path = os.path.join(folder, "dataset_dict.json")
        splits = files.read_json_object(path, "what save_to_disk writes").get("splits")
        if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
            raise InputError(f"`{path}` names no splits in `splits`", "save the data set again")
        return {name: _saved(os.path.join(folder, name)) for name in splits}
    if "state.json" in entries:
        return {os.path.basename(os.path.normpath(folder)): _saved(folder)}
    if found := _named_splits(folder, entries):
        return found
    inside = [name for name in entries if files.is_folder(os.path.join(folder, name))]
    by_folder = {name: _numbered(os.path.join(folder, name)) for name in inside}
    if any(by_folder.values()):
        return {name: paths for name, paths in by_folder.items() if paths}
    found_inside = {
        name: splits for name in inside if depth and (splits := find_splits(os.path.join(folder, name), depth - 1))
    }
    if len(found_inside) > 1:
        raise InputError(
            f"`{folder}` holds several data sets: {', '.join(found_inside)}",
            f"give the folder of one, such as `{os.path.join(folder, next(iter(found_inside)))}`",
        )
    return next(iter(found_inside.values()), {})


def _named_splits(folder: str, entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By names such as train-00000-of-00002.parquet, train.parquet and glue-train.arrow."""
    found: dict[str, list[str]] = {}
    parts: dict[str, int] = {}
    for name in entries:
        if match := _SPLIT.fullmatch(name):
            split = match["split"].rsplit("-")[-1]
            found.setdefault(split, []).append(os.path.join(folder, name))
            parts[split] = int(match["parts"] or 1)
    for split, paths in found.items():
        if len(paths) != parts[split]:
            raise InputError(
                f"`{folder}` has {len(paths)} of {parts[split]} files of the split {split}",
                "copy those that lack, or give the ones to read as a pattern",
            )
    return {split: tuple(paths) for split, paths in found.items()}


def _numbered(folder: str) -> tuple[str, ...]:
    """The files of a split that has a folder of its own: 0000.parquet and so on."""
    return tuple(os.path.join(folder, name) for name in files.names(folder) if _NUMBERED.fullmatch(name))


def _saved(folder: str) -> tuple[str, ...]:
    """The files that `save_to_disk` wrote into a folder, in their order."""
    path = os.path.join(folder, "state.json")
    state = files.read_json_object(path, "what save_to_disk writes")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InputError(
            f"`{path}` chooses rows by a table of indices, as old versions of datasets wrote it",
            "load the folder and save it again with a newer version",
        )
    entries = state.get("_data_files")
    entries = entries if isinstance(entries, list) else []
    names = [entry.get("filename") for entry in entries if isinstance(entry, dict)]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"`{path}` names no files in `_data_files`", "save the data set again")
    return tuple(os.path.join(folder, str(name)) for name in names)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Callable[[Sequence[str], int], Iterator[Any]]]]:
    """The schema of a file, and a function from names of columns and a row to its batches from that row on."""
    kind = kind_of(path)
    with files.open_input(path) as file:
        if kind is None:
            raise InputError(f"`{path}` is no Parquet or Arrow file", "check the path, or copy the file again")
        pyarrow = _pyarrow(path, kind)
        try:
            if kind == "Parquet":
                content = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
                yield content.schema_arrow, functools.partial(_parquet_batches, content)
                return
            # Of mapped memory nothing is copied: rows that are passed over are not even read.
            source = file if is_remote(path) else pyarrow.BufferReader(pyarrow.py_buffer(files.map_input(path)))
            if kind == "Arrow stream":
                stream = pyarrow.ipc.open_stream(source)
                yield stream.schema, lambda columns, start: _from_row(stream, start)
            else:
                table = pyarrow.ipc.open_file(source)
                batches = map(table.get_batch, range(table.num_record_batches))
                yield table.schema, lambda columns, start: _from_row(batches, start)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"`{path}` ({kind}) cannot be read: {reason}", "copy or write the file again") from error


def _parquet_batches(content: Any, columns: Sequence[str], start: int) -> Iterator[Any]:
    """The batches from the row `start` on; groups of rows that end before it are not read."""
    count = content.num_row_groups
    ends = list(itertools.accumulate(content.metadata.row_group(group).num_rows for group in range(count)))
    group = bisect.bisect_right(ends, start)
    batches = content.iter_batches(_BATCH, row_groups=range(group, count), columns=[*columns])
    return _from_row(batches, start - (ends[group - 1] if group else 0))


def _from_row(batches: Iterable[Any], start: int) -> Iterator[Any]:
    """The batches without the first `start` rows, in pieces of some rows."""
    for batch in batches:
        for first in range(start, batch.num_rows, _BATCH):
            yield batch.slice(first, _BATCH)
        start = max(0, start - batch.num_rows)


def _check_columns(schema: Any, columns: Sequence[str], path: str, hint: str = "name one of these") -> None:
    for column in columns:
        if schema.names.count(column) != 1:
            listed = ", ".join(f"`{name}`" for name in schema.names)
            raise InputError(f"`{path}` has no column `{column}`; it has {listed}", hint)


def _pyarrow(path: str, kind: Kind) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"`{path}` ({kind}) needs the package `pyarrow`: {error}", _HINT) from error
    return pyarrow


def _class_names(schema: Any, path: str) -> dict[str, tuple[str, ...]]:
    """Column -> names of its classes, from the schema, or else from `dataset_info.json` beside the file."""
    features: Any = None
    if said := (schema.metadata or {}).get(b"huggingface"):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # it is not what `datasets` writes
            features = json.loads(said)["info"]["features"]
    info = os.path.join(os.path.dirname(path), "dataset_info.json")
    if features is None and files.is_file(info):
        features = files.read_json_object(info, "what save_to_disk writes").get("features")
    names = {name: _names(feature) for name, feature in features.items()} if isinstance(features, dict) else {}
    return {name: tuple(map(str, found)) for name, found in names.items() if found}


def _names(feature: Any) -> list[str] | None:
    """The names of a class, or of the classes in a list."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        found = feature.get("names")
        return found if isinstance(found, list) else None
    return _names(feature.get("feature"))


def _is_text(kind: Any) -> bool:
    """Whether a type is text in one of its forms, or a dictionary of texts."""
    import pyarrow

    types = pyarrow.types
    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(inner) or types.is_large_string(inner) or types.is_string_view(inner))


def _is_known(kind: Any) -> bool:
    """Whether a type is text, number, boolean or nothing, or is made of these."""
    import pyarrow

    types = pyarrow.types
    if types.is_nested(kind):
        return all(_is_known(kind.field(number).type) for number in range(kind.num_fields))
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool(_is_text(kind) or is_number or types.is_boolean(kind) or types.is_null(kind))


def _utf8(array: Any) -> list[bytes | None]:
    """The texts of an array as bytes."""
    import pyarrow

    binary = pyarrow.large_binary()
    if isinstance(array, pyarrow.DictionaryArray):  # its texts first: a cast of the whole has no kernel for views
        values = array.dictionary.cast(binary)
        return list(pyarrow.DictionaryArray.from_arrays(array.indices, values).dictionary_decode().to_pylist())
    return list(array.cast(binary).to_pylist())


def _values(field: Any, names: Sequence[str] | None, path: str) -> Callable[[Any], list[Any]]:
    """How the values of a column are read from its arrays."""
    import pyarrow

    types, kind = pyarrow.types, field.type
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    inner = kind.value_type if is_list or types.is_dictionary(kind) else kind
    if not _is_known(inner):
        raise InputError(f"`{path}`: the column `{field.name}` is of type {kind}", "write it as text")
    one: Callable[[Any], Any] = lambda value: value  # noqa: E731
    if names is not None and types.is_integer(inner):
        one = functools.partial(_class_of, names, field.name, path)
    elif types.is_floating(inner):
        shortest = {16: np.float16, 32: np.float32, 64: np.float64}[inner.bit_width]
        one = lambda value: None if value is None or value != value else float(str(shortest(value)))  # noqa: E731
    elif types.is_decimal(inner):
        one = lambda value: None if value is None else str(value)  # noqa: E731
    elif not types.is_nested(inner):
        return lambda array: list(array.to_pylist())
    if is_list:
        return lambda array: [None if many is None else [one(value) for value in many] for many in array.to_pylist()]
    return lambda array: [one(value) for value in array.to_pylist()]


def _class_of(names: Sequence[str], column: str, path: str, number: int | None) -> str | None:
    """The name of a class; -1 stands for none."""
    if number is None or number == -1:
        return None
    if not 0 <= number < len(names):
        raise InputError(
            f"`{path}`: the column `{column}` holds class {number}, but names {len(names)}: {', '.join(names)}",
            "write the file again",
        )
    return names[number]
