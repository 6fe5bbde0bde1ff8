# SPDX-License-Identifier: Apache-2.0
"""The flags of `train_vocab`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """A vocabulary from text."""

    input_file: str = required_flag("Text files: globs, separated by commas.")
    input_format: str = flag(
        "lines",
        "How the files are written; as in `create_pretraining_data`.",
        choices=("lines", "documents", "jsonl", "wikiextractor"),
    )
    output_file: str = required_flag("The vocabulary to write, one token a line: `vocab.txt`.")
    vocab_size: int = flag(30522, "Tokens, special ones included; the default is BERT's, uncased.", minimum=6)
    do_lower_case: bool = flag(True, "Lower-case the text and drop accents; use the vocabulary with the same setting.")
    num_unused: int = flag(
        99, "Places [unused1] and so on, to fill later; 99 gives special tokens the ids of BERT's models.", minimum=0
    )
    min_frequency: int = flag(2, "How often two pieces must stand together to be joined.", minimum=1)
    limit_alphabet: int = flag(1000, "Most characters to keep; Chinese and Japanese need several thousand.", minimum=1)
