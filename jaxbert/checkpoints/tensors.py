# SPDX-License-Identifier: Apache-2.0
"""The one place where safetensors files are written: whole or not at all, and in the layout that the format means."""

from collections.abc import Mapping

import google_crc32c
import numpy as np
from safetensors.numpy import save_file

from jaxbert.io import files


def write_tensors(path: str, tensors: Mapping[str, np.ndarray], notes: Mapping[str, str] | None = None) -> None:
    """Write the arrays, of any shape, and `notes` as the file's metadata.

    safetensors 0.8.0 writes the memory of an array as it lies there under its logical shape: a transposed array, or one
    that keeps a device's layout, would come back scrambled. So each is brought into C order before.
    """
    ordered = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with files.whole_file(path) as file:
        save_file(ordered, file.name, dict(notes) if notes else None)


def checksum(tensor: np.ndarray) -> str:
    """The crc32c of an array's values in C order, as eight hexadecimal digits; its layout in memory does not matter."""
    return f"{google_crc32c.value(np.asarray(tensor, order='C').reshape(-1).view(np.uint8)):08x}"
