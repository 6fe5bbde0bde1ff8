# SPDX-License-Identifier: Apache-2.0
"""The objects of a SavedModel: what `tf.saved_model.load` makes Python objects, lists and functions from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxbert.export.tf_function import FLOAT, Sizes, set_shape
from jaxbert.export.tf_graph_messages import ObjectGraph, Structured

ROOT = 0
OBJECT = "_generic_user_object"


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor that goes into a function or comes out of it."""

    name: str
    sizes: Sizes
    dtype: int = FLOAT


@dataclass(frozen=True)
class Signature:
    """How a function of the library is called: the structures of its arguments, of lists, dicts and tensors.

    `captured` are the names of the variables that it reads, in the order of its resource arguments.
    """

    function: str
    positional: tuple[object, ...]
    named: Mapping[str, Tensor]
    results: Mapping[str, Tensor | list[Tensor]] | list[Tensor | list[Tensor]]
    captured: Sequence[str]


class Objects:
    """The graph of objects, made node by node; node 0 is the root and has no children until `describe` is called."""

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
        return self.add("trackable_list_wrapper", {str(place): child for place, child in enumerate(children)})

    def add_tree(self, paths: Mapping[str, int]) -> dict[str, int]:
        """Objects, and objects in them, by which these nodes are reached from outside; the first edges of the paths."""
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

    def add_asset(self, number: int) -> int:
        """A file that comes with the model."""
        self.graph.nodes.add().asset.asset_file_def_index = number
        return len(self.graph.nodes) - 1

    def add_call(self, signatures: Sequence[Signature], variables: Mapping[str, int]) -> int:
        """`f(inputs, training=False)`, which chooses among these by the structure of its arguments."""
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
    """A nest of lists, tuples, dicts, tensors, strings and truth values as a message."""
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
