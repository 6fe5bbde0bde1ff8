# SPDX-License-Identifier: Apache-2.0
"""A small made-up task in the layout of MRPC: does the second sentence follow from the first?

    The fox was washed by the horse near the river .    The smaller animal was washed .     1
    The horse was washed by the fox near the river .    The smaller animal was washed .     0

Who is smaller must be learnt from the examples; who did it to whom is in the order of the words and in active or
passive. Each example stands beside its twin with the two animals exchanged, which has the same words and the other
label: whoever only counts words is right half of the time. Active sentences and `smaller` are more frequent, which
gives a model from random weights a first, easy regularity to start from.
"""

import dataclasses
import itertools
import random
import string
from collections.abc import Iterable, Sequence

from jaxbert.config.bert_config import BertConfig

ANIMALS = ("ant", "mouse", "rat", "rabbit", "cat", "fox", "dog", "goat", "lion", "horse", "bear", "elephant")  # by size
VERBS = ("followed", "washed", "pushed", "watched", "helped", "greeted", "visited", "painted")
PLACES = ("in the garden", "at the station", "near the river", "behind the house", "under the bridge")
TIMES = ("on monday", "last summer", "after lunch")
SIZES = {"train": 4800, "dev": 800, "test": 800}
# Share of active sentences, of sentences that end with where or when, and of statements about the smaller animal.
USUAL = 0.8


@dataclasses.dataclass(frozen=True)
class Pair:
    """One example: `label` is 1 if `second` follows from `first`."""

    label: int
    first: str
    second: str


def make_sets(seed: int) -> dict[str, list[Pair]]:
    """The examples of each set, as many as `SIZES` says, half of them with label 1; no event is in two sets."""
    chance = random.Random(seed)
    events = list(itertools.product(itertools.combinations(ANIMALS, 2), VERBS, PLACES + TIMES))
    chance.shuffle(events)
    sets, rest = {}, iter(events)
    for name, size in SIZES.items():
        chosen = itertools.islice(rest, size // 2)
        sets[name] = [pair for animals, verb, where in chosen for pair in _twins(animals, verb, where, chance)]
        chance.shuffle(sets[name])
    return sets


def to_tsv(pairs: Sequence[Pair], *, with_labels: bool = True) -> str:
    """The text of a file of MRPC: label (in a test file: index), two numbers and the sentences."""
    header = "\t".join(("Quality" if with_labels else "index", "#1 ID", "#2 ID", "#1 String", "#2 String"))
    rows = (
        f"{pair.label if with_labels else place}\t{2 * place + 1}\t{2 * place + 2}\t{pair.first}\t{pair.second}"
        for place, pair in enumerate(pairs)
    )
    return "\n".join((header, *rows)) + "\n"


def vocabulary() -> list[str]:
    """Every word of the task (past tenses as stem and `##ed`), and single characters so that any text can be read."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = {"the", "smaller", "larger", "animal", "was", "by", *ANIMALS, *" ".join(PLACES + TIMES).split()}
    words |= {"who", "other", "where", "when", "that"}  # of the questions
    words |= {verb.removesuffix("ed") for verb in VERBS}
    pieces = ["##ed", *(f"##{character}" for character in characters)]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *pieces, *sorted(words)]


def model_config() -> BertConfig:
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
