# SPDX-License-Identifier: Apache-2.0
"""What a model says of the texts in a file, as JSON lines, an array or Parquet; the texts are read some at a time."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, cast

import numpy as np

from jaxbert.config.library import EmbedFlags, PredictFlags
from jaxbert.console import counted, progress, say
from jaxbert.errors import InputError
from jaxbert.examples.rows import text_lines
from jaxbert.examples.table import ColumnNames, is_table, table_dataset
from jaxbert.examples.text_data import source_files
from jaxbert.io.files import refuse_overwriting, whole_file
from jaxbert.library.model import Model, Pooling, Prediction, Text, TextsCutWarning, load
from jaxbert.predictions.tagging import Span, span_json
from jaxbert.tasks.classification import columns_of_run

_CHUNK = 1024  # texts at a time
_PAIR = re.compile(r"(.*) \|\|\| (.*)", re.DOTALL)
Named = tuple[str, Text]


def embed_file(flags: EmbedFlags) -> None:
    """Write the vectors of the texts in a file. Raises InputError where model, texts or flags are wrong."""
    refuse_overwriting([flags.output_file], [*source_files(flags.input_file), flags.vocab_file, flags.bert_config_file])
    model = load(
        flags.init_checkpoint,
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
        max_seq_length=flags.max_seq_length,
        dtype=cast(Any, flags.dtype),
        compile_cache=flags.compile_cache,
    )
    if flags.max_seq_length is None and flags.usual_length is not None:
        _cut_as_usual(model, flags.usual_length)
    write = {".npy": _write_array, ".parquet": _write_parquet}.get(os.path.splitext(flags.output_file)[1], _write_lines)
    with whole_file(flags.output_file) as file, progress() as report, _counts_said(model, flags.input_file):
        count = 0
        for count in write(file, model, flags):
            report("texts", count)
    say(f"{counted(count, 'text')}: {flags.output_file}")


def _cut_as_usual(model: Model, usual: int) -> None:
    """Let the model read so many tokens of a text, or as many as it can."""
    positions = model.config.max_position_embeddings
    if positions < usual:
        say(f"texts are read up to {positions} tokens, the model's positions (`--max_seq_length` is {usual} otherwise)")
    model.max_seq_length = min(usual, positions)


def _write_lines(file: BinaryIO, model: Model, flags: EmbedFlags) -> Iterator[int]:
    """Write a JSON line for each text; gives how many are written so far."""
    count = 0
    for rows in _chunks(flags):
        texts = [text for _, text in rows]
        tokens = model.tokens(texts) if flags.pooling == "tokens" else [None] * len(texts)
        for (id_, _), own, vectors in zip(rows, tokens, _vectors(model, texts, flags), strict=True):
            line = {"id": id_, "vector": _numbers(vectors)} if own is None else _of_tokens(count, own, vectors, flags)
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())
            count += 1
        yield count


def _of_tokens(number: int, tokens: Sequence[str], vectors: np.ndarray, flags: EmbedFlags) -> dict[str, Any]:
    """What google-research's extract_features.py writes of a text: vectors [T, K, H], rounded as there."""
    rounded = np.round(vectors.astype(np.float64), 6).tolist()
    features = [
        {"token": token, "layers": [{"index": k, "values": v} for k, v in zip(flags.layer_numbers, own, strict=True)]}
        for token, own in zip(tokens, rounded, strict=True)
    ]
    return {"linex_index": number, "features": features}  # the key is spelled so there


def _numbers(vectors: np.ndarray) -> Any:
    """The shortest decimals that are these float32 numbers, in lists."""
    return [_numbers(row) for row in vectors] if vectors.ndim > 1 else [float(str(number)) for number in vectors]


def _write_array(file: BinaryIO, model: Model, flags: EmbedFlags) -> Iterator[int]:
    """Write an array in NumPy's format; its header needs the number of texts, which are counted first."""
    size, count = sum(len(rows) for rows in _chunks(flags)), 0
    for rows in _chunks(flags):
        vectors = np.asarray(_vectors(model, [text for _, text in rows], flags), np.float32)
        if not count:
            header = {"descr": "<f4", "fortran_order": False, "shape": (size, *vectors.shape[1:])}
            np.lib.format.write_array_header_1_0(file, header)
        file.write(vectors.astype("<f4").tobytes())
        count += len(rows)
        yield count


def _write_parquet(file: BinaryIO, model: Model, flags: EmbedFlags) -> Iterator[int]:
    """Write columns `id` and `vector`, a list of float32, or of one such list for each of several layers."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"`{flags.output_file}` needs the package `pyarrow`: {error}",
            "`pip install pyarrow`, or give `--output_file` a name that ends in `.jsonl` or `.npy`",
        ) from error
    with contextlib.ExitStack() as stack:
        writer: Any = None
        count = 0
        for rows in _chunks(flags):
            vectors = np.asarray(_vectors(model, [text for _, text in rows], flags))
            column = pyarrow.array(vectors.reshape(-1))
            for size in reversed(vectors.shape[1:]):
                column = pyarrow.FixedSizeListArray.from_arrays(column, size)
            table = pyarrow.table({"id": [id_ for id_, _ in rows], "vector": column})
            if writer is None:
                writer = stack.enter_context(pyarrow.parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)
            count += len(rows)
            yield count


def _vectors(model: Model, texts: Sequence[Text], flags: EmbedFlags) -> np.ndarray | list[np.ndarray]:
    layers = flags.layer_numbers
    one_layer = len(layers) == 1 and flags.pooling != "tokens"
    return model.embed(
        texts,
        pooling=cast(Pooling | None, flags.pooling),
        layers=layers[0] if one_layer else layers,
        normalize=flags.normalize,
    )


def predict_texts(flags: PredictFlags, standard_input: BinaryIO) -> None:
    """Write a JSON line for each text, in their order; many texts are read and answered at a time.

    Raises InputError where model, texts or flags are wrong.
    """
    refuse_overwriting([flags.output_file], source_files(flags.input_file))
    if flags.input_file and flags.text_a_column is None and is_table(flags.input_file):
        of_run = columns_of_run(flags.model, flags.input_file, "test", ("text_b_column", "id_column"))
        flags = dataclasses.replace(flags, **of_run)
    model = load(
        flags.model,
        max_seq_length=flags.max_seq_length,
        dtype=cast(Any, flags.dtype),
        compile_cache=flags.compile_cache,
    )
    model.check_predicts()  # before anything is asked of the user that would not help
    rows: Iterator[Named]
    count = 0
    if flags.texts:
        rows = ((str(number), _text(text)) for number, text in enumerate(flags.texts))
    elif flags.input_file:
        rows = _rows(flags)
    else:
        if standard_input.isatty():
            say(f"write a text a line, then Ctrl-D; answers come then, or after {_CHUNK} texts")
        rows = _texts(_standard_lines(standard_input))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_counts_said(model, flags.input_file or ""))
        file = stack.enter_context(whole_file(flags.output_file)) if flags.output_file else None
        for part in _parts(rows):
            for id_, text in part:
                model.check_text(text, _place(id_, flags))
            count += len(part)
            found = model.predict([text for _, text in part])
            for (id_, text), one in zip(part, found, strict=True):
                line = json.dumps(
                    {"id": id_} | ({"text": text} if flags.with_text else {}) | _told(one), ensure_ascii=False
                )
                if file is None:
                    print(line, flush=True)
                else:
                    file.write(f"{line}\n".encode())
    if not count:
        say("there are no texts on standard input: nothing is predicted")


def _place(id_: str, flags: PredictFlags) -> str:
    """What messages call a text."""
    if flags.text_a_column:
        return f"id `{id_}`"
    return f"{'text' if flags.texts else 'line'} {int(id_) + 1}"


@contextlib.contextmanager
def _counts_said(model: Model, source: str) -> Iterator[None]:
    """At the end the user is told once how many texts were cut, and where much is unknown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TextsCutWarning)
        yield
    for note in model.counts.notes(source, model.max_seq_length):
        say(note)


def _told(found: Prediction | list[Span] | np.floating[Any]) -> dict[str, Any]:
    """A prediction as JSON has it, numbers in the shortest decimals of float32."""
    if isinstance(found, list):
        return {"spans": [span_json(span) for span in found]}
    if not isinstance(found, Prediction):
        return {"number": float(str(np.float32(found)))}
    shares = {label: float(str(np.float32(share))) for label, share in found.probabilities.items()}
    return {"label": found.label, "probabilities": shares}


def _chunks(flags: EmbedFlags) -> Iterator[list[Named]]:
    return _parts(_rows(flags))


def _parts(rows: Iterator[Named]) -> Iterator[list[Named]]:
    return iter(lambda: list(itertools.islice(rows, _CHUNK)), [])


def _rows(flags: EmbedFlags | PredictFlags) -> Iterator[Named]:
    if flags.text_a_column:
        yield from _table(flags)
        return
    assert flags.input_file is not None  # the caller looked
    if is_table(flags.input_file):
        raise InputError(
            f"`{flags.input_file}` is a table: which of its columns holds the texts is not known",
            f"name it with `--text_a_column`; `jaxbert inspect {flags.input_file}` lists them",
        )
    yield from _texts(line for _, line in text_lines(flags.input_file))


def _standard_lines(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"line {number} of standard input is not UTF-8", "convert it with `iconv`") from error


def _texts(lines: Iterable[str]) -> Iterator[Named]:
    """A text a line, or a pair with `|||` between, as in extract_features.py."""
    for number, line in enumerate(lines):
        yield str(number), _text(line.strip())


def _text(text: str) -> Text:
    pair = _PAIR.fullmatch(text)
    return (pair[1], pair[2]) if pair else text


def _table(flags: EmbedFlags | PredictFlags) -> Iterator[Named]:
    names = ColumnNames(flags.text_a_column or "", flags.text_b_column or "", id=flags.id_column or "")
    dataset = table_dataset("", "", flags.input_file or "", names, kind="regression")
    for example in dataset.test[""]():
        yield example.id, example.text_a if example.text_b is None else (example.text_a, example.text_b)
