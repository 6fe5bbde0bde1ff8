# SPDX-License-Identifier: Apache-2.0
"""What is computed: sizes of models, records of the lengths that real ones have, and the arithmetic these need."""

import dataclasses
import functools
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

VOCABULARY = 30522
SHAPES = {  # hidden size, layers, heads
    "tiny": (64, 2, 2),
    "small": (256, 4, 4),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
PREDICTED = (0.15, 76)  # share of a record's tokens that is predicted in pretraining, and at most how many


def config_of(shape: str, positions: int) -> dict[str, int]:
    """The keys of a bert_config.json that all sides take."""
    hidden, layers, heads = SHAPES[shape]
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": max(512, positions),
        "type_vocab_size": 2,
    }


def operations(lengths: np.ndarray, predicted: np.ndarray, shape: str) -> float:
    """Floating point operations of a training step on records of these lengths [n] and predicted positions [n].

    Forward alone takes a third of them.
    """
    H, L, _ = SHAPES[shape]
    n = lengths.astype(np.float64)
    layers = L * (24 * n * H**2 + 4 * n**2 * H)
    heads = predicted * (2 * H**2 + 2 * H * VOCABULARY) + 2 * H**2
    return 3 * float(np.sum(layers + heads))


# Token lengths of real records as 33 quantiles: 2,761 of 512 tokens from Wikipedia (create_pretraining_data with its
# defaults), the 3,668 pairs that MRPC trains on, and 8,061 windows of 384 over the Wikipedia part of SQuADShifts.
QUANTILES = {
    "run_pretraining": (20, 64, 104, 130, 148, 159, 173, 215, 305, 352, 462, *[512] * 22),
    "run_classifier": (19, 30, 33, 36, 38, 39, 41, 42, 44, 45, 46, 47, 49, 50, 51, 52, 53, 54, 56, 57, 58, 59, 60, 61,
                       62, 64, 65, 67, 69, 70, 73, 77, 103),
    "run_squad": (36, 71, 95, 107, 114, 119, 123, 127, 130, 133, 137, 140, 144, 148, 153, 157, 161, 165, 169, 173, 178,
                  183, 189, 196, 203, 211, 221, 233, 248, 267, 293, 338, 384),
}  # fmt: skip
LONGEST = {"run_pretraining": 512, "run_classifier": 128, "run_squad": 384}


def real_lengths(trainer: str, size: int) -> np.ndarray:
    """Lengths [size] of records, spread as the real ones of this trainer are, in a random order."""
    quantiles = QUANTILES[trainer]
    shares = (np.arange(size) + 0.5) / size
    lengths = np.interp(shares, np.linspace(0, 1, len(quantiles)), quantiles).round().astype(np.int64)
    mixed: np.ndarray = np.random.default_rng(0).permutation(lengths)
    return mixed


def uniform(size: int, shortest: int, longest: int) -> np.ndarray:
    """Lengths [size] of records, each as likely as the others."""
    return np.random.default_rng(0).integers(shortest, longest + 1, size)


def predictions(lengths: np.ndarray) -> np.ndarray:
    """How many positions are predicted in pretraining records of these lengths [n]."""
    share, most = PREDICTED
    counts: np.ndarray = np.minimum(np.ceil(share * lengths), most).astype(np.int64)
    return counts


# Operations a second of dense bfloat16 products, by the vendor's data sheets; by a part of the device's name.
PEAKS = {"H200": 989e12, "H100": 989e12, "GH200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12}


def rates(
    seconds: Sequence[float], lengths: np.ndarray, predicted: np.ndarray, shape: str, device: str, trains: bool = True
) -> dict[str, Any]:
    """Speeds on a device of this name, by the median of passes over records of these lengths [n].

    Returns:
        Records and real tokens a second, the latter also of the slowest and the fastest pass, and `mfu`, the share of
        the device's peak that the arithmetic of real tokens takes, None where the peak is not known.
    """
    peak = next((flops for name, flops in PEAKS.items() if name in device), None)
    median, tokens = statistics.median(seconds), float(lengths.sum())
    needed = operations(lengths, predicted, shape) / (1 if trains else 3)
    return {
        "sequences_per_second": len(lengths) / median,
        "tokens_per_second": tokens / median,
        "range": [tokens / max(seconds), tokens / min(seconds)],
        "mfu": needed / median / peak if peak else None,
    }


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """Records in memory, with ids that are as uneven as words are.

    Attributes:
        lengths: tokens of each record [n].
        max_seq_length: columns of a record.
        vocab_size: ids are below it.
        predicted: positions of each record [n] that are predicted, where any are.
    """

    lengths: np.ndarray
    max_seq_length: int
    vocab_size: int
    predicted: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self.lengths)

    def read(self, numbers: np.ndarray) -> Arrays:
        """Features of all kinds of records."""
        return {name: array[numbers] for name, array in self._features.items()}

    @functools.cached_property
    def _features(self) -> Arrays:
        place = np.arange(self.max_seq_length)[None]
        mask = place < self.lengths[:, None]
        zeros = np.zeros(self.size, np.int64)
        features = {"input_ids": mask * self._words(mask.shape), "input_mask": mask + 0, "label_ids": zeros}
        features["segment_ids"] = mask * (place >= self.lengths[:, None] // 2) + 0
        features |= {"start_positions": zeros, "end_positions": zeros}
        if self.predicted is not None:
            shape = (self.size, int(self.predicted.max()))
            features["masked_lm_positions"] = np.broadcast_to(np.arange(shape[1]), shape)
            features["masked_lm_weights"] = (np.arange(shape[1])[None] < self.predicted[:, None]) + 0.0
            features |= {"masked_lm_ids": self._words(shape), "next_sentence_labels": zeros}
        return features

    def _words(self, shape: tuple[int, ...]) -> np.ndarray:
        """Ids from 1 by Zipf's law: each as often as its number is small."""
        ids: np.ndarray = np.exp(np.random.default_rng(0).uniform(0, np.log(self.vocab_size), shape)).astype(np.int64)
        return ids
