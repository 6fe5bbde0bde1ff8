# SPDX-License-Identifier: Apache-2.0
"""A made-up world for pretraining: text of reviews that like or dislike things, and a task in the layout of SST-2.

    We stayed a week . The kitchen was clean , bright and cosy . What a calm , quiet and lovely garden !

and a task:

    The staff was friendly , polite and helpful .       1

The few labelled sentences use half of the words of praise and blame; the sentences to judge use the other half. What
those mean can only be learnt from the text, where they stand beside each other.
"""

import random
from collections.abc import Sequence

from jaxbert.config.bert_config import BertConfig

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
SIZES = {"train": 200, "dev": 200, "test": 800}
LABELLED_SHARE = 2  # one word in so many is in the labelled sentences


def corpus(seed: int) -> str:
    """Reviews as text to pretrain on: a sentence a line, a blank line between reviews."""
    chance = random.Random(seed)
    return "\n".join(f"{_review(chance)}\n" for _ in range(REVIEWS))


def make_sets(seed: int) -> dict[str, list[tuple[str, int]]]:
    """Sentences and labels (1: praise) of each set; no word of praise or blame of `train` is in the others."""
    chance = random.Random(seed)
    shuffled = [chance.sample(words, len(words)) for words in (BAD, GOOD)]
    sets = {}
    for name, size in SIZES.items():
        some = slice(None, len(GOOD) // LABELLED_SHARE) if name == "train" else slice(len(GOOD) // LABELLED_SHARE, None)
        labels = [number % 2 for number in range(size)]
        sets[name] = [(_sentence(shuffled[label][some], chance), label) for label in labels]
        chance.shuffle(sets[name])
    return sets


def to_tsv(examples: Sequence[tuple[str, int]], *, with_labels: bool = True) -> str:
    """The text of a file of SST-2: sentence and label, or in a test file index and sentence."""
    if with_labels:
        return "sentence\tlabel\n" + "".join(f"{sentence}\t{label}\n" for sentence, label in examples)
    return "index\tsentence\n" + "".join(f"{place}\t{sentence}\n" for place, (sentence, _) in enumerate(examples))


def model_config() -> BertConfig:
    """A BERT of this world's size; there is room for more pieces than its words need."""
    return BertConfig(
        vocab_size=512,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        type_vocab_size=2,
        initializer_range=0.05,
    )


def _review(chance: random.Random) -> str:
    """A few sentences that all praise, or all blame."""
    words = chance.choice((GOOD, BAD))
    count = chance.randint(3, 8)
    return "\n".join([chance.choice(OPENINGS), *(_sentence(words, chance) for _ in range(count))])


def _sentence(words: Sequence[str], chance: random.Random) -> str:
    first, second, third = chance.sample(words, 3)
    thing, other = chance.sample(THINGS, 2)
    return chance.choice(SENTENCES).format(first=first, second=second, third=third, thing=thing, other=other)
