# SPDX-License-Identifier: Apache-2.0
"""The loss of multiple choice: among the choices of each question, wherever they lie."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.model.dropout import token_bits
from jaxbert.model.heads import choose
from jaxbert.model.weights import choice_table, initialize
from jaxbert.tasks.multiple_choice import choice_targets
from jaxbert.train.losses import choice_loss
from jaxbert.train.step import accumulate, with_shares
from tests.train.test_step import CONFIG, FEATURES, LENGTH, LENGTHS

FIRSTS = np.array([0, 2, 7, 10, 14, 19, 21, 26, 30, 33, 38, 40])  # questions with 2 to 5 choices
ANSWERS = FIRSTS[:-1] + np.array([1, 4, 0, 2, 3, 0, 2, 1, 2, 0, 1])
WEIGHTS = jax.jit(lambda: initialize(choice_table(CONFIG), 0, 0.2))()
BATCH = 6


def read(numbers):
    """The features of these choices."""
    found = {name: FEATURES[name][numbers] for name in ("input_ids", "input_mask", "segment_ids")}
    return found | {"is_answer": np.isin(numbers, ANSWERS)}


def loss(weights, batch):
    """As the command makes it, without dropout."""
    return choice_loss(choose(weights, CONFIG, batch), batch["questions"], batch["answer_weights"])


@functools.cache
def logits_alone():
    """The logit of each choice in a row of its own, in float64."""
    positions = np.broadcast_to(np.arange(LENGTH), FEATURES["input_ids"].shape)
    rows = {
        "input_ids": FEATURES["input_ids"],
        "type_ids": FEATURES["segment_ids"],
        "positions": positions,
        "sequences": FEATURES["input_mask"] * np.arange(1, len(LENGTHS) + 1)[:, None],
        "cls_positions": np.zeros((len(LENGTHS), 1), np.int64),
    }
    rows = {name: array.astype(np.int32) for name, array in rows.items()}
    return np.asarray(jax.jit(lambda weights: choose(weights, CONFIG, rows))(WEIGHTS)[:, 0], np.float64)


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_packed_equals_alone(micro_batches):
    """The loss of a batch is the mean over questions of the cross entropy of logits computed alone, in float64."""
    shape = choose_shape(LENGTHS, BATCH // micro_batches, multiple=8, firsts=FIRSTS)
    size = len(FIRSTS) - 1
    batches = TrainingBatches(
        read, size, BATCH, micro_batches, shape, 5, choice_targets, lengths=LENGTHS, firsts=FIRSTS
    )
    batch = {name: array[0] for name, array in batches.at(0).items()}
    whole = jax.jit(lambda weights, batch: accumulate(jax.value_and_grad(loss), weights, with_shares(batch))[0])
    drawn = {int(np.searchsorted(FIRSTS, number, "right") - 1) for number in batch["examples"][batch["examples"] >= 0]}
    assert {2, 5} <= {FIRSTS[group + 1] - FIRSTS[group] for group in drawn}
    expected = []
    for group in drawn:
        logits = logits_alone()[FIRSTS[group] : FIRSTS[group + 1]]
        expected.append(np.log(np.exp(logits).sum()) - logits[ANSWERS[group] - FIRSTS[group]])
    assert len(expected) == BATCH
    np.testing.assert_allclose(whole(WEIGHTS, batch), np.mean(expected), rtol=0, atol=1e-5)


def test_gradients_are_the_softmax_of_each_question():
    """With the logits 0, 1 | 2, -1, 3 of two questions: softmax minus one at the right choice, halved; else nothing."""
    logits = jnp.array([[0.0, 2.0, -1.0], [3.0, 1.0, 7.0]])  # the last slot is empty
    questions = jnp.array([[1, 2, 2], [2, 1, 0]])
    shares = jnp.array([[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    found = np.asarray(jax.grad(choice_loss)(logits, questions, shares))
    first, second = (np.exp(values) / np.exp(values).sum() for values in (np.array([0, 1.0]), np.array([2, -1, 3.0])))
    expected = [[(first[0] - 1) / 2, second[0] / 2, (second[1] - 1) / 2], [second[2] / 2, first[1] / 2, 0]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_dropout_reaches_the_logits():
    """Bits of one seed change the logits, and change them again in the same way."""
    rows = {
        "input_ids": jnp.full((1, 4), 7),
        "type_ids": jnp.zeros((1, 4), jnp.int32),
        "positions": jnp.arange(4)[None],
    }
    rows |= {"sequences": jnp.ones((1, 4), jnp.int32), "cls_positions": jnp.zeros((1, 1), jnp.int32)}
    chosen = jax.jit(lambda bits: choose(WEIGHTS, CONFIG, rows, dropout_bits=bits))
    bits = token_bits(1, jnp.int32(0), rows["sequences"], rows["positions"])
    assert chosen(bits) == chosen(bits)
    assert chosen(bits) != jax.jit(lambda: choose(WEIGHTS, CONFIG, rows))()
