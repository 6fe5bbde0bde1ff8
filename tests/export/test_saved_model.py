# SPDX-License-Identifier: Apache-2.0
"""SavedModels: complete, consistent in themselves, the same bytes every time, and they compute what our model does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.tf_bundle import open_bundle
from jaxbert.checkpoints.tf_graph import GRAPH_KEY, parse_graph
from jaxbert.config.bert_config import BertConfig
from jaxbert.export.network import ACTIVATIONS, LAYER_NORM_EPSILON, MASK, Exported, Kind, choose_weights, kind_of
from jaxbert.export.saved_model import MODEL_FILE, write_saved_model
from jaxbert.export.tf_function import RESOURCE, SavedModel, TensorflowFunction
from jaxbert.model import layers
from tests.checkpoints.random_models import Weights, assert_same, models
from tests.export.plain_saved_model import run_function, run_saved_model
from tests.export.tiny_exports import KINDS, assert_close, exported, our_results, random_inputs


def _written(folder: Path, model: Exported) -> Any:
    """The graph in the file."""
    write_saved_model(str(folder), model)
    return SavedModel.FromString((folder / MODEL_FILE).read_bytes()).meta_graphs[0]


def _functions(graph: Any) -> dict[str, Any]:
    return {function.signature.name: function for function in graph.graph_def.library.function}


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_computes_what_the_model_does(kind: Kind, tmp_path: Path) -> None:
    """For sequences of different lengths, computed from the files alone."""
    model = exported(kind)
    write_saved_model(str(tmp_path), model)
    inputs = random_inputs(model.config, seed=1)
    assert_close(run_saved_model(str(tmp_path), inputs), our_results(model, inputs), inputs[MASK])


def test_another_network_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is not blind: another constant in the normalization, or a result that is no number, fails it."""
    model = exported("encoder")
    inputs = random_inputs(model.config, seed=1)
    ours = our_results(model, inputs)
    monkeypatch.setattr("jaxbert.export.network.LAYER_NORM_EPSILON", 1e-2)
    write_saved_model(str(tmp_path), model)
    found = run_saved_model(str(tmp_path), inputs)
    for wrong in (found, ours | {"pooled_output": np.full_like(ours["pooled_output"], np.nan)}):
        with pytest.raises(AssertionError):
            assert_close(wrong, ours, inputs[MASK])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_the_same(activation: str) -> None:
    """At numbers of every size, as our model computes it."""
    x = np.linspace(-9, 9, 101, dtype=np.float32)
    function = TensorflowFunction("f", {}, {"x": x.shape}, training=False)
    message = function.finish({"y": (ACTIVATIONS[activation](function, function.weight("x")), x.shape)})
    (found,) = run_function(message, [x])
    np.testing.assert_allclose(found, layers.ACTIVATIONS[activation](x), rtol=1e-6, atol=1e-6)


def test_tiny_numbers_are_normalized() -> None:
    """Where the constant under the root decides, it is the model's."""
    x = 1e-6 * np.linspace(-1, 1, 6, dtype=np.float32)[None]
    gamma, beta = np.linspace(1, 2, 12, dtype=np.float32).reshape(2, 6)
    function = TensorflowFunction("f", {}, {"x": (1, 6), "gamma": (6,), "beta": (6,)}, training=False)
    arguments = [function.weight(name) for name in ("x", "gamma", "beta")]
    y = function.layer_norm(*arguments, LAYER_NORM_EPSILON)
    (found,) = run_function(function.finish({"y": (y, (1, 6))}), [x, gamma, beta])
    np.testing.assert_allclose(found, layers.layer_norm({"gamma": gamma, "beta": beta}, x[None])[0], rtol=1e-5)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models(("none", "classifier", "squad", "masked LM", "pretraining")))
def test_what_is_written_is_read_again(model: tuple[BertConfig, Weights], tmp_path: Path) -> None:
    """Every bit of encoder and head, whatever the sizes: a SavedModel of ours is a model to start from."""
    config, weights = model
    kind = kind_of(weights)
    chosen = choose_weights(weights, kind, config.num_hidden_layers)
    write_saved_model(str(tmp_path), Exported(kind, config, chosen, None, None))
    read = read_initial(str(tmp_path))
    assert_same(read.weights, weights)
    assert read.attention_heads == config.num_attention_heads
    assert read.unused == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_model_gives_the_same_bytes(kind: Kind, tmp_path: Path) -> None:
    """All files of two exports are equal."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_saved_model(str(tmp_path / name), exported(kind))
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_there_before_it_is_used(kind: Kind, tmp_path: Path) -> None:
    """Operations in functions take arguments or results of operations before them; so do those around functions."""
    graph = _written(tmp_path, exported(kind))
    for function in _functions(graph).values():
        known = {argument.name for argument in function.signature.input_arg}
        for node in function.node_def:
            assert {value.split(":")[0] for value in node.input} <= known, node.name
            known.add(node.name)
        assert {entry.value.split(":")[0] for entry in function.ret} <= known
        assert [entry.key for entry in function.ret] == [output.name for output in function.signature.output_arg]
    known = set()
    for node in graph.graph_def.node:
        assert {value.lstrip("^").split(":")[0] for value in node.input} <= known, node.name
        known.add(node.name)


def _objects(graph: Any, node: int, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every way from an object to the variables in it."""
    message = graph.object_graph_def.nodes[node]
    if message.HasField("variable"):
        yield path, message.variable
    for child in message.children:
        yield from _objects(graph, child.node_id, f"{path}/{child.local_name}", seen)


@pytest.mark.parametrize("kind", KINDS)
def test_every_variable_is_accounted_for(kind: Kind, tmp_path: Path) -> None:
    """By each of its paths the checkpoint has it, in its shape; and together they are the weights of the model."""
    model = exported(kind)
    graph = _written(tmp_path, model)
    bundle = open_bundle(str(tmp_path / "variables" / "variables"))
    checkpoint = parse_graph(bundle.read(GRAPH_KEY).item(), bundle.entries)
    found = set()
    for path, variable in _objects(graph, 0, "", set()):
        stored = bundle.entries[checkpoint.key(0, path.removeprefix("/").replace("trainable_variables", "variables"))]
        assert stored.shape == tuple(dim.size for dim in variable.shape.dim), path
        found.add(variable.name)
    assert found == model.weights.keys() | {"do_lower_case"}
    assert len(bundle.entries) == len(found) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_functions_get_the_variables_they_read(kind: Kind, tmp_path: Path) -> None:
    """As many as they have arguments for, each in the shape that the argument says, loaded or served."""
    graph = _written(tmp_path, exported(kind))
    functions, nodes = _functions(graph), graph.object_graph_def.nodes
    assert {entry.key for entry in graph.object_graph_def.concrete_functions} == functions.keys()
    for entry in graph.object_graph_def.concrete_functions:
        arguments = [x for x in functions[entry.key].signature.input_arg if x.type == RESOURCE]
        bound = [nodes[node].variable for node in entry.value.bound_inputs]
        assert [x.handle_data[0].shape for x in arguments] == [variable.shape for variable in bound]
        if entry.key == "serve":
            call = next(node for node in graph.graph_def.node if node.op == "StatefulPartitionedCall")
            assert [variable.name for variable in bound] == call.input[-len(bound) :]


@pytest.mark.parametrize("kind", KINDS)
def test_only_training_drops(kind: Kind, tmp_path: Path) -> None:
    """Dropout stands after the embeddings, three times in every layer, and before a classifier."""
    for name, function in _functions(_written(tmp_path, exported(kind))).items():
        drops = sum(node.op == "RandomUniform" for node in function.node_def)
        in_heads = name.startswith("masked_lm") or kind == "classifier"
        assert drops == (1 + 3 * 2 + in_heads if name.endswith("_in_training") else 0), name


def test_without_a_vocabulary_there_is_no_asset(tmp_path: Path) -> None:
    """Nor a rule for its case."""
    graph = _written(tmp_path, exported("encoder", vocab=None))
    assert not graph.asset_file_def
    assert not (tmp_path / "assets").exists()
    assert "do_lower_case" not in {child.local_name for child in graph.object_graph_def.nodes[0].children}


def test_a_row_may_have_holes(tmp_path: Path) -> None:
    """What stands at masked positions changes no other result, wherever they are."""
    model = exported("encoder")
    write_saved_model(str(tmp_path), model)
    inputs = random_inputs(model.config, seed=3)
    inputs[MASK] = np.array([[1, 0, 1, 1, 0, 1, 0]] * 3, np.int32)
    changed = inputs | {"input_word_ids": (inputs["input_word_ids"] + 1 - inputs[MASK]) % model.config.vocab_size}
    one, other = (run_saved_model(str(tmp_path), x)["sequence_output"] for x in (inputs, changed))
    np.testing.assert_array_equal(one[inputs[MASK] > 0], other[inputs[MASK] > 0])
    assert not np.array_equal(one, other)
