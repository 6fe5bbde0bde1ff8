# SPDX-License-Identifier: Apache-2.0
"""Random words by key and number."""

import numpy as np

from jaxbert.features.splitmix import stream_key, words


def test_published_sequence() -> None:
    """The words of key 1234567 are the first outputs of the authors' generator for that seed."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert words(np.uint64(1234567), np.arange(5)).tolist() == expected


def test_keys_differ() -> None:
    """Streams for neighbouring numbers have nothing in common, and every bit is fair."""
    keys = np.array([stream_key(seed, shard) for seed in range(20) for shard in range(20)])
    drawn = words(keys[:, None], np.arange(50))
    assert len(np.unique(drawn)) == drawn.size
    bits = np.unpackbits(drawn.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 4 * 0.5 / np.sqrt(drawn.size)  # four standard deviations
