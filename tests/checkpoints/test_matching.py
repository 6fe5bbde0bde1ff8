# SPDX-License-Identifier: Apache-2.0
"""Comparing found with expected weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import OtherShape, match
from jaxbert.errors import InputError

_HEAD = {"output_weights": (2, 6), "output_bias": (2,)}
_NAMES = st.sampled_from([f"cls/{letter}" for letter in "abcdef"])
_SHAPES = st.dictionaries(_NAMES, st.sampled_from([(), (2,), (3,), (2, 2)]))


def _shapes(weights: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: weight.shape for name, weight in weights.items()}


@given(_SHAPES, _SHAPES)
def test_every_weight_has_exactly_one_fate(found: dict, expected: dict) -> None:
    """Expected weights are loaded, missing or of other shape; found ones are loaded, of other shape or unused."""
    report = match({name: np.zeros(shape) for name, shape in found.items()}, expected, "file")
    other = [other.name for other in report.other_shapes]
    assert sorted((*report.loaded, *report.missing, *other)) == sorted(expected)
    assert sorted((*report.loaded, *report.unused, *other)) == sorted(found)
    assert all(found[name] == expected[name] for name in report.loaded)
    assert report.expected_values == sum(int(np.prod(shape)) for shape in expected.values())


def test_the_report_says_what_was_loaded_and_what_not(tiny_weights: dict[str, np.ndarray]) -> None:
    """One line with counts, share of the values, leftovers, and weights that keep their initial value."""
    expected = _shapes(tiny_weights) | _HEAD
    found = tiny_weights | {"cls/predictions/output_bias": np.zeros(11)}
    report = match(found, expected, "bert.ckpt", unused=("78 optimizer slots",))
    percent = 100 * report.loaded_values / (report.loaded_values + 14)
    assert str(report) == (
        f"loaded 39 of 41 expected tensors ({percent:.1f} % of the values) from bert.ckpt; not used: "
        "cls/predictions/output_bias, 78 optimizer slots; stay at their initial value: output_weights, output_bias"
    )


def test_a_head_for_other_classes_stays_at_its_initial_value(tiny_weights: dict[str, np.ndarray]) -> None:
    """A classifier of three classes does not stop a model of two: it is reported."""
    found = tiny_weights | {"output_weights": np.zeros((3, 6)), "output_bias": np.zeros(2)}
    report = match(found, _shapes(tiny_weights) | _HEAD, "bert.ckpt")
    assert report.other_shapes == (OtherShape("output_weights", (3, 6), (2, 6)),)
    assert "initial value: output_weights (file [3, 6], model [2, 6])" in str(report)


@pytest.mark.parametrize(
    ("name", "axis", "setting"),
    [
        ("bert/embeddings/word_embeddings", 0, "vocab_size"),
        ("bert/embeddings/position_embeddings", 0, "max_position_embeddings"),
        ("bert/embeddings/token_type_embeddings", 0, "type_vocab_size"),
        ("bert/embeddings/word_embeddings", 1, "hidden_size"),
        ("bert/encoder/layer_1/intermediate/dense/kernel", 1, "intermediate_size"),
    ],
)
def test_a_weight_of_another_size_names_the_setting(
    name: str, axis: int, setting: str, tiny_weights: dict[str, np.ndarray]
) -> None:
    """An encoder weight of another shape is refused with both shapes and the setting to look at."""
    expected = _shapes(tiny_weights)
    sizes = list(expected[name])
    sizes[axis] += 5
    expected[name] = tuple(sizes)
    file, ours = tiny_weights[name].shape[axis], sizes[axis]
    with pytest.raises(InputError) as caught:
        match(tiny_weights, expected, "bert.ckpt")
    assert f"{name} (file {list(tiny_weights[name].shape)}, model {sizes})" in caught.value.message
    assert f"{setting} differs: file {file}, bert_config.json {ours}" in caught.value.hint
    assert match(tiny_weights, expected, "bert.ckpt", allow_partial=True).other_shapes[0].name == name


@pytest.mark.parametrize(("choice", "is_told"), [(None, False), (False, True)])
def test_what_allows_a_part_is_told_where_it_is_there(
    choice: bool | None, is_told: bool, tiny_weights: dict[str, np.ndarray]
) -> None:
    """Only trainers can begin with a part of an encoder; other commands have no such flag."""
    found = {name: weight for name, weight in tiny_weights.items() if "layer_1" not in name}
    with pytest.raises(InputError) as caught:
        match(found, _shapes(tiny_weights), "bert.ckpt", allow_partial=choice)
    assert ("--allow_partial_init" in caught.value.hint) == is_told


def test_missing_layers_are_refused(tiny_weights: dict[str, np.ndarray]) -> None:
    """A file with one layer does not fill a model with two, and the message counts and shortens."""
    found = {name: weight for name, weight in tiny_weights.items() if "layer_1" not in name}
    with pytest.raises(InputError) as caught:
        match(found, _shapes(tiny_weights), "bert.ckpt")
    assert "16 of 39 expected tensors are missing" in caught.value.message
    assert caught.value.message.endswith(" and 10 more")
    assert "num_hidden_layers differs: file 1, bert_config.json 2" in caught.value.hint


def test_further_layers_are_refused(tiny_weights: dict[str, np.ndarray]) -> None:
    """A model with one layer does not silently take the first of two."""
    expected = {name: shape for name, shape in _shapes(tiny_weights).items() if "layer_1" not in name}
    with pytest.raises(InputError, match=r"16 tensors of further layers(.|\n)*num_hidden_layers differs: file 2"):
        match(tiny_weights, expected, "bert.ckpt")
    assert len(match(tiny_weights, expected, "bert.ckpt", allow_partial=True).unused) == 16


def test_an_encoder_without_a_pooler_may_be_expected(tiny_weights: dict[str, np.ndarray]) -> None:
    """A model that needs no pooler takes an encoder with one: it is only reported as unused."""
    expected = {name: shape for name, shape in _shapes(tiny_weights).items() if "pooler" not in name}
    report = match(tiny_weights, expected, "bert.ckpt")
    assert report.unused == ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")


def test_a_pooler_may_be_missing_as_a_whole(tiny_weights: dict[str, np.ndarray]) -> None:
    """Models of a masked LM or of answers are stored without one; half a pooler is damage."""
    rest = {name: weight for name, weight in tiny_weights.items() if name not in names.POOLER}
    report = match(rest, _shapes(tiny_weights), "bert.ckpt")
    assert set(report.missing) == set(names.POOLER)
    half = rest | {names.POOLER[0]: tiny_weights[names.POOLER[0]]}
    with pytest.raises(InputError, match="does not fit the model: 1 of 39 expected tensors are missing"):
        match(half, _shapes(tiny_weights), "bert.ckpt")
