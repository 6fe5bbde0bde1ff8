# SPDX-License-Identifier: Apache-2.0
"""Checks of every record before the first is used: what a model can take, and the message where one does not fit."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxbert.errors import InputError
from jaxbert.tfrecord.files import TFRecords

_BLOCK = 4096  # records decoded at a time

Found = dict[str, np.ndarray]
"""What is kept of some records: arrays with an element for each."""

CheckRange = Callable[[int, int], Found]
"""What is found in the records from a number to before another; raises InputError for the first that is wrong."""

CheckAll = Callable[[CheckRange, int], Found]
"""(check, number of records, at least one) -> what is found in all of them, by one host or by several together."""


def check_range(check: CheckRange, first: int, end: int) -> Found:
    """What `check` finds in the records from `first` to before `end`, at least one; some at a time."""
    blocks = [check(start, min(start + _BLOCK, end)) for start in range(first, end, _BLOCK)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def check_all(check: CheckRange, size: int) -> Found:
    """What `check` finds in all records, by this host alone."""
    return check_range(check, 0, size)


def open_records(paths: Sequence[str]) -> TFRecords:
    """The record files as one list.

    Raises:
        InputError: as `TFRecords`; or there is no record in any of them.
    """
    records = TFRecords(paths)
    if not len(records):
        raise InputError(f"`{', '.join(paths)}` holds no records", "make the file again")
    return records


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What the model can take: ids below these numbers."""

    vocab_size: int
    type_vocab_size: int
    max_position_embeddings: int


@dataclasses.dataclass(frozen=True)
class Check:
    """Checks decoded records; `locate` tells from an index in them where that record is from."""

    locate: Callable[[int], str]

    def refuse(self, wrong: np.ndarray, problem: str, hint: str) -> None:
        """Raise `InputError` for the first record where `wrong` [n] is true."""
        if wrong.any():
            raise InputError(f"{self.locate(int(np.argmax(wrong)))} {problem}", hint)

    def sequences(self, features: Mapping[str, np.ndarray], bounds: Bounds) -> None:
        """Raise `InputError` where ids, segments or positions [n, S] are not in the model, or `[CLS]` is missing."""
        mask = features["input_mask"] != 0
        last_position = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        self.refuse(~mask[:, 0], "starts with padding in place of [CLS]", "was the mask written wrongly?")
        vocabulary = "give the vocabulary and the configuration with which the records were made"
        pairs = "pairs of texts need a model with two types of tokens: give another one, or one text in each example"
        shorter = (
            f"make the records again with `--max_seq_length={bounds.max_position_embeddings}`, or give another model"
        )
        for values, bound, name, hint in (
            (np.where(mask, features["input_ids"], 0), bounds.vocab_size, "vocab_size", vocabulary),
            (np.where(mask, features["segment_ids"], 0), bounds.type_vocab_size, "type_vocab_size", pairs),
            (last_position[:, None], bounds.max_position_embeddings, "max_position_embeddings", shorter),
        ):
            outside = (values < 0) | (values >= bound)
            wrong = np.any(outside, axis=1)
            self.refuse(
                wrong,
                f"does not fit the model: it needs `{name}` above {values[wrong].max(initial=0)}, there are {bound}",
                hint,
            )
