# SPDX-License-Identifier: Apache-2.0
"""What is masked, how much of it, and what may stand in its place: the facts both ways of drawing masks need."""

import dataclasses

import numpy as np

from jaxbert.text.vocab import Vocab


@dataclasses.dataclass(frozen=True)
class Masking:
    """How to choose tokens.

    Attributes:
        probability: share of the tokens of a record, special ones counted.
        max_predictions: P, most tokens of a record.
        whole_words: whether the pieces of a word go together; each is still replaced by itself.
        max_ngram: longest run of words that goes together (see `drawn_masks.gram_masks`); 0 for the original way.
    """

    probability: float = 0.15
    max_predictions: int = 20
    whole_words: bool = False
    max_ngram: int = 0

    def count(self, length: int) -> int:
        """Tokens to predict in a record of this many tokens; halves are rounded to even numbers, as Python does."""
        return min(self.max_predictions, max(1, round(length * self.probability)))


@dataclasses.dataclass(frozen=True)
class MaskVocab:
    """What masks need to know of a vocabulary.

    Attributes:
        mask: id of `[MASK]`.
        unmaskable: ids of `[CLS]` and `[SEP]`.
        replacements: int64, the ids a random token is one of: all of them, special and unused ones too.
        is_inside_word: bool [V], whether the token begins with "##".
    """

    mask: int
    unmaskable: tuple[int, int]
    replacements: np.ndarray
    is_inside_word: np.ndarray


def mask_vocab(vocab: Vocab) -> MaskVocab:
    """The facts of `vocab`."""
    inside = np.array([token.startswith("##") for token in vocab.tokens])
    return MaskVocab(vocab.mask, (vocab.cls, vocab.sep), np.array(list(vocab.ids.values())), inside)


def masked_features(
    ids: np.ndarray, rows: np.ndarray, places: np.ndarray, replaced: np.ndarray, max_predictions: int
) -> dict[str, np.ndarray]:
    """The features of masked records.

    Args:
        ids: [n, S], not masked.
        rows: int64 [M], record of each masked token, ascending.
        places: int64 [M], its position, ascending within a record.
        replaced: int64 [M], its new id.
        max_predictions: P; no record has more masked tokens.

    Returns:
        `input_ids` [n, S]; `masked_lm_positions`, `masked_lm_ids` (what was there) int64 [n, P] and
        `masked_lm_weights` float32 [n, P], 0 behind the masks of a record.
    """
    counts = np.bincount(rows, minlength=len(ids))
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    positions = np.zeros((len(ids), max_predictions), np.int64)
    labels, masked = np.zeros_like(positions), ids.copy()
    positions[rows, number] = places
    labels[rows, number] = ids[rows, places]
    masked[rows, places] = replaced
    return {
        "input_ids": masked,
        "masked_lm_positions": positions,
        "masked_lm_ids": labels,
        "masked_lm_weights": (np.arange(max_predictions) < counts[:, None]).astype(np.float32),
    }
