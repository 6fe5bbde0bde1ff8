# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier or regressor, evaluate it, predict with it."""

import os

from jaxbert.config.trainers import ClassifierFlags
from jaxbert.tasks import classification, fine_tuning


def run(flags: ClassifierFlags) -> None:
    """Do what `--mode` says; then write the SavedModel that is asked for."""
    fine_tuning.run_and_export(flags, classification.run_task, "classifier", os.environ)
