# SPDX-License-Identifier: Apache-2.0
"""What is written of the commands, in the README, in docs and in scripts, is so."""

import re
from pathlib import Path

import pytest

from jaxbert.cli import COMMANDS, flags_of
from jaxbert.config.flags import rules

ROOT = Path(__file__).parents[1]
PLACES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "runs").glob("*.sh")),
    *sorted((ROOT / "jaxbert/config/recipes").glob("*.flags")),
]


@pytest.mark.parametrize("path", [path for path in PLACES if path.name != "log.md"], ids=lambda path: path.name)
def test_written_commands_have_the_flags_that_are_written(path: Path) -> None:
    """Of each command line: the command exists, and has every flag."""
    text = re.sub(r"\\\n(# )?", " ", path.read_text())
    for command, line in re.findall(r"\bjaxbert ([a-z_]+)((?: [^`|;)\n]*)?)", text):
        if "--" not in line:
            continue
        assert command in COMMANDS, line
        trainers = {"sweep": ["run_classifier", "run_squad"], "run_glue": ["run_classifier"]}.get(command, [])
        names = {"flagfile", "help", *(name for one in (command, *trainers) for name in rules(flags_of(one)))}
        for flag in re.findall(r"--(\w+)", line):
            assert {flag, flag.removeprefix("no")} & names, f"{command} has no --{flag}: {line}"
