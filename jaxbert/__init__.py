# SPDX-License-Identifier: Apache-2.0
"""BERT from raw text to scored predictions, on JAX."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxbert.errors import InputError

if TYPE_CHECKING:
    from jaxbert.library.fine_tune import fine_tune
    from jaxbert.library.model import Answer, Candidate, Model, Prediction, load
    from jaxbert.predictions.tagging import Span

__version__ = "0.1.0"
__all__ = ["Answer", "Candidate", "InputError", "Model", "Prediction", "Span", "__version__", "fine_tune", "load"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """The library is imported when it is first used: with jax it takes a second, which commands do not spend."""
    if name not in __all__:
        raise AttributeError(f"module `jaxbert` has no attribute `{name}`")
    return getattr(importlib.import_module(f"jaxbert.library.{'fine_tune' if name == 'fine_tune' else 'model'}"), name)
