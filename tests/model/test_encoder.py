# SPDX-License-Identifier: Apache-2.0
"""Packing, reading single positions and scanning change the work done, never the result."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.model import encoder, heads
from jaxbert.model.dropout import token_bits
from jaxbert.model.encoder import Compute
from jaxbert.model.weights import classifier_table, flatten, initialize, unflatten
from jaxbert.train.losses import classification_loss
from tests.golden.official import CONFIG, arrays
from tests.model.conftest import alone_batch, official_rows, packed_batch

# A sum of some hundred float32 products of order 1 in another order differs by about 1e-6; outputs are of order 1.
TOLERANCE = 1e-5

# Compiled, as in every run; the configuration is no array.
encode = jax.jit(encoder.encode, static_argnums=1, static_argnames="compute")
classify = jax.jit(heads.classify, static_argnums=1, static_argnames="compute")


def by_example(values: jax.Array, batch: dict[str, np.ndarray]) -> np.ndarray:
    """[B, N, C] -> [n, C] in the order of the examples."""
    numbers = batch["examples"]
    result = np.zeros((numbers.max() + 1, values.shape[-1]), np.float32)
    result[numbers[numbers >= 0]] = np.asarray(values)[numbers >= 0]
    return result


@functools.partial(jax.jit, static_argnums=(1, 3))
def loss_and_gradients(weights, config, batch, with_dropout):
    """Of a classifier, with or without dropout."""

    def loss(weights):
        dropout_bits = token_bits(3, jnp.int32(7), batch["sequences"], batch["positions"]) if with_dropout else None
        return classification_loss(
            classify(weights, config, batch, dropout_bits=dropout_bits), batch["label_ids"], batch["label_weights"]
        )

    return jax.value_and_grad(loss)(weights)


@pytest.mark.parametrize("with_dropout", [False, True])
def test_packed_equals_alone(config, weights, features, with_dropout):
    """Sequences that share rows give logits, loss and gradients as alone in their rows, dropout included."""
    batch, alone = (jax.tree.map(jnp.asarray, b) for b in (packed_batch(features), alone_batch(features)))
    assert batch["sequences"].shape[0] < alone["sequences"].shape[0]
    ours = by_example(classify(weights, config, batch), packed_batch(features))
    np.testing.assert_allclose(
        ours, by_example(classify(weights, config, alone), alone_batch(features)), atol=TOLERANCE
    )
    packed_loss, packed_gradients = loss_and_gradients(weights, config, batch, with_dropout)
    alone_loss, alone_gradients = loss_and_gradients(weights, config, alone, with_dropout)
    np.testing.assert_allclose(packed_loss, alone_loss, rtol=TOLERANCE)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=TOLERANCE * 10), packed_gradients, alone_gradients)


def test_dropout_is_part_of_the_test_above(config, weights, features):
    """With dropout_bits the loss is another one, so the comparison under dropout compares something."""
    batch = jax.tree.map(jnp.asarray, packed_batch(features))
    plain, _ = loss_and_gradients(weights, config, batch, False)
    dropped, _ = loss_and_gradients(weights, config, batch, True)
    assert abs(plain - dropped) > 1e-3


def test_order_in_the_rows_does_not_matter(config, weights, features):
    """The same sequences in other rows and another order give the same logits."""
    one = packed_batch(features, [[0, 1], [2, 4], [3, 5, 6]])
    other = packed_batch(features, [[6, 5, 3], [4, 2], [1, 0]])
    logits = [by_example(classify(weights, config, jax.tree.map(jnp.asarray, b)), b) for b in (one, other)]
    np.testing.assert_allclose(*logits, atol=TOLERANCE)


def test_a_sequence_does_not_see_its_neighbours(config, weights, features):
    """Changing one sequence of a row changes no bit of the others' logits."""
    rows = [[0, 1], [2, 4], [3, 5, 6]]
    before = classify(weights, config, jax.tree.map(jnp.asarray, packed_batch(features, rows)))
    changed = features | {
        "input_ids": np.where(np.arange(7)[:, None] == 5, 39 - features["input_ids"], features["input_ids"])
    }
    after = classify(weights, config, jax.tree.map(jnp.asarray, packed_batch(changed, rows)))
    is_changed = packed_batch(features, rows)["examples"] == 5
    np.testing.assert_array_equal(np.asarray(before)[~is_changed], np.asarray(after)[~is_changed])
    assert np.abs(np.asarray(before - after)[is_changed]).max() > 1e-3


def test_reading_positions_equals_reading_all(config, weights, features):
    """The last layer computed only at [CLS] gives what the whole last layer holds there."""
    batch = jax.tree.map(jnp.asarray, packed_batch(features))
    read = batch["cls_positions"]
    whole = encode(weights["bert"], config, batch)
    only = encode(weights["bert"], config, batch, read=read)
    np.testing.assert_allclose(only, jnp.take_along_axis(whole, read[:, :, None], axis=1), atol=TOLERANCE)


@pytest.mark.parametrize("layers", [1, 3])
def test_scan_equals_loop(config, weights, features, layers):
    """`scan` changes how the layers are compiled, not what they compute, dropout included."""
    config = dataclasses.replace(config, num_hidden_layers=layers)
    batch = jax.tree.map(jnp.asarray, packed_batch(features))
    dropout_bits = token_bits(3, jnp.int32(7), batch["sequences"], batch["positions"])
    ways = (Compute(scan=False), Compute(scan=True))
    outputs = [encode(weights["bert"], config, batch, dropout_bits=dropout_bits, compute=way) for way in ways]
    np.testing.assert_allclose(*outputs, atol=TOLERANCE)


def test_bfloat16_stays_near_float32(config, weights, features):
    """Products in bfloat16 (8 bits of mantissa) keep the logits' pattern, and the output is float32."""
    batch = jax.tree.map(jnp.asarray, packed_batch(features))
    wide, narrow = (classify(weights, config, batch, compute=Compute(dtype)) for dtype in (jnp.float32, jnp.bfloat16))
    assert narrow.dtype == jnp.float32
    assert np.corrcoef(np.ravel(wide), np.ravel(narrow))[0, 1] > 0.99


@pytest.mark.parametrize("group", ["encoder", "encoder_long"])
def test_official_outputs(group):
    """Sequence and pooled outputs equal those of the official encoder within 2e-5 at every position that counts."""
    golden, weights = arrays(group), unflatten(arrays("weights"))
    mask = golden["input_mask"]
    ours = encode(weights["bert"], CONFIG, official_rows(golden))
    assert np.abs(ours - golden["sequence_output"])[mask == 1].max() < 2e-5
    pooled = heads.pool(weights["bert"]["pooler"], ours[:, :1])[:, 0]
    np.testing.assert_allclose(pooled, golden["pooled_output"], atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_kernels_may_be_rounded_before(config, weights, features, dtype):
    """Kernels that have the layers' dtype already give the very bits of those that each call rounds."""
    compute, batch = Compute(dtype), jax.tree.map(jnp.asarray, packed_batch(features))
    flat = {path: np.asarray(leaf) for path, leaf in flatten(weights).items()}
    before = unflatten({path: encoder.rounded(path, leaf, compute) for path, leaf in flat.items()})
    assert sum(leaf.dtype == dtype for leaf in flatten(before).values()) == 6 * config.num_hidden_layers
    np.testing.assert_array_equal(*(classify(tree, config, batch, compute=compute) for tree in (weights, before)))


@pytest.mark.parametrize("activation", ["gelu", "gelu_erf"])
def test_what_a_layer_keeps_on_a_cpu(config, features, activation):
    """For the backward pass a layer keeps its input, query, key, value, context, what goes into each normalization and
    into the activation, and probabilities once; with dropout, and whatever the activation."""
    batch = {name: jnp.asarray(array) for name, array in packed_batch(features, row_length=128).items()}

    def needed(layers):
        of_size = dataclasses.replace(config, num_hidden_layers=layers, intermediate_size=512, hidden_act=activation)
        program = loss_and_gradients.lower(initialize(classifier_table(of_size, 3), 0, 0.02), of_size, batch, True)
        return program.compile().memory_analysis().temp_size_in_bytes

    rows, length = batch["input_ids"].shape
    floats = rows * length * (7 * config.hidden_size + 512 + config.num_attention_heads * length)
    assert needed(5) - needed(3) <= 1.03 * 2 * floats * np.float32().itemsize


def test_the_gradient_of_the_table_takes_no_memory_before_it_is_there(config, features):
    """A larger vocabulary needs no more memory beside weights while its table is smaller than what layers keep."""
    batch = {name: jnp.asarray(array) for name, array in packed_batch(features, row_length=128).items()}

    def needed(vocab_size):
        of_size = dataclasses.replace(config, vocab_size=vocab_size, num_hidden_layers=6, intermediate_size=512)

        def step(weights):
            _, gradients = loss_and_gradients(weights, of_size, batch, True)
            return jax.tree.map(lambda weight, gradient: weight - 0.1 * gradient, weights, gradients)

        weights = initialize(classifier_table(of_size, 3), 0, 0.02)
        return jax.jit(step, donate_argnums=0).lower(weights).compile().memory_analysis().temp_size_in_bytes

    table = 9_000 * config.hidden_size * np.float32().itemsize
    assert needed(10_000) - needed(1_000) < 0.1 * table


def test_with_remat_a_layer_keeps_its_input_only(config, features):
    """A layer more needs memory for the array that goes into it, and for no other."""
    batch = {name: jnp.asarray(array) for name, array in packed_batch(features, row_length=128).items()}

    def needed(layers):
        of_size = dataclasses.replace(config, num_hidden_layers=layers, intermediate_size=512)
        weights = initialize(classifier_table(of_size, 3), 0, 0.02)

        def loss(weights):
            bits = token_bits(3, jnp.int32(7), batch["sequences"], batch["positions"])
            logits = classify(weights, of_size, batch, dropout_bits=bits, compute=Compute(remat=True))
            return classification_loss(logits, batch["label_ids"], batch["label_weights"])

        program = jax.jit(jax.grad(loss)).lower(weights).compile()
        return program.memory_analysis().temp_size_in_bytes

    rows, length = batch["input_ids"].shape
    assert needed(5) - needed(3) <= 1.2 * 2 * rows * length * config.hidden_size * np.float32().itemsize
