# SPDX-License-Identifier: Apache-2.0
"""A training step: micro-batches equal one batch, and the official trainer's trajectory is followed."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape, pack
from jaxbert.batches.rows import label_targets, lay_out, lengths
from jaxbert.checkpoints.load import read_initial
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import ClassificationRecords
from jaxbert.model.heads import classify
from jaxbert.model.weights import classifier_table, flatten, initialize, unflatten
from jaxbert.tfrecord.metadata import ClassificationMetaData
from jaxbert.train.losses import classification_loss, cross_entropy, regression_loss
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, decay_mask, global_norm
from jaxbert.train.step import initial_state, train_step, with_shares

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


def loss_of(config):
    """The classifier's loss, as the command makes it."""

    def loss(weights, batch, noise):
        logits = classify(weights, config, batch, noise=noise)
        return classification_loss(logits, batch["label_ids"], batch["label_weights"])

    return loss


@functools.cache
def run_steps(micro_batches, steps=3):
    """State and metrics after some steps with dropout, from the same start."""
    schedule = LinearSchedule(1e-2, 0.0, 0, 10)
    step = jax.jit(train_step(loss_of(CONFIG), AdamW(), schedule, decay_mask(TABLE), seed=5))
    shape = choose_shape(LENGTHS, BATCH // micro_batches, seed=0, multiple=8, even=True)
    read = lambda numbers: {name: array[numbers] for name, array in FEATURES.items()}  # noqa: E731
    batches = TrainingBatches(read, SIZE, BATCH, micro_batches, shape, seed=5, targets=label_targets, lengths=LENGTHS)
    state = initial_state(initialize(TABLE, 0, 0.2), AdamW())
    for number in range(steps):
        state, metrics = step(state, batches.at(number))
    return state, metrics


@pytest.mark.parametrize("micro_batches", [2, 4])
def test_micro_batches_equal_one_batch(micro_batches):
    """Accumulating k micro-batches, sample weights and dropout included, gives the step of the whole batch."""
    state, metrics = run_steps(1)
    parts_state, parts_metrics = run_steps(micro_batches)
    np.testing.assert_allclose(parts_metrics["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(parts_metrics["gradient_norm"], metrics["gradient_norm"], rtol=1e-4)
    # Gradients agree to about 1e-6 of their norm. Adam divides by their size, so only the moments show it directly.
    for name in ("m", "v"):
        pairs = zip(jax.tree.leaves(parts_state["moments"][name]), jax.tree.leaves(state["moments"][name]), strict=True)
        for part, whole in pairs:
            np.testing.assert_allclose(part, whole, atol=1e-5 * max(np.abs(whole).max(), 1e-3))


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


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_official_trajectory(name, shared):
    """Six steps of the official TF2 classifier trainer (dropout 0): losses, weights and moments agree within 1e-5.

    TensorFlow takes the norm for clipping from a word's gradients per occurrence, before they are summed. That quirk is
    put in here, by a clip of the same effect; see docs/official_differences.md. LAMB does not clip.
    """
    official = shared / "official"
    config = bert_config.read(str(official / "inputs" / "bert_config.json"))
    config = dataclasses.replace(config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    golden = np.load(official / "train" / "golden_train_2.3.npz")
    meta = ClassificationMetaData.read(str(official / "data" / "official-2.3" / "MRPC_meta_data"))
    bounds = Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
    records = ClassificationRecords([str(official / "data" / "official-2.3" / "MRPC_train.tf_record")], meta, bounds)

    table = classifier_table(config, 2)
    start = dict(read_initial(str(official / "tf1" / "plain")).weights)
    start = {path: start[path] for path in table if path in start}
    start |= {"output_weights": golden["head_init/cls_kernel"].T, "output_bias": golden["head_init/cls_bias"]}
    state, schedule, decays = initial_state(unflatten(start), AdamW()), LinearSchedule(2e-3, 0, 2, 6), decay_mask(table)
    gradients = jax.jit(jax.value_and_grad(lambda weights, batch: loss_of(config)(weights, batch, None)))
    for number, loss in enumerate(golden[f"classifier_{name}/loss"]):
        numbers = np.arange(4 * number, 4 * number + 4)
        features = records.read(numbers)
        rows = pack(lengths(features).tolist(), meta.max_seq_length, 4)
        batch = with_shares(lay_out(features, numbers, rows, (4, meta.max_seq_length, 4), label_targets))
        value, gradient = gradients(state["weights"], batch)
        np.testing.assert_allclose(value, loss, atol=1e-5)
        rate, step = schedule.rate(jnp.int32(number)), jnp.int32(number)
        np.testing.assert_allclose(rate, golden[f"classifier_{name}/lr"][number], atol=1e-9)
        official_clip = max(float(golden[f"classifier_{name}/grad_global_norm"][number]), 1.0)
        clip_norm = float(global_norm(gradient)) / official_clip
        optimizer = AdamW(clip_norm=clip_norm) if name == "adamw" else Lamb()
        update = optimizer.update(state["weights"], gradient, state["moments"], decays, rate, step)
        state = {"weights": update[0], "moments": update[1]}

    embeddings = state["weights"]["bert"]["embeddings"]["word_embeddings"]
    expected = golden[f"classifier_{name}/final/word_embeddings/embeddings:0"]
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    if name == "lamb":  # the end of that run is in no checkpoint
        return
    final = read_initial(str(official / "train" / "official-2.3_classifier_adamw"), "classifier").weights
    for path, weight in flatten(state["weights"]).items():
        np.testing.assert_allclose(weight, final[path], atol=1e-5, err_msg=path)
