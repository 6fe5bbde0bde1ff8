# SPDX-License-Identifier: Apache-2.0
"""Random 64-bit words as a pure function of a key and a number: SplitMix64 (Steele, Lea, Flood 2014).

No generator has to be carried along, and word 10⁹ of a stream costs what word 0 does.
"""

import hashlib

import numpy as np

_STRIDE = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd


def mix(x: np.ndarray) -> np.ndarray:
    """The finalizer: every bit of the uint64 numbers `x` changes each bit of the results with even chances."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def words(keys: np.ndarray | np.uint64, numbers: np.ndarray) -> np.ndarray:
    """Words (uint64) with these `numbers`, from 0, of the streams `keys`; the two are broadcast."""
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64
        return mix(keys + (numbers.astype(np.uint64) + np.uint64(1)) * _STRIDE)


def stream_key(*numbers: int) -> np.uint64:
    """The key of the stream that belongs to these numbers: a seed and what it is used for."""
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))
