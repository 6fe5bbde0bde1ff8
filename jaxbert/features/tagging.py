# SPDX-License-Identifier: Apache-2.0
"""Words -> windows of tokens, in which the first piece of each word asks for its tag, as in section 5.3 of BERT.

A sentence, or with the context of documents a document, is one window where it fits. Otherwise windows overlap by half,
and each word is answered in one of them: where its first piece has most around it (`squad.best_window`). With room for
four pieces:

    pieces     the   do ##g   ran   home   slow ##ly
    windows    the   do ##g   ran
                        ##g   ran   home   slow
                                    home   slow ##ly     the last one is shorter
    answers    `the` and `dog` in the first, `ran` and `home` in the second, `slowly` in the third
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from jaxbert.features.counts import TextCounts
from jaxbert.features.squad import best_window, make_windows
from jaxbert.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class WordWindows:
    """The windows of all texts of a set, one after the other.

    Attributes:
        ids: of all tokens, `[CLS]` and `[SEP]` of each window included, int32 [T].
        words: of each token the number of the word that it asks for, from 1; 0 for none; int32 [T].
        lengths: tokens of each window, int64 [n].
        counts: of texts and their tokens.
    """

    ids: np.ndarray
    words: np.ndarray
    lengths: np.ndarray
    counts: TextCounts


def word_windows(texts: Iterable[Sequence[str]], tokenizer: Tokenizer, max_seq_length: int) -> WordWindows:
    """The windows of texts, which are given as their words; these are numbered through all texts.

    A word of nothing but characters that the tokenizer drops is one `[UNK]`, so that it has an answer too.

    Args:
        texts: words of each.
        tokenizer: words -> ids.
        max_seq_length: tokens of the longest window, special ones included.
    """
    vocab, first_word = tokenizer.vocab, 1
    windows: list[tuple[np.ndarray, np.ndarray]] = []
    counts = TextCounts()
    for text in texts:
        ids, lengths = tokenizer.batch_word_ids(text)
        ends = np.cumsum(lengths)
        ids = np.insert(ids, ends[lengths == 0], vocab.unk)
        lengths = np.maximum(lengths, 1)
        asked = np.zeros(len(ids), np.int32)
        asked[np.cumsum(lengths) - lengths] = np.arange(first_word, first_word + len(text))
        own = list(_windows(ids, asked, max_seq_length - 2))
        windows += own
        first_word += len(text)
        is_long = len(ids) > max_seq_length - 2
        unknown = int(np.count_nonzero(ids == vocab.unk))
        counts += TextCounts(1, 0, len(ids), unknown, long=int(is_long), windows=len(own) * is_long)
    cls, sep, none = (np.array([id_], np.int32) for id_ in (vocab.cls, vocab.sep, 0))
    empty = [np.zeros(0, np.int32)]
    return WordWindows(
        ids=np.concatenate([*itertools.chain.from_iterable((cls, ids, sep) for ids, _ in windows), *empty]),
        words=np.concatenate([*itertools.chain.from_iterable((none, asked, none) for _, asked in windows), *empty]),
        lengths=np.array([len(ids) + 2 for ids, _ in windows], np.int64),
        counts=counts,
    )


def _windows(ids: np.ndarray, asked: np.ndarray, room: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pieces of each window of a text, and which words they ask for."""
    windows = make_windows(len(ids), room, max(room // 2, 1))
    if len(windows) == 1:
        yield ids, asked
        return
    best = np.full(len(ids), -1)
    for piece in np.flatnonzero(asked).tolist():
        best[piece] = best_window(windows, piece)
    for number, window in enumerate(windows):
        part = slice(window.start, window.stop)
        if (best[part] == number).any():
            yield ids[part], np.where(best[part] == number, asked[part], 0)
