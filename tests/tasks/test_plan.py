# SPDX-License-Identifier: Apache-2.0
"""How many steps a fine-tuning has, and where it is evaluated."""

import pytest

from jaxbert.config.trainers import ClassifierFlags
from jaxbert.tasks.fine_tuning import plan


@pytest.mark.parametrize(
    ("records", "size", "evaluations", "between", "total"),
    [(3668, None, 1, 114, 342), (3668, None, 4, 28, 336), (3668, 640, 1, 20, 60), (3668, 640, 4, 5, 60)],
)
def test_an_epoch_is_once_through_the_records_however_often_it_is_evaluated(
    records: int, size: int | None, evaluations: int, between: int, total: int
) -> None:
    """Steps as the official trainer counts them, and of `--train_data_size` records as of so many in all.

    Official 2.5 (run_classifier.py, `run_bert`) has min(records // evaluations, size) examples between evaluations, so
    in the last case 240 steps, which are 12 passes over 640 records in place of 3.
    """
    steps, _ = plan(ClassifierFlags(model_dir="m", mode="predict", num_train_epochs=3), size or records, evaluations)
    assert (steps.epoch_steps, steps.total_steps) == (between, total)
