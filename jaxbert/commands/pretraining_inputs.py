# SPDX-License-Identifier: Apache-2.0
"""The records of a pretraining run, and the masks of those that have none."""

import dataclasses

import numpy as np

from jaxbert.batches.order import records_at
from jaxbert.batches.rows import record_sizes
from jaxbert.commands.model_source import find_vocab
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import PretrainingFlags
from jaxbert.console import say
from jaxbert.datasets.checks import Bounds, CheckAll, Found
from jaxbert.datasets.pretraining import PretrainingRecords
from jaxbert.errors import InputError
from jaxbert.features.masking import Masking, MaskVocab, mask_anew, mask_vocab
from jaxbert.io import files
from jaxbert.text.vocab import read_vocab

_SAMPLE = 8192  # records whose sizes stand for those of all


@dataclasses.dataclass(frozen=True)
class Mask:
    """Draws the masks of records that have none; a function of the seed, the record's number and the epoch."""

    seed: int
    masking: Masking
    vocab: MaskVocab

    def __call__(
        self, features: dict[str, np.ndarray], numbers: np.ndarray, epochs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """See `loader.Draw`."""
        return mask_anew(features, numbers, epochs, self.seed, self.masking, self.vocab)


@dataclasses.dataclass(frozen=True)
class Source:
    """Records, and how those without masks get them: None where they have their own."""

    records: PretrainingRecords
    draw: Mask | None

    def __len__(self) -> int:
        return len(self.records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The records with these numbers [n] as they are."""
        return self.records.read(numbers)

    def read_masked(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The records with these numbers [n], always with the same masks."""
        features = self.read(numbers)
        return features if self.draw is None else self.draw(features, numbers, np.zeros_like(numbers))

    def sizes(self, scan: CheckAll) -> Found:
        """`lengths` [n] int32 tokens of all records, and `predicted` [n] int32, the most that are masked in each."""
        return scan(lambda first, end: self._sizes(np.arange(first, end)), len(self))

    def sample_sizes(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The same of a sample of the records, and at the end of the largest there may be."""
        found = self._sizes(records_at(np.arange(min(len(self), _SAMPLE)), len(self), seed))
        longest = self.records.max_seq_length
        most = self.draw.masking.count(longest) if self.draw else self.records.max_predictions or 0
        return np.append(found["lengths"], longest), np.append(found["predicted"], most)

    def _sizes(self, numbers: np.ndarray) -> Found:
        tokens, predicted = record_sizes(self.read(numbers))
        if self.draw is not None:
            predicted = np.array([self.draw.masking.count(length) for length in tokens.tolist()])
        return {"lengths": tokens.astype(np.int32), "predicted": predicted.astype(np.int32)}


def open_records(flags: PretrainingFlags, config: BertConfig, patterns: str) -> Source:
    """The records in the files that match `patterns`.

    Raises:
        InputError: records of other sizes than the flags say; flags for masks that the records have; no vocabulary.
    """
    bounds = Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
    paths = tuple(files.expand(patterns))
    records = PretrainingRecords(paths, bounds, flags.use_next_sentence_label)
    S, P = records.max_seq_length, records.max_predictions
    if flags.max_seq_length not in (None, S):
        raise _other_size("max_seq_length", flags.max_seq_length, f"{S} positions", paths)
    if P is None:
        return Source(records, _mask(flags, config, S))
    if flags.max_predictions_per_seq not in (None, P):
        raise _other_size("max_predictions_per_seq", flags.max_predictions_per_seq, f"{P} masked positions", paths)
    if flags.masked_lm_prob is not None or flags.do_whole_word_mask or flags.max_ngram_size:
        raise InputError(
            f"the records in `{paths[0]}` are masked already: `--masked_lm_prob`, `--do_whole_word_mask` and"
            " `--max_ngram_size` have no effect",
            "leave them out, or make records with `create_pretraining_data --masking=dynamic`",
        )
    return Source(records, None)


def _other_size(flag: str, value: object, found: str, paths: tuple[str, ...]) -> InputError:
    return InputError(
        f"`--{flag}={value}`, but the records in `{paths[0]}` have {found}",
        "leave the flag out, or make the records again with it",
    )


def _mask(flags: PretrainingFlags, config: BertConfig, max_seq_length: int) -> Mask:
    """How the flags say that records are masked."""
    if flags.max_ngram_size and not flags.do_whole_word_mask:
        raise InputError("`--max_ngram_size` masks runs of whole words", "add `--do_whole_word_mask`")
    vocab = read_vocab(find_vocab(flags.vocab_file, config, flags.init_checkpoint))
    share = 0.15 if flags.masked_lm_prob is None else flags.masked_lm_prob
    full = max(1, round(max_seq_length * share))
    most = flags.max_predictions_per_seq or full
    if most < full:
        say(
            f"note: `--max_predictions_per_seq={most}` is less than {share:g} x {max_seq_length} = {full};"
            " full records will have fewer masks"
        )
    masking = Masking(share, most, flags.do_whole_word_mask, flags.max_ngram_size or 0)
    return Mask(flags.seed, masking, mask_vocab(vocab))
