# SPDX-License-Identifier: Apache-2.0
"""The flags of `create_sample_data`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """A small task to try things out."""

    output_dir: str = required_flag("Folder to write the task, the vocabulary, the model size and the flags to.")
    random_seed: int = flag(0, "Chooses the examples; the same seed gives the same files.", minimum=0)
