# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model that chooses among several answers, score it, predict with it."""

import os

from jaxbert.config.trainers import MultipleChoiceFlags
from jaxbert.tasks import fine_tuning, multiple_choice


def run(flags: MultipleChoiceFlags) -> None:
    """Do what `--mode` says."""
    fine_tuning.run_and_export(flags, multiple_choice.run_task, "choice", os.environ)
