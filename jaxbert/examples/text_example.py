# SPDX-License-Identifier: Apache-2.0
"""What every reader of classification and regression data yields: one text or two, with a label."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class TextExample:
    """One sentence or sentence pair.

    Attributes:
        text_a: the first text.
        text_b: the second text of a pair; None for single texts.
        label: name of the class, or the number to predict; None where the file does not say (test sets).
        id: what tells the example apart in its file: a column of it, or the number of its row from 0.
    """

    text_a: str
    text_b: str | None = None
    label: str | float | None = None
    id: str = ""

    def __reduce__(self) -> tuple[type["TextExample"], tuple[str, str | None, str | float | None, str]]:
        """How it goes to another process: several times faster than what dataclasses do by themselves."""
        return TextExample, (self.text_a, self.text_b, self.label, self.id)


Split = Callable[[], Iterator[TextExample]]
"""Starts reading one set of examples from its first; reads the file as it goes."""


@dataclasses.dataclass(frozen=True)
class TextDataset:
    """The sets of one task, not yet read.

    Attributes:
        name: the task, as `processor_type` in the meta data says it.
        labels: class names in the order of their ids; empty for regression.
        train: the training set.
        dev: the set for evaluation while training.
        test: test sets by language; the only test set of a task in one language has the name "".
    """

    name: str
    labels: tuple[str, ...]
    train: Split | None
    dev: Split | None
    test: Mapping[str, Split]

    @property
    def is_regression(self) -> bool:
        """Whether labels are numbers."""
        return not self.labels
