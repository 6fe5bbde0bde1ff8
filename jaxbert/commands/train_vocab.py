# SPDX-License-Identifier: Apache-2.0
"""Make a vocabulary from text."""

from collections.abc import Iterator, Sequence
from typing import cast

from jaxbert.config.data import VocabFlags
from jaxbert.examples.corpus import Format, read_documents, shards
from jaxbert.io.files import expand, write_text
from jaxbert.text.vocab_training import train_vocab

_SHARD = 8_000_000  # bytes of text in memory at a time


def run(flags: VocabFlags) -> None:
    """Read the text, learn the pieces, write them, and say how many."""
    paths = expand(flags.input_file)
    tokens = train_vocab(
        lambda: _texts(paths, cast(Format, flags.input_format)),
        flags.vocab_size,
        do_lower_case=flags.do_lower_case,
        num_unused=flags.num_unused,
        min_frequency=flags.min_frequency,
        limit_alphabet=flags.limit_alphabet,
    )
    write_text(flags.output_file, "".join(f"{token}\n" for token in tokens))
    print(f"{len(tokens):,} tokens  {flags.output_file}")


def _texts(paths: Sequence[str], form: Format) -> Iterator[str]:
    """Every sentence of the files."""
    for shard in shards(paths, form, _SHARD):
        documents, _ = read_documents(shard, form)
        for document in documents:
            yield from document
