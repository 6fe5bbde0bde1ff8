# SPDX-License-Identifier: Apache-2.0
"""Arguments of `import jaxbert`: what is wrong with one is said in a sentence, before anything is computed with it."""

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

from jaxbert.errors import InputError

_SHOWN = 60  # characters of a value


def wrong(name: str, value: object, hint: str) -> InputError:
    """The error for an argument with this value."""
    return InputError(f"`{name}` is `{repr(value)[:_SHOWN]}`", hint)


def text(name: str, value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise wrong(name, value, "give a text")
    return value


def path(name: str, value: object) -> str:
    """The path of a file or folder."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(found, str):
        raise wrong(name, value, "give a path")
    return found


def several(name: str, value: Any, hint: str) -> Iterable[Any]:
    """A list, or whatever else gives one value after the other; a text would give letters, a mapping its keys."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(type(value), "__iter__"):
        raise wrong(name, value, hint)
    found: Iterable[Any] = value
    return found


def whole_number(name: str, value: SupportsIndex, least: int | None = None) -> int:
    """A whole number, also one of NumPy."""
    hint = "give a whole number" if least is None else f"expected at least {least}, a whole number"
    try:
        number = operator.index(value)
    except TypeError as error:
        raise wrong(name, value, hint) from error
    if isinstance(value, bool) or (least is not None and number < least):
        raise wrong(name, value, hint)
    return number


def one_of(name: str, value: object, choices: Sequence[str]) -> None:
    """One of these names."""
    if value not in choices:
        raise wrong(name, value, f"expected one of {', '.join(choices)}")


def switch(name: str, value: object) -> None:
    """True or False; None where it is left open."""
    if value is not None and not isinstance(value, bool):
        raise wrong(name, value, "expected True or False")
