# SPDX-License-Identifier: Apache-2.0
"""The tables of weight names and their TF2 counterparts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints import names

_A, _B, _C, _2019 = names.LAYOUTS
_BLOCK = "layer_with_weights-4"


@pytest.mark.parametrize(("layers", "count"), [(0, 7), (12, 199), (24, 391)])
def test_an_encoder_has_the_official_number_of_weights(layers: int, count: int) -> None:
    """7 weights outside the layers and 16 in each, all distinct, as in the released models."""
    assert len(set(names.encoder_names(layers))) == count


def test_only_official_names_are_weights() -> None:
    """Weights of encoder and heads are known by name; slots, counters and look-alikes are not."""
    assert all(map(names.is_weight, names.encoder_names(3)))
    assert all(map(names.is_weight, (*names.CLASSIFIER, *names.SQUAD, *names.NEXT_SENTENCE)))
    others = ["global_step", "bert/pooler/dense/kernel/adam_m", "bert/encoder/layer_00/output/dense/bias", "layer_0"]
    assert not any(map(names.is_weight, others))


@pytest.mark.parametrize("layout", names.LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("layers", [1, 3])
def test_every_layout_has_a_path_for_every_weight(layout: names.Layout, layers: int) -> None:
    """A layout's paths are distinct and cover the encoder completely."""
    paths = layout.paths(layers)
    assert set(paths) == set(names.encoder_names(layers))
    assert len(set(paths.values())) == len(paths)


@pytest.mark.parametrize(
    ("layout", "name", "path"),
    [
        (_A, "embeddings/word_embeddings", "layer_with_weights-0/embeddings"),
        (_A, "embeddings/position_embeddings", "layer_with_weights-1/embeddings"),
        (_B, "embeddings/token_type_embeddings", "layer_with_weights-2/embeddings"),
        (_B, "embeddings/LayerNorm/beta", "layer_with_weights-3/beta"),
        (_A, "encoder/layer_1/attention/self/key/bias", "layer_with_weights-5/_attention_layer/_key_dense/bias"),
        (_A, "encoder/layer_0/attention/output/dense/bias", f"{_BLOCK}/_attention_output_dense/bias"),
        (_B, "encoder/layer_0/attention/output/dense/bias", f"{_BLOCK}/_attention_layer/_output_dense/bias"),
        (_A, "encoder/layer_0/attention/output/LayerNorm/gamma", f"{_BLOCK}/_attention_layer_norm/gamma"),
        (_B, "encoder/layer_2/intermediate/dense/kernel", "layer_with_weights-6/_intermediate_dense/kernel"),
        (_B, "encoder/layer_2/output/dense/kernel", "layer_with_weights-6/_output_dense/kernel"),
        (_B, "encoder/layer_2/output/LayerNorm/beta", "layer_with_weights-6/_output_layer_norm/beta"),
        (_A, "pooler/dense/kernel", "layer_with_weights-7/kernel"),
        (_C, "embeddings/token_type_embeddings", "_type_embedding_layer/embeddings"),
        (_C, "embeddings/LayerNorm/gamma", "_embedding_norm_layer/gamma"),
        (_C, "encoder/layer_1/attention/self/value/bias", "_transformer_layers/1/_attention_layer/_value_dense/bias"),
        (_C, "pooler/dense/bias", "_pooler_layer/bias"),
        (_2019, "embeddings/token_type_embeddings", "embedding_postprocessor/type_embeddings"),
        (_2019, "encoder/layer_1/attention/self/query/bias", "encoder/layers/1/attention_layer/query_dense/bias"),
        (_2019, "encoder/layer_1/output/LayerNorm/beta", "encoder/layers/1/output_layer_norm/beta"),
        (_2019, "pooler/dense/kernel", "pooler_transform/kernel"),
    ],
)
def test_paths_are_those_of_official_files(layout: names.Layout, name: str, path: str) -> None:
    """The tables say what official code wrote into files, for an encoder of three layers."""
    assert layout.paths(3)[f"bert/{name}"] == path


@given(st.sampled_from(names.Form), st.integers(1, 3), st.integers(0, 3), st.integers(1, 4))
def test_shapes_change_and_change_back(form: names.Form, heads: int, head_size: int, outputs: int) -> None:
    """A weight brought into TF2's shape and back is the same; the TF2 shape is the documented one."""
    H = heads * head_size
    shapes = {names.Form.PROJECTION_BIAS: (H,), names.Form.TRANSPOSED: (outputs, H)}
    shape = shapes.get(form, (outputs, H) if form is names.Form.PROJECTION else (H, outputs))
    weight = np.arange(H * outputs if len(shape) == 2 else H, dtype=np.float32).reshape(shape)
    if H == 0:
        return
    tf2 = names.to_tf2(form, weight, heads)
    assert tf2.ndim == {"P": weight.ndim + 1, "A": 3}.get(form.name[0], weight.ndim)
    np.testing.assert_array_equal(names.to_tf1(form, tf2), weight)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("bert/encoder/layer_11/attention/self/key/kernel", names.Form.PROJECTION),
        ("bert/encoder/layer_0/attention/self/value/bias", names.Form.PROJECTION_BIAS),
        ("bert/encoder/layer_0/attention/output/dense/kernel", names.Form.ATTENTION_OUTPUT),
        ("bert/encoder/layer_0/attention/output/dense/bias", names.Form.SAME),
        ("bert/encoder/layer_0/output/dense/kernel", names.Form.SAME),
        ("output_weights", names.Form.TRANSPOSED),
        ("cls/squad/output_weights", names.Form.TRANSPOSED),
    ],
)
def test_forms_are_the_official_ones(name: str, form: names.Form) -> None:
    """Only attention's kernels and biases and the heads' kernels are stored in another shape."""
    assert names.form_of(name) is form
