# SPDX-License-Identifier: Apache-2.0
"""The classes of a trained classifier, as its files tell them, and those of the data, which are found by name."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxbert.checkpoints.resolve import Model
from jaxbert.config.trainers import weights_by_class
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.examples.class_names import by_number, keys, say_counted
from jaxbert.tfrecord.metadata import ClassificationMetaData


@dataclasses.dataclass(frozen=True)
class ModelClasses:
    """The classes that a model has outputs for.

    Attributes:
        names: in the order of the outputs; empty where no file says them, and for a number.
        is_multi_label: whether several of them may be right at once.
        folder: where the model is, for messages.
    """

    names: tuple[str, ...] = ()
    is_multi_label: bool = False
    folder: str | None = None

    @classmethod
    def of(cls, model: Model) -> "ModelClasses":
        """By what the model was trained for."""
        folder = model.source.folder if model.source else None
        task = model.task
        if not isinstance(task, ClassificationMetaData) or not task.label_list:
            return cls(folder=folder)
        return cls(task.label_list, task.is_multi_label, folder)

    def refuse_labels(self, flag: str | None) -> None:
        """Raises InputError where `--labels` names other classes, or them in another order."""
        if self.names and flag and flag != ",".join(self.names):
            raise InputError(
                f"`--labels={flag}`, but the model in `{self.folder}` has the classes {','.join(self.names)}",
                "leave the flag out",
            )

    def ordered(self, labels: tuple[str, ...], dataset: str) -> tuple[str, ...]:
        """The labels of the data in the order of the outputs; names that only count go by their numbers, which is said.

        Raises InputError where the model has other classes than the data.
        """
        by_key = dict(zip(keys(labels), labels, strict=True))
        if self.names and sorted(by_key) == sorted(keys(self.names)):
            return tuple(by_key[key] for key in keys(self.names))
        if not self.names:
            return labels
        if ordered := by_number(self.names, labels):
            say_counted(self.names, ordered)
            return tuple(ordered)
        raise InputError(
            f"the model has the classes {', '.join(self.names)}, `{dataset}` has {', '.join(labels)}",
            "give a model that was trained for these classes, or train one",
        )

    def order_for(self, labels: tuple[str, ...]) -> tuple[int, ...] | None:
        """For each label of the metadata the number of its output; None if they agree. Raises as `ordered`."""
        ordered = self.ordered(labels, "the metadata")
        return None if ordered == labels else tuple(map(ordered.index, labels))

    def kept_for(self, labels: tuple[str, ...], is_multi_label: bool) -> tuple[int, ...] | None:
        """For each class to train the output to start from; None where they are the same, () where none is kept."""
        if not self.names:
            return None
        found, wanted = keys(self.names), keys(labels)
        if self.is_multi_label == is_multi_label:
            if found == wanted:
                return None
            if sorted(found) == sorted(wanted):
                say(f"the model has the classes in another order, {', '.join(self.names)}: they are mapped by name")
                return tuple(map(found.index, wanted))
            if ordered := by_number(self.names, labels):
                say_counted(self.names, ordered)
                return None if tuple(ordered) == labels else tuple(map(ordered.index, labels))
        say(f"the model was trained for {', '.join(self.names)}: for the new classes its output layer starts at random")
        return ()


def label_counts(labels: np.ndarray, meta: ClassificationMetaData) -> np.ndarray:
    """How many examples have each class [C], of labels [n] int64, or 1 and 0 for each class [n, C]."""
    return labels.sum(axis=0) if meta.is_multi_label else np.bincount(labels, minlength=len(meta.class_names))


def class_weights(text: str | None, counts: np.ndarray, size: int, meta: ClassificationMetaData) -> tuple[float, ...]:
    """The weight of each class in the loss by `--class_weights`; () where all count the same.

    Args:
        text: `balanced`, or `name:2.0,other:0.5`, where other classes have 1; None for no weights. Balanced weights are
            n / (C x count) of n examples of C classes; with several labels (n - count) / count.
        counts: how many of the training examples have each class [C]; only looked at for balanced weights.
        size: their number n.
        meta: which classes there are.

    Raises:
        InputError: there are no classes, or not these; a weight is no number above 0; a class to balance has no example
            with it, or without it.
    """
    if text is None:
        return ()
    if meta.is_regression:
        raise InputError(f"`--class_weights={text}`: labels are numbers, there are no classes", "leave it out")
    return _balanced(counts, size, meta) if text == "balanced" else _given(text, meta.class_names)


def _balanced(counts: np.ndarray, size: int, meta: ClassificationMetaData) -> tuple[float, ...]:
    names = meta.class_names
    lacking = (counts == 0) | (meta.is_multi_label & (counts == size))
    if lacking.any():
        raise InputError(
            f"`--class_weights=balanced`: {counts[lacking][0]} of {size} examples to train on have"
            f" `{names[int(np.argmax(lacking))]}`",
            "give the weights by name: `name:2.0,other:0.5`",
        )
    weights = (size - counts) / counts if meta.is_multi_label else size / (len(names) * counts)
    return tuple(weights.tolist())


def _given(text: str, names: Sequence[str]) -> tuple[float, ...]:
    given = weights_by_class(text)
    if unknown := [name for name in given if name not in names]:
        raise InputError(
            f"`--class_weights={text}`: there is no class `{unknown[0]}`", f"the classes are {', '.join(names)}"
        )
    return tuple(given.get(name, 1.0) for name in names)
