# SPDX-License-Identifier: Apache-2.0
"""Make records for pretraining from text."""

import shlex
import time

from jaxbert.checkpoints.tokenizer_files import rules_of_vocab
from jaxbert.config.data import PretrainingDataFlags
from jaxbert.console import MEGABYTE, cores, say, text_progress
from jaxbert.datasets.pretraining_build import Recipe, build, prepare, problems, summary
from jaxbert.examples.corpus import text_files
from jaxbert.features.masking import Masking
from jaxbert.features.pretraining import PairRecipe
from jaxbert.io.files import expand, refuse_overwriting


def run(flags: PretrainingDataFlags) -> None:
    """Make the records, going on where an interrupted run stopped, and say what was made."""
    masking = None
    if flags.masking == "static":
        whole_words, max_ngram = flags.do_whole_word_mask, flags.max_ngram_size or 0
        masking = Masking(flags.masked_lm_prob, flags.max_predictions_per_seq, whole_words, max_ngram)
        if (shortage := masking.shortage(flags.max_seq_length)) is not None:
            say(f"note: {shortage}")
    recipe = Recipe(
        flags.vocab_file,
        rules_of_vocab(flags.vocab_file, flags.do_lower_case),
        PairRecipe(
            flags.max_seq_length, flags.dupe_factor, flags.short_seq_prob, flags.random_seed, flags.same_draws_as_google
        ),
        masking,
        len(flags.outputs),
        flags.gzip_compress,
        flags.use_v2_feature_names,
    )
    texts = text_files(expand(flags.input_file), flags.input_format)
    refuse_overwriting(flags.outputs, [flags.vocab_file, *(text.path for text in texts)])
    work = prepare(texts, recipe, flags.outputs, flags.shard_mb * MEGABYTE)
    started, before = time.perf_counter(), len(work.shards) - len(work.missing())
    if before:
        say(f"{before} of {len(work.shards)} shards are there from an interrupted run; going on")
    with text_progress() as report:
        counts = build(work, flags.num_workers or cores(), report, flags.runner, shlex.split(flags.beam_options))
    print(summary(counts, work, 0.0 if before else time.perf_counter() - started))
    for problem in problems(counts, work):
        say(f"note: {problem}")
