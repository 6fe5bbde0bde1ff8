# SPDX-License-Identifier: Apache-2.0
"""The training records of SQuAD, one for each window, read by number and checked once as a whole."""

import functools
from collections.abc import Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.records.bounds import Bounds, Check
from jaxbert.records.example_proto import decode
from jaxbert.records.scan import Found, Scan, scan_all
from jaxbert.records.schema import squad_schema
from jaxbert.records.tfrecord import TFRecords


class WindowRecords:
    """Record files as arrays by record number; making it reads and checks every record once, as `scan` does.

    Attributes:
        lengths: tokens of each record [n], int64.

    Raises:
        InputError: no record, a damaged one, a misfit to the meta data, an id, segment or position that the model does
            not have, or an answer that is not in its window.
    """

    def __init__(self, paths: Sequence[str], max_seq_length: int, bounds: Bounds, scan: Scan = scan_all) -> None:
        self._records, self._schema = TFRecords(paths), squad_schema(max_seq_length)
        if not len(self._records):
            raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
        self.lengths = scan(functools.partial(self._check, bounds), len(self))["lengths"]

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n], as `squad_schema` names them."""
        payloads = self._records.read(numbers)
        return decode(payloads, self._schema, lambda index: self._records.place(int(numbers[index])))

    def _check(self, bounds: Bounds, first: int, end: int) -> Found:
        """Lengths of the records from `first` to before `end`."""
        features = self.read(np.arange(first, end))
        check = Check(lambda index: self._records.place(first + index))
        check.sequences(features, bounds)
        mask = features["input_mask"] != 0
        for name in ("start_positions", "end_positions"):
            positions = features[name]
            inside = (positions >= 0) & (positions < mask.shape[1])
            on_token = np.take_along_axis(mask, np.where(inside, positions, 0)[:, None], axis=1)[:, 0]
            check.refuse(~(inside & on_token), f"has `{name}` outside of its window", "make the file again")
        is_backward = features["end_positions"] < features["start_positions"]
        check.refuse(is_backward, "has an answer that ends before it starts", "make the file again")
        return {"lengths": np.count_nonzero(mask, axis=1)}
