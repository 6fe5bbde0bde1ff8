# SPDX-License-Identifier: Apache-2.0
"""Pretrain a BERT: masked language model and next sentence prediction, evaluated on held-out records."""

import os

from jaxbert.config.trainers import PretrainingFlags
from jaxbert.tasks import pretraining
from jaxbert.train import devices


def run(flags: PretrainingFlags) -> None:
    """Train from where the run stands, or from the start, to the last step."""
    with devices.prepared(flags, os.environ):
        pretraining.run_task(flags)
