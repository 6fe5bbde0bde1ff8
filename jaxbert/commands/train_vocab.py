# SPDX-License-Identifier: Apache-2.0
"""Make a vocabulary from text."""

from jaxbert.config.data import VocabFlags
from jaxbert.examples.corpus import read_sentences, text_files
from jaxbert.io.files import expand, refuse_folder, refuse_overwriting, write_text
from jaxbert.text.vocab_training import train_vocab


def run(flags: VocabFlags) -> None:
    """Read the text, learn the pieces, write them, and say how many."""
    refuse_folder(flags.output_file)
    texts = text_files(expand(flags.input_file), flags.input_format)
    refuse_overwriting([flags.output_file], [text.path for text in texts])
    tokens = train_vocab(
        lambda: read_sentences(texts),
        flags.vocab_size,
        do_lower_case=flags.do_lower_case,
        num_unused=flags.num_unused,
        min_frequency=flags.min_frequency,
        limit_alphabet=flags.limit_alphabet,
    )
    write_text(flags.output_file, "".join(f"{token}\n" for token in tokens))
    print(f"{len(tokens):,} tokens  {flags.output_file}")
