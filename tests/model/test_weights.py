# SPDX-License-Identifier: Apache-2.0
"""The table of weights names what the released checkpoints hold, and fresh weights depend on their own path only."""

import dataclasses

import jax
import numpy as np

from jaxbert.config.bert_config import BertConfig
from jaxbert.model.weights import Weight, classifier_table, encoder_table, flatten, initialize, shapes, unflatten


def test_counts_of_the_released_models():
    """An encoder has 5 + 16 L + 2 weights: 199 for base, 391 for large; base has 110 million numbers."""
    base = encoder_table(BertConfig(vocab_size=30522, type_vocab_size=2))
    large = encoder_table(BertConfig(vocab_size=30522, type_vocab_size=2, num_hidden_layers=24))
    assert (len(base), len(large)) == (199, 391)
    assert sum(int(np.prod(shape)) for shape in shapes(base).values()) == 109_482_240


def test_names_are_those_of_tf1(shared):
    """The names and shapes of a TF1 encoder are ours, none more and none fewer."""
    master = np.load(shared / "official" / "master_weights_tf1_names.npz")
    config = BertConfig(
        vocab_size=525, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, type_vocab_size=2,
    )  # fmt: skip
    official = {name: master[name].shape for name in master.files if name.startswith("bert/")}
    assert shapes(encoder_table(config)) == official


def test_only_kernels_and_embeddings_decay(config):
    """Weight decay leaves out exactly the biases and LayerNorm's weights."""
    kept = {path for path, weight in classifier_table(config, 2).items() if not weight.decays}
    assert kept == {path for path in classifier_table(config, 2) if "LayerNorm" in path or path.endswith("bias")}


def test_flatten_and_unflatten_are_inverse(config, weights):
    """A tree comes back from its flat form."""
    again = unflatten(flatten(weights))
    assert jax.tree.structure(again) == jax.tree.structure(weights)
    assert set(flatten(weights)) == set(classifier_table(config, 3))


def test_initial_values(config):
    """Normal weights keep the standard deviation of a normal cut at two deviations; others are 0 and 1."""
    table = encoder_table(dataclasses.replace(config, vocab_size=4000))
    fresh = flatten(initialize(table, seed=3, stddev=0.02))
    words = np.asarray(fresh["bert/embeddings/word_embeddings"])
    assert np.abs(words).max() <= 0.04
    # sqrt(1 - 4 pdf(2) / (cdf(2) - cdf(-2))): the deviation of a standard normal cut at 2.
    assert abs(words.std() - 0.02 * 0.87962) < 5 * 0.02 / np.sqrt(2 * words.size)
    assert (np.asarray(fresh["bert/embeddings/LayerNorm/gamma"]) == 1).all()
    assert (np.asarray(fresh["bert/pooler/dense/bias"]) == 0).all()


def test_a_new_head_changes_no_weight(config):
    """Adding a weight leaves the initial values of the others as they were; another seed does not."""
    table = encoder_table(config)
    path = "bert/pooler/dense/kernel"
    one = flatten(initialize(table, 3, 0.02))[path]
    np.testing.assert_array_equal(
        one, flatten(initialize({"aaa": Weight((2,), "normal", True)} | table, 3, 0.02))[path]
    )
    assert (np.asarray(one) != np.asarray(flatten(initialize(table, 4, 0.02))[path])).any()
