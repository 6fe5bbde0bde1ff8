# SPDX-License-Identifier: Apache-2.0
"""Models of any size with any of the official heads, drawn by hypothesis."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from jaxbert.checkpoints import huggingface, names
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.weights import encoder_table, shapes

Weights = dict[str, np.ndarray]
HEADS = ("none", "classifier", "squad", "masked LM", "next sentence", "pretraining")


@st.composite
def models(draw: st.DrawFn, heads: Sequence[str] = HEADS) -> tuple[BertConfig, Weights]:
    """A configuration with 1 to 24 layers and small odd sizes, and random weights with one kind of head."""
    size = st.integers(1, 7)
    attention_heads = draw(size)
    config = BertConfig(
        vocab_size=draw(st.integers(1, 40)),
        hidden_size=attention_heads * draw(size),
        num_hidden_layers=draw(st.one_of(st.integers(1, 3), st.integers(1, 24))),
        num_attention_heads=attention_heads,
        intermediate_size=draw(st.integers(1, 15)),
        max_position_embeddings=draw(st.integers(1, 20)),
        type_vocab_size=draw(st.integers(1, 5)),
    )
    head = draw(st.sampled_from(heads))
    return config, random_weights(config, head, classes=draw(size), seed=draw(st.integers(0, 2**32 - 1)))


def random_weights(config: BertConfig, head: str = "none", classes: int = 3, seed: int = 0) -> Weights:
    """Weights of an encoder and of one kind of head: any bits that are a number."""
    random = np.random.default_rng(seed)
    sizes = shapes(encoder_table(config)) | _head_shapes(config, head, classes)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in sizes.items()}


def _head_shapes(config: BertConfig, head: str, classes: int) -> Mapping[str, tuple[int, ...]]:
    H = config.hidden_size
    transform = {name: (H, H) if name.endswith("kernel") else (H,) for name in names.MASKED_LM[0]}
    masked_lm = transform | {"cls/predictions/output_bias": (config.vocab_size,)}
    next_sentence = dict(zip(names.NEXT_SENTENCE, ((2, H), (2,)), strict=True))
    return {
        "none": {},
        "classifier": dict(zip(names.CLASSIFIER, ((classes, H), (classes,)), strict=True)),
        "squad": dict(zip(names.SQUAD, ((2, H), (2,)), strict=True)),
        "tagger": dict(zip(names.TAGGER, ((classes, H), (classes,)), strict=True)),
        "choice": dict(zip(names.CHOICE, ((1, H), (1,)), strict=True)),
        "masked LM": masked_lm,
        "next sentence": next_sentence,
        "pretraining": masked_lm | next_sentence,
    }[head]


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """The same names, and for each the same type, shape and bits."""
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name, strict=True)


def to_tf1(name: str, weight: np.ndarray, architecture: str | None = None) -> tuple[str, np.ndarray] | None:
    """TF1's name and shape of the weight `name` of this class of transformers; None if it is not BERT's."""
    ours = huggingface.tf1_name(name, architecture)
    return None if ours is None else (ours, huggingface.in_tf1_shape(ours, weight))
