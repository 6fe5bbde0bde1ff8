# SPDX-License-Identifier: Apache-2.0
"""The forms of attention for TPUs, interpreted here, and for CPUs compute what the plain form does."""

import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.devices import device_mesh
from jaxbert.model import encoder
from jaxbert.model.attention import Tokens, attention, suits_tpu
from jaxbert.model.dropout import token_bits
from jaxbert.model.encoder import Compute, encode
from jaxbert.model.fused_attention import fused_attention
from jaxbert.model.heads import classify
from jaxbert.model.weights import classifier_table, initialize
from jaxbert.train.losses import classification_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.step import initial_state, train_step
from tests.model.conftest import packed_batch

RATE = 0.1
# Sums of up to 512 float32 products of order 1, weighted to order 1, in another order: some units of 1e-7.
OUTPUTS, GRADIENTS = 2e-6, 2e-5

# Row plans: the lengths of the sequences of each row; what is left of it is padding.
PLANS = {
    "one": (128, [[128]]),
    "one and padding": (128, [[8], [127]]),
    "many": (256, [[8] * 32, [100, 60, 50, 40, 6], [1, 255]]),
    "across blocks": (640, [[512], [300, 212], [257, 8, 200, 20], [100] * 6]),
    "wide blocks": (768, [[130, 120, 100, 384], [384, 384], [8, 512]]),
}


def rows(row_length: int, plan: list[list[int]]) -> tuple[jax.Array, jax.Array]:
    """`sequences`, numbered in no order, and dropout bits, both [B, S]."""
    sequences, positions = np.zeros((2, len(plan), row_length), np.int32)
    numbers = iter(np.random.default_rng(0).permutation(sum(map(len, plan))) + 1)
    for row, lengths in enumerate(plan):
        for start, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
            sequences[row, start : start + length] = next(numbers)
            positions[row, start : start + length] = np.arange(length)
    return jnp.asarray(sequences), token_bits(3, jnp.int32(7), jnp.asarray(sequences), jnp.asarray(positions))


def results(form, arrays):
    """Output and gradients of q, k and v, from arrays q, k, v and the output's gradient."""
    *inputs, d_out = arrays
    out, backward = jax.vjp(jax.jit(form), *inputs)
    return out, *backward(d_out)


def fused_form(heads, tokens, mesh):
    """The form for TPUs, of q, k and v."""
    return lambda q, k, v: fused_attention(jnp.stack([q, k, v]), heads, tokens, RATE, mesh)


def both_forms(plan, heads, width, with_dropout, dtype=jnp.float32):
    """`results` of the plain form and of the one for TPUs."""
    row_length, lengths = PLANS[plan]
    sequences, bits = rows(row_length, lengths)
    bits = bits if with_dropout else None
    shape = (len(lengths), row_length, heads * width)
    arrays = [jax.random.normal(jax.random.key(number), shape, jnp.float32).astype(dtype) for number in range(4)]
    tokens, mesh = Tokens(sequences, bits), device_mesh(jax.devices()[:1])
    plain = functools.partial(attention, heads=heads, queries=tokens, keys=tokens, rate=RATE)
    return results(plain, arrays), results(fused_form(heads, tokens, mesh), arrays)


@pytest.mark.parametrize("with_dropout", [False, True])
@pytest.mark.parametrize(
    ("plan", "heads", "width"),
    [
        ("one", 2, 64),
        ("one and padding", 4, 64),
        ("many", 4, 32),
        ("across blocks", 2, 64),
        ("wide blocks", 1, 128),
    ],
)
def test_equals_the_plain_form(plan, heads, width, with_dropout):
    """Outputs and gradients are those of the plain form, whatever the rows hold, with the same bits of dropout."""
    (out, *gradients), (fused, *fused_gradients) = both_forms(plan, heads, width, with_dropout)
    np.testing.assert_allclose(fused, out, atol=OUTPUTS, rtol=0)
    for ours, plain in zip(fused_gradients, gradients, strict=True):
        np.testing.assert_allclose(ours, plain, atol=GRADIENTS, rtol=0)


@pytest.mark.parametrize("plan", PLANS)
def test_blocks_of_a_cpu_equal_the_plain_form(plan):
    """Without dropout, blocks of queries have the plain form's outputs and gradients, which dropout of none has."""
    row_length, lengths = PLANS[plan]
    sequences, bits = rows(row_length, lengths)
    arrays = [jax.random.normal(jax.random.key(n), (len(lengths), row_length, 96)) for n in range(4)]
    forms = [
        functools.partial(attention, heads=3, queries=tokens, keys=tokens, rate=0.0)
        for tokens in (Tokens(sequences, None), Tokens(sequences, bits))
    ]
    (out, *gradients), (plain, *plain_gradients) = (results(form, arrays) for form in forms)
    np.testing.assert_allclose(out, plain, atol=OUTPUTS, rtol=0)
    for ours, theirs in zip(gradients, plain_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=GRADIENTS, rtol=0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_scores_of_several_layers_stay_in_the_cache(config, dtype):
    """On a CPU no scores, nor anything of their size, are kept in memory, however many layers there are."""
    config = dataclasses.replace(config, hidden_size=96, num_attention_heads=12, num_hidden_layers=3)
    weights = initialize(classifier_table(config, 3), seed=1, stddev=0.1)
    batch, length = 4, 256
    rows = {name: jnp.zeros((batch, length), jnp.int32) for name in ("input_ids", "type_ids", "positions", "sequences")}
    program = jax.jit(functools.partial(encode, config=config, compute=Compute(dtype)))
    needed = program.lower(weights["bert"], rows=rows).compile().memory_analysis().temp_size_in_bytes
    assert needed < batch * 12 * length * length * 4


def test_bfloat16_rounds_as_the_plain_form():
    """In bfloat16 both forms differ by a few roundings to 8 bits."""
    for plain, fused in zip(*both_forms("many", 2, 64, True, jnp.bfloat16), strict=True):
        assert plain.dtype == fused.dtype == jnp.bfloat16
        np.testing.assert_allclose(fused.astype(np.float32), plain.astype(np.float32), atol=2**-5, rtol=2**-5)


@pytest.fixture
def as_on_tpus(monkeypatch):
    """Attention of all positions to all takes the form for TPUs on this machine too."""
    calls = []
    monkeypatch.setattr(encoder, "suits_tpu", lambda x, *_: calls.append(x.shape) or True)
    return calls


def losses(config, weights, batch, compute):
    """Of 20 training steps of a classifier with dropout."""
    table = classifier_table(config, 3)

    def loss(weights, rows, bits):
        logits = classify(weights, config, rows, dropout_bits=bits, compute=compute)
        return classification_loss(logits, rows["label_ids"], rows["label_weights"])

    step = jax.jit(train_step(loss, AdamW(), LinearSchedule(1e-3, 0.0, 0, 40), decay_mask(table), 5))
    state, batches = initial_state(weights), {name: a[None, None] for name, a in batch.items()}
    found = []
    for _ in range(20):
        state, metrics = step(state, batches)
        found.append(float(metrics["loss"][0]))
    return found


def test_training_is_the_same(config, features, as_on_tpus):
    """20 steps, layers scanned and recomputed, have the losses of the plain form."""
    way = Compute(scan=True, remat=True)
    config = dataclasses.replace(config, hidden_size=128, num_hidden_layers=2, intermediate_size=64)
    weights = initialize(classifier_table(config, 3), seed=1, stddev=0.1)
    batch = {name: jnp.asarray(a) for name, a in packed_batch(features, row_length=128).items()}
    plain = losses(config, weights, batch, way)
    assert not as_on_tpus
    fused = losses(config, weights, batch, dataclasses.replace(way, mesh=device_mesh(jax.devices()[:1])))
    assert as_on_tpus
    np.testing.assert_allclose(fused, plain, rtol=1e-4)  # rounding grows a little with each step
    assert plain[-1] < plain[0] / 2


def test_not_on_a_cpu():
    """The plain form is taken where the devices are not TPUs."""
    x = jnp.ones((1, 128, 128))
    assert not suits_tpu(x, 2, device_mesh(jax.devices()[:1]))
    assert not suits_tpu(x, 2, None)


def test_rows_and_heads_on_many_devices():
    """On 2 x 2 x 2 devices along rows and heads, outputs and gradients are those of one."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-m", "tests.model.attention_on_devices"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < OUTPUTS
