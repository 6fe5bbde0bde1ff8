# SPDX-License-Identifier: Apache-2.0
"""Write the tasks of the demo: tables, questions, text to pretrain on, a vocabulary, model sizes, flags to train with.

python runs/sample_data.py FOLDER [SEED]; the same seed gives the same files.

Pairs in the layout of MRPC: does the second sentence follow from the first?

    The fox was washed by the horse near the river .    The smaller animal was washed .     1
    The horse was washed by the fox near the river .    The smaller animal was washed .     0

Who is smaller must be learnt from the examples; who did it to whom is in the order of the words and in active or
passive. Each example stands beside its twin with the two animals exchanged, which has the same words and the other
label: whoever only counts words is right half of the time. Active sentences and `smaller` are more frequent, which
gives a model from random weights a first, easy regularity to start from.

Questions in the layout of SQuAD 2.0 about the same animals:

    The fox was washed by the horse near the river.
    Who washed the other animal?    horse
    Who was washed?                 fox
    Where was that?                 near the river
    When was that?                  (the text does not say)

Half of the texts say where, half when, and each question for what the text does not say has no answer.

Reviews to pretrain on, and sentences to judge in the layout of SST-2:

    We stayed a week . The kitchen was clean , bright and cosy . What a calm , quiet and lovely garden !
    The staff was friendly , polite and helpful .       1

The few labelled sentences use half of the words of praise and blame; the sentences to judge use the other half. What
those mean can only be learnt from the text, where they stand beside each other.
"""

import dataclasses
import itertools
import json
import os
import random
import re
import string
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.io import files

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
# As many word vectors as the vocabulary has tokens, which is made from the text.
REVIEWS_CONFIG = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "initializer_range": 0.05,
}
REVIEWS_TRAINING = "--max_seq_length=64\n--train_batch_size=16\n--num_train_epochs=10\n--learning_rate=1e-3\n"

ANIMALS = ("ant", "mouse", "rat", "rabbit", "cat", "fox", "dog", "goat", "lion", "horse", "bear", "elephant")  # by size
VERBS = ("followed", "washed", "pushed", "watched", "helped", "greeted", "visited", "painted")
WHERE = ("in the garden", "at the station", "near the river", "behind the house", "under the bridge")
WHEN = ("on monday", "last summer", "after lunch")
PAIRS = {"train": 4800, "dev": 800, "test": 800}
# Share of active sentences, of sentences that end with where or when, and of statements about the smaller animal.
USUAL = 0.8


@dataclasses.dataclass(frozen=True)
class Pair:
    """One example: `label` is 1 if `second` follows from `first`."""

    label: int
    first: str
    second: str


def make_pairs(seed: int) -> dict[str, list[Pair]]:
    """The examples of each set, as many as `PAIRS` says, half of them with label 1; no event is in two sets."""
    chance = random.Random(seed)
    events = list(itertools.product(itertools.combinations(ANIMALS, 2), VERBS, WHERE + WHEN))
    chance.shuffle(events)
    sets, rest = {}, iter(events)
    for name, size in PAIRS.items():
        chosen = itertools.islice(rest, size // 2)
        sets[name] = [pair for animals, verb, where in chosen for pair in _twins(animals, verb, where, chance)]
        chance.shuffle(sets[name])
    return sets


def pairs_to_tsv(pairs: Sequence[Pair], *, with_labels: bool = True) -> str:
    """The text of a file of MRPC: label (in a test file: index), two numbers and the sentences."""
    header = "\t".join(("Quality" if with_labels else "index", "#1 ID", "#2 ID", "#1 String", "#2 String"))
    rows = (
        f"{pair.label if with_labels else index}\t{2 * index + 1}\t{2 * index + 2}\t{pair.first}\t{pair.second}"
        for index, pair in enumerate(pairs)
    )
    return "\n".join((header, *rows)) + "\n"


def vocabulary() -> list[str]:
    """Every word of the task (past tenses as stem and `##ed`), and single characters so that any text can be read."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = {"the", "smaller", "larger", "animal", "was", "by", *ANIMALS, *" ".join(WHERE + WHEN).split()}
    words |= {"who", "other", "where", "when", "that"}  # of the questions
    words |= {verb.removesuffix("ed") for verb in VERBS}
    pieces = ["##ed", *(f"##{character}" for character in characters)]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *pieces, *sorted(words)]


def pairs_config() -> BertConfig:
    """A BERT of this task's size: 0.4 million weights, which learn it within a minute or so on two cores."""
    return BertConfig(
        vocab_size=len(vocabulary()),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=64,
        type_vocab_size=2,
        initializer_range=0.05,  # a narrow model starts better from larger weights
    )


def _twins(animals: tuple[str, str], verb: str, where: str, chance: random.Random) -> Iterable[Pair]:
    """The two examples of one event, which differ only in who did it; `animals` are the smaller and the larger one."""
    active, where_last, of_smaller = (chance.random() < USUAL for _ in range(3))
    second = f"The {'smaller' if of_smaller else 'larger'} animal was {verb} ."
    for label in (1, 0):
        undergoer, doer = animals if of_smaller == bool(label) else reversed(animals)
        yield Pair(label, event_sentence(doer, undergoer, verb, where, active=active, where_last=where_last), second)


def event_sentence(doer: str, undergoer: str, verb: str, where: str, *, active: bool, where_last: bool) -> str:
    """Who did what to whom, and where or when."""
    event = f"the {doer} {verb} the {undergoer}" if active else f"the {undergoer} was {verb} by the {doer}"
    text = f"{event} {where} ." if where_last else f"{where} , {event} ."
    return text.capitalize()


QUESTIONS = ("Who {verb} the other animal?", "Who was {verb}?", "Where was that?", "When was that?")
TEXTS = {"train": 1000, "dev": 100, "test": 100}


def make_questions(seed: int) -> dict[str, str]:
    """The JSON text of each set, four questions a text; no event is in two sets."""
    chance = random.Random(seed)
    events = list(itertools.product(itertools.permutations(ANIMALS, 2), VERBS, WHERE + WHEN))
    chance.shuffle(events)
    sets, first = {}, 0
    for name, count in TEXTS.items():
        chosen = events[first : first + count]
        paragraphs = [_paragraph(f"{name}-{number}", event, chance) for number, event in enumerate(chosen)]
        sets[name] = json.dumps({"version": "v2.0", "data": [{"title": name, "paragraphs": paragraphs}]}, indent=1)
        first += count
    return sets


def _paragraph(id_: str, event: tuple[tuple[str, str], str, str], chance: random.Random) -> dict[str, Any]:
    """One text with its four questions."""
    (doer, undergoer), verb, where = event
    active, where_last = (chance.random() < USUAL for _ in range(2))
    context = event_sentence(doer, undergoer, verb, where, active=active, where_last=where_last)
    answers = (doer, undergoer, *((where, "") if where in WHERE else ("", where)))
    asked = zip(QUESTIONS, answers, strict=True)
    questions = [
        _question(f"{id_}-{number}", question.format(verb=verb), context, answer)
        for number, (question, answer) in enumerate(asked)
    ]
    return {"context": context, "qas": questions}


def _question(id_: str, question: str, context: str, answer: str) -> dict[str, Any]:
    """One question; "" is no answer."""
    found = re.search(rf"\b{answer}\b", context, re.IGNORECASE) if answer else None
    answers = [{"text": found[0], "answer_start": found.start()}] if found else []
    return {"id": id_, "question": question, "answers": answers, "is_impossible": not answer}


_GOOD = (
    "bright calm charming clean cosy delightful fabulous fresh friendly generous gentle gorgeous helpful honest lovely"
    " pleasant polite quiet tasty wonderful"
)
_BAD = (
    "annoying awful boring broken cramped dirty dreadful dull dusty filthy greasy grim horrible loud mouldy rude rusty"
    " shabby smelly ugly"
)
_THINGS = "room kitchen garden breakfast staff view pool terrace soup coffee"
GOOD, BAD, THINGS = (tuple(words.split()) for words in (_GOOD, _BAD, _THINGS))
OPENINGS = (
    "We stayed a week .",
    "It was our second visit .",
    "My brother booked the house .",
    "We came by train in the evening .",
    "I travelled with two friends .",
    "It rained on both days .",
)
SENTENCES = (
    "The {thing} was {first} , {second} and {third} .",
    "We found the {thing} {first} , {second} and {third} .",
    "What a {first} , {second} and {third} {thing} !",
    "I remember the {first} {thing} and the {second} , {third} {other} .",
)
REVIEWS = 4000
REVIEW_SENTENCES = {"train": 200, "dev": 200, "test": 800}
LABELLED_SHARE = 2  # one word in so many is in the labelled sentences


def review_text(seed: int) -> str:
    """Reviews as text to pretrain on: a sentence a line, a blank line between reviews."""
    chance = random.Random(seed)
    return "\n".join(f"{_review(chance)}\n" for _ in range(REVIEWS))


def make_review_sentences(seed: int) -> dict[str, list[tuple[str, int]]]:
    """Sentences and labels (1: praise) of each set; no word of praise or blame of `train` is in the others."""
    chance = random.Random(seed)
    shuffled = [chance.sample(words, len(words)) for words in (BAD, GOOD)]
    sets = {}
    for name, size in REVIEW_SENTENCES.items():
        some = slice(None, len(GOOD) // LABELLED_SHARE) if name == "train" else slice(len(GOOD) // LABELLED_SHARE, None)
        labels = [number % 2 for number in range(size)]
        sets[name] = [(_review_sentence(shuffled[label][some], chance), label) for label in labels]
        chance.shuffle(sets[name])
    return sets


def reviews_to_tsv(examples: Sequence[tuple[str, int]], *, with_labels: bool = True) -> str:
    """The text of a file of SST-2: sentence and label, or in a test file index and sentence."""
    if with_labels:
        return "sentence\tlabel\n" + "".join(f"{sentence}\t{label}\n" for sentence, label in examples)
    return "index\tsentence\n" + "".join(f"{index}\t{sentence}\n" for index, (sentence, _) in enumerate(examples))


def _review(chance: random.Random) -> str:
    """A few sentences that all praise, or all blame."""
    words = chance.choice((GOOD, BAD))
    count = chance.randint(3, 8)
    return "\n".join([chance.choice(OPENINGS), *(_review_sentence(words, chance) for _ in range(count))])


def _review_sentence(words: Sequence[str], chance: random.Random) -> str:
    first, second, third = chance.sample(words, 3)
    thing, other = chance.sample(THINGS, 2)
    return chance.choice(SENTENCES).format(first=first, second=second, third=third, thing=thing, other=other)


def write(folder: str, seed: int = 0) -> list[str]:
    """Write the files below `folder`; returns their paths."""
    contents = _pair_contents(folder, seed) | _question_contents(folder, seed) | _review_contents(folder, seed)
    for path, text in contents.items():
        files.write_text(path, text)
    return list(contents)


def _pair_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the files for classification, of the vocabulary and of the model's size."""
    task, config, vocab = (os.path.join(folder, name) for name in ("MRPC", "bert_config.json", "vocab.txt"))
    sets = make_pairs(seed)
    answers = "".join(f"{index}\t{pair.label}\n" for index, pair in enumerate(sets["test"]))
    return {
        os.path.join(task, "train.tsv"): pairs_to_tsv(sets["train"]),
        os.path.join(task, "dev.tsv"): pairs_to_tsv(sets["dev"]),
        os.path.join(task, "test.tsv"): pairs_to_tsv(sets["test"], with_labels=False),
        os.path.join(task, "test_answers.tsv"): f"index\tQuality\n{answers}",
        vocab: "".join(f"{word}\n" for word in vocabulary()),
        config: bert_config.to_json(pairs_config()),
        os.path.join(folder, "flags.txt"): (
            f"--data_dir={task}\n--vocab_file={vocab}\n--bert_config_file={config}\n"
            f"--model_dir={os.path.join(folder, 'model')}\n{TRAINING}"
        ),
    }


def _question_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the files of questions."""
    task = os.path.join(folder, "questions")
    contents = {os.path.join(task, f"{name}.json"): text for name, text in make_questions(seed).items()}
    contents[os.path.join(task, "flags.txt")] = (
        f"--train_file={os.path.join(task, 'train.json')}\n--predict_file={os.path.join(task, 'dev.json')}\n"
        f"--vocab_file={os.path.join(folder, 'vocab.txt')}\n"
        f"--bert_config_file={os.path.join(folder, 'bert_config.json')}\n"
        f"--model_dir={os.path.join(folder, 'answers')}\n{QUESTIONS_TRAINING}"
    )
    return contents


def _review_contents(folder: str, seed: int) -> dict[str, str]:
    """Path -> text of the reviews to pretrain on, and of the sentences to judge."""
    reviews = os.path.join(folder, "reviews")
    task, config, vocab = (os.path.join(reviews, name) for name in ("SST-2", "bert_config.json", "vocab.txt"))
    sets = make_review_sentences(seed)
    contents = {
        os.path.join(task, f"{name}.tsv"): reviews_to_tsv(examples, with_labels=name != "test")
        for name, examples in sets.items()
    }
    answers = "".join(f"{number}\t{label}\n" for number, (_, label) in enumerate(sets["test"]))
    sizes = f"--bert_config_file={config}\n--vocab_file={vocab}\n"
    return contents | {
        os.path.join(task, "test_answers.tsv"): f"index\tlabel\n{answers}",
        os.path.join(reviews, "text.txt"): review_text(seed),
        config: json.dumps(REVIEWS_CONFIG, indent=2),
        os.path.join(reviews, "pretrain.flags"): (
            f"--input_files={os.path.join(reviews, 'train.tfrecord')}\n"
            f"--model_dir={os.path.join(reviews, 'pretraining')}\n{sizes}{PRETRAINING}"
        ),
        os.path.join(reviews, "judge.flags"): f"--data_dir={task}\n{sizes}{REVIEWS_TRAINING}",
    }


if __name__ == "__main__":
    print("\n".join(write(sys.argv[1], *map(int, sys.argv[2:]))))
