# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model that tags words, score it, predict with it."""

import os

from jaxbert.config.trainers import TaggerFlags
from jaxbert.tasks import fine_tuning, tagging


def run(flags: TaggerFlags) -> None:
    """Do what `--mode` says."""
    fine_tuning.run_and_export(flags, tagging.run_task, "tagger", os.environ)
