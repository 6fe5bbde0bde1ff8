# SPDX-License-Identifier: Apache-2.0
"""Which features the records of each task hold, of which type and length; nothing else says it."""

import dataclasses
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named list of numbers in a `tf.train.Example`.

    Attributes:
        name: key in the record, and in what decoding returns.
        dtype: "int64" or "float32", the two number types of the format.
        length: values in each record; None: one value, and decoding returns [n] in place of [n, 1].
        aliases: other keys that records may use.
        default: value where a record lacks the feature; None: records must have it.
    """

    name: str
    dtype: Literal["int64", "float32"]
    length: int | None = None
    aliases: tuple[str, ...] = ()
    default: float | None = None

    @property
    def count(self) -> int:
        """Values in each record."""
        return 1 if self.length is None else self.length

    def shape(self, records: int) -> tuple[int, ...]:
        """Shape of the decoded array for this many records."""
        return (records,) if self.length is None else (records, self.length)

    def missing(self, records: int) -> np.ndarray:
        """The decoded array as it is before any record is read: the default, or 0."""
        return np.full((records, self.count), self.default or 0, self.dtype)


Schema = tuple[Feature, ...]


def sequence_features(max_seq_length: int) -> Schema:
    """Ids, mask and segments [S]; the second names are those of `--use_v2_feature_names` and of hub modules."""
    return (
        Feature("input_ids", "int64", max_seq_length, ("input_word_ids",)),
        Feature("input_mask", "int64", max_seq_length),
        Feature("segment_ids", "int64", max_seq_length, ("input_type_ids",)),
    )


def classification_schema(
    max_seq_length: int,
    label_type: Literal["int", "float"] = "int",
    *,
    num_flags: int | None = None,
    has_weights: bool = False,
) -> Schema:
    """Records of `create_finetuning_data` for classification ("int" labels) and regression ("float" labels).

    Args:
        max_seq_length: S.
        label_type: as `label_type` in the metadata.
        num_flags: C, where records hold 1 or 0 for each class in place of one class.
        has_weights: whether to read the weight of each example; 1 where a record has none.
    """
    return (
        *sequence_features(max_seq_length),
        Feature("label_ids", "int64" if label_type == "int" else "float32", num_flags),
        Feature("is_real_example", "int64", default=1),
        *((Feature("weight", "float32", default=1.0),) if has_weights else ()),
    )


def squad_schema(max_seq_length: int) -> Schema:
    """Records of `create_finetuning_data` for SQuAD, S long; what official versions from 2.5 on add is not read."""
    answers = tuple(Feature(name, "int64") for name in ("start_positions", "end_positions", "is_impossible"))
    return (Feature("unique_ids", "int64"), *sequence_features(max_seq_length), *answers)


def pretraining_schema(
    max_seq_length: int, max_predictions_per_seq: int | None, *, v2_names: bool = False, has_next_sentence: bool = True
) -> Schema:
    """Records of `create_pretraining_data`.

    Args:
        max_seq_length: S.
        max_predictions_per_seq: P; None for records without masks, which hold the pairs as they are.
        v2_names: whether ids and segments are named as with `--use_v2_feature_names`; both names are read in any case.
        has_next_sentence: whether to read whether the second text is a random one.
    """
    sequence = sequence_features(max_seq_length)
    if v2_names:
        sequence = tuple(
            dataclasses.replace(feature, name=feature.aliases[0], aliases=(feature.name,))
            if feature.aliases
            else feature
            for feature in sequence
        )
    masks: Schema = ()
    if max_predictions_per_seq is not None:
        masks = (
            Feature("masked_lm_positions", "int64", max_predictions_per_seq),
            Feature("masked_lm_ids", "int64", max_predictions_per_seq),
            Feature("masked_lm_weights", "float32", max_predictions_per_seq),
        )
    return (*sequence, *masks, *((Feature("next_sentence_labels", "int64"),) if has_next_sentence else ()))
