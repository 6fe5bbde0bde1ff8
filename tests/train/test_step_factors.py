# SPDX-License-Identifier: Apache-2.0
"""Learning rates of their own for layers, and weights that are not trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.model.dropout import token_bits
from jaxbert.model.weights import Tree, flatten, initialize, part_of
from jaxbert.tasks.classification import label_targets
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, Optimizer, decay_mask, global_norm, rate_factors
from jaxbert.train.step import State, initial_state, train_step, with_shares
from tests.train.test_step import BATCH, CONFIG, FEATURES, LENGTHS, SIZE, TABLE, loss_of

RATE = 1e-2


def run_step(factors: Tree | None, optimizer: Optimizer) -> tuple[State, jax.Array]:
    """The state after a step, and the norm of its gradients."""
    step = jax.jit(
        train_step(loss_of(CONFIG), optimizer, LinearSchedule(RATE, 0.0, 0, 10), decay_mask(TABLE), 5, factors=factors)
    )
    state = initial_state(initialize(TABLE, 0, 0.2), factors=factors)
    state, metrics = step(state, batches().at(0))
    return state, metrics["gradient_norm"][-1]


def batches() -> TrainingBatches:
    """Of the examples of test_step."""
    shape = choose_shape(LENGTHS, BATCH, multiple=8)
    read = lambda numbers: {name: array[numbers] for name, array in FEATURES.items()}  # noqa: E731
    return TrainingBatches(read, SIZE, BATCH, 1, shape, seed=5, targets=label_targets, lengths=LENGTHS)


def test_factors_of_layers() -> None:
    """With two layers and 0.5: head, pooler and layer 1 have 1, layer 0 has 0.5, embeddings 0.25; frozen ones 0."""
    expected = {"head": 1.0, "pooler": 1.0, "layer_1": 1.0, "layer_0": 0.5, "embeddings": 0.25}
    found = flatten(rate_factors(TABLE, 0.5))
    assert found == {path: expected[part_of(path)] for path in TABLE}
    frozen = flatten(rate_factors(TABLE, 0.5, ("layer_0", "pooler")))
    assert frozen == {path: 0.0 if part_of(path) in ("layer_0", "pooler") else found[path] for path in TABLE}


@pytest.mark.parametrize("optimizer", [AdamW(), Lamb()])
def test_each_weight_moves_by_its_factor(optimizer: Optimizer) -> None:
    """In one step, whose gradients are the same, a weight moves as far as without factors, times its factor."""
    start = flatten(initialize(TABLE, 0, 0.2))
    factors = rate_factors(TABLE, 0.5)
    plain, scaled = (flatten(run_step(tree, optimizer)[0]["weights"]) for tree in (None, factors))
    for path, factor in flatten(factors).items():
        moved = np.float64(plain[path]) - start[path]
        assert np.abs(moved).max() > 0
        # a weight of size 1 keeps 2^-24 of what it moves
        np.testing.assert_allclose(np.float64(scaled[path]) - start[path], factor * moved, atol=2e-7)


def test_frozen_weights_stay_as_they_are() -> None:
    """They are the same to the last bit, have no moments, and do not count in the norm; the others move."""
    factors = rate_factors(TABLE, 1.0, ("embeddings", "layer_0"))
    start = flatten(initialize(TABLE, 0, 0.2))
    state, norm = run_step(factors, AdamW())
    weights, moments = flatten(state["weights"]), flatten(state["moments"]["v"])
    frozen = {path for path in TABLE if part_of(path) in ("embeddings", "layer_0")}
    assert frozen
    for path in TABLE:
        assert np.array_equal(weights[path], start[path]) == (path in frozen), path
    assert moments.keys() == TABLE.keys() - frozen
    gradients = flatten(run_gradients(initialize(TABLE, 0, 0.2)))
    np.testing.assert_allclose(norm, global_norm({path: gradients[path] for path in moments}), rtol=1e-5)
    assert norm < 0.99 * global_norm(gradients)


def run_gradients(weights: Tree) -> Tree:
    """Gradients of all weights in the first step, by JAX alone."""
    batch = {name: jnp.asarray(array[0]) for name, array in with_shares(batches().at(0)).items()}
    micro = {name: array[0] for name, array in batch.items()}
    bits = token_bits(5, jnp.int32(0), micro["sequences"], micro["positions"])
    gradients: Tree = jax.jit(jax.grad(loss_of(CONFIG)))(weights, micro, bits)
    return gradients


def test_nothing_is_computed_backwards_below_what_is_trained() -> None:
    """With embeddings and all layers frozen the compiled step needs less than half of the work of the whole."""

    def work(frozen: tuple[str, ...]) -> float:
        factors = rate_factors(TABLE, 1.0, frozen)
        step = train_step(
            loss_of(CONFIG), AdamW(), LinearSchedule(RATE, 0.0, 0, 10), decay_mask(TABLE), 5, factors=factors
        )
        state = initial_state(initialize(TABLE, 0, 0.2), factors=factors)
        return float(jax.jit(step).lower(state, batches().at(0)).compile().cost_analysis()["flops"])

    assert work(("embeddings", "layer_0", "layer_1")) < 0.5 * work(())
