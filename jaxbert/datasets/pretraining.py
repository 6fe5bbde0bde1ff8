# SPDX-License-Identifier: Apache-2.0
"""Pretraining records, with masks or without, read by number and checked as they are read."""

from collections.abc import Sequence

import numpy as np

from jaxbert.datasets.checks import Bounds, Check
from jaxbert.datasets.records import DecodedRecords, open_records
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import parse_example
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import pretraining_schema

_IDS = ("input_ids", "input_word_ids")
_MASKS = "masked_lm_positions"


class PretrainingRecords(DecodedRecords):
    """Record files of `create_pretraining_data` as arrays by record number.

    There may be too many to read them all beforehand: making this reads one record of each file, and every record is
    checked whenever it is read.

    Attributes:
        max_seq_length: S of the records.
        max_predictions: P of the records; None where they hold no masks.

    Raises:
        InputError: no record, a damaged one, files of different kinds.
    """

    def __init__(self, paths: Sequence[str], bounds: Bounds, has_next_sentence: bool) -> None:
        self._bounds, records = bounds, open_records(paths)
        kinds = {_kind(records, first, has_next_sentence): first for first in reversed(records.first_of_each_file())}
        if len(kinds) > 1:
            first, second, *_ = (f"{records.locate(n)} has {_described(*kind)}" for kind, n in kinds.items())
            raise InputError(
                f"records differ: {first}, {second}", "train on records that were made with the same flags"
            )
        ((self.max_seq_length, self.max_predictions),) = kinds
        schema = pretraining_schema(self.max_seq_length, self.max_predictions, has_next_sentence=has_next_sentence)
        super().__init__(records, schema)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Features of the records with these numbers [n], as `pretraining_schema` names them.

        Raises:
            InputError: a damaged record, or one with an id, segment, position or label that the model does not have.
        """
        features, check = super().read(numbers), self.check(numbers)
        check.sequences(features, self._bounds)
        _check_masks(features, self._bounds.vocab_size, check)
        if "next_sentence_labels" in features:
            wrong = (features["next_sentence_labels"] & ~1) != 0
            check.refuse(wrong, "has `next_sentence_labels` that is not 0 or 1", "make the file again")
        return features


def _kind(records: TFRecords, number: int, has_next_sentence: bool) -> tuple[int, int | None]:
    """S and P of one record. Raises InputError where it lacks what is wanted."""
    record = records.locate(number)
    found = parse_example(records.read(np.array([number]))[0], record)
    ids = next((found[name] for name in _IDS if name in found), None)
    if ids is None:
        raise InputError(
            f"{record} has no feature `input_ids`; it has {', '.join(sorted(found))}",
            "give the records of `create_pretraining_data`",
        )
    if has_next_sentence and "next_sentence_labels" not in found:
        raise InputError(
            f"{record} has no feature `next_sentence_labels`; it has {', '.join(sorted(found))}",
            "without next sentences the trainer wants `--nouse_next_sentence_label`",
        )
    return len(ids), len(found[_MASKS]) if _MASKS in found else None


def _described(max_seq_length: int, max_predictions: int | None) -> str:
    masks = "no masks" if max_predictions is None else f"{max_predictions} masked positions"
    return f"{max_seq_length} positions, {masks}"


def _check_masks(features: dict[str, np.ndarray], vocab_size: int, check: Check) -> None:
    """Masked positions hold tokens, what was there is in the vocabulary; records without masks have no holes."""
    mask = features["input_mask"] != 0
    if _MASKS not in features:
        holes = mask[:, 1:] & ~mask[:, :-1]
        check.refuse(np.any(holes, axis=1), "has a hole in its `input_mask`", "make the file again")
        return
    weights, positions, ids = (features[f"masked_lm_{name}"] for name in ("weights", "positions", "ids"))
    bad = ~np.isfinite(weights) | (weights < 0)
    check.refuse(np.any(bad, axis=1), "has `masked_lm_weights` that are no weights", "make the file again")
    inside = (positions >= 0) & (positions < mask.shape[1])
    on_token = inside & np.take_along_axis(mask, np.where(inside, positions, 0), axis=1)
    used = weights > 0
    check.refuse(np.any(used & ~on_token, axis=1), "masks a position without a token", "make the file again")
    outside = used & ((ids < 0) | (ids >= vocab_size))
    check.refuse(
        np.any(outside, axis=1),
        f"does not fit the model: it masks token {ids[outside].max(initial=0)}, there are {vocab_size}",
        "give the vocabulary and the configuration that belong together",
    )
