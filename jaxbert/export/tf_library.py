# SPDX-License-Identifier: Apache-2.0
"""The functions of a SavedModel, and how each is called."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxbert.export.exported import Exported
from jaxbert.export.network import IDS, MASK, POSITIONS, TYPES, Output
from jaxbert.export.results import (
    Network,
    Results,
    all_results,
    encoder_results,
    head_results,
    last_results,
    served_results,
)
from jaxbert.export.tf_function import INT32, Sizes, TensorflowFunction
from jaxbert.export.tf_objects import Signature, Tensor

_SIZES: dict[str, Sizes] = {IDS: ("B", "S"), MASK: ("B", "S"), TYPES: ("B", "S"), POSITIONS: ("B", "P")}
_LIST = (IDS, MASK, TYPES)  # the order of modules /1 and /2
_DICT = tuple(sorted(_LIST))  # TensorFlow takes the values of a dict in the order of its keys
_DICT_WITH_POSITIONS = tuple(sorted(_SIZES))
_MODES = (("_in_training", True), ("", False))  # ending of a function's name, value of `training`


class Library:
    """Functions of one model; each method adds some and says how they are called.

    `variables` are the shapes of the stored weights by TF1 name, `message` is where functions are written.
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
    """Results by names of their own."""
    if isinstance(result, Output):
        return {name: result}
    return {f"{name}_{place}": output for place, output in enumerate(result)}


def _described(results: Results) -> dict[str, Tensor | list[Tensor]]:
    described: dict[str, Tensor | list[Tensor]] = {}
    for name, result in results.items():
        tensors = [Tensor(key, output.shape) for key, output in _flat(name, result).items()]
        described[name] = tensors[0] if isinstance(result, Output) else tensors
    return described
