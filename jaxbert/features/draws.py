# SPDX-License-Identifier: Apache-2.0
"""Random words that are a pure function of a key and a place, for whole arrays at once (SplitMix64).

Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014: word t of a stream is a finalizer applied
to its key plus t + 1 times an odd constant, so that any word can be had without those before it.
"""

import hashlib

import numpy as np

_STRIDE = np.uint64(0x9E3779B97F4A7C15)


def stream_key(*numbers: int) -> np.uint64:
    """The key of the stream that belongs to these numbers: a seed and what it is used for."""
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def words(keys: np.ndarray | np.uint64, places: np.ndarray) -> np.ndarray:
    """Words (uint64) number `places` of the streams `keys`; the two are broadcast."""
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64
        x = keys + (places.astype(np.uint64) + np.uint64(1)) * _STRIDE
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
