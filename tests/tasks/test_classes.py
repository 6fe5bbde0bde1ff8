# SPDX-License-Identifier: Apache-2.0
"""The classes of a trained model and those of the data: found by name, only counted, or other ones."""

import pytest

from jaxbert.errors import InputError
from jaxbert.tasks.classes import ModelClasses


def _classes(*names: str, several: bool = False) -> ModelClasses:
    return ModelClasses(names, several, "a model")


@pytest.mark.parametrize(
    ("names", "labels", "ordered", "kept"),
    [
        ((), ("a", "b"), ("a", "b"), None),
        (("a", "b"), ("a", "b"), ("a", "b"), None),
        (("b", "c", "a"), ("a", "b", "c"), ("b", "c", "a"), (2, 0, 1)),
        (("Not Entailment", "ENTAILMENT"), ("entailment", "not_entailment"), ("not_entailment", "entailment"), (1, 0)),
        (("LABEL_0", "LABEL_1"), ("no", "yes"), ("no", "yes"), None),
        (("no", "yes"), ("0", "1"), ("0", "1"), None),
        (("1", "0"), ("0", "1"), ("1", "0"), (1, 0)),
        (("b", "B"), ("B", "b"), ("b", "B"), (1, 0)),
    ],
)
def test_classes_are_found_by_name(
    names: tuple[str, ...], labels: tuple[str, ...], ordered: tuple[str, ...], kept: tuple[int, ...] | None
) -> None:
    """Letter case, `-`, `_` and blanks apart; names that only count go by their numbers."""
    assert _classes(*names).ordered(labels, "data") == ordered
    assert _classes(*names).kept_for(labels, is_multi_label=False) == kept


def test_numbers_are_counted_and_not_sorted_as_text() -> None:
    """Of more than ten classes `10` comes after `9`, though the labels of a file come sorted as text."""
    numbers = [str(number) for number in range(12)]
    model = _classes(*(f"LABEL_{number}" for number in numbers))
    assert model.ordered(tuple(sorted(numbers)), "data") == tuple(numbers)
    assert model.kept_for(tuple(sorted(numbers)), is_multi_label=False) == tuple(map(int, sorted(numbers)))


@pytest.mark.parametrize(
    ("names", "labels"),
    [(("a", "b"), ("a", "c")), (("a", "b"), ("a", "b", "c")), (("LABEL_0", "LABEL_1"), ("a", "b", "c"))],
)
def test_other_classes_are_new_or_refused(
    names: tuple[str, ...], labels: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A training starts their outputs at random, and says so; answers for other classes would be wrong."""
    assert _classes(*names).kept_for(labels, is_multi_label=False) == ()
    assert f"the model was trained for {', '.join(names)}" in capsys.readouterr().err
    with pytest.raises(InputError, match=rf"the classes {', '.join(names)}, `data` has {', '.join(labels)}"):
        _classes(*names).ordered(labels, "data")


def test_what_was_said_of_several_classes_at_once_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """The outputs for one class of many are not those for each class alone, even where the names are the same."""
    assert _classes("a", "b", several=True).kept_for(("a", "b"), is_multi_label=False) == ()
    assert "starts at random" in capsys.readouterr().err
    assert _classes("a", "b", several=True).kept_for(("b", "a"), is_multi_label=True) == (1, 0)
