# SPDX-License-Identifier: Apache-2.0
"""The records of one set of a classification or regression task, read by number and checked once as a whole."""

import functools
from collections.abc import Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.records.bounds import Bounds, Check
from jaxbert.records.example_proto import decode
from jaxbert.records.meta_data import ClassificationMetaData
from jaxbert.records.scan import Found, Scan, scan_all
from jaxbert.records.schema import classification_schema
from jaxbert.records.tfrecord import TFRecords


class ClassificationRecords:
    """Record files as arrays by record number; making it reads and checks every record once, as `scan` does.

    Attributes:
        lengths: tokens of each record [n], int64.
        labels: of each record [n], int64 or float32.

    Raises:
        InputError: no record, a damaged one, a misfit to the meta data, or an id, segment, position or label that the
            model does not have.
    """

    def __init__(
        self, paths: Sequence[str], meta: ClassificationMetaData, bounds: Bounds, scan: Scan = scan_all
    ) -> None:
        self._records, self._num_labels = TFRecords(paths), meta.num_labels
        self._schema = classification_schema(meta.max_seq_length, meta.label_type, has_weights=meta.has_sample_weights)
        if not len(self._records):
            raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
        found = scan(functools.partial(self._check, bounds), len(self))
        self.lengths, self.labels = found["lengths"], found["labels"]

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n]: ids, mask and segments [n, S], labels [n]."""
        payloads = self._records.read(numbers)
        return decode(payloads, self._schema, lambda index: self._records.place(int(numbers[index])))

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths and labels of the records from `first` to before `end`."""
        numbers = np.arange(first, end)
        features = self.read(numbers)
        check = Check(lambda index: self._records.place(first + index))
        check.sequences(features, bounds)
        for name in ("label_ids", "weight"):
            values = features.get(name, np.zeros(len(numbers)))
            check.refuse(~np.isfinite(values), f"has `{name}` that is not a finite number", "make the file again")
        labels = features["label_ids"]
        if self._num_labels is not None:
            wrong = (labels < 0) | (labels >= self._num_labels)
            check.refuse(
                wrong,
                f"has label `{labels[wrong].max(initial=0)}`, the meta data says `num_labels` {self._num_labels}",
                "give the meta data that was written with the records",
            )
        return {"lengths": np.count_nonzero(features["input_mask"], axis=1), "labels": labels}
