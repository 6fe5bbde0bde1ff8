# SPDX-License-Identifier: Apache-2.0
"""The hash behind dropout behaves like independent coin flips, and depends on nothing but what it should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.model.dropout import Site, attention_dropout, dropout, site_bits, token_bits

B, S, U, A = 8, 64, 256, 4
RATE = 0.1


def dropout_bits(seed=0, step=0):
    """The dropout_bits of B sequences of S tokens."""
    sequences = jnp.broadcast_to(jnp.arange(1, B + 1)[:, None], (B, S))
    positions = jnp.broadcast_to(jnp.arange(S)[None], (B, S))
    return token_bits(seed, jnp.int32(step), sequences, positions)


def kept(dropout_bits, site=Site.OUTPUT, layer=0):
    """Which units [B, S, U] dropout keeps."""
    return np.asarray(dropout(jnp.ones((B, S, U)), site_bits(dropout_bits, layer, site), RATE)) > 0


def share_bound(count, p):
    """Five standard deviations of the share of `count` coin flips."""
    return 5 * np.sqrt(p * (1 - p) / count)


def test_rate_along_every_axis():
    """The share of dropped units is the rate: in all, per token and per unit, within five deviations."""
    dropped = ~kept(dropout_bits())
    for axes in ((0, 1, 2), (2,), (0, 1)):
        shares = dropped.mean(axis=axes)
        count = dropped.size / max(shares.size, 1)
        assert np.abs(shares - RATE).max() < share_bound(count, RATE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (dict(), dict(dropout_bits=dropout_bits(seed=1))),
        (dict(), dict(dropout_bits=dropout_bits(step=1))),
        (dict(), dict(site=Site.ATTENTION_OUTPUT)),
        (dict(), dict(layer=1)),
    ],
)
def test_masks_are_independent(one, other):
    """Another seed, step, site or layer drops other units: both are dropped in about the square of the rate."""
    first, second = (~kept(**{"dropout_bits": dropout_bits()} | chosen) for chosen in (one, other))
    assert abs((first & second).mean() - RATE**2) < share_bound(first.size, RATE**2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_are_independent(axis):
    """Adjacent sequences, positions and units are dropped together as often as chance has it."""
    dropped = np.moveaxis(~kept(dropout_bits()), axis, 0)
    both = dropped[1:] & dropped[:-1]
    assert abs(both.mean() - RATE**2) < share_bound(both.size, RATE**2)


def test_attention_rate_and_asymmetry():
    """Probabilities are dropped at the rate, and (query, key) independently of (key, query)."""
    site = site_bits(dropout_bits(), 0, Site.PROBABILITIES)
    dropped = np.asarray(attention_dropout(jnp.ones((B, A, S, S)), site, site, RATE)) == 0
    assert abs(dropped.mean() - RATE) < share_bound(dropped.size, RATE)
    both = (dropped & dropped.swapaxes(2, 3))[..., ~np.eye(S, dtype=bool)]
    assert abs(both.mean() - RATE**2) < share_bound(both.size / 2, RATE**2)


def test_bits_of_tokens_are_made_once():
    """What XLA's CPU computes for each pair of tokens is one round of the hash: two products of whole numbers."""

    def dropped(step):
        tokens = jnp.ones((B, S), jnp.int32)
        own = site_bits(token_bits(0, step, tokens, tokens), 0, Site.PROBABILITIES)
        return attention_dropout(jnp.ones((B, A, S, S)), own, own, RATE)

    text = jax.jit(dropped).lower(jnp.int32(0)).compile().as_text()
    (of_pairs,) = (part for part in text.split("\n}") if f"f32[{B},{A},{S},{S}]" in part and " select(" in part)
    assert of_pairs.count(" multiply(") == 2


def test_the_mean_stays():
    """Kept units are scaled so that the expected value is unchanged, and exactly by 1 / (1 - rate)."""
    values = np.asarray(dropout(jnp.ones((B, S, U)), site_bits(dropout_bits(), 0, Site.OUTPUT), RATE))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / (1 - RATE))}


def test_no_noise_is_evaluation():
    """Without dropout_bits, or at rate 0, the very same array comes back."""
    x = jnp.ones((B, S, U))
    assert dropout(x, None, RATE) is x
    assert dropout(x, dropout_bits(), 0.0) is x
    assert site_bits(None, 0, Site.OUTPUT) is None
