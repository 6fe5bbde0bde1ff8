# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model on SQuAD, answer questions with it, score the answers."""

import os

from jaxbert.config.trainers import SquadFlags
from jaxbert.tasks import fine_tuning, spans


def run(flags: SquadFlags) -> None:
    """Do what `--mode` says; then write the SavedModel that is asked for."""
    fine_tuning.run_and_export(flags, spans.run_task, "squad", os.environ)
