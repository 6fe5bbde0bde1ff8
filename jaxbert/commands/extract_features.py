# SPDX-License-Identifier: Apache-2.0
"""Write vectors of the tokens of each text, as google-research's script does."""

from jaxbert.config.library import ExtractFeaturesFlags
from jaxbert.library.text_files import embed_file


def run(flags: ExtractFeaturesFlags) -> None:
    """Read the texts, write the vectors of their tokens."""
    embed_file(flags)
