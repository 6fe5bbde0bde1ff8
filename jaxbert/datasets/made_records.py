# SPDX-License-Identifier: Apache-2.0
"""Where records that a trainer makes of text are kept, so that they are made once."""

import hashlib
import os
from collections.abc import Iterable

from jaxbert.io import files


def records_folder(model_dir: str, sources: Iterable[str | None], settings: object) -> str:
    """A folder below `<model_dir>/records` for what comes of these files, in their present state, by these settings.

    `settings` must have a `repr` that says all of it.
    """
    states = [(files.absolute(path), files.version(path)) for path in sorted(filter(None, sources))]
    fingerprint = hashlib.sha256(repr((states, settings)).encode()).hexdigest()[:16]
    return os.path.join(model_dir, "records", fingerprint)
