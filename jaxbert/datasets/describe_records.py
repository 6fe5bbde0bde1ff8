# SPDX-License-Identifier: Apache-2.0
"""What is in records to fine-tune on: classes, lengths in tokens, records that come twice."""

import collections
import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from jaxbert.datasets.describe_texts import Looked, line_of, of_both, of_set
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import Values, decode, parse_example
from jaxbert.tfrecord.files import is_records, stream
from jaxbert.tfrecord.metadata import ClassificationMetaData, read_meta_data
from jaxbert.tfrecord.schema import Feature, Schema, sequence_features

_BLOCK = 1000  # records decoded together
_MASKS = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
_ANSWERS = ("start_positions", "end_positions", "is_impossible")


def describe_examples(path: str, eval_path: str | None, meta_data_path: str | None) -> Iterator[str]:
    """Lines on the examples of a record file, and on those that the one to evaluate on has as well.

    Names of classes are those of the metadata. Of records that are not alike, or for something else, a line says so.

    Raises:
        InputError: a file to evaluate on that has no records like these, wrong metadata.
    """
    meta = read_meta_data(meta_data_path) if meta_data_path else None
    names = meta.class_names if isinstance(meta, ClassificationMetaData) else ()
    payload = next(stream(path), b"")
    try:
        schema = _schema(parse_example(payload)) if payload else ()
        if not schema:
            return
        train = _look(path, schema, names)
    except InputError as error:
        yield line_of("examples", f"not looked at: {error.message}")
        return
    yield from _of_set(train, schema)
    if eval_path is None:
        return
    if not is_records(eval_path):
        raise InputError(f"`{eval_path}` holds no records, but `{path}` does", "give records as `--eval_file`")
    yield f"{eval_path}:"
    held_out = _look(eval_path, schema, names)
    yield from _of_set(held_out, schema)
    yield from of_both(train, held_out, path)


def _schema(first: dict[str, Values]) -> Schema:
    """What is read of each record: tokens and, where the first has them, labels or answers; () for other records."""
    known = {"input_ids", "input_word_ids"} & first.keys()
    if not known or "input_mask" not in first:
        return ()
    schema = list(sequence_features(len(first[known.pop()])))
    for name in ("label_ids", *_ANSWERS, "next_sentence_labels", *_MASKS):
        if isinstance(values := first.get(name), np.ndarray):
            length = None if len(values) == 1 and name not in _MASKS else len(values)
            schema.append(Feature(name, "float32" if values.dtype == np.float32 else "int64", length))
    return tuple(schema)


def _located(path: str, before: int, index: int) -> str:
    return f"`{path}`, record {before + index}"


def _look(path: str, schema: Schema, names: Sequence[str]) -> Looked:
    first, classes = dict[bytes, str](), collections.Counter[str]()
    sizes, empty, again, contradicting = [np.zeros(0, np.int64)], 0, 0, 0
    payloads = stream(path)
    while block := list(itertools.islice(payloads, _BLOCK)):
        before = sum(map(len, sizes))
        features = decode(block, schema, functools.partial(_located, path, before))
        ids, segments = (features[name] * (features["input_mask"] != 0) for name in ("input_ids", "segment_ids"))
        lengths = np.count_nonzero(features["input_mask"], axis=1)
        labels = [*_labels(features, names)]
        for number, (told, label) in enumerate(labels):
            classes.update(told)
            key = hashlib.blake2b(ids[number].tobytes() + segments[number].tobytes(), digest_size=16).digest()
            again += key in first
            contradicting += first.setdefault(key, label) != label
        empty += int(np.count_nonzero(lengths <= 2))
        sizes.append(lengths)
    return Looked(first, np.concatenate(sizes), classes, empty, 0, again, contradicting, 0)


def _labels(features: dict[str, np.ndarray], names: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Of each record the classes that it counts for, and all that its label says."""

    def name(number: int) -> str:
        return names[number] if 0 <= number < len(names) else str(number)

    if "start_positions" in features:
        for answer in zip(*(features[key].tolist() for key in _ANSWERS if key in features), strict=True):
            yield ("an answer" if answer[0] else "no answer",), str(answer)
        return
    labels = features.get("label_ids", features.get("next_sentence_labels"))
    for label in itertools.repeat(None, len(features["input_ids"])) if labels is None else labels:
        if label is None:
            yield ("",), ""
        elif np.ndim(label):
            found = tuple(name(number) for number in np.flatnonzero(label).tolist()) or ("none",)
            yield found, " ".join(found)
        else:
            told = f"{label:g}" if label.dtype.kind == "f" else name(int(label))
            yield (told,), told


def _of_set(found: Looked, schema: Schema) -> Iterator[str]:
    positions = schema[0].count
    full = int(np.count_nonzero(found.sizes == positions))
    yield from of_set(found, "tokens", f"{full:,} ({full / len(found.sizes):.1%}) fill all {positions}, as cut ones do")
