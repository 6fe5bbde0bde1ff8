# SPDX-License-Identifier: Apache-2.0
"""Write a vector for each text of a file."""

from jaxbert.config.library import EmbedFlags
from jaxbert.library.text_files import embed_file


def run(flags: EmbedFlags) -> None:
    """Read the texts, write their vectors."""
    embed_file(flags)
