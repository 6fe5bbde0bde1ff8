# SPDX-License-Identifier: Apache-2.0
"""`python -m jaxbert` is `jaxbert`."""

import sys

from jaxbert.cli import main

sys.exit(main())
