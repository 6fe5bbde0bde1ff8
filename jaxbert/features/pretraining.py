# SPDX-License-Identifier: Apache-2.0
"""Documents -> instances for pretraining (arXiv 1810.04805, 3.1): pairs of texts, laid out as records and masked.

A pass over a document takes sentences until they fill a record, and splits them at random: A is the first part, and B
is what follows, or half of the time text of another document; then the sentences after A come again.
"""

import bisect
import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxbert.features.masking import (
    Masking,
    Masks,
    MaskVocab,
    as_columns,
    mask,
    mask_runs,
    mask_words,
    masked_features,
)
from jaxbert.features.splitmix import stream_key, words
from jaxbert.text.tokenizer import Tokenizer

_SENTENCES = 20_000  # tokenized at a time
_HIGHEST_BIT = bytes(byte >> 7 for byte in range(256))  # of a byte: 0 or 1


@dataclasses.dataclass(frozen=True)
class TokenizedText:
    """Documents of sentences of tokens, all in a row.

    Attributes:
        ids: int32 [T], the tokens.
        sentences: first token of each sentence, and T at the end; no sentence is empty.
        documents: first sentence of each document and the one after its last; no document is empty.
    """

    ids: np.ndarray
    sentences: list[int]
    documents: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class PairRecipe:
    """How pairs are made.

    Attributes:
        max_seq_length: S, `[CLS]` and two `[SEP]` included.
        dupe_factor: passes over every document.
        short_seq_prob: share of passes with shorter pairs.
        seed: of everything random.
        google_order: whether random numbers are taken one by one in the order of google-research's script, masks
            included, so that the records are exactly its own (`--same_draws_as_google`).
    """

    max_seq_length: int
    dupe_factor: int
    short_seq_prob: float
    seed: int
    google_order: bool = False


class Pair(NamedTuple):
    """Two texts, each from a first token to the one after its last.

    `is_random` says that B does not follow A; `is_short`, that the document was to give short pairs in this pass.
    """

    a_start: int
    a_end: int
    b_start: int
    b_end: int
    is_random: bool
    is_short: bool


@dataclasses.dataclass(frozen=True)
class Instances:
    """The pairs of a text in the order of their records.

    Attributes:
        pairs: int32 or int64 [n, 6], fields as in `Pair`.
        keys: uint64 [n], of the masks of each.
        masks: chosen along with the pairs, in google-research's order; empty where they are chosen by key.
    """

    pairs: np.ndarray
    keys: np.ndarray
    masks: Sequence[Masks] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, numbers: np.ndarray) -> "Instances":
        """Those with these numbers."""
        masks = [self.masks[number] for number in numbers.tolist()] if self.masks else ()
        return Instances(self.pairs[numbers], self.keys[numbers], masks)


def tokenize(documents: Iterable[Sequence[str]], tokenizer: Tokenizer) -> TokenizedText:
    """Sentences to tokens; sentences without any token vanish, and documents without any sentence."""
    parts: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    counts: list[int] = []
    for batch in _batches(documents):
        ids, sizes = tokenizer.batch_ids([sentence for document in batch for sentence in document])
        parts.append(ids)
        lengths.append(sizes[sizes > 0])
        kept = np.concatenate([[0], np.cumsum(sizes > 0)])
        ends = np.cumsum([len(document) for document in batch])
        counts += np.diff(kept[ends], prepend=0).tolist()
    starts = np.concatenate([[0], *lengths]).cumsum()
    ends = np.cumsum(counts, dtype=np.int64).tolist()
    documents_found = [(end - count, end) for end, count in zip(ends, counts, strict=True) if count]
    return TokenizedText(np.concatenate([np.zeros(0, np.int32), *parts]), starts.tolist(), documents_found)


def _batches(documents: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Documents with about `_SENTENCES` sentences at a time."""
    batch: list[Sequence[str]] = []
    count = 0
    for document in documents:
        batch.append(document)
        count += len(document)
        if count >= _SENTENCES:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def make_instances(
    text: TokenizedText, recipe: PairRecipe, shard: int, masking: Masking | None, vocab: MaskVocab
) -> Instances:
    """All pairs of all passes over `text`, shuffled; a pure function of the arguments.

    Args:
        text: what is read; random texts come from it too.
        recipe: how.
        shard: which part of the corpus this is, so that parts with the same text differ.
        masking: how tokens are masked, if they are.
        vocab: facts of the vocabulary.
    """
    rng = random.Random(recipe.seed if recipe.google_order else f"{recipe.seed} {shard}")
    documents = list(text.documents)
    rng.shuffle(documents)
    text = dataclasses.replace(text, documents=documents)
    pairs: list[Pair] = []
    masks: list[Masks] = []
    for _ in range(recipe.dupe_factor):
        for number in range(len(documents)):
            for pair in document_pairs(text, number, recipe.max_seq_length - 3, recipe.short_seq_prob, rng):
                pairs.append(pair)
                if recipe.google_order and masking:
                    masks.append(_masks_in_google_order(text.ids, pair, masking, vocab, rng))
    order = list(range(len(pairs)))
    rng.shuffle(order)
    keys = words(stream_key(recipe.seed, shard), np.arange(len(pairs)))
    return Instances(np.array(pairs, np.int64).reshape(-1, 6), keys, masks).take(np.array(order, np.int64))


def _masks_in_google_order(
    tokens: np.ndarray, pair: Pair, masking: Masking, vocab: MaskVocab, rng: random.Random
) -> Masks:
    """The masks of a pair, from the generator that makes the pairs: google-research's script masks each one at once."""
    start, separator = vocab.unmaskable
    a, b = tokens[pair.a_start : pair.a_end].tolist(), tokens[pair.b_start : pair.b_end].tolist()
    choose = mask_runs if masking.max_ngram else mask_words
    return choose([start, *a, separator, *b, separator], masking, vocab, rng)


def document_pairs(
    text: TokenizedText, number: int, max_tokens: int, short_seq_prob: float, rng: random.Random
) -> Iterator[Pair]:
    """The pairs of one pass over one document.

    Args:
        text: all documents; random texts come from the others (from this one, if it is hit ten times in a row).
        number: of the document.
        max_tokens: most tokens in both texts together; at least 2.
        short_seq_prob: how often all pairs of the pass are made shorter, to a length between 2 and `max_tokens`.
        rng: others may take numbers from it between two pairs, as google-research's masks do.
    """
    starts = text.sentences
    first, end = text.documents[number]
    is_short = rng.random() < short_seq_prob
    target = rng.randint(2, max_tokens) if is_short else max_tokens
    while first < end:
        chunk_end = _reach(starts, first, target, end)
        count = chunk_end - first
        split = first + (rng.randint(1, count - 1) if count > 1 else 1)
        is_random = count == 1 or rng.random() < 0.5
        if is_random:
            b_first, document_end = _random_sentence(text, number, rng)
            b_end = _reach(starts, b_first, target - (starts[split] - starts[first]), document_end)
        else:
            b_first, b_end = split, chunk_end
        texts = (starts[first], starts[split], starts[b_first], starts[b_end])
        yield Pair(*_truncated(*texts, max_tokens, rng), is_random, is_short)
        first = split if is_random else chunk_end  # sentences of the chunk that were not used come again


def _reach(starts: list[int], first: int, tokens: int, end: int) -> int:
    """The sentence after those, from `first` on, that together have so many tokens: at least one, at most to `end`."""
    return bisect.bisect_left(starts, starts[first] + tokens, first + 1, end)


def _random_sentence(text: TokenizedText, number: int, rng: random.Random) -> tuple[int, int]:
    """A sentence of a document other than `number`, and where that document ends."""
    last = len(text.documents) - 1
    for _ in range(10):
        other = rng.randint(0, last)
        if other != number:
            break
    first, end = text.documents[other]
    return first + rng.randint(0, end - first - 1), end


def _truncated(
    a_start: int, a_end: int, b_start: int, b_end: int, max_tokens: int, rng: random.Random
) -> tuple[int, int, int, int]:
    """Drop the first or the last token, as a coin falls, of the longer text (at a tie: of B) until both fit.

    So the longer text alone is cut until both are equal, and then B and A in turn. With 5 tokens in A, 3 in B and room
    for 4, four tokens go: two of A, then one of B, then one of A; of each the first where the coin shows 0.

    The coins are tossed all at once, and leave the generator as one `random() < 0.5` for each would: `random()` takes
    eight bytes, of which the highest bit of the fourth says whether it is below one half.
    """
    surplus = a_end - a_start - (b_end - b_start)
    excess = a_end - a_start + b_end - b_start - max_tokens
    if excess <= 0:
        return a_start, a_end, b_start, b_end
    coins = rng.randbytes(8 * excess)[3::8].translate(_HIGHEST_BIT)
    alone, first, second = coins[: abs(surplus)], coins[abs(surplus) :: 2], coins[abs(surplus) + 1 :: 2]
    a_coins, b_coins = (alone + second, first) if surplus > 0 else (second, alone + first)
    return (
        a_start + a_coins.count(0),
        a_end - a_coins.count(1),
        b_start + b_coins.count(0),
        b_end - b_coins.count(1),
    )


def features(
    instances: Instances, text: TokenizedText, max_seq_length: int, masking: Masking | None, vocab: MaskVocab
) -> dict[str, np.ndarray]:
    """The features of n records.

    Returns:
        `input_ids`, `input_mask`, `segment_ids` (0 up to the first `[SEP]`, 1 after it) int64 [n, S];
        `next_sentence_labels` int64 [n], 1 where B is random; with `masking` also what `masked_features` gives.
    """
    ids, begin, lengths = lay_out(instances.pairs, text.ids, max_seq_length, vocab)
    position = np.arange(max_seq_length)
    real = position < lengths[:, None]
    arrays = {
        "input_ids": ids,
        "input_mask": real.astype(np.int64),
        "segment_ids": (real & (position >= begin[:, None])).astype(np.int64),
        "next_sentence_labels": instances.pairs[:, 4],
    }
    if masking is None:
        return arrays
    if instances.masks:
        return arrays | masked_features(ids, *as_columns(instances.masks), masking.max_predictions)
    return arrays | mask(ids, lengths, instances.keys, masking, vocab)


def lay_out(
    pairs: np.ndarray, tokens: np.ndarray, max_seq_length: int, vocab: MaskVocab
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`[CLS] a [SEP] b [SEP]` and zeros, int64 [n, S]; where B begins [n]; and tokens without padding [n]."""
    a_start, a_end, b_start, b_end = pairs[:, :4].T
    begin = a_end - a_start + 2
    end = begin + b_end - b_start
    position = np.arange(max_seq_length)
    source = np.where(position < begin[:, None] - 1, (a_start - 1)[:, None], (b_start - begin)[:, None]) + position
    ids = np.where(position < end[:, None], tokens[source.clip(0, len(tokens) - 1)], 0).astype(np.int64)
    rows = np.arange(len(pairs))
    ids[:, 0], separator = vocab.unmaskable
    ids[rows, begin - 1] = separator
    ids[rows, end] = separator
    return ids, begin, end + 1
