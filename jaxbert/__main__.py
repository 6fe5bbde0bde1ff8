# SPDX-License-Identifier: Apache-2.0
"""`jaxbert`, and `python -m jaxbert`: one command in a process of its own."""

import contextlib
import os
import sys
from typing import NoReturn

from jaxbert import cli


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    code = cli.main()
    if code > 128:
        # A signal ends the wait for a program that XLA compiles, not the compilation. Where that still runs when the
        # interpreter takes its modules apart, jaxlib 0.10.2 crashes: so they are left as they are.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
