# SPDX-License-Identifier: Apache-2.0
"""What a model can take of a record, and the message for a record that does not fit."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What the model can take: ids below these numbers."""

    vocab_size: int
    type_vocab_size: int
    max_position_embeddings: int


@dataclasses.dataclass(frozen=True)
class Check:
    """Checks decoded records; `place` tells from an index in them where that record is from."""

    place: Callable[[int], str]

    def refuse(self, wrong: np.ndarray, problem: str, hint: str) -> None:
        """Raise `InputError` for the first record where `wrong` [n] is true."""
        if wrong.any():
            raise InputError(f"{self.place(int(np.argmax(wrong)))} {problem}", hint)

    def sequences(self, features: Mapping[str, np.ndarray], bounds: Bounds) -> None:
        """Raise `InputError` where ids, segments or positions [n, S] are not in the model, or `[CLS]` is missing."""
        mask = features["input_mask"] != 0
        last_position = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
        self.refuse(~mask[:, 0], "starts with padding in place of [CLS]", "was the mask written wrongly?")
        for values, bound, name in (
            (np.where(mask, features["input_ids"], 0), bounds.vocab_size, "vocab_size"),
            (np.where(mask, features["segment_ids"], 0), bounds.type_vocab_size, "type_vocab_size"),
            (last_position[:, None], bounds.max_position_embeddings, "max_position_embeddings"),
        ):
            outside = (values < 0) | (values >= bound)
            wrong = np.any(outside, axis=1)
            self.refuse(
                wrong,
                f"does not fit the model: it needs `{name}` above {values[wrong].max(initial=0)},"
                f" bert_config.json says {bound}",
                "give the vocabulary and the configuration that belong to the checkpoint",
            )
