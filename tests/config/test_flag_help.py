# SPDX-License-Identifier: Apache-2.0
"""The help text of a command."""

import dataclasses

from jaxbert.config.flag_help import WIDTH, help_text
from jaxbert.config.flags import argument, flag, required_flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """Two groups and a required flag."""

    steps: int = flag(3, "How many. " * 20, minimum=1, group="Training")
    model_dir: str = required_flag("Where.", short="md")
    train: bool = flag(True, "Whether.")
    mode: str = flag("eval", "What.", choices=("eval", "predict"), group="Other")
    size: int | None = flag(None, "Some.")


def test_help_text() -> None:
    """Required flags come first; each flag stands in its group with spelling, default and limits."""
    text = help_text(Flags, "run", "does it")
    lines = [line.strip() for line in text.splitlines() if line.startswith(("  --", "Req", "Tra", "Oth"))]
    assert lines == [
        "Required",
        "--model_dir=TEXT  (short: --md)",
        "Training",
        "--steps=INTEGER  (default 3, at least 1)",
        "--[no]train  (default true)",
        "Other",
        "--mode=eval|predict  (default eval)",
        "--size=INTEGER",
    ]
    assert max(map(len, text.splitlines())) <= WIDTH


def test_arguments_without_name() -> None:
    """An argument that is no flag stands in the usage line and among what is required."""

    @dataclasses.dataclass(frozen=True)
    class WithArgument:
        """One of each."""

        source: str = argument("From where.")
        steps: int = flag(3, "How many.")

    lines = help_text(WithArgument, "run", "does it").splitlines()
    assert "usage: jaxbert run <source> --flag=value ... [--flagfile=FILE]" in lines
    assert lines[lines.index("Required") + 1 :][:2] == ["  <source>", "      From where."]
