# SPDX-License-Identifier: Apache-2.0
"""A SavedModel: hub module, trainable object and served model in one.

    saved_model.pb   functions: the network, once for each way to call it (`call`, `call_in_training`, `serve`, ...)
                     nodes: the variables, what restores and saves them, and a call of `serve` for servers
                     objects: what Python loads: `variables`, `__call__`, `mlm`, `vocab_file`, `signatures`
    variables/       the values, a checkpoint with a graph of the same objects
    assets/          the vocabulary

How they play together, for `module({"input_mask": m, "input_type_ids": t, "input_word_ids": i}, training=True)`: the
object `__call__` lists concrete functions; TensorFlow takes the one whose signature has the structure of the arguments,
a dict and `True`: `call_in_training`. It gets m, t, i (a dict's values go in the order of its keys), then as resources
the variables that the function has captured, which the graph of objects lists as `bound_inputs`; its results, flat and
in the order of their names, are put together again as the signature's `output_signature` says.

Formats are those of tensorflow/core/protobuf/saved_model.proto and saved_object_graph.proto; the names of objects are
those that `hub.KerasLayer` and official code look for.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.tf_graph import official_paths, value_key, write_objects
from jaxbert.export.network import (
    IDS,
    MASK,
    POSITIONS,
    TYPES,
    Exported,
    Network,
    Output,
    Results,
    all_results,
    encoder_results,
    head_results,
    last_results,
    served_results,
)
from jaxbert.export.tf_function import (
    BOOL,
    FLOAT,
    INT32,
    RESOURCE,
    STRING,
    AttrValue,
    ObjectGraph,
    SavedModel,
    Sizes,
    Structured,
    TensorflowFunction,
    add_node,
    of_shapes,
    of_tensor,
    of_type,
    set_shape,
)
from jaxbert.io import files

MODEL_FILE = "saved_model.pb"
ROOT = 0  # the node of the object that is loaded
OBJECT = "_generic_user_object"
_VOCAB, _CASE_RULE = "vocab.txt", "do_lower_case"
_GRAPH_VERSION = 440  # of TensorFlow 2.3; no operation has changed its meaning since
_SAVER_VERSION = 2  # SaverDef.V2: checkpoints as TensorFlow 2 has them


def write_saved_model(folder: str, model: Exported) -> None:
    """Write `model` into a folder that exists."""
    heads = model.config.num_attention_heads
    stored = {name: names.to_tf2(names.form_of(name), weight, heads) for name, weight in model.weights.items()}
    message = saved_model(model, {name: weight.shape for name, weight in stored.items()})
    official = official_paths(model.weights)
    objects = [([*paths, *official[name]], stored[name]) for name, paths in _paths(model).items()]
    if model.vocab is not None:
        objects.append(([_CASE_RULE], np.array(model.lower_case)))
        files.write_text(os.path.join(folder, "assets", _VOCAB), model.vocab)
    write_objects(os.path.join(folder, "variables", "variables"), objects)
    with files.whole_file(os.path.join(folder, MODEL_FILE)) as file:
        file.write(message.SerializeToString())


def saved_model(model: Exported, shapes: Mapping[str, Sizes]) -> Any:
    """The message in `saved_model.pb`; `shapes` are those of the variables."""
    message = SavedModel(saved_model_schema_version=1)
    meta = message.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = "2.3.0"
    meta.graph_def.versions.producer, meta.graph_def.versions.min_consumer = _GRAPH_VERSION, 12
    variables = [Stored(name, value_key(paths[0]), shapes[name], FLOAT) for name, paths in _paths(model).items()]
    if model.vocab is not None:
        variables.append(Stored(_CASE_RULE, value_key(_CASE_RULE), (), BOOL))
        add_asset(meta, _VOCAB)
    add_variables(meta, variables)
    library = Library(model, shapes, meta.graph_def.library)
    serving = library.serving()
    add_signature(meta, "serving_default", serving)
    meta.object_graph_def.CopyFrom(_objects(model, shapes, library, serving).graph)
    return message


def _own_weights(model: Exported) -> list[str]:
    """The weights of the root object; that of a pretrainer is an encoder, which has the pretrainer as `mlm`."""
    return [name for name in model.weights if model.kind != "pretrainer" or name.startswith("bert/")]


def _paths(model: Exported) -> dict[str, list[str]]:
    """The paths from the root to each variable; the first one is its key in the checkpoint."""
    paths: dict[str, list[str]] = {name: [] for name in model.weights}
    for index, name in enumerate(_own_weights(model)):
        paths[name].append(f"variables/{index}")
    if model.kind == "pretrainer":
        for index, name in enumerate(model.weights):
            paths[name].append(f"mlm/variables/{index}")
    return paths


def _objects(model: Exported, shapes: Mapping[str, Sizes], library: "Library", serving: "Signature") -> "Objects":
    objects = Objects()
    variables = {name: objects.add_variable(name, sizes, FLOAT, trainable=True) for name, sizes in shapes.items()}
    own = {name: variables[name] for name in _own_weights(model)}
    children = {**_lists(objects, own), "__call__": objects.add_call(library.module(), variables)}
    if model.kind == "pretrainer":
        call = objects.add_call(library.masked_lm(), variables)
        children["mlm"] = objects.add(OBJECT, {**_lists(objects, variables), "__call__": call})
    official = {path: variables[name] for name, paths in official_paths(model.weights).items() for path in paths}
    children |= objects.add_tree(official)
    if model.vocab is not None:
        children["vocab_file"] = objects.add_asset(0)
        children[_CASE_RULE] = objects.add_variable(_CASE_RULE, (), BOOL, trainable=False)
    children["signatures"] = objects.add_signatures({"serving_default": serving}, variables)
    objects.describe(ROOT, OBJECT, children)
    return objects


def _lists(objects: "Objects", variables: Mapping[str, int]) -> dict[str, int]:
    """The lists that `hub.KerasLayer` looks for."""
    nodes = list(variables.values())
    return {
        "variables": objects.add_list(nodes),
        "trainable_variables": objects.add_list(nodes),
        "regularization_losses": objects.add_list([]),
    }


@dataclass(frozen=True)
class Tensor:
    """An argument or a result of a function."""

    name: str
    sizes: Sizes
    dtype: int = FLOAT


@dataclass(frozen=True)
class Signature:
    """How a function of the library is called: the structures of its arguments and results.

    `captured` are the names of the variables that it reads, in the order of its resource arguments.
    """

    function: str
    positional: tuple[object, ...]
    named: Mapping[str, Tensor]
    results: Mapping[str, Tensor | list[Tensor]] | list[Tensor | list[Tensor]]
    captured: Sequence[str]


_SIZES: dict[str, Sizes] = {IDS: ("B", "S"), MASK: ("B", "S"), TYPES: ("B", "S"), POSITIONS: ("B", "P")}
_LIST = (IDS, MASK, TYPES)  # the order of modules /1 and /2
_DICT = tuple(sorted(_LIST))  # TensorFlow takes the values of a dict in the order of its keys
_DICT_WITH_POSITIONS = tuple(sorted(_SIZES))
_MODES = (("_in_training", True), ("", False))  # ending of a function's name, value of `training`


class Library:
    """The functions of a model; each method writes some and says how they are called.

    `variables` are the shapes of the stored weights by TF1 name, `message` is the FunctionDefLibrary that is filled.
    """

    def __init__(self, model: Exported, variables: Mapping[str, Sizes], message: Any) -> None:
        self._model, self._variables, self._message = model, variables, message

    def module(self) -> list[Signature]:
        """What calling the model does, in training or not; an encoder may also be called as modules /1 and /2 are."""
        if self._model.kind in ("classifier", "squad"):
            return self._by_dict("call", _DICT, head_results)
        by_list = [self._by_list(f"call_by_list{suffix}", training) for suffix, training in _MODES]
        return self._by_dict("call", _DICT, encoder_results) + by_list

    def masked_lm(self) -> list[Signature]:
        """What calling the pretrainer in a model does."""
        return self._by_dict("masked_lm", _DICT_WITH_POSITIONS, all_results)

    def serving(self) -> Signature:
        """What servers compute, by names of arguments and results."""
        arguments = _DICT_WITH_POSITIONS if self._model.kind == "pretrainer" else _DICT
        results, captured = self._add("serve", arguments, served_results, training=False)
        return Signature("serve", (), _integers(arguments), _described(results), captured)

    def _by_dict(self, name: str, arguments: Sequence[str], network: Network) -> list[Signature]:
        signatures = []
        for suffix, training in _MODES:
            results, captured = self._add(name + suffix, arguments, network, training)
            positional = (_integers(arguments), training)
            signatures.append(Signature(name + suffix, positional, {}, _described(results), captured))
        return signatures

    def _by_list(self, name: str, training: bool) -> Signature:
        results, captured = self._add(name, _LIST, last_results, training)
        positional = (list(_integers(_LIST).values()), training)
        return Signature(name, positional, {}, list(_described(results).values()), captured)

    def _add(self, name: str, arguments: Sequence[str], network: Network, training: bool) -> tuple[Results, list[str]]:
        """Write a function; its results, and the variables that it reads."""
        inputs = {argument: _SIZES[argument] for argument in arguments}
        function = TensorflowFunction(name, inputs, self._variables, training)
        results = network(function, self._model, {argument: argument for argument in arguments})
        flat: dict[str, Output] = {}
        for key in sorted(results):
            flat |= _flat(key, results[key])
        self._message.function.append(function.finish({key: (out.value, out.shape) for key, out in flat.items()}))
        return results, function.captured


def _integers(arguments: Sequence[str]) -> dict[str, Tensor]:
    return {name: Tensor(name, _SIZES[name], INT32) for name in arguments}


def _flat(name: str, result: Output | list[Output]) -> dict[str, Output]:
    """A result by its name, a list of them by the name and their index."""
    if isinstance(result, Output):
        return {name: result}
    return {f"{name}_{index}": output for index, output in enumerate(result)}


def _described(results: Results) -> dict[str, Tensor | list[Tensor]]:
    described: dict[str, Tensor | list[Tensor]] = {}
    for name, result in results.items():
        tensors = [Tensor(key, output.shape) for key, output in _flat(name, result).items()]
        described[name] = tensors[0] if isinstance(result, Output) else tensors
    return described


class Objects:
    """The graph of objects, made node by node; node 0 is the root and has no children until `describe` is called.

    A classifier with 2 layers and 41 weights has 215 nodes:

        0         the root: variables 42, trainable_variables 43, __call__ 45, model 156, encoder 210, ...
        1 to 41   the variables, in the order of the network: word embeddings 1, ..., output_bias 41
        42 to 44  lists: "0" -> 1, "1" -> 2, ...; the third, of losses, is empty
        45        the function object, with a function for calls in training and one for others
        46 to 210 objects on official paths, children before parents: 46 is a LayerNorm, {beta: 5, gamma: 4}
        211, 212  the vocabulary as an asset, and the casing as a variable
        213, 214  the function `serve`, and {serving_default: 213}
    """

    def __init__(self) -> None:
        self.graph = ObjectGraph()
        self.graph.nodes.add()

    def describe(self, node: int, identifier: str, children: Mapping[str, int]) -> None:
        """Make a node an object, whose class TensorFlow knows by its identifier, with these children."""
        user_object = self.graph.nodes[node].user_object
        user_object.identifier = identifier
        user_object.version.producer = user_object.version.min_consumer = 1
        for name, child in children.items():
            self.graph.nodes[node].children.add(node_id=child, local_name=name)

    def add(self, identifier: str, children: Mapping[str, int]) -> int:
        """A new node of this kind."""
        self.graph.nodes.add()
        self.describe(len(self.graph.nodes) - 1, identifier, children)
        return len(self.graph.nodes) - 1

    def add_list(self, children: Sequence[int]) -> int:
        """A list."""
        return self.add("trackable_list_wrapper", {str(index): child for index, child in enumerate(children)})

    def add_tree(self, paths: Mapping[str, int]) -> dict[str, int]:
        """Objects nested so that each of `paths` (edges joined by `/`) leads to its node; the outermost by their edges.

        {"a/b/c": 7, "a/d": 8} makes an object for "a" with the children b and d, and one for "b" with the child c.
        """
        edges: dict[str, dict[str, int]] = {}
        for path, node in paths.items():
            edge, _, rest = path.partition("/")
            edges.setdefault(edge, {})[rest] = node
        return {
            edge: inner[""] if "" in inner else self.add(OBJECT, self.add_tree(inner)) for edge, inner in edges.items()
        }

    def add_variable(self, name: str, sizes: Sizes, dtype: int, trainable: bool) -> int:
        """A variable, whose value comes from the checkpoint beside the model."""
        variable = self.graph.nodes.add().variable
        variable.dtype, variable.name, variable.trainable = dtype, name, trainable
        set_shape(variable.shape, sizes)
        return len(self.graph.nodes) - 1

    def add_asset(self, index: int) -> int:
        """A file that comes with the model, by its index among the assets of the graph."""
        self.graph.nodes.add().asset.asset_file_def_index = index
        return len(self.graph.nodes) - 1

    def add_call(self, signatures: Sequence[Signature], variables: Mapping[str, int]) -> int:
        """`f(inputs, training=False)`, which is one of these, chosen by the structure of the arguments."""
        function = self.graph.nodes.add().function
        for signature in signatures:
            self._add_signature(signature, variables)
            function.concrete_functions.append(signature.function)
        function.function_spec.is_method = False
        function.function_spec.input_signature.none_value.SetInParent()
        specification = function.function_spec.fullargspec.named_tuple_value
        specification.name = "FullArgSpec"
        for name, value in _PARAMETERS.items():
            specification.values.add(key=name, value=structured(value))
        return len(self.graph.nodes) - 1

    def add_signatures(self, signatures: Mapping[str, Signature], variables: Mapping[str, int]) -> int:
        """What a server offers: functions whose arguments all have names."""
        nodes = {}
        for name, signature in signatures.items():
            self._add_signature(signature, variables)
            bare = self.graph.nodes.add().bare_concrete_function
            bare.concrete_function_name = signature.function
            bare.argument_keywords.extend(sorted(signature.named))
            nodes[name] = len(self.graph.nodes) - 1
        return self.add("signature_map", nodes)

    def _add_signature(self, signature: Signature, variables: Mapping[str, int]) -> None:
        concrete = self.graph.concrete_functions.add(key=signature.function).value
        concrete.bound_inputs.extend(variables[name] for name in signature.captured)
        concrete.canonicalized_input_signature.CopyFrom(structured((signature.positional, signature.named)))
        concrete.output_signature.CopyFrom(structured(signature.results))


# What Python's `inspect.getfullargspec` says of `def f(inputs, training=False)`.
_PARAMETERS: dict[str, object] = {
    "args": ["inputs", "training"],
    "varargs": None,
    "varkw": None,
    "defaults": (False,),
    "kwonlyargs": [],
    "kwonlydefaults": None,
    "annotations": {},
}


def structured(value: object) -> Any:
    """Nested lists, tuples, dicts, tensors, strings, booleans and None as a message."""
    message = Structured()
    if value is None:
        message.none_value.SetInParent()
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, Tensor):
        message.tensor_spec_value.name, message.tensor_spec_value.dtype = value.name, value.dtype
        set_shape(message.tensor_spec_value.shape, value.sizes)
    elif isinstance(value, Mapping):
        message.dict_value.SetInParent()
        for key in sorted(value):
            message.dict_value.fields.add(key=key, value=structured(value[key]))
    else:
        assert isinstance(value, list | tuple)
        items = message.tuple_value if isinstance(value, tuple) else message.list_value
        items.SetInParent()
        items.values.extend(map(structured, value))
    return message


_ASSET = "asset_path_initializer"
_FILE, _SAVE, _RESTORE = "saver_filename", "saved", "restore_all"


@dataclass(frozen=True)
class Stored:
    """A variable: its name, its key in the checkpoint, shape and type."""

    name: str
    key: str
    sizes: Sizes
    dtype: int


def add_variables(meta: Any, variables: Sequence[Stored]) -> None:
    """Variables, and operations that save and restore all of them; `meta` is the message of a graph."""
    nodes = meta.graph_def.node
    for variable in variables:
        shape = AttrValue()
        set_shape(shape.shape, variable.sizes)
        name = AttrValue(s=variable.name.encode())
        attributes = {"dtype": of_type(variable.dtype), "shape": shape, "shared_name": name}
        add_node(nodes, variable.name, "VarHandleOp", [], attributes)
    add_node(nodes, _FILE, "Placeholder", [], _placeholder(STRING, ()))
    keys = np.array([variable.key.encode() for variable in variables], dtype=object)
    add_node(nodes, "saved_keys", "Const", [], of_tensor(keys))
    add_node(nodes, "whole_tensors", "Const", [], of_tensor(np.array([b""] * len(keys), dtype=object)))  # not slices
    checkpoint = [_FILE, "saved_keys", "whole_tensors"]
    dtypes = AttrValue()
    dtypes.list.type.extend(variable.dtype for variable in variables)
    add_node(nodes, "restored", "RestoreV2", checkpoint, {"dtypes": dtypes})
    for index, variable in enumerate(variables):
        inputs = [variable.name, f"restored:{index}"]
        add_node(nodes, f"assign_{index}", "AssignVariableOp", inputs, {"dtype": of_type(variable.dtype)})
    add_node(nodes, _RESTORE, "NoOp", [f"^assign_{index}" for index in range(len(variables))], {})  # ^: only after it
    for index, variable in enumerate(variables):
        add_node(nodes, f"read_{index}", "ReadVariableOp", [variable.name], {"dtype": of_type(variable.dtype)})
    values = [f"read_{index}" for index in range(len(variables))]
    add_node(nodes, "save", "SaveV2", [*checkpoint, *values], {"dtypes": dtypes})
    add_node(nodes, _SAVE, "Identity", [_FILE, "^save"], {"T": of_type(STRING)})
    saver = meta.saver_def
    saver.filename_tensor_name, saver.save_tensor_name = f"{_FILE}:0", f"{_SAVE}:0"
    saver.restore_op_name, saver.version = _RESTORE, _SAVER_VERSION


def add_signature(meta: Any, name: str, signature: Signature) -> None:
    """One call of a function of the library, with a placeholder for each argument."""
    nodes, definition = meta.graph_def.node, meta.signature_def.add(key=name).value
    definition.method_name = "tensorflow/serving/predict"
    arguments = {argument: f"{name}_{argument}" for argument in sorted(signature.named)}
    for argument, node in arguments.items():
        sizes = signature.named[argument].sizes
        add_node(nodes, node, "Placeholder", [], _placeholder(INT32, sizes))
        _describe(definition.inputs.add(key=argument).value, f"{node}:0", signature.named[argument])
    call = f"call_{name}"
    assert isinstance(signature.results, Mapping)  # servers know results by names
    results = [signature.results[result] for result in sorted(signature.results)]
    attributes = {"f": AttrValue(), "Tin": AttrValue(), "Tout": AttrValue(), "config_proto": AttrValue(s=b"")}
    attributes["f"].func.name = signature.function
    attributes["Tin"].list.type.extend([INT32] * len(arguments) + [RESOURCE] * len(signature.captured))
    attributes["Tout"].list.type.extend([FLOAT] * len(results))
    add_node(nodes, call, "StatefulPartitionedCall", [*arguments.values(), *signature.captured], attributes)
    for index, result in enumerate(results):
        assert isinstance(result, Tensor)
        _describe(definition.outputs.add(key=result.name).value, f"{call}:{index}", result)


def add_asset(meta: Any, filename: str) -> None:
    """A file in `assets`; its path goes into a placeholder."""
    add_node(meta.graph_def.node, _ASSET, "Placeholder", [], _placeholder(STRING, ()))
    asset = meta.asset_file_def.add(filename=filename)
    asset.tensor_info.name = f"{_ASSET}:0"


def _placeholder(dtype: int, sizes: Sizes) -> Mapping[str, Any]:
    shape = AttrValue()
    set_shape(shape.shape, sizes)
    return {"dtype": of_type(dtype), "shape": shape, "_output_shapes": of_shapes([sizes])}


def _describe(info: Any, name: str, tensor: Tensor) -> None:
    info.name, info.dtype = name, tensor.dtype
    set_shape(info.tensor_shape, tensor.sizes)
