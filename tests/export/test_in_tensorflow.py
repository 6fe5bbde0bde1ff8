# SPDX-License-Identifier: Apache-2.0
"""SavedModels in TensorFlow, tensorflow_hub and tf_keras: they load, compute what we do, and learn."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from jaxbert.export.network import IDS, MASK, POSITIONS, TYPES, Kind
from jaxbert.export.saved_model import write_saved_model
from tests.export.tiny_exports import KINDS, VOCAB, assert_close, exported, our_results, random_inputs

pytestmark = pytest.mark.interop
_INPUTS = (IDS, MASK, TYPES)


@pytest.fixture
def tensorflow() -> ModuleType:
    """TensorFlow, where it is installed."""
    return pytest.importorskip("tensorflow")


@pytest.fixture
def hub(tensorflow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tensorflow_hub on tf_keras, which it needs."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    pytest.importorskip("tf_keras")
    return pytest.importorskip("tensorflow_hub")


def _tensors(tensorflow: ModuleType, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: tensorflow.constant(array) for name, array in inputs.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_servers_compute_what_we_do(tensorflow: ModuleType, kind: Kind, tmp_path: Path) -> None:
    """`serving_default` in TensorFlow 2, for any number of rows and positions."""
    model = exported(kind)
    write_saved_model(str(tmp_path), model)
    loaded = tensorflow.saved_model.load(str(tmp_path))
    signature = loaded.signatures["serving_default"]
    arguments = signature.structured_input_signature[1]
    for rows, positions in ((3, 7), (1, 7), (2, 3)):
        inputs = {name: array[:rows, :positions] for name, array in random_inputs(model.config, seed=rows).items()}
        found = signature(**{name: tensorflow.constant(inputs[name]) for name in arguments})
        assert_close({name: x.numpy() for name, x in found.items()}, our_results(model, inputs), inputs[MASK])


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_around_functions_does_the_same(tensorflow: ModuleType, kind: Kind, tmp_path: Path) -> None:
    """As TensorFlow 1 and servers in C++ load it: by the operations that restore variables, and one that calls."""
    model = exported(kind)
    write_saved_model(str(tmp_path), model)
    inputs = random_inputs(model.config, seed=1)
    with tensorflow.Graph().as_default(), tensorflow.compat.v1.Session() as session:
        signature = tensorflow.compat.v1.saved_model.load(session, ["serve"], str(tmp_path)).signature_def
        arguments, results = signature["serving_default"].inputs, signature["serving_default"].outputs
        found = session.run(
            {name: results[name].name for name in results}, {arguments[name].name: inputs[name] for name in arguments}
        )
    assert_close(found, our_results(model, inputs), inputs[MASK])


def test_hub_load_gives_a_module(tensorflow: ModuleType, hub: ModuleType, tmp_path: Path) -> None:
    """A dict in, the dict of modules /3 and /4 out; a list in, a list out as of /1; vocabulary and case rule."""
    model = exported("encoder")
    write_saved_model(str(tmp_path), model)
    module = hub.load(str(tmp_path))
    inputs = random_inputs(model.config, seed=2)
    tensors = _tensors(tensorflow, {name: inputs[name] for name in _INPUTS})
    found = {name: np.array(value) for name, value in module(tensors).items()}
    assert found.keys() == {"default", "encoder_outputs", "pooled_output", "sequence_output"}
    np.testing.assert_array_equal(found["default"], found["pooled_output"])
    np.testing.assert_array_equal(found["encoder_outputs"][-1], found["sequence_output"])
    assert len(found["encoder_outputs"]) == model.config.num_hidden_layers
    last = {name: found[name] for name in ("pooled_output", "sequence_output")}
    assert_close(last, our_results(model, inputs), inputs[MASK])
    pooled, sequence = module([tensors[name] for name in _INPUTS], training=False)
    np.testing.assert_array_equal(pooled, last["pooled_output"])
    np.testing.assert_array_equal(sequence, last["sequence_output"])
    assert Path(module.vocab_file.asset_path.numpy().decode()).read_text() == VOCAB
    assert module.do_lower_case.numpy()
    assert {variable.name.removesuffix(":0") for variable in module.trainable_variables} == model.weights.keys()


def test_a_module_learns(tensorflow: ModuleType, hub: ModuleType, tmp_path: Path) -> None:
    """One step of a model around `hub.KerasLayer` changes every weight; in training results are drawn."""
    from tf_keras import Input, Model, layers

    write_saved_model(str(tmp_path), model := exported("encoder"))
    layer = hub.KerasLayer(str(tmp_path), trainable=True)
    arguments = {name: Input((None,), dtype=tensorflow.int32, name=name) for name in _INPUTS}
    classifier = Model(arguments, layers.Dense(2)(layer(arguments)["pooled_output"]))
    classifier.compile("sgd", "mse")
    before = {weight.name: weight.numpy() for weight in layer.trainable_weights}
    assert len(before) == len(model.weights)
    inputs = random_inputs(model.config, seed=3)
    tensors = _tensors(tensorflow, {name: inputs[name] for name in _INPUTS})
    classifier.train_on_batch(tensors, np.ones((3, 2), np.float32))
    # A bias of keys adds the same to all scores of a query: its gradient is zero but for rounding.
    assert [
        weight.name
        for weight in layer.trainable_weights
        if "key/bias" not in weight.name and np.array_equal(weight.numpy(), before[weight.name])
    ] == []
    one, other, fixed, same = (layer(tensors, training=training)["default"] for training in (True, True, False, False))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(fixed, same)


def test_a_pretrainer_is_in_its_encoder(tensorflow: ModuleType, tmp_path: Path) -> None:
    """`module.mlm` as in modules /4: logits at the given positions, and gradients to every weight."""
    model = exported("pretrainer")
    write_saved_model(str(tmp_path), model)
    module = tensorflow.saved_model.load(str(tmp_path))
    inputs = random_inputs(model.config, seed=4)
    positions = np.array([[1, 0], [2, 2], [0, 3]], np.int32)
    tensors = _tensors(tensorflow, inputs | {POSITIONS: positions})
    with tensorflow.GradientTape() as tape:
        found = module.mlm(tensors, training=True)
        loss = sum(tensorflow.reduce_sum(found[name] ** 2) for name in ("mlm_logits", "next_sentence"))
    assert all(gradient is not None for gradient in tape.gradient(loss, module.mlm.trainable_variables))
    assert {variable.name.removesuffix(":0") for variable in module.mlm.variables} == model.weights.keys()
    assert {variable.name.split("/")[0] for variable in module.variables} == {"bert"}
    everywhere = our_results(model, inputs)["mlm_logits"]
    expected = np.take_along_axis(everywhere, positions[:, :, None], axis=1)
    logits = module.mlm(tensors)["mlm_logits"].numpy()
    assert_close({"mlm_logits": logits}, {"mlm_logits": expected}, np.ones_like(positions))


def test_what_is_loaded_can_be_saved_again(tensorflow: ModuleType, tmp_path: Path) -> None:
    """With all of its objects: the same variables under the same keys."""
    model = exported("classifier")
    write_saved_model(str(tmp_path / "a"), model)
    loaded = tensorflow.saved_model.load(str(tmp_path / "a"))
    tensorflow.saved_model.save(loaded, str(tmp_path / "b"))
    names = dict(tensorflow.train.list_variables(str(tmp_path / "b" / "variables" / "variables")))
    assert names == dict(tensorflow.train.list_variables(str(tmp_path / "a" / "variables" / "variables")))
