# SPDX-License-Identifier: Apache-2.0
"""Weights from whatever a user points at, and how they match the weights of a model."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np

from jaxbert.checkpoints import names
from jaxbert.checkpoints.contents import KERAS_3, NOTES, Contents, groups
from jaxbert.checkpoints.resolve import Model, Source, find_source
from jaxbert.checkpoints.vocab_fit import grown
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.model.weights import Table, Tree, shapes, unflatten

_PARTIAL_HINT = "; `--allow_partial_init` loads what fits, `--new_tokens` is for a vocabulary that grew"
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
    causes["num_hidden_layers"] = (names.count_layers(in_file), names.count_layers(expected))
    texts = [
        f"{name} differs: file {file}, bert_config.json {ours}" for name, (file, ours) in causes.items() if file != ours
    ]
    return ", ".join(texts) or "check that file and bert_config.json belong together"


def _describe(other: OtherShape) -> str:
    return f"{other.name} (file {list(other.found)}, model {list(other.expected)})"


def _listed(items: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


DenseHead = Literal["classifier", "squad", "tagger", "choice"]
_DENSE_HEADS: dict[DenseHead, tuple[str, str]] = {
    "classifier": names.CLASSIFIER,
    "squad": names.SQUAD,
    "tagger": names.TAGGER,
    "choice": names.CHOICE,
}
OUTPUTS = (*names.CLASSIFIER, *names.TAGGER)  # of which each row is a class
_FLOATS = frozenset(np.dtype(kind) for kind in ("f2", "f4", "f8", ml_dtypes.bfloat16))
_MASKED_LM = frozenset(names.MASKED_LM[0])


@dataclass(frozen=True)
class InitialWeights:
    """Weights read from a file, and what is known of the file.

    `weights` have TF1 names and shapes and are float32; they may be read-only, unaligned views of a mapped file.
    `unused` names what is in the file besides: groups with their number of tensors, then single tensors.
    `attention_heads` is known only where kernels are stored per head. `untied` is the key of the masked LM's decoder
    where that is not the table of word embeddings, as it is with us: then the head is not among the weights.
    """

    weights: Mapping[str, np.ndarray]
    layout: str
    unused: tuple[str, ...]
    attention_heads: int | None
    source: str
    untied: str | None = None


def read_initial(source: Source | str, dense_head: DenseHead | None = None) -> InitialWeights:
    """The weights of BERT and its heads in `source`, or at a path where `find_source` finds one.

    `dense_head` says what a dense head is where the file cannot tell; without it such a head is not used.
    Raises InputError where the file is damaged, of a kind that is not read, or has no BERT encoder.
    """
    source = find_source(source) if isinstance(source, str) else source
    contents = source.contents
    if names.WORD_EMBEDDINGS not in contents.keys:
        raise _no_encoder(contents)
    keys = dict(contents.keys)
    if dense_head and contents.undecided and _DENSE_HEADS[dense_head] in contents.undecided.kinds:
        keys |= zip(_DENSE_HEADS[dense_head], contents.undecided.keys, strict=True)
    weights = {name: _float32(contents.read(name, key), key, contents.source) for name, key in keys.items()}
    untied = _untied(contents, weights)
    if untied:
        weights = {name: weight for name, weight in weights.items() if name not in _MASKED_LM}
    return InitialWeights(
        weights=weights,
        layout=contents.layout,
        unused=_unused(contents, keys) + ((f"masked LM with a decoder of its own ({untied})",) if untied else ()),
        attention_heads=contents.attention_heads,
        source=source.path,
        untied=untied,
    )


def _untied(contents: Contents, weights: Mapping[str, np.ndarray]) -> str | None:
    """A second copy of a weight that is no copy: a masked LM whose decoder is not the embedding is not ours."""
    names_of = {key: name for name, key in contents.keys.items()}
    for copy, key in contents.copies.items():
        second = _float32(contents.read(names_of[key], copy), copy, contents.source)
        if not np.array_equal(second, weights[names_of[key]]):
            return copy
    return None


def _unused(contents: Contents, keys: Mapping[str, str]) -> tuple[str, ...]:
    counts, others = groups(contents)
    used = set(keys.values())
    told = (f"{count} {group}" for group, count in counts.items() if group != NOTES)
    return (*told, *(key for key in others if key not in used))


def _float32(weight: np.ndarray, key: str, source: str) -> np.ndarray:
    if weight.dtype not in _FLOATS:
        raise InputError(f"tensor `{key}` in `{source}` is {weight.dtype}", "expected weights in floating point")
    return weight.astype(np.float32, copy=False)


def _no_encoder(contents: Contents) -> InputError:
    shown = ", ".join(f"`{key}`" for key in list(contents.tensors)[:4])
    return InputError(
        f"`{contents.source}` ({contents.layout}) holds no BERT encoder: no {names.WORD_EMBEDDINGS} and no layers under"
        f" the names that official BERT code, Hugging Face or jaxbert use; it starts with {shown or 'nothing'}",
        "save it with `save_to_preset` of keras-hub" if KERAS_3 in contents.layout else "give a checkpoint of BERT",
    )


def load(
    model: Model, table: Table, dense_head: DenseHead | None, allow_partial: bool | None = None, seed: int = 0
) -> tuple[dict[str, np.ndarray], LoadReport]:
    """The weights of `table` that the files of `model` have (path -> array), and the report of `match`, which is said.

    `seed` is for word vectors of new tokens that start at random.

    Raises InputError as `read_initial` and `match` do, where the file shows another number of attention heads, and
    where a weight is NaN or infinite.
    """
    assert model.source is not None  # random weights are not loaded
    initial = read_initial(model.source, dense_head)
    check_heads(initial, model.config)
    weights, config = initial.weights, model.config
    if model.new_tokens != "refuse":
        known, stddev = model.known_tokens, config.initializer_range
        weights = grown(weights, config.vocab_size, known, model.new_tokens, stddev, seed)
    expected = shapes(table)
    if initial.untied and names.MASKED_LM_BIAS in expected and not allow_partial:
        raise InputError(
            f"the masked LM in `{initial.source}` has a decoder of its own (`{initial.untied}`): it is not the table of"
            " word embeddings, as in BERT",
            "`--allow_partial_init` starts with a new head" if allow_partial is False else "give a model of BERT",
        )
    report = match(weights, expected, initial.source, initial.unused, allow_partial)
    say(f"{report} ({initial.layout})")
    loaded = {path: weights[path] for path in report.loaded}
    refuse_not_finite(loaded, initial.source)
    return loaded, report


def refuse_not_finite(weights: Mapping[str, np.ndarray], source: str) -> None:
    """Raise InputError for the first of the weights that were read from `source` with NaN or infinity."""
    for name, weight in weights.items():
        if count := weight.size - np.count_nonzero(np.isfinite(weight)):
            raise InputError(
                f"`{name}` in `{source}` holds NaN or infinity in {count} of {weight.size} places",
                "the training it comes from went wrong, or the file is damaged: give another checkpoint",
            )


def with_classes(weights: Mapping[str, np.ndarray], order: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The outputs of a classifier or tagger in this order of their numbers."""
    head = {path: weights[path][list(order)] for path in OUTPUTS if path in weights}
    return {path: weight for path, weight in weights.items() if path not in OUTPUTS} | head


def load_whole(
    model: Model,
    table: Table,
    dense_head: DenseHead | None,
    missing_head: str,
    class_order: tuple[int, ...] | None = None,
) -> Tree:
    """Trained weights, all of `table`, a classifier's outputs in this order of their numbers.

    `missing_head` says what a checkpoint without its head lacks.
    """
    found, report = load(model, table, dense_head)
    if class_order is not None:
        found = with_classes(found, class_order)
    if dense_head in ("squad", "tagger"):  # they need no pooler, and models stored for them alone have none
        found |= {name: np.zeros(table[name].shape, np.float32) for name in names.POOLER if name not in found}
    if rest := set(table) - set(found):
        missing = ", ".join(sorted(rest))
        raise InputError(
            f"`{report.source}` holds no {missing_head}: {missing}", "give a fine-tuned model, or train one"
        )
    return unflatten(found)


def check_heads(initial: InitialWeights, config: BertConfig) -> None:
    """Raise `InputError` where the file shows another number of attention heads than the configuration says."""
    found = initial.attention_heads
    if found is not None and found != config.num_attention_heads:
        raise InputError(
            f"`{initial.source}` has {found} attention heads, bert_config.json says `num_attention_heads`"
            f" {config.num_attention_heads}",
            "give the configuration that belongs to the checkpoint",
        )
