# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier or regressor, evaluate it, predict with it."""

import os

from jaxbert.commands.export import export_trained
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.io import files
from jaxbert.tasks import classification
from jaxbert.train import devices, hosts


def run(flags: ClassifierFlags) -> None:
    """Do what `--mode` says; then write the SavedModel that is asked for."""
    if flags.export_folder is not None:
        files.refuse_filled_folder(flags.export_folder)
    with devices.prepared(flags, os.environ):
        if flags.mode != "export_only":
            classification.run_task(flags)
        if flags.export_folder is not None and hosts.is_first():
            export_trained(flags, "classifier", flags.export_folder)
