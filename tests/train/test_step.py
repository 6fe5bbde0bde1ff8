# SPDX-License-Identifier: Apache-2.0
"""A training step: micro-batches equal one batch."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.devices import device_mesh, replicated, shard_rows
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import FLOAT32
from jaxbert.model.heads import classify
from jaxbert.model.weights import classifier_table, initialize
from jaxbert.tasks.classification import label_targets
from jaxbert.train.losses import classification_loss, cross_entropy, regression_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.step import CompiledSteps, initial_state, traced, train_step, with_shares

CONFIG = BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=16, type_vocab_size=2, initializer_range=0.2,
)  # fmt: skip
TABLE = classifier_table(CONFIG, 3)
SIZE, LENGTH, BATCH = 40, 16, 8
GENERATOR = np.random.default_rng(1)
LENGTHS = GENERATOR.integers(2, LENGTH + 1, SIZE)
FEATURES = {
    "input_ids": GENERATOR.integers(0, 50, (SIZE, LENGTH)),
    "input_mask": (np.arange(LENGTH)[None] < LENGTHS[:, None]).astype(np.int64),
    "segment_ids": GENERATOR.integers(0, 2, (SIZE, LENGTH)),
    "label_ids": GENERATOR.integers(0, 3, SIZE),
    "weight": GENERATOR.uniform(0.5, 2.0, SIZE).astype(np.float32),
}


def loss_of(config, compute=FLOAT32):
    """The classifier's loss, as the command makes it."""

    def loss(weights, batch, dropout_bits):
        logits = classify(weights, config, batch, dropout_bits=dropout_bits, compute=compute)
        return classification_loss(logits, batch["label_ids"], batch["label_weights"])

    return loss


def training_batches(micro_batches):
    """Packed batches of the data."""
    shape = choose_shape(LENGTHS, BATCH // micro_batches, multiple=8)
    read = lambda numbers: {name: array[numbers] for name, array in FEATURES.items()}  # noqa: E731
    return TrainingBatches(read, SIZE, BATCH, micro_batches, shape, seed=5, targets=label_targets, lengths=LENGTHS)


@functools.cache
def run_steps(micro_batches, steps=3):
    """State and metrics after some steps with dropout, from the same start."""
    schedule = LinearSchedule(1e-2, 0.0, 0, 10)
    step = jax.jit(train_step(loss_of(CONFIG), AdamW(), schedule, decay_mask(TABLE), seed=5))
    batches = training_batches(micro_batches)
    state = initial_state(initialize(TABLE, 0, 0.2))
    for number in range(steps):
        state, metrics = step(state, batches.at(number))
    return state, metrics


def test_micro_batches_equal_one_batch():
    """Accumulating four micro-batches, sample weights and dropout included, gives the step of the whole batch."""
    state, metrics = run_steps(1)
    parts_state, parts_metrics = run_steps(4)
    np.testing.assert_allclose(parts_metrics["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(parts_metrics["gradient_norm"], metrics["gradient_norm"], rtol=1e-4)
    # Gradients agree to about 1e-6 of their norm. Adam divides by their size, so only the moments show it directly.
    for name in ("m", "v"):
        pairs = zip(jax.tree.leaves(parts_state["moments"][name]), jax.tree.leaves(state["moments"][name]), strict=True)
        for part, whole in pairs:
            np.testing.assert_allclose(part, whole, atol=1e-5 * max(np.abs(whole).max(), 1e-3))


def test_runs_that_differ_in_seed_and_rates_share_a_program():
    """The lowered step is the same text for other seeds and schedules, so a cache of programs has it."""

    def lowered(seed, schedule, optimizer):
        steps = train_step(loss_of(CONFIG), optimizer, schedule, decay_mask(TABLE), seed)
        state, batches = run_steps(1)[0], training_batches(1)
        return traced(steps, state, batches.at(0)).lower().as_text()

    program = lowered(5, LinearSchedule(1e-2, 0.0, 0, 10), AdamW())
    assert lowered(2**32 - 1, LinearSchedule(3e-5, 1e-6, 7, 99), AdamW()) == program
    assert lowered(5, LinearSchedule(1e-2, 0.0, 0, 10), AdamW(decay=0.1)) != program


def test_programs_are_compiled_once_and_ahead():
    """A thread compiles for a shape of batch when it is told of one, by the shapes of the state alone; steps wait."""
    mesh = device_mesh(jax.devices()[:1])
    traces, shapes, said = [], set(), []

    def loss(*arguments):
        traces.append(threading.current_thread().name)
        return loss_of(CONFIG)(*arguments)

    step = CompiledSteps(train_step(loss, AdamW(), LinearSchedule(1e-2, 0.0, 0, 10), decay_mask(TABLE), 5), said.append)
    state = jax.jit(lambda: initial_state(initialize(TABLE, 0, 0.2)), out_shardings=replicated(mesh))()
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)
    for number in range(3):
        batch = shard_rows(training_batches(1).at(number), mesh, 2)
        shapes.add(batch["input_ids"].shape)
        step.begin(like, batch)
        state, metrics = step(state, batch)
    assert len(traces) == len(shapes) < 3
    assert all(thread.startswith("compiler") for thread in traces)
    assert len(said) == 1
    np.testing.assert_allclose(metrics["loss"], run_steps(1)[1]["loss"], rtol=1e-6)


def test_shares_are_over_the_whole_batch():
    """Weights become shares that add up to 1 over all micro-batches; no weight at all stays 0."""
    batch = with_shares({"label_weights": jnp.array([[[1.0, 3.0]], [[0.0, 4.0]]]), "label_ids": jnp.ones((2, 1, 2))})
    np.testing.assert_allclose(batch["label_weights"], [[[0.125, 0.375]], [[0, 0.5]]])
    np.testing.assert_array_equal(batch["label_ids"], np.ones((2, 1, 2)))
    assert not with_shares({"label_weights": jnp.zeros((1, 1, 2))})["label_weights"].any()


def test_losses_against_plain_sums():
    """Cross entropy and squared error, weighted, equal their definitions in float64."""
    logits = GENERATOR.normal(size=(4, 3, 5)).astype(np.float32)
    labels, shares = GENERATOR.integers(0, 5, (4, 3)), GENERATOR.uniform(size=(4, 3)).astype(np.float32)
    exact = (
        np.log(np.exp(logits.astype(np.float64)).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
    )
    np.testing.assert_allclose(cross_entropy(jnp.asarray(logits), jnp.asarray(labels)), exact, rtol=1e-5)
    loss = classification_loss(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(shares))
    np.testing.assert_allclose(loss, (shares * exact).sum(), rtol=1e-5)
    targets = GENERATOR.normal(size=(4, 3)).astype(np.float32)
    loss = regression_loss(jnp.asarray(logits[..., :1]), jnp.asarray(targets), jnp.asarray(shares))
    np.testing.assert_allclose(loss, (shares * (logits[..., 0] - targets) ** 2).sum(), rtol=1e-5)
