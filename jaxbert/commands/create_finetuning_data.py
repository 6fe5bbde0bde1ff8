# SPDX-License-Identifier: Apache-2.0
"""Make the records and metadata of a classification or regression task, or of SQuAD."""

from jaxbert.config.data import FineTuningDataFlags
from jaxbert.datasets import classification, squad


def run(flags: FineTuningDataFlags) -> None:
    """Read the data, write the records, then the metadata; print what was made."""
    task = squad if flags.fine_tuning_task_type == "squad" else classification
    print("\n".join(task.make_records(flags)))
