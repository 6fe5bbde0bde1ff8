# SPDX-License-Identifier: Apache-2.0
"""Write the sample task: TSV files as of MRPC, a vocabulary, a model size, and the flags to train with."""

import os

from jaxbert import files
from jaxbert.config import bert_config
from jaxbert.config.create_sample_data import Flags
from jaxbert.examples import sample

# Found to learn the task from random weights for each of several seeds.
TRAINING = "--max_seq_length=64\n--train_batch_size=32\n--num_train_epochs=8\n--learning_rate=5e-4\n"


def run(flags: Flags) -> None:
    """Make the files and say where they are."""
    contents = file_contents(flags.output_dir, flags.random_seed)
    for path, text in contents.items():
        files.write_text(path, text)
        print(path)


def file_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of every file that the command writes."""
    task, config, vocab = (os.path.join(folder, name) for name in ("MRPC", "bert_config.json", "vocab.txt"))
    sets = sample.make_sets(seed)
    answers = "".join(f"{place}\t{pair.label}\n" for place, pair in enumerate(sets["test"]))
    return {
        os.path.join(task, "train.tsv"): sample.to_tsv(sets["train"]),
        os.path.join(task, "dev.tsv"): sample.to_tsv(sets["dev"]),
        os.path.join(task, "test.tsv"): sample.to_tsv(sets["test"], with_labels=False),
        os.path.join(task, "test_answers.tsv"): f"index\tQuality\n{answers}",
        vocab: "".join(f"{word}\n" for word in sample.vocabulary()),
        config: bert_config.to_json(sample.model_config()),
        os.path.join(folder, "flags.txt"): (
            f"--data_dir={task}\n--vocab_file={vocab}\n--bert_config_file={config}\n"
            f"--model_dir={os.path.join(folder, 'model')}\n{TRAINING}"
        ),
    }
