# SPDX-License-Identifier: Apache-2.0
"""The flags of `run_pretraining`."""

import dataclasses

from jaxbert.config.flags import flag, required_flag
from jaxbert.config.training import TrainingFlags


@dataclasses.dataclass(frozen=True)
class Flags(TrainingFlags):
    """Pretraining a BERT on records of `create_pretraining_data`."""

    input_files: str = required_flag("Training records, globs separated by commas.", group="Records")
    eval_files: str | None = flag(None, "Held-out records to evaluate on after each epoch, globs separated by commas.")
    max_seq_length: int | None = flag(None, "Positions of a record; default: as many as the records have.", minimum=5)
    max_predictions_per_seq: int | None = flag(
        None,
        "Masked positions of a record; default: as many as the records have, or for records without masks"
        " --max_seq_length times --masked_lm_prob.",
        minimum=1,
    )
    use_next_sentence_label: bool = flag(True, "Predict also whether the second text of a record is a random one.")
    eval_batch_size: int = flag(32, "Records that are evaluated together.", minimum=1)

    masked_lm_prob: float | None = flag(
        None,
        "Share of the tokens to predict; default: 0.15.",
        minimum=0,
        maximum=1,
        group="Records without masks: each epoch masks them anew",
    )
    do_whole_word_mask: bool = flag(False, "Mask all pieces of a word or none.")
    max_ngram_size: int | None = flag(None, "With whole words: mask runs of up to this many words.", minimum=1)
    vocab_file: str | None = flag(
        None, "Vocabulary of the records; default: `vocab.txt` beside --init_checkpoint. It goes with the model."
    )
    do_lower_case: bool | None = flag(
        None, "Whether the text of the records was lower-cased, to be told to who uses the model; default: not known."
    )

    num_train_epochs: float = flag(3.0, "Times --num_steps_per_epoch.", minimum=0.0)
    num_steps_per_epoch: int = flag(1000, "Steps between evaluations.", minimum=1, group="Steps")
    warmup_steps: float = flag(10000, "Steps in which the rate rises.", minimum=0)
    warmup_proportion: float = flag(
        0.0,
        "Share of training in which the rate rises; above 0 it counts in place of --warmup_steps.",
        minimum=0.0,
        maximum=1.0,
    )
