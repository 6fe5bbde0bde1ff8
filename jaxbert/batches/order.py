# SPDX-License-Identifier: Apache-2.0
"""Which record is read at which index of training: a pure function of (seed, index), in constant memory.

Training reads an endless sequence of epochs, each a permutation of all records; an index counts in it from 0. With 10
records, index 23 is the fourth record of the third epoch. The permutation is a keyed bijection (a Feistel network over
the smallest even number of bits that holds `size`, applied again until the result is below `size`: cycle walking), so
index 10⁹ costs what index 0 does, and nothing has to be stored, or skipped, to continue a run.
"""

import numpy as np

from jaxbert.features.splitmix import mix

ROUNDS = 6


def records_at(indices: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Record numbers (int64, below `size`) at the given indices (int64, from 0) of training."""
    epochs, within = np.divmod(indices.astype(np.int64), size)
    half_bits = max(1, (int(size - 1).bit_length() + 1) // 2)
    keys = [mix(mix(epochs.astype(np.uint64) ^ _mix_int(seed)) + np.uint64(number)) for number in range(ROUNDS)]
    numbers = _feistel(within.astype(np.uint64), keys, half_bits)
    while (outside := numbers >= size).any():
        numbers[outside] = _feistel(numbers[outside], [key[outside] for key in keys], half_bits)
    return numbers.astype(np.int64)


def _feistel(numbers: np.ndarray, keys: list[np.ndarray], half_bits: int) -> np.ndarray:
    """A bijection on the numbers of 2 x `half_bits` bits, whatever the hash: each round swaps halves and hashes one."""
    mask = np.uint64((1 << half_bits) - 1)
    left, right = numbers >> np.uint64(half_bits), numbers & mask
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & mask)
    return (left << np.uint64(half_bits)) | right


def _mix_int(number: int) -> np.uint64:
    return np.uint64(mix(np.array([number & 0xFFFFFFFFFFFFFFFF], np.uint64))[0])
