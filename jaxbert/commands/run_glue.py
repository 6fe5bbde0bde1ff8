# SPDX-License-Identifier: Apache-2.0
"""Fine-tune on every task of GLUE that is there."""

import os

from jaxbert.config.sweep import Glue
from jaxbert.console import say
from jaxbert.reports.many import write_tasks
from jaxbert.sweeps import table
from jaxbert.sweeps.glue import METRICS, left_out, lines, run_glue


def run(glue: Glue) -> None:
    """Run what is not done, print the table, write the report."""
    found = run_glue(glue, os.environ)
    print("\n".join(lines(found)))
    if found["tasks"]:
        write_tasks(glue.flags.model_dir, glue.flags.data_dir, found, METRICS)
    if found["submitted"]:
        archive = os.path.join(glue.flags.model_dir, "submission.zip")
        say(f"for the server: {archive} with {', '.join(found['submitted'])}")
    sweeps = found["failed"] | {task: one["sweep"] for task, one in found["tasks"].items()}
    table.refuse_failed({os.path.join(glue.flags.model_dir, task): sweeps[task] for task in sweeps}, left_out(found))
