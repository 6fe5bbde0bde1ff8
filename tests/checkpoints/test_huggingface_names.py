# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of Hugging Face's weights and ours."""

import numpy as np
import pytest

from jaxbert.checkpoints import huggingface, names


def test_every_weight_goes_there_and_back() -> None:
    """Names differ from one another on the other side, and come back with the same bits and shape."""
    random = np.random.default_rng(0)
    theirs = {}
    for name in names.weight_names(layers=24):
        weight = random.normal(size=(3, 4) if name.endswith(("kernel", "embeddings")) else 3)
        there, stored = huggingface.to_huggingface(name, weight)
        theirs[there] = stored
        back = huggingface.to_tf1(there, stored)
        assert back is not None
        assert back[0] == name
        np.testing.assert_array_equal(back[1], weight, strict=True)
    assert len(theirs) == len(names.weight_names(layers=24))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("bert.embeddings.word_embeddings.weight", "bert/embeddings/word_embeddings"),
        ("embeddings.LayerNorm.gamma", "bert/embeddings/LayerNorm/gamma"),
        ("encoder.layer.11.attention.output.dense.weight", "bert/encoder/layer_11/attention/output/dense/kernel"),
        ("bert.encoder.layer.3.output.LayerNorm.bias", "bert/encoder/layer_3/output/LayerNorm/beta"),
        ("pooler.dense.bias", "bert/pooler/dense/bias"),
        ("cls.predictions.transform.LayerNorm.beta", "cls/predictions/transform/LayerNorm/beta"),
        ("cls.predictions.transform.dense.weight", "cls/predictions/transform/dense/kernel"),
        ("cls.predictions.bias", "cls/predictions/output_bias"),
        ("cls.seq_relationship.weight", "cls/seq_relationship/output_weights"),
        ("classifier.bias", "output_bias"),
        ("qa_outputs.weight", "cls/squad/output_weights"),
    ],
)
def test_names_of_transformers_are_known(theirs: str, ours: str) -> None:
    """Names as transformers writes them, with and without prefix, new and old."""
    assert huggingface.tf1_name(theirs) == ours


@pytest.mark.parametrize(
    "name",
    [
        "roberta.encoder.layer.0.output.dense.weight",
        "bert.encoder.layer.007.output.dense.weight",
        "bert.encoder.layer.0.output.dense.kernel",
        "bert.encoder.layer.0.crossattention.self.query.weight",
        "cls.predictions.decoder.weight",
        "embeddings.position_ids",
        "lstm.weight",
        "",
    ],
)
def test_other_names_are_not(name: str) -> None:
    """What is not a weight of BERT has no name with us."""
    assert huggingface.tf1_name(name) is None
    assert huggingface.to_tf1(name, np.zeros((2, 2))) is None


def test_dense_kernels_are_transposed_and_heads_are_not() -> None:
    """A kernel [in, out] is stored [out, in]; TF1's dense heads are [C, H] on both sides."""
    kernel = np.arange(6.0).reshape(2, 3)
    name, stored = huggingface.to_huggingface("bert/encoder/layer_0/intermediate/dense/kernel", kernel)
    assert (name, stored.shape) == ("bert.encoder.layer.0.intermediate.dense.weight", (3, 2))
    assert huggingface.to_huggingface("output_weights", kernel)[1] is kernel
