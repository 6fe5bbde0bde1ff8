# SPDX-License-Identifier: Apache-2.0
"""Make records for pretraining from text."""

from jaxbert.config.data import PretrainingDataFlags
from jaxbert.datasets.pretraining_build import make_records


def run(flags: PretrainingDataFlags) -> None:
    """Make the records, and say what was made."""
    print("\n".join(make_records(flags)))
