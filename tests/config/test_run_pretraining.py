# SPDX-License-Identifier: Apache-2.0
"""The recipes for pretraining are flags that exist."""

from pathlib import Path

import pytest

from jaxbert.config.flags import parse
from jaxbert.config.trainers import PretrainingFlags

RUNS = Path(__file__).parents[2] / "runs"


@pytest.mark.parametrize("recipe", sorted(RUNS.glob("*.flags")), ids=lambda path: path.stem)
def test_recipes_can_be_read(recipe: Path) -> None:
    """Each flag file holds flags of the command, and records and folder are all that is left to say."""
    flags = parse(PretrainingFlags, [f"--flagfile={recipe}", "--input_files=x", "--model_dir=y"]).options
    assert flags.num_train_epochs * flags.num_steps_per_epoch >= 10_000
