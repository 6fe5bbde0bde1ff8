# SPDX-License-Identifier: Apache-2.0
"""Write the tasks of the demo: tables, questions, text to pretrain on, a vocabulary, a model size, flags to train with.

python -m runs.sample_data FOLDER [SEED]; the same seed gives the same files.
"""

import os
import sys

from jaxbert.config import bert_config
from jaxbert.io import files
from runs import sample_events, sample_questions, sample_reviews

# Found to learn the task from random weights for each of several seeds.
TRAINING = "--max_seq_length=64\n--train_batch_size=32\n--num_train_epochs=8\n--learning_rate=5e-4\n"
QUESTIONS_TRAINING = (
    "--max_seq_length=64\n--version_2_with_negative\n--train_batch_size=32\n--predict_batch_size=32\n"
    "--num_train_epochs=3\n--learning_rate=5e-4\n"
)
# Found to bring the meaning of words into the model; see docs/log.md.
PRETRAINING = (
    "--nouse_next_sentence_label\n--masked_lm_prob=0.3\n--train_batch_size=64\n--num_steps_per_epoch=1200\n"
    "--num_train_epochs=1\n--learning_rate=2e-3\n--warmup_proportion=0.1\n"
)
REVIEWS_TRAINING = "--max_seq_length=64\n--train_batch_size=16\n--num_train_epochs=10\n--learning_rate=1e-3\n"


def main(folder: str, seed: int = 0) -> None:
    """Make the files and say where they are."""
    contents = file_contents(folder, seed) | question_contents(folder, seed) | review_contents(folder, seed)
    for path, text in contents.items():
        files.write_text(path, text)
        print(path)


def file_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the files for classification, of the vocabulary and of the model's size."""
    task, config, vocab = (os.path.join(folder, name) for name in ("MRPC", "bert_config.json", "vocab.txt"))
    sets = sample_events.make_sets(seed)
    answers = "".join(f"{index}\t{pair.label}\n" for index, pair in enumerate(sets["test"]))
    return {
        os.path.join(task, "train.tsv"): sample_events.to_tsv(sets["train"]),
        os.path.join(task, "dev.tsv"): sample_events.to_tsv(sets["dev"]),
        os.path.join(task, "test.tsv"): sample_events.to_tsv(sets["test"], with_labels=False),
        os.path.join(task, "test_answers.tsv"): f"index\tQuality\n{answers}",
        vocab: "".join(f"{word}\n" for word in sample_events.vocabulary()),
        config: bert_config.to_json(sample_events.model_config()),
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


def review_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the reviews to pretrain on, and of the sentences to judge."""
    reviews = os.path.join(folder, "reviews")
    task, config, vocab = (os.path.join(reviews, name) for name in ("SST-2", "bert_config.json", "vocab.txt"))
    sets = sample_reviews.make_sets(seed)
    contents = {
        os.path.join(task, f"{name}.tsv"): sample_reviews.to_tsv(examples, with_labels=name != "test")
        for name, examples in sets.items()
    }
    answers = "".join(f"{number}\t{label}\n" for number, (_, label) in enumerate(sets["test"]))
    sizes = f"--bert_config_file={config}\n--vocab_file={vocab}\n"
    return contents | {
        os.path.join(task, "test_answers.tsv"): f"index\tlabel\n{answers}",
        os.path.join(reviews, "text.txt"): sample_reviews.corpus(seed),
        config: bert_config.to_json(sample_reviews.model_config()),
        os.path.join(reviews, "pretrain.flags"): (
            f"--input_files={os.path.join(reviews, 'train.tfrecord')}\n"
            f"--model_dir={os.path.join(reviews, 'pretraining')}\n"
            f"{sizes}{PRETRAINING}"
        ),
        os.path.join(reviews, "judge.flags"): f"--data_dir={task}\n{sizes}{REVIEWS_TRAINING}",
    }


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
