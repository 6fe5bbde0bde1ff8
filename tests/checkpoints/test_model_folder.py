# SPDX-License-Identifier: Apache-2.0
"""The folder of a trained model."""

from pathlib import Path

import pytest

from jaxbert.checkpoints import model_folder
from jaxbert.errors import InputError


def test_results_are_what_was_written(tmp_path: Path) -> None:
    """And nothing where none were."""
    assert model_folder.read_results(str(tmp_path)) == {}
    model_folder.write_results(str(tmp_path), {"step": 3, "f1": 0.5})
    assert model_folder.read_results(str(tmp_path)) == {"step": 3, "f1": 0.5}


@pytest.mark.parametrize(("content", "problem"), [("{", "line 1 is not JSON"), ("[1]", "holds no JSON object")])
def test_damaged_results_are_named(content: str, problem: str, tmp_path: Path) -> None:
    """With what to do about them."""
    path = tmp_path / model_folder.RESULTS_FILE
    path.write_text(content)
    with pytest.raises(InputError, match=f"`{path}` {problem}"):
        model_folder.read_results(str(tmp_path))
