# SPDX-License-Identifier: Apache-2.0
"""Record files of one schema as arrays by record number."""

from collections.abc import Sequence

import numpy as np

from jaxbert.datasets.checks import Check
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import decode
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import Schema


def open_records(paths: Sequence[str]) -> TFRecords:
    """The record files as one list.

    Raises:
        InputError: as `TFRecords`; or there is no record in any of them.
    """
    records = TFRecords(paths)
    if not len(records):
        raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
    return records


class DecodedRecords:
    """Records by number, decoded as they are read.

    Attributes:
        checksums: see `TFRecords`.
    """

    def __init__(self, records: TFRecords, schema: Schema) -> None:
        self._records, self._schema = records, schema
        self.checksums = records.checksums

    def __len__(self) -> int:
        return len(self._records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n], as the schema names them.

        Raises InputError for a damaged record, or one of another schema.
        """
        return decode(self._records.read(numbers), self._schema, self.check(numbers).locate)

    def check(self, numbers: np.ndarray) -> Check:
        """Checks of what was read of the records with these numbers [n]."""
        return Check(lambda index: self._records.locate(int(numbers[index])))
