# SPDX-License-Identifier: Apache-2.0
"""Comparing the weights found in a file with those that a model expects, in both directions."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxbert.checkpoints import names
from jaxbert.errors import InputError

_PARTIAL_HINT = "; `--allow_partial_init` loads what fits"
_SHOWN = 6  # names listed in a message before "and n more"
# Weight, axis, and the setting of bert_config.json that fixes its size.
_SETTINGS = (
    (re.compile(r"^bert/embeddings/word_embeddings$"), 0, "vocab_size"),
    (re.compile(r"^bert/embeddings/position_embeddings$"), 0, "max_position_embeddings"),
    (re.compile(r"^bert/embeddings/token_type_embeddings$"), 0, "type_vocab_size"),
    (re.compile(r"^bert/embeddings/\w+_embeddings$"), 1, "hidden_size"),
    (re.compile(r"^bert/encoder/layer_\d+/intermediate/dense/kernel$"), 1, "intermediate_size"),
)


@dataclass(frozen=True)
class OtherShape:
    """A weight that is in the file in another shape than expected."""

    name: str
    found: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True)
class LoadReport:
    """What became of every expected and every found weight; `loaded_values` and `expected_values` count numbers."""

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    other_shapes: tuple[OtherShape, ...]
    unused: tuple[str, ...]
    loaded_values: int
    expected_values: int

    def __str__(self) -> str:
        """One line for the user."""
        expected = len(self.loaded) + len(self.missing) + len(self.other_shapes)
        percent = 100 * self.loaded_values / max(self.expected_values, 1)
        text = f"loaded {len(self.loaded)} of {expected} expected tensors ({percent:.1f} % of the values)"
        text += f" from {self.source}"
        initial = self.missing + tuple(_describe(other) for other in self.other_shapes)
        if self.unused:
            text += f"; not used: {_listed(self.unused)}"
        if initial:
            text += f"; stay at their initial value: {_listed(initial)}"
        return text


def match(
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    source: str,
    unused: tuple[str, ...] = (),
    allow_partial: bool | None = None,
) -> LoadReport:
    """Which of the `expected` weights (name -> shape) can be loaded from those `found` in the file `source`.

    `unused` is what else is in the file, for the report. Missing heads, and a missing pooler, are only reported: models
    of a masked LM or of answers alone are stored without pooler. Raises InputError, unless `allow_partial`, where a
    weight under `bert/` is missing or has another shape, or the file has more layers; None: that cannot be allowed.
    """
    shapes = {name: weight.shape for name, weight in found.items()}
    loaded = tuple(name for name, shape in expected.items() if shapes.get(name) == shape)
    report = LoadReport(
        source=source,
        loaded=loaded,
        missing=tuple(name for name in expected if name not in shapes),
        other_shapes=tuple(
            OtherShape(name, shapes[name], shape)
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ),
        unused=tuple(name for name in found if name not in expected) + unused,
        loaded_values=sum(math.prod(expected[name]) for name in loaded),
        expected_values=sum(map(math.prod, expected.values())),
    )
    if not allow_partial:
        _refuse_partial_encoder(report, expected, "" if allow_partial is None else _PARTIAL_HINT)
    return report


def _refuse_partial_encoder(report: LoadReport, expected: Mapping[str, tuple[int, ...]], hint: str) -> None:
    missing = set(report.missing)
    if missing.issuperset(names.POOLER):
        missing -= set(names.POOLER)
    problems = [name for name in report.missing if name in missing and name.startswith("bert/")]
    problems += [_describe(other) for other in report.other_shapes if other.name.startswith("bert/")]
    further_layers = [name for name in report.unused if names.layer_of(name) is not None]
    if not problems and not further_layers:
        return
    text = f"the encoder in `{report.source}` does not fit the model: "
    if problems:
        text += f"{len(problems)} of {len(expected)} expected tensors are missing or have another shape: "
        text += _listed(problems)
    else:
        text += f"{len(further_layers)} tensors of further layers are not used"
    raise InputError(text, f"{_cause(report, expected)}{hint}")


def _cause(report: LoadReport, expected: Mapping[str, tuple[int, ...]]) -> str:
    """The settings of bert_config.json that disagree with the file."""
    causes: dict[str, tuple[int, int]] = {}
    for other in report.other_shapes:
        for pattern, axis, setting in _SETTINGS:
            if pattern.match(other.name) and len(other.found) == len(other.expected) > axis:
                causes.setdefault(setting, (other.found[axis], other.expected[axis]))
    in_file = {*report.loaded, *(other.name for other in report.other_shapes), *report.unused}
    causes["num_hidden_layers"] = (_count_layers(in_file), _count_layers(expected))
    texts = [
        f"{name} differs: file {file}, bert_config.json {ours}" for name, (file, ours) in causes.items() if file != ours
    ]
    return ", ".join(texts) or "check that file and bert_config.json belong together"


def _count_layers(weights: Mapping[str, object] | set[str]) -> int:
    return len({names.layer_of(name) for name in weights} - {None})


def _describe(other: OtherShape) -> str:
    return f"{other.name} (file {list(other.found)}, model {list(other.expected)})"


def _listed(items: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
