# SPDX-License-Identifier: Apache-2.0
"""The records of one set of a classification or regression task, read by number and checked once as a whole."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.records.example_proto import decode
from jaxbert.records.meta_data import ClassificationMetaData
from jaxbert.records.schema import classification_schema
from jaxbert.records.tfrecord import TFRecords

_BLOCK = 4096  # records decoded at a time while checking


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What the model can take: ids below these numbers. `num_labels` is None for regression."""

    vocab_size: int
    type_vocab_size: int
    max_position_embeddings: int
    num_labels: int | None


class ClassificationRecords:
    """Record files as arrays by record number; making it reads and checks every record once.

    Attributes:
        lengths: tokens of each record [n], int64.
        labels: of each record [n], int64 or float32.

    Raises:
        InputError: no record, a damaged one, a misfit to the meta data, or an id, segment, position or label that the
            model does not have.
    """

    def __init__(self, paths: Sequence[str], meta: ClassificationMetaData, bounds: Bounds) -> None:
        self._records = TFRecords(paths)
        self._schema = classification_schema(meta.max_seq_length, meta.label_type, has_weights=meta.has_sample_weights)
        if not len(self._records):
            raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
        blocks = [self._check_block(first, bounds) for first in range(0, len(self), _BLOCK)]
        self.lengths, self.labels = (np.concatenate(parts) for parts in zip(*blocks, strict=True))

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n]: ids, mask and segments [n, S], labels [n]."""
        payloads = self._records.read(numbers)
        return decode(payloads, self._schema, lambda index: self._records.place(int(numbers[index])))

    def _check_block(self, first: int, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
        """Lengths and labels of the records from `first` on."""
        numbers = np.arange(first, min(first + _BLOCK, len(self)))
        features = self.read(numbers)
        mask, labels = features["input_mask"] != 0, features["label_ids"]
        last_position = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        self._refuse(numbers[~mask[:, 0]], "starts with padding in place of [CLS]", "was the mask written wrongly?")
        for values, bound, name in (
            (np.where(mask, features["input_ids"], 0), bounds.vocab_size, "vocab_size"),
            (np.where(mask, features["segment_ids"], 0), bounds.type_vocab_size, "type_vocab_size"),
            (last_position[:, None], bounds.max_position_embeddings, "max_position_embeddings"),
        ):
            wrong = ((values < 0) | (values >= bound)).any(axis=1)
            self._refuse(
                numbers[wrong],
                f"does not fit the model: it needs `{name}` above {values[wrong].max(initial=0)},"
                f" bert_config.json says {bound}",
                "give the vocabulary and the configuration that belong to the checkpoint",
            )
        for name in ("label_ids", "weight"):
            values = features.get(name, np.zeros(len(numbers)))
            self._refuse(
                numbers[~np.isfinite(values)], f"has `{name}` that is not a finite number", "make the file again"
            )
        if bounds.num_labels is not None:
            wrong = (labels < 0) | (labels >= bounds.num_labels)
            self._refuse(
                numbers[wrong],
                f"has label `{labels[wrong].max(initial=0)}`, the meta data says `num_labels` {bounds.num_labels}",
                "give the meta data that was written with the records",
            )
        return np.count_nonzero(mask, axis=1), labels

    def _refuse(self, numbers: np.ndarray, problem: str, hint: str) -> None:
        if len(numbers):
            raise InputError(f"{self._records.place(int(numbers[0]))} {problem}", hint)
