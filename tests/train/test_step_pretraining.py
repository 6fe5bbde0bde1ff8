# SPDX-License-Identifier: Apache-2.0
"""The pretraining step: equal to plain NumPy, and to itself however it is spread."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.order import records_at
from jaxbert.batches.packing import RowShape, choose_shape
from jaxbert.batches.rows import lay_out, lengths, pack_records
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.dropout import token_bits
from jaxbert.model.heads import masked_lm, pretrain
from jaxbert.model.weights import flatten, initialize, pretraining_table
from jaxbert.tasks.pretraining import pretraining_targets
from jaxbert.train.losses import pretraining_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.step import initial_state, train_step, with_shares
from tests.train.plain_bert import Number, backward, pretraining_losses
from tests.train.plain_optimizers import plain_adamw

CONFIG = BertConfig(
    vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=16, type_vocab_size=2, initializer_range=0.3,
)  # fmt: skip
STILL = dataclasses.replace(CONFIG, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
TABLE = pretraining_table(CONFIG, next_sentence=True)
SIZE, S, P, BATCH, SEED = 24, 16, 3, 8, 5


def records():
    """Decoded records of different lengths, one to three masked positions in each."""
    generator = np.random.default_rng(1)
    sizes = generator.integers(4, S + 1, SIZE)
    masked = generator.integers(1, P + 1, SIZE)
    positions = [np.sort(generator.choice(np.arange(1, size), P, replace=False)) for size in sizes]
    return {
        "input_ids": generator.integers(0, 30, (SIZE, S)),
        "input_mask": (np.arange(S) < sizes[:, None]).astype(np.int64),
        "segment_ids": generator.integers(0, 2, (SIZE, S)),
        "masked_lm_positions": np.array(positions),
        "masked_lm_ids": generator.integers(0, 30, (SIZE, P)),
        "masked_lm_weights": (np.arange(P) < masked[:, None]).astype(np.float32),
        "next_sentence_labels": generator.integers(0, 2, SIZE),
    }


RECORDS = records()


def read(numbers):
    """Records by number."""
    return {name: array[numbers] for name, array in RECORDS.items()}


@functools.cache
def row_shape(batch_size):
    """Rows for so many of the records."""
    predicted = np.count_nonzero(RECORDS["masked_lm_weights"], axis=1)
    return choose_shape(lengths(RECORDS), batch_size, multiple=8, predicted=predicted)


def batches(micro_batches=1, shape=None):
    """All training batches."""
    shape = shape or row_shape(BATCH // micro_batches)
    targets = functools.partial(pretraining_targets, predictions=shape.predictions)
    return TrainingBatches(read, SIZE, BATCH, micro_batches, shape, SEED, targets)


def loss_of(config, next_sentence=True):
    """The loss, as the command makes it."""

    def loss(weights, batch, dropout_bits):
        return pretraining_loss(
            *pretrain(weights, config, batch, next_sentence=next_sentence, dropout_bits=dropout_bits), batch
        )

    return loss


@functools.cache
def start():
    """Weights before the first step."""
    return jax.jit(lambda: initialize(TABLE, 0, CONFIG.initializer_range))()


def test_twenty_steps_equal_plain_numpy():
    """Loss of each of 20 steps, without dropout: a float64 transcription, one sequence at a time, gives the same."""
    schedule = LinearSchedule(1e-2, 0.0, 4, 20)
    step = jax.jit(train_step(loss_of(STILL), AdamW(), schedule, decay_mask(TABLE), SEED))
    state, losses = initial_state(start()), []
    for number in range(20):
        state, metrics = step(state, batches().at(number))
        losses.append(float(metrics["loss"][0]))
    np.testing.assert_allclose(losses, plain_losses(20), rtol=1e-5)
    assert losses[-1] < losses[0] - 0.5


def plain_losses(steps):
    """The same training by `plain_bert` and `plain_adamw`, which starts anew for each step."""
    first = {path: np.asarray(weight, np.float64) for path, weight in flatten(start()).items()}
    decays = {path for path, weight in TABLE.items() if weight.decays}
    weights, gradients, rates, losses = first, [], [], []
    for number in range(steps):
        tape = {path: Number(weight) for path, weight in weights.items()}
        found = [
            pretraining_losses(tape, {name: array[n] for name, array in RECORDS.items()}, 2, 2)
            for n in records_at(np.arange(BATCH) + number * BATCH, SIZE, SEED)
        ]
        masked = sum(len(of_masked.value) for of_masked, _ in found)
        total = Number(0.0)
        for of_masked, following in found:
            for n in range(len(of_masked.value)):
                total = total + of_masked.rows(n) * (1 / masked)
            total = total + following.rows(0) * (1 / BATCH)
        backward(total)
        losses.append(float(total.value))
        gradients.append({path: weight.gradient for path, weight in tape.items()})
        rates.append(1e-2 * (number / 4 if number < 4 else 1 - number / 20))
        weights = plain_adamw(first, gradients, rates, bias_correction=True, decays=decays)
    return losses


@functools.partial(jax.jit, static_argnums=2)
def loss_and_gradients(weights, batch, next_sentence):
    """Under dropout."""

    def loss(weights):
        dropout_bits = token_bits(3, jnp.int32(7), batch["sequences"], batch["positions"])
        return loss_of(CONFIG, next_sentence)(weights, batch, dropout_bits)

    return jax.value_and_grad(loss)(weights)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_packed_equals_alone(next_sentence):
    """Several records in a row give loss and gradients of masked LM and next sentence as alone, dropout included."""
    found = []
    for shape in (row_shape(SIZE), RowShape(S, (SIZE,), 1, P)):
        packed = pack_records(RECORDS, shape)
        targets = functools.partial(pretraining_targets, predictions=shape.predictions)
        sizes = (len(packed), shape.row_length, shape.slots)
        batch = with_shares(lay_out(RECORDS, np.arange(SIZE), packed, sizes, targets))
        found.append((len(packed), *loss_and_gradients(start(), batch, next_sentence)))
    (rows, loss, gradients), (rows_alone, loss_alone, gradients_alone) = found
    assert rows < rows_alone * 0.8
    np.testing.assert_allclose(loss, loss_alone, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradients, gradients_alone)
    is_used = any(np.any(leaf) for leaf in jax.tree.leaves(gradients["cls"]["seq_relationship"]))
    assert is_used == next_sentence


def one_step(micro_batches):
    """Moments and loss after a step with dropout."""
    step = jax.jit(train_step(loss_of(CONFIG), AdamW(), LinearSchedule(1e-2, 0, 0, 9), decay_mask(TABLE), SEED))
    state, metrics = step(initial_state(start()), batches(micro_batches).at(0))
    return state["moments"]["m"], metrics["loss"]


def test_micro_batches_equal_one_batch():
    """Parts with different numbers of masks add up to the step of the whole batch."""
    m, loss = one_step(1)
    m_parts, loss_parts = one_step(2)
    np.testing.assert_allclose(loss_parts, loss, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), m_parts, m)


def test_padding_of_the_vocabulary_has_no_probability():
    """Logits come for a multiple of 128 entries; those that do not exist take nothing from the softmax."""
    h = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    logits = masked_lm(start(), CONFIG, jnp.asarray(h))
    assert logits.shape == (1, 4, 128)
    np.testing.assert_array_equal(jax.nn.softmax(logits)[..., CONFIG.vocab_size :], 0)


def test_nothing_moves_the_pooler_without_next_sentence():
    """Without next sentence prediction pooler and head keep their weights to the bit, everything else moves."""
    table = pretraining_table(CONFIG, next_sentence=False)
    loss = loss_of(CONFIG, next_sentence=False)
    step = jax.jit(train_step(loss, AdamW(), LinearSchedule(1e-2, 0, 0, 9), decay_mask(table), SEED))
    state, _ = step(initial_state(start()), batches().at(0))
    before, after = flatten(start()), flatten(state["weights"])
    kept = {path for path in table if np.array_equal(before[path], after[path])}
    idle = {path for path in table if path.startswith(("bert/pooler", "cls/seq_relationship"))}
    # Every query sees the bias of the keys alike, so the softmax does not.
    assert idle <= kept <= idle | {path for path in table if path.endswith("key/bias")}
