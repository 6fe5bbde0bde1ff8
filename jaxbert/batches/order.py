# SPDX-License-Identifier: Apache-2.0
"""Which record stands at which place of training: a pure function of (seed, place), in constant memory.

Training reads an endless row of epochs, each a permutation of all records. The permutation is a keyed bijection (a
Feistel network over the smallest even number of bits, walked until it lands below the size), so place 10⁹ costs what
place 0 does and nothing has to be stored or skipped to go on.
"""

import math

import numpy as np

from jaxbert.features.splitmix import mix

ROUNDS = 6
GROUP = 16  # steps among which examples may change places
GROUP_EXAMPLES = 4096  # of at most so many: a large batch is even by itself
GOLDEN = (math.sqrt(5) - 1) / 2


def records_at(places: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Record numbers (int64, below `size`) at the given places (int64, from 0) of the endless row."""
    epochs, within = np.divmod(places.astype(np.int64), size)
    half_bits = max(1, (int(size - 1).bit_length() + 1) // 2)
    keys = [mix(mix(epochs.astype(np.uint64) ^ _mix_int(seed)) + np.uint64(number)) for number in range(ROUNDS)]
    numbers = _feistel(within.astype(np.uint64), keys, half_bits)
    while (outside := numbers >= size).any():
        numbers[outside] = _feistel(numbers[outside], [key[outside] for key in keys], half_bits)
    return numbers.astype(np.int64)


def even_places(step: int, batch_size: int, lengths: np.ndarray, seed: int) -> np.ndarray:
    """The places [batch_size] of a step, drawn so that all steps have about the same number of tokens.

    Examples change places within groups of at most 16 steps that end where an epoch's whole batches end, so an epoch
    has the examples it has without; each run of neighbours in the batch is even as well. `lengths` [size] are the
    tokens of every record.
    """
    places = group_places(step, batch_size, len(lengths))
    of_places = lengths[records_at(places, len(lengths), seed)]
    even: np.ndarray = places[even_share(step, places, of_places, batch_size, seed)]
    return even


def group_places(step: int, batch_size: int, size: int) -> np.ndarray:
    """The neighbouring places [n], of one or more steps, among which those of a step of `size` records are chosen."""
    most = max(1, min(GROUP, GROUP_EXAMPLES // batch_size))
    first, end = _group(step, max(1, size // batch_size), most)
    return np.arange(first * batch_size, end * batch_size)


def even_share(step: int, places: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """Which of the `places` [n] of its group, whose records have `lengths` [n] tokens, are those of a step."""
    strata = np.argsort(lengths, kind="stable").reshape(batch_size, -1)  # each step takes one of each, at random
    keys = mix(places.astype(np.uint64) ^ _mix_int(~seed))
    drawn = np.take_along_axis(strata, np.argsort(keys[strata], axis=1, kind="stable"), axis=1)
    share: np.ndarray = drawn[:, step - places[0] // batch_size][_spread(batch_size)]
    return share


def _spread(count: int) -> np.ndarray:
    """The numbers below `count` in an order whose every run is evenly spread over them.

    The i-th is the rank of the fractional part of i times the golden ratio.
    """
    return np.argsort(np.argsort(np.arange(count) * GOLDEN % 1.0))


def _group(step: int, epoch_steps: int, most: int) -> tuple[int, int]:
    """First step and end of the group of a step: an epoch's steps in parts of nearly one size, at most `most`."""
    epoch, within = divmod(step, epoch_steps)
    groups = -(-epoch_steps // most)
    group = ((within + 1) * groups - 1) // epoch_steps
    first, end = (epoch_steps * number // groups for number in (group, group + 1))
    return epoch * epoch_steps + first, epoch * epoch_steps + end


def _feistel(numbers: np.ndarray, keys: list[np.ndarray], half_bits: int) -> np.ndarray:
    mask = np.uint64((1 << half_bits) - 1)
    left, right = numbers >> np.uint64(half_bits), numbers & mask
    for key in keys:
        left, right = right, left ^ (mix(right ^ key) & mask)
    return (left << np.uint64(half_bits)) | right


def _mix_int(number: int) -> np.uint64:
    return np.uint64(mix(np.array([number & 0xFFFFFFFFFFFFFFFF], np.uint64))[0])
