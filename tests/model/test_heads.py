# SPDX-License-Identifier: Apache-2.0
"""The heads: answers on packed rows, each window as if it were alone; logits as the official pretrainer's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.batches.packing import pack
from jaxbert.batches.rows import lay_out
from jaxbert.model.dropout import token_bits
from jaxbert.model.heads import answer_spans, best_positions, pretrain, within_windows
from jaxbert.model.weights import flatten, initialize, squad_table, unflatten
from jaxbert.tasks.spans import span_targets
from jaxbert.train.losses import span_loss
from jaxbert.train.step import with_shares
from tests.golden.official import CONFIG, arrays
from tests.model.conftest import LENGTH, PLACES, ROW_LENGTH, SEQUENCES, official_rows


@pytest.fixture(scope="module")
def weights(config):
    """Weights of a SQuAD model, large enough that nothing is nearly linear."""
    return initialize(squad_table(config), seed=1, stddev=config.initializer_range)


@pytest.fixture(scope="module")
def windows(features):
    """Records with answers; one of them behind the hole in its mask, one window without an answer."""
    starts = np.array([2, 1, 5, 0, 11, 3, 1])
    return {**features, "start_positions": starts, "end_positions": np.array([9, 2, 7, 0, 11, 6, 1])}


def laid(windows, packed):
    """The windows in rows: packed, or each alone in a row of its own length."""
    lengths = np.count_nonzero(windows["input_mask"], axis=1).tolist()
    rows = pack(lengths, ROW_LENGTH, PLACES) if packed else [[index] for index in range(SEQUENCES)]
    sizes = (len(rows), ROW_LENGTH, PLACES) if packed else (SEQUENCES, LENGTH, 1)
    return lay_out(windows, np.arange(SEQUENCES), rows, sizes, span_targets)


@pytest.mark.parametrize("with_dropout", [False, True])
def test_packed_equals_alone(config, weights, windows, with_dropout):
    """Loss and all gradients are the same however windows share rows."""

    def loss(weights, batch):
        dropout_bits = token_bits(3, jnp.int32(7), batch["sequences"], batch["positions"]) if with_dropout else None
        logits = answer_spans(weights, config, batch, dropout_bits=dropout_bits)
        positions = (batch["start_positions"], batch["end_positions"])
        return span_loss(within_windows(logits, batch), *positions, batch["answer_weights"])

    found = [
        jax.jit(jax.value_and_grad(loss))(weights, with_shares(jax.tree.map(jnp.asarray, laid(windows, packed))))
        for packed in (True, False)
    ]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    one, other = (flatten(gradients) for _, gradients in found)
    for path, gradient in one.items():
        np.testing.assert_allclose(gradient, other[path], atol=1e-5 * max(1, np.abs(gradient).max()), err_msg=path)
    assert not any(np.asarray(gradient).any() for path, gradient in one.items() if "pooler" in path)


def test_targets_stand_where_the_answers_stand(windows):
    """The token at a target is the token at the position that the record says, holes or not."""
    batch = laid(windows, packed=True)
    for name in ("start_positions", "end_positions"):
        for row, slot in zip(*np.nonzero(batch["answer_weights"]), strict=True):
            record = batch["examples"][row, slot]
            at = batch[name][row, slot]
            assert batch["positions"][row, at] == windows[name][record]
            assert batch["input_ids"][row, at] == windows["input_ids"][record, windows[name][record]]
    assert batch["answer_weights"].sum() == SEQUENCES


@pytest.mark.parametrize("count", [1, 4, 20])
def test_best_positions_are_those_of_a_stable_sort(windows, count):
    """Of each window the best positions, ties by position, as the original's sort gives them; none of a neighbour."""
    batch = laid(windows, packed=True)
    generator = np.random.default_rng(0)
    logits = generator.integers(-2, 3, (*batch["input_ids"].shape, 2)).astype(np.float32)
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    found = jax.tree.map(np.asarray, jax.jit(best_positions, static_argnums=2)(jnp.asarray(logits), arrays, count))
    for row, slot in zip(*np.nonzero(batch["examples"] >= 0), strict=True):
        start = batch["cls_positions"][row, slot]
        own = logits[row][batch["sequences"][row] == batch["sequences"][row, start]]
        for channel, (positions, values) in enumerate((("starts", "start_logits"), ("ends", "end_logits"))):
            best = np.argsort(-own[:, channel], kind="stable")[:count]
            np.testing.assert_array_equal(found[positions][row, slot][: len(best)], best)
            np.testing.assert_array_equal(found[values][row, slot][: len(best)], own[best, channel])
            assert np.isneginf(found[values][row, slot][len(best) :]).all()
        np.testing.assert_array_equal(found["null_logits"][row, slot], own[0])


def test_official_logits_of_pretraining():
    """Logits of both heads equal those of the official pretrainer within 2e-5."""
    golden = arrays("encoder")
    compiled = jax.jit(pretrain, static_argnums=1, static_argnames="next_sentence")
    masked, following = compiled(unflatten(arrays("weights")), CONFIG, official_rows(golden), next_sentence=True)
    np.testing.assert_allclose(masked[..., : CONFIG.vocab_size : 3], golden["masked_lm_logits"], atol=2e-5)
    np.testing.assert_allclose(following[:, 0], golden["next_sentence_logits"], atol=2e-5)
