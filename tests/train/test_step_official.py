# SPDX-License-Identifier: Apache-2.0
"""Training follows the official trainers (dropout 0) step by step: losses, rates, and the weights at the end.

Two things are as there and not as here, see docs/official_differences.md. TensorFlow takes the norm for clipping from a
word's gradients per occurrence, before they are summed: that norm is put in, by a clip of the same effect. And for
SQuAD padding takes part in the official softmax.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.packing import RowShape, pack
from jaxbert.batches.rows import Arrays, lay_out, lengths, pack_records
from jaxbert.model.weights import Table, Tree, classifier_table, flatten, pretraining_table, squad_table, unflatten
from jaxbert.tasks.classification import label_targets
from jaxbert.tasks.pretraining import pretraining_targets
from jaxbert.tasks.spans import span_targets
from jaxbert.train.optimizers import AdamW, Lamb, LinearSchedule, decay_mask, global_norm
from jaxbert.train.step import initial_state, with_shares
from tests.golden.official import CONFIG, arrays
from tests.train import test_step, test_step_pretraining, test_step_squad

BATCH = 4
Gradients = Callable[[Tree, np.ndarray], tuple[jax.Array, Tree]]
"""(weights, numbers of the records of a batch) -> loss and gradients."""


def assert_follows(run: str, table: Table, warmup_steps: int, gradients: Gradients, optimizer: str = "adamw") -> None:
    """From the same weights our steps have the losses and rates of `run` and end at its weights, within 1e-5."""
    golden, start = arrays(run), {path: weight for path, weight in arrays("weights").items() if path in table}
    schedule = LinearSchedule(2e-3, 0, warmup_steps, len(golden["loss"]))
    state, decays = initial_state(unflatten(start)), decay_mask(table)
    weights, moments = state["weights"], state["moments"]
    for number, loss in enumerate(golden["loss"]):
        value, gradient = gradients(weights, np.arange(BATCH * number, BATCH * number + BATCH))
        np.testing.assert_allclose(value, loss, atol=1e-5)
        rate = schedule.rate(jnp.int32(number))
        np.testing.assert_allclose(rate, golden["learning_rate"][number], atol=1e-9)
        official_clip = max(float(golden["gradient_norm"][number]), 1.0)
        kind = Lamb() if optimizer == "lamb" else AdamW(clip_norm=float(global_norm(gradient)) / official_clip)
        rates = jax.tree.map(lambda _, rate=rate: rate, decays)
        weights, moments, _ = kind.update(weights, gradient, moments, decays, rates, jnp.int32(number))
    end = flatten(weights)
    change = np.concatenate([(np.float64(end[path]) - start[path]).ravel() for path in sorted(table)])[::5]
    # The softmax does not see the bias of the keys: its gradient is what rounding leaves of zero. LAMB, which does not
    # clip, divides it by its size, so all that is known is that no step moves the bias by more than the rate.
    is_noise = [np.full(start[path].size, optimizer == "lamb" and path.endswith("key/bias")) for path in sorted(table)]
    dropout_bits = np.concatenate(is_noise)[::5]
    difference = np.abs(change - golden["change"] * 1e-6)
    assert difference[~dropout_bits].max() < 1e-5
    assert difference[dropout_bits].max(initial=0) < golden["learning_rate"].sum()
    assert np.abs(change).max() > 1e-3


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
def test_classifier(optimizer: str) -> None:
    """Six steps on packed rows; AdamW clips, LAMB does not."""
    records = arrays("classifier/records")
    length = records["input_ids"].shape[1]
    compiled = jax.jit(jax.value_and_grad(functools.partial(test_step.loss_of(CONFIG), dropout_bits=None)))

    def gradients(weights: Tree, numbers: np.ndarray) -> tuple[jax.Array, Tree]:
        features = {name: array[numbers].astype(np.int64) for name, array in records.items()}
        rows = pack(lengths(features).tolist(), length, BATCH)
        batch = lay_out(features, numbers, rows, (BATCH, length, BATCH), label_targets)
        return compiled(weights, with_shares(batch))

    assert_follows(f"classifier_{optimizer}", classifier_table(CONFIG, 2), 2, gradients, optimizer)


def test_pretraining() -> None:
    """Five steps, each record in a row of its own."""
    records = arrays("pretraining/records")
    predictions, length = records["masked_lm_ids"].shape[1], records["input_ids"].shape[1]
    targets = functools.partial(pretraining_targets, predictions=predictions)
    compiled = jax.jit(jax.value_and_grad(functools.partial(test_step_pretraining.loss_of(CONFIG), dropout_bits=None)))

    def gradients(weights: Tree, numbers: np.ndarray) -> tuple[jax.Array, Tree]:
        features = {name: array[numbers] for name, array in records.items()}
        features |= {name: array.astype(np.int64) for name, array in features.items() if array.dtype == np.int16}
        rows = pack_records(features, RowShape(length, (BATCH,), 1, predictions))
        return compiled(weights, with_shares(lay_out(features, numbers, rows, (BATCH, length, 1), targets)))

    assert_follows("pretraining_adamw", pretraining_table(CONFIG, next_sentence=True), 1, gradients)


def test_squad() -> None:
    """Six steps of a plain transcription in which padding takes part; without it, its loss is ours on packed rows."""
    records = arrays("squad/records")
    plain = jax.jit(jax.value_and_grad(plain_loss))
    ours = jax.jit(functools.partial(test_step_squad.loss_of(CONFIG), dropout_bits=None))

    def gradients(weights: Tree, numbers: np.ndarray) -> tuple[jax.Array, Tree]:
        features = {name: array[numbers].astype(np.int64) for name, array in records.items()}
        rows = pack(lengths(features).tolist(), 80, BATCH)
        batch = with_shares(lay_out(features, numbers, rows, (BATCH, 80, BATCH), span_targets))
        without_padding, _ = plain(weights, features, features["input_mask"] != 0)
        np.testing.assert_allclose(ours(weights, batch), without_padding, atol=1e-5)
        return plain(weights, features, np.ones_like(features["input_mask"], bool))

    assert_follows("squad_adamw", squad_table(CONFIG), 2, gradients)


def plain_loss(weights: Tree, features: Arrays, own: jax.Array) -> jax.Array:
    """Mean of the cross entropies of start and end, over the positions [n, S] where `own` is true."""
    logits = jnp.where(own[:, :, None], plain_logits(weights, features), -jnp.inf)
    at = jnp.stack([jnp.asarray(features[f"{name}_positions"]) for name in ("start", "end")], axis=-1)[:, None]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), at, axis=1).mean()


def plain_logits(p: Tree, features: Arrays) -> jax.Array:
    """The official SQuAD model on padded windows [n, S], written down plainly: logits [n, S, 2] of all positions."""
    embeddings, S = p["bert"]["embeddings"], features["input_ids"].shape[1]
    x = embeddings["word_embeddings"][features["input_ids"]] + embeddings["position_embeddings"][None, :S]
    x = _normalized(embeddings["LayerNorm"], x + embeddings["token_type_embeddings"][features["segment_ids"]])
    bias = -10000.0 * (1.0 - features["input_mask"][:, None, None].astype(jnp.float32))
    for number in range(CONFIG.num_hidden_layers):
        layer = p["bert"]["encoder"][f"layer_{number}"]
        attention = layer["attention"]
        q, k, v = (
            _dense(attention["self"][name], x).reshape(*x.shape[:2], CONFIG.num_attention_heads, -1)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("nqad,nkad->naqk", q, k) / q.shape[-1] ** 0.5 + bias
        context = jnp.einsum("naqk,nkad->nqad", jax.nn.softmax(scores), v).reshape(x.shape)
        x = _normalized(attention["output"]["LayerNorm"], x + _dense(attention["output"]["dense"], context))
        inner = jax.nn.gelu(_dense(layer["intermediate"]["dense"], x), approximate=True)
        x = _normalized(layer["output"]["LayerNorm"], x + _dense(layer["output"]["dense"], inner))
    return x @ p["cls"]["squad"]["output_weights"].T + p["cls"]["squad"]["output_bias"][None, None]


def _dense(p: Tree, x: jax.Array) -> jax.Array:
    return x @ p["kernel"] + p["bias"][None, None]


def _normalized(p: Tree, x: jax.Array) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    scale = jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-12)
    return centred / scale * p["gamma"][None, None] + p["beta"][None, None]
