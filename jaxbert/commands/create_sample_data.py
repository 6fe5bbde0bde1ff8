# SPDX-License-Identifier: Apache-2.0
"""Write the sample tasks: tables as of MRPC, questions as of SQuAD, a vocabulary, a model size, flags to train with."""

import os

from jaxbert import files
from jaxbert.config import bert_config
from jaxbert.config.create_sample_data import Flags
from jaxbert.examples import sample, sample_questions

# Found to learn the task from random weights for each of several seeds.
TRAINING = "--max_seq_length=64\n--train_batch_size=32\n--num_train_epochs=8\n--learning_rate=5e-4\n"
QUESTIONS_TRAINING = (
    "--max_seq_length=64\n--version_2_with_negative\n--train_batch_size=32\n--predict_batch_size=32\n"
    "--num_train_epochs=3\n--learning_rate=5e-4\n"
)


def run(flags: Flags) -> None:
    """Make the files and say where they are."""
    folder, seed = flags.output_dir, flags.random_seed
    contents = file_contents(folder, seed) | question_contents(folder, seed)
    for path, text in contents.items():
        files.write_text(path, text)
        print(path)


def file_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the files for classification, of the vocabulary and of the model's size."""
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


def question_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the files of questions."""
    task = os.path.join(folder, "questions")
    contents = {
        os.path.join(task, f"{name}.json"): text for name, text in sample_questions.make_questions(seed).items()
    }
    contents[os.path.join(task, "flags.txt")] = (
        f"--train_file={os.path.join(task, 'train.json')}\n--predict_file={os.path.join(task, 'dev.json')}\n"
        f"--vocab_file={os.path.join(folder, 'vocab.txt')}\n"
        f"--bert_config_file={os.path.join(folder, 'bert_config.json')}\n"
        f"--model_dir={os.path.join(folder, 'answers')}\n{QUESTIONS_TRAINING}"
    )
    return contents
