# SPDX-License-Identifier: Apache-2.0
"""Checks of every record before the first is used: what a model can take, and the message where one does not fit."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from jaxbert.errors import InputError
from jaxbert.text.normalize import is_punctuation
from jaxbert.text.vocab import Vocab

_BLOCK = 4096  # records decoded at a time
_FEW, _OUT_OF_PLACE = 3, 1e-4  # pieces where none can be: so many, and such a share of the tokens, are no accident

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


def refuse_other_vocab(vocab: Vocab, ids: np.ndarray, mask: np.ndarray, source: str) -> None:
    """Raise InputError where records were made with another vocabulary, as far as it shows.

    Punctuation is always a token of its own, and `[UNK]` a whole word: no piece such as `##ing` follows them. Read by
    another vocabulary, 2 to 145 in 10,000 tokens of real text do (English and Chinese; the four released vocabularies).

    Args:
        vocab: the one the model is to be used with.
        ids: of a sample of the records [n, S], before any of them was masked.
        mask: not 0 where there are tokens [n, S].
        source: the files, for messages.
    """
    size = max(len(vocab), int(ids.max(initial=0)) + 1)
    continues, ends = np.zeros(size, bool), np.zeros(size, bool)
    for id_, token in enumerate(vocab.tokens):
        continues[id_] = token.startswith("##") and len(token) > 2
        ends[id_] = id_ == vocab.unk or (len(token) == 1 and is_punctuation(token))
    row, position = np.nonzero((mask[:, 1:] != 0) & continues[ids[:, 1:]] & ends[ids[:, :-1]])
    if len(row) < _FEW or len(row) < _OUT_OF_PLACE * np.count_nonzero(mask):
        return
    before, piece = (vocab.tokens[ids[row[0], position[0] + shift]] for shift in (0, 1))
    raise InputError(
        f"`{source}` was made with another vocabulary than `{vocab.path}`, by which pieces such as `{piece}` stand"
        f" behind punctuation or [UNK] in {len(row):,} places, the first behind `{before}`",
        "give the vocabulary, and the model, with which the records were made",
    )


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
