# SPDX-License-Identifier: Apache-2.0
"""Finding the encoder and its heads in TF2 object graphs of every layout."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from jaxbert.checkpoints import names
from jaxbert.checkpoints.load import read_initial
from jaxbert.errors import InputError

_HEADS = 2
_OLD_DENSE = "layer_with_weights-1/layer_with_weights-0"
_KERNEL = np.arange(12, dtype=np.float32).reshape(6, 2)
_BIAS = np.array([0.25, -0.5], dtype=np.float32)
Save = Callable[..., None]


def _encoder(weights: Mapping[str, np.ndarray], layout: names.Layout, place: str) -> dict[str, np.ndarray]:
    """The variables (path -> array) of an encoder at `place` as official code of this layout stores them."""
    keep_shape = layout is names.STACKED
    return {
        f"{place}{path}": weights[name] if keep_shape else names.to_tf2(names.form_of(name), weights[name], _HEADS)
        for name, path in layout.paths(2).items()
    }


def _assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name, strict=True)


@pytest.mark.parametrize("layout", names.LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("place", ["model/", "encoder/", "model/layer_with_weights-0/", "a/b/encoder_network/", ""])
def test_an_encoder_is_found_wherever_it_stands(
    layout: names.Layout, place: str, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Every layout under every root gives back all weights in TF1's shapes, with a word on what was found."""
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, place))
    read = read_initial(f"{tmp_path}/c")
    _assert_same(read.weights, tiny_weights)
    assert layout.name in read.layout
    assert f"`{place[:-1]}`" in read.layout if place else "itself is the root" in read.layout
    assert read.unused == ()
    assert read.attention_heads == (None if layout is names.STACKED else _HEADS)


def test_a_shared_word_embedding_is_found_through_the_graph(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Pretrainers store the table only with the masked LM head; the encoder's own path leads to it in the graph."""
    variables = _encoder(tiny_weights, names.FUNCTIONAL_B, "encoder/")
    table = variables.pop("encoder/layer_with_weights-0/embeddings")
    head = {"dense/kernel": _KERNEL, "dense/bias": _BIAS, "layer_norm/gamma": _BIAS, "layer_norm/beta": _BIAS}
    variables |= {f"masked_lm/{path}": array for path, array in {"bias": _BIAS, **head}.items()}
    variables["masked_lm/embedding_table"] = table
    aliases = {"encoder/layer_with_weights-0/embeddings": "masked_lm/embedding_table", "encoder/owner": "encoder"}
    save_tf2(f"{tmp_path}/c", variables, aliases)
    read = read_initial(f"{tmp_path}/c")
    heads = dict(zip(names.MASKED_LM[0], (_KERNEL, _BIAS, _BIAS, _BIAS, _BIAS), strict=True))
    _assert_same(read.weights, tiny_weights | heads)


def _model_with_head(weights: Mapping[str, np.ndarray], head: str, kernel: np.ndarray) -> dict[str, np.ndarray]:
    encoder = _encoder(weights, names.FUNCTIONAL_A, "model/layer_with_weights-0/")
    return encoder | {f"model/{head}/kernel": kernel, f"model/{head}/bias": _BIAS}


def _layer_numbers(encoder: int, head: int) -> dict[str, str]:
    return {
        f"model/layer-{encoder}": "model/layer_with_weights-0",
        f"model/layer-{head}": "model/layer_with_weights-1",
    }


@pytest.mark.parametrize(
    ("head", "outputs", "numbers", "found"),
    [
        ("layer_with_weights-1/out_proj", 2, {}, names.CLASSIFIER),
        (_OLD_DENSE, 3, {}, names.CLASSIFIER),
        (_OLD_DENSE, 2, _layer_numbers(3, 5), names.CLASSIFIER),
        (_OLD_DENSE, 2, _layer_numbers(3, 4), names.SQUAD),
    ],
)
def test_heads_get_their_tf1_names_and_shapes(
    head: str,
    outputs: int,
    numbers: dict[str, str],
    found: tuple[str, str],
    tiny_weights: dict[str, np.ndarray],
    save_tf2: Save,
    tmp_path: Path,
) -> None:
    """Classifier (both namings) and SQuAD heads are told apart, and kernels are transposed to [C, H]."""
    kernel = np.arange(6 * outputs, dtype=np.float32).reshape(6, outputs)
    save_tf2(f"{tmp_path}/c", _model_with_head(tiny_weights, head, kernel), numbers)
    expected = tiny_weights | dict(zip(found, (kernel.T, _BIAS), strict=True))
    _assert_same(read_initial(f"{tmp_path}/c").weights, expected)


def test_a_head_with_half_a_pooler_is_not_taken(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """A head that does not read the encoder's pooler would give wrong scores with it: it stays unused."""
    variables = _model_with_head(tiny_weights, "layer_with_weights-1/out_proj", _KERNEL)
    save_tf2(f"{tmp_path}/c", variables | {"model/layer_with_weights-1/dense/kernel": _KERNEL})
    read = read_initial(f"{tmp_path}/c")
    _assert_same(read.weights, tiny_weights)
    assert len(read.unused) == 3


def test_a_head_of_unclear_kind_is_used_only_as_the_caller_says(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """Where the graph does not tell classifier from SQuAD, the head is unused unless the caller names its kind."""
    save_tf2(f"{tmp_path}/c", _model_with_head(tiny_weights, _OLD_DENSE, _KERNEL))
    read = read_initial(f"{tmp_path}/c")
    _assert_same(read.weights, tiny_weights)
    assert [key.split("/.")[0] for key in read.unused] == [f"model/{_OLD_DENSE}/bias", f"model/{_OLD_DENSE}/kernel"]
    for kind, found in (("classifier", names.CLASSIFIER), ("squad", names.SQUAD)):
        weights = read_initial(f"{tmp_path}/c", kind).weights
        _assert_same(weights, tiny_weights | dict(zip(found, (_KERNEL.T, _BIAS), strict=True)))


def test_the_first_pretrainers_heads_are_found(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The masked LM of 2.2 is three numbered layers; the dense head beside it is next sentence prediction."""
    place = "model/layer_with_weights-0"
    variables = _encoder(tiny_weights, names.FUNCTIONAL_A, f"{place}/layer_with_weights-0/")
    variables |= {f"{place}/layer_with_weights-1/{path}": _BIAS for path in names.MASKED_LM[1].values()}
    dense = f"{place}/layer_with_weights-2/layer_with_weights-0"
    variables |= {f"{dense}/kernel": _KERNEL, f"{dense}/bias": _BIAS}
    save_tf2(f"{tmp_path}/c", variables)
    expected = tiny_weights | dict.fromkeys(names.MASKED_LM[1], _BIAS)
    expected |= dict(zip(names.NEXT_SENTENCE, (_KERNEL.T, _BIAS), strict=True))
    _assert_same(read_initial(f"{tmp_path}/c").weights, expected)


def test_two_encoders_are_refused(tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path) -> None:
    """Which of two encoders is meant cannot be guessed: both places are named."""
    layout = names.FUNCTIONAL_B
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, "student/") | _encoder(tiny_weights, layout, "teacher/"))
    with pytest.raises(InputError, match=r"holds 2 encoders: (`student`, `teacher`|`teacher`, `student`)"):
        read_initial(f"{tmp_path}/c")


def test_an_incomplete_encoder_gives_what_is_there(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """A missing weight does not hide the others: what to do about it is decided where the model is known."""
    variables = _encoder(tiny_weights, names.LAYER_STYLE_C, "encoder/")
    del variables["encoder/_pooler_layer/bias"]
    save_tf2(f"{tmp_path}/c", variables)
    read = read_initial(f"{tmp_path}/c")
    assert tiny_weights.keys() - read.weights.keys() == {"bert/pooler/dense/bias"}


def _newer_pretrainer(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model in pretraining whose next sentence head has a pooler of its own, and the masked LM head beside it."""
    masked_lm = {"dense/kernel": _KERNEL, "dense/bias": _BIAS, "layer_norm/gamma": _BIAS, "layer_norm/beta": _BIAS}
    head = {"dense/kernel": _POOLER, "dense/bias": _POOLER[0], "out_proj/kernel": _KERNEL, "out_proj/bias": _BIAS}
    return (
        _encoder(weights, names.LAYER_STYLE_C, "model/encoder_network/")
        | {f"model/masked_lm/{path}": array for path, array in {"bias": _BIAS, **masked_lm}.items()}
        | {f"model/classification_heads/0/{path}": array for path, array in head.items()}
    )


_POOLER = np.arange(36, dtype=np.float32).reshape(6, 6)


def test_the_trained_pooler_is_that_of_the_head(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The newer pretrainer trains the pooler of its next sentence head; the encoder's is left over."""
    aliases = {"model/_config/encoder_network": "model/encoder_network"}
    aliases["model/_config/classification_heads"] = "model/classification_heads"
    save_tf2(f"{tmp_path}/c", _newer_pretrainer(tiny_weights), aliases)
    read = read_initial(f"{tmp_path}/c")
    trained = dict(zip(names.POOLER, (_POOLER, _POOLER[0]), strict=True))
    heads = dict(
        zip((*names.MASKED_LM[0], *names.NEXT_SENTENCE), (_KERNEL, *[_BIAS] * 4, _KERNEL.T, _BIAS), strict=True)
    )
    _assert_same(read.weights, tiny_weights | trained | heads)
    assert [key.split("/")[2] for key in read.unused] == ["_pooler_layer"] * 2


def test_the_trained_pooler_is_known_by_its_name(
    tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """The parts of such a model are also saved by name, the pooler without its head."""
    variables = _encoder(tiny_weights, names.LAYER_STYLE_C, "encoder/")
    pooler = {"next_sentence.pooler_dense/kernel": _POOLER, "next_sentence.pooler_dense/bias": _POOLER[0]}
    save_tf2(f"{tmp_path}/c", variables | pooler)
    read = read_initial(f"{tmp_path}/c")
    _assert_same(read.weights, tiny_weights | dict(zip(names.POOLER, pooler.values(), strict=True)))


@pytest.mark.parametrize(
    ("hub_layer", "head", "found"),
    [
        ("layer_with_weights-0", "", names.CLASSIFIER),
        ("layer_with_weights-0/layer_with_weights-0", "/layer_with_weights-0", names.SQUAD),
    ],
)
def test_models_around_a_hub_module_are_read(
    hub_layer: str,
    head: str,
    found: tuple[str, str],
    tiny_weights: dict[str, np.ndarray],
    save_tf2: Save,
    tmp_path: Path,
) -> None:
    """Where official code trains a hub module, the encoder is inside a layer, and the classifier a bare dense layer."""
    variables = _encoder(tiny_weights, names.FUNCTIONAL_A, f"model/{hub_layer}/_func/layer_with_weights-0/")
    variables |= {f"model/layer_with_weights-1{head}/kernel": _KERNEL, f"model/layer_with_weights-1{head}/bias": _BIAS}
    variables[f"model/{hub_layer}/Variable:0"] = np.array(True)
    steps = 2 if found == names.CLASSIFIER else 1
    save_tf2(f"{tmp_path}/c", variables, _layer_numbers(3, 3 + steps))
    read = read_initial(f"{tmp_path}/c")
    _assert_same(read.weights, tiny_weights | dict(zip(found, (_KERNEL.T, _BIAS), strict=True)))
    assert read.unused == ()


@pytest.mark.parametrize("layout", names.LAYOUTS, ids=lambda layout: layout.name)
def test_weights_saved_by_keras_are_read(
    layout: names.Layout, tiny_weights: dict[str, np.ndarray], save_tf2: Save, tmp_path: Path
) -> None:
    """`save_weights` makes the model the root: an encoder, or a classifier around it."""
    head = {"layer_with_weights-1/out_proj/kernel": _KERNEL, "layer_with_weights-1/out_proj/bias": _BIAS}
    save_tf2(f"{tmp_path}/c", _encoder(tiny_weights, layout, "layer_with_weights-0/") | head)
    expected = tiny_weights | dict(zip(names.CLASSIFIER, (_KERNEL.T, _BIAS), strict=True))
    _assert_same(read_initial(f"{tmp_path}/c").weights, expected)
