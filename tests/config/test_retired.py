# SPDX-License-Identifier: Apache-2.0
"""The table of flags that no longer mean anything."""

from jaxbert.config.flags import parse
from jaxbert.config.retired import RETIRED
from jaxbert.config.run_classifier import Flags


def test_old_command_line_runs() -> None:
    """A cloud TPU command line of the old scripts is accepted; each flag without meaning is answered by a sentence."""
    old = "--use_tpu --tpu_name=x --num_tpu_cores 8 --iterations_per_loop=1000 --norun_eagerly --enable_xla=true"
    parsed = parse(Flags, ["--model_dir=m", "--mode=predict", *old.split()], RETIRED)
    assert len(parsed.notes) == 6
    assert all(note.endswith(".") for note in parsed.notes)
