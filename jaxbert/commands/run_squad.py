# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model on SQuAD, answer questions with it, score the answers."""

import os

from jaxbert.config.trainers import SquadFlags
from jaxbert.export.model import export_model
from jaxbert.io import files
from jaxbert.tasks import spans
from jaxbert.tasks.fine_tuning import trained_checkpoint
from jaxbert.train import devices, hosts


def run(flags: SquadFlags) -> None:
    """Do what `--mode` says; then write the SavedModel that is asked for."""
    if flags.export_folder is not None:
        files.refuse_filled_folder(flags.export_folder)
    with devices.prepared(flags, os.environ):
        if flags.mode != "export_only":
            spans.run_task(flags)
        if flags.export_folder is not None and hosts.is_first():
            export_model(
                trained_checkpoint(flags),
                "saved_model",
                flags.export_folder,
                kind="squad",
                bert_config_file=flags.bert_config_file,
                vocab_file=flags.vocab_file,
                do_lower_case=flags.do_lower_case,
            )
