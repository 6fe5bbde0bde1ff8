# SPDX-License-Identifier: Apache-2.0
"""Train with every combination of values, several seeds each, and choose."""

import os

from jaxbert.config.sweep import Sweep
from jaxbert.console import say
from jaxbert.reports.many import write_settings
from jaxbert.sweeps import table
from jaxbert.sweeps.runs import run_all


def run(sweep: Sweep) -> None:
    """Run what is not done, print the table, write it."""
    done = run_all(sweep, os.environ)
    found = table.summary(sweep, done)
    path = table.write(sweep, found)
    print("\n".join(table.lines(found)))
    if found["best_run"]:
        write_settings(sweep.folder, found)
        say(f"the best model is in {found['best_run']['folder']}; all figures are in {path}")
    table.refuse_failed({sweep.folder: found})
