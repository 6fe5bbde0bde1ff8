# SPDX-License-Identifier: Apache-2.0
"""Say the class of each text, or its number: of texts given here, in a file, or on standard input."""

import sys

from jaxbert.config.library import PredictFlags
from jaxbert.library.text_files import predict_texts


def run(flags: PredictFlags) -> None:
    """Read texts, write a line for each."""
    predict_texts(flags, sys.stdin.buffer)
