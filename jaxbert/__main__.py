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
    if code:
        # XLA may still compile what is not wanted any more: a signal ends the wait for it, not the work. The
        # interpreter would wait for it, or crash (jaxlib 0.10.2) where that ends while modules are taken apart.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
