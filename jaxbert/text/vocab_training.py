# SPDX-License-Identifier: Apache-2.0
"""A WordPiece vocabulary learned from text by `tokenizers`, on words cut as our tokenizer cuts them."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from jaxbert.errors import InputError
from jaxbert.text.normalize import chunks, words
from jaxbert.text.vocab import CLS, MASK, PAD, SEP, UNK

_LINES = 1000  # handed over at a time


def special_tokens(num_unused: int) -> list[str]:
    """What a vocabulary begins with; 99 unused tokens give `[UNK]` to `[MASK]` the ids 100 to 103, as Google's have."""
    return [PAD, *(f"[unused{number}]" for number in range(1, num_unused + 1)), UNK, CLS, SEP, MASK]


def train_vocab(
    read: Callable[[], Iterable[str]],
    size: int,
    *,
    do_lower_case: bool = True,
    num_unused: int = 99,
    min_frequency: int = 2,
    limit_alphabet: int = 1000,
) -> list[str]:
    """The tokens of a vocabulary in the order of their ids; the same texts give the same vocabulary.

    Args:
        read: gives sentences or any other pieces of text; called twice.
        size: V, special tokens included; a small text gives fewer.
        do_lower_case: whether the tokenizer will lower-case.
        num_unused: `[unused1]` and so on, to fill later.
        min_frequency: how often a pair of pieces must be seen to be joined.
        limit_alphabet: most characters to keep, the most frequent ones; a word with another one is `[UNK]`.

    Raises:
        InputError: no words in the texts, or no room for their characters.
    """
    alphabet, inside = _alphabet(_batches(read(), do_lower_case), limit_alphabet)
    # Characters are given as special tokens too: found in passing, their ids and so all ties would hang on chance.
    given = [*special_tokens(num_unused), *alphabet, *(f"##{char}" for char in inside)]
    if size < len(given):
        raise InputError(
            f"a vocabulary of `{size}` has no room for {len(given)} special tokens and characters",
            "make it larger, or keep fewer characters with `--limit_alphabet`",
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=given,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    model = Tokenizer(models.WordPiece(unk_token=UNK))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.train_from_iterator(_batches(read(), do_lower_case), trainer)
    ids = model.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _alphabet(batches: Iterable[list[str]], limit: int) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that are found after the first letter of a word; sorted."""
    counts: collections.Counter[str] = collections.Counter()
    inside: set[str] = set()
    for batch in batches:
        for word, times in collections.Counter(" ".join(batch).split()).items():
            for char in word:
                counts[char] += times
            inside.update(word[1:])
    if not counts:
        raise InputError("there are no words in the text", "does `--input_format` fit the files?")
    alphabet = sorted(sorted(counts, key=lambda char: (-counts[char], char))[:limit])
    return alphabet, [char for char in alphabet if char in inside]


def _batches(texts: Iterable[str], do_lower_case: bool) -> Iterator[list[str]]:
    """The texts as words between blanks, some at a time."""

    @functools.lru_cache(maxsize=1 << 18)
    def cut(chunk: str) -> str:
        return " ".join(words(chunk, do_lower_case))

    batch: list[str] = []
    for text in texts:
        batch.append(" ".join(map(cut, chunks(text))))
        if len(batch) == _LINES:
            yield batch
            batch = []
    yield batch
