# SPDX-License-Identifier: Apache-2.0
"""Predictions of a tagger as files: the input with a column more, and spans with their characters."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxbert.examples.tag_schemes import OUTSIDE, Scheme, entities
from jaxbert.examples.tagged import Sentence, TagColumns, TaggedFile, column_lines, is_text, rows_of
from jaxbert.io.files import whole_file

COLUMN = "prediction"  # the name of what is added


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, and what it is.

    Attributes:
        text: its characters.
        start: its first character, `text[start:end]` of the whole.
        end: the character after its last one.
        label: what it is.
        probability: the mean over its words of the probability of the tag.
    """

    text: str
    start: int
    end: int
    label: str
    probability: float


def spans_of(sentence: Sentence, tags: Sequence[str], probabilities: Sequence[float], scheme: Scheme) -> list[Span]:
    """The entities that the tags of a sentence mean; `probabilities` are those of the tags."""
    found = []
    for begin, end, label in entities(tags, scheme):
        start, stop = sentence.places[begin][0], sentence.places[end - 1][1]
        share = float(np.mean(probabilities[begin:end]))
        found.append(Span(sentence.text[start:stop], start, stop, label, share))
    return found


def span_json(span: Span) -> dict[str, Any]:
    """A span as JSON has it, the probability in the shortest decimals of float32."""
    return dataclasses.asdict(span) | {"probability": float(str(np.float32(span.probability)))}


def write_tags(
    path: str, file: TaggedFile, columns: TagColumns, tags: Sequence[Sequence[str]], spans: Sequence[Sequence[Span]]
) -> None:
    """Write the input again with what was predicted.

    A file of columns gets one more, everything else in it stays. Of JSON lines, Parquet and Arrow each row becomes a
    JSON line, with the tags of its words or, where it is a text, its spans.
    """
    lines = _with_column(file, columns, tags) if file.has_columns else _with_key(file, columns, tags, spans)
    with whole_file(path) as out:
        for line in lines:
            out.write(f"{line}\n".encode())


def write_spans(path: str, sentences: Sequence[Sentence], spans: Sequence[Sequence[Span]]) -> None:
    """Write a JSON line for each sentence: its text, or its words with blanks between; and its spans."""
    with whole_file(path) as out:
        for sentence, found in zip(sentences, spans, strict=True):
            line = {"text": sentence.text, "spans": [span_json(span) for span in found]}
            out.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())


def _with_column(file: TaggedFile, columns: TagColumns, tags: Sequence[Sequence[str]]) -> Iterator[str]:
    left = (tag for sentence in tags for tag in sentence)
    for line in column_lines(file.path, columns):
        if line.kind in ("blank", "comment"):
            yield line.text
            continue
        added = {"word": "", "header": COLUMN, "document": OUTSIDE}[line.kind] or next(left)
        yield f"{line.text}\t{added}" if "\t" in line.text else f"{line.text.rstrip(' ')} {added}"


def _with_key(
    file: TaggedFile, columns: TagColumns, tags: Sequence[Sequence[str]], spans: Sequence[Sequence[Span]]
) -> Iterator[str]:
    for (_, row), own, found in zip(rows_of(file.path), tags, spans, strict=True):
        predicted = [span_json(span) for span in found] if is_text(file.path, row, columns) else list(own)
        yield json.dumps(row | {COLUMN: predicted}, ensure_ascii=False)
