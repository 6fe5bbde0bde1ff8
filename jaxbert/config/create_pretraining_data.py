# SPDX-License-Identifier: Apache-2.0
"""The flags of `create_pretraining_data`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """Records for pretraining, from text."""

    input_file: str = required_flag("Text files: globs, separated by commas; read in this order.")
    input_format: str = flag(
        "lines",
        "lines: a sentence a line, a blank line between documents. documents: every file is a document of running text."
        " jsonl: a document a line, in `text`. wikiextractor: what WikiExtractor writes, <doc ...> to </doc>.",
        choices=("lines", "documents", "jsonl", "wikiextractor"),
        group="What to make",
    )
    output_file: str = required_flag("Record files to write, separated by commas; the records go to them in turn.")
    vocab_file: str = required_flag("Vocabulary, one token a line.")
    do_lower_case: bool = flag(True, "Lower-case the text and drop accents; true for uncased vocabularies.")
    max_seq_length: int = flag(128, "Tokens in a record, [CLS] and [SEP] included.", minimum=5, maximum=1 << 16)
    dupe_factor: int = flag(10, "How often every document is used, each time cut and masked anew.", minimum=1)
    short_seq_prob: float = flag(
        0.1, "Share of passes over a document that make shorter records, for what comes later.", minimum=0, maximum=1
    )
    random_seed: int = flag(12345, "The same seed and flags give the same records, on any number of workers.")
    tokenization: str = flag("WordPiece", "How words are cut; the only way there is.", choices=("WordPiece",))
    masking: str = flag(
        "static",
        "static: the records say which tokens are masked. dynamic: they hold whole pairs, and the trainer masks anew"
        " each time it reads one; 1 is then enough as `--dupe_factor`.",
        choices=("static", "dynamic"),
        group="Masks",
    )
    masked_lm_prob: float = flag(0.15, "Share of the tokens to predict.", minimum=0, maximum=1)
    max_predictions_per_seq: int = flag(
        20, "Most tokens to predict in a record; about `--max_seq_length` times `--masked_lm_prob`.", minimum=1
    )
    do_whole_word_mask: bool = flag(False, "Mask all pieces of a word or none; each is still replaced by itself.")
    max_ngram_size: int | None = flag(
        None,
        "With whole words: mask runs of up to this many words, short ones more often (1/n), all their pieces in the"
        " same way; as tf-models-official from 2.4 on, where 1 is the default for whole words.",
        minimum=1,
    )
    gzip_compress: bool = flag(False, "Compress the record files.", group="Output")
    use_v2_feature_names: bool = flag(
        False, "Call the features input_word_ids and input_type_ids in place of input_ids and segment_ids."
    )
    num_workers: int = flag(0, "Processes that work at the same time; 0: one on each core.", minimum=0, group="Work")
    shard_mb: int = flag(
        8,
        "Megabytes of text that a worker holds at a time. Random next sentences come from the same shard, and records"
        " are shuffled within it: another number gives other records.",
        minimum=1,
    )
    same_draws_as_google: bool = flag(
        False,
        "Draw the random numbers of google-research's script one by one, for exactly its records; all text in memory,"
        " one process, about a third of the speed.",
    )
    runner: str = flag("", "Apache Beam runner, such as DirectRunner or DataflowRunner; default: without Beam.")
    beam_options: str = flag("", "Further options for the runner, as one text: `--project=... --region=...`.")
