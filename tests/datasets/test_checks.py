# SPDX-License-Identifier: Apache-2.0
"""Records that were made with another vocabulary than the one they are used with."""

import numpy as np
import pytest

from jaxbert.datasets.checks import refuse_other_vocab
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import Vocab, make_vocab

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrst"
TOKENS = [*SPECIAL, *",.!?", *LETTERS, *(f"##{letter}" for letter in LETTERS)]


def records(vocab: Vocab, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [n, S] of random text, with punctuation in and around words, and words that are unknown."""
    chance = np.random.default_rng(seed)
    text = ["".join(chance.choice([*LETTERS, *",.!? Z"], 40)) for _ in range(100)]
    ids, lengths = Tokenizer(vocab, Rules(False)).batch_ids(text)
    mask = np.arange(lengths.max() + 2) < lengths[:, None] + 2
    found = np.zeros(mask.shape, np.int64)
    inner = np.arange(mask.shape[1]) < lengths[:, None] + 1
    inner[:, 0] = False
    found[inner] = ids
    found[:, 0], found[np.arange(len(text)), lengths + 1] = vocab.cls, vocab.sep
    return found, mask


@pytest.mark.parametrize("seed", range(5))
def test_records_of_another_vocabulary_are_refused(seed: int) -> None:
    """Those of the same one never are, whatever the text; with tokens in another order they show it."""
    own = make_vocab(TOKENS, "own.txt")
    ids, mask = records(own, seed)
    refuse_other_vocab(own, ids, mask, "train")
    order = np.random.default_rng(seed).permutation(TOKENS[len(SPECIAL) :])
    with pytest.raises(InputError, match=r"`train` was made with another vocabulary than `other.txt`"):
        refuse_other_vocab(make_vocab([*SPECIAL, *order.tolist()], "other.txt"), ids, mask, "train")


def test_pieces_may_follow_special_tokens() -> None:
    """Text that was cut in front begins within a word."""
    own = make_vocab(TOKENS)
    ids = np.array([[own.cls, own.ids["##a"], own.sep, own.ids["##b"], own.sep]] * 9)
    refuse_other_vocab(own, ids, np.ones_like(ids), "train")
