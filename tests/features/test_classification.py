# SPDX-License-Identifier: Apache-2.0
"""Texts to ids, segments and label."""

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.classification import TextWindows, convert, kept_lengths, label_ids
from jaxbert.features.counts import TextCounts
from jaxbert.text.tokenizer import Rules, Tokenizer, library_json
from jaxbert.text.vocab import make_vocab

TOKENIZER = Tokenizer(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]))
CLS, SEP, A = 2, 3, 5


def features(text_a: str, text_b: str | None, length: int) -> tuple[list[int], list[int]]:
    """Ids and segments of an unlabelled example, without its padding."""
    arrays, _ = convert([TextExample(text_a, text_b)], TOKENIZER, length, {"0": 0})
    size = arrays["input_mask"].sum()
    assert arrays["input_mask"][0].tolist() == [1] * size + [0] * (length - size)
    assert not arrays["input_ids"][0, size:].any()
    assert not arrays["segment_ids"][0, size:].any()
    return arrays["input_ids"][0, :size].tolist(), arrays["segment_ids"][0, :size].tolist()


def test_single_text() -> None:
    """[CLS] a [SEP], all in segment 0, cut to fit."""
    assert features("a b", None, 8) == ([CLS, A, A + 1, SEP], [0, 0, 0, 0])
    assert features("a b c d", None, 4) == ([CLS, A, A + 1, SEP], [0, 0, 0, 0])


def test_pair() -> None:
    """[CLS] a [SEP] b [SEP]; the second text and its [SEP] are segment 1."""
    assert features("a", "b c", 8) == ([CLS, A, SEP, A + 1, A + 2, SEP], [0, 0, 0, 1, 1, 1])


def test_a_pair_without_types() -> None:
    """A tokenizer without segments gives the second text the type of the first."""
    tokenizer = Tokenizer(TOKENIZER.vocab, Rules(segments=False))
    arrays, _ = convert([TextExample("a", "b c")], tokenizer, 6, {})
    assert arrays["input_ids"].tolist() == [[CLS, A, SEP, A + 1, A + 2, SEP]]
    assert not arrays["segment_ids"].any()


def test_second_text_without_tokens() -> None:
    """A second text of white space is none: two special tokens, and room for S - 2 tokens of the first."""
    assert features("a b c", " \u200b", 5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5)
    assert features("a b c", "", 5) == ([CLS, A, A + 1, A + 2, SEP], [0] * 5)


words = st.lists(st.sampled_from("abcdefghij"), max_size=12).map(" ".join)


@given(st.lists(st.tuples(words, st.none() | words), max_size=5), st.integers(4, 16))
def test_many_at_once(pairs: list[tuple[str, str | None]], length: int) -> None:
    """Each row of the arrays is what the published script makes of that example, token by token."""
    arrays, _ = convert([TextExample(*pair) for pair in pairs], TOKENIZER, length, {"0": 0})
    assert (
        arrays["input_ids"].shape == arrays["input_mask"].shape == arrays["segment_ids"].shape == (len(pairs), length)
    )
    for row, (text_a, text_b) in enumerate(pairs):
        first, second = text_a.split(), (text_b or "").split()
        while len(first) + len(second) > length - 2 - bool((text_b or "").split()):
            (first if len(first) > len(second) else second).pop()
        tokens = ["[CLS]", *first, "[SEP]", *second, *(["[SEP]"] if second else [])]
        ids = [TOKENIZER.vocab.ids[token] for token in tokens] + [0] * (length - len(tokens))
        assert arrays["input_ids"][row].tolist() == ids
        assert arrays["input_mask"][row].sum() == len(tokens)
        assert arrays["segment_ids"][row].tolist() == [
            int(len(first) + 2 <= position < len(tokens)) for position in range(length)
        ]


@given(st.lists(st.tuples(words, st.none() | words), max_size=5), st.integers(4, 16), st.integers(1, 16))
def test_windows(pairs: list[tuple[str, str | None]], length: int, stride: int) -> None:
    """The windows of an example begin with what it is cut to, hold all of its longer text, and the other as there.

    They are `stride` apart, or closer where tokens would be left out, and only the last one may be shorter.
    """
    examples = [TextExample(*pair) for pair in pairs]
    cut, of_cut = convert(examples, TOKENIZER, length, {"0": 0})
    arrays, counts = convert(examples, TOKENIZER, length, {"0": 0}, doc_stride=stride)
    assert counts.sequences == len(arrays["input_ids"])
    assert counts.long == sum(np.bincount(arrays["texts"]) > 1)
    assert (counts.texts, counts.tokens, counts.unknown) == (of_cut.texts, of_cut.tokens, of_cut.unknown)
    assert counts.cut <= of_cut.cut <= counts.cut + counts.long
    for number, (text_a, text_b) in enumerate(pairs):
        rows = np.flatnonzero(arrays["texts"] == number)
        np.testing.assert_array_equal(arrays["input_ids"][rows[0]], cut["input_ids"][number])
        texts = [text_a.split(), (text_b or "").split()]
        longer = int(len(texts[0]) <= len(texts[1]))
        windows = [_texts_in(arrays, row) for row in rows]
        room, other = len(windows[0][longer]), windows[0][1 - longer]
        assert all(window[1 - longer] == other for window in windows)
        if not room:
            assert len(windows) == 1
            continue
        step = min(stride, room)
        for index, window in enumerate(windows):
            assert window[longer] == texts[longer][index * step : index * step + room]
        assert (len(windows) - 1) * step + room >= len(texts[longer]) > (len(windows) - 2) * step + room or len(
            rows
        ) == 1
        assert len(rows) > 1 or room == len(texts[longer])


def _texts_in(arrays: dict[str, np.ndarray], row: int) -> list[list[str]]:
    """The words of both texts in a row."""
    real = arrays["input_mask"][row] != 0
    tokens = [TOKENIZER.vocab.tokens[id_] for id_ in arrays["input_ids"][row][real].tolist()]
    kinds = arrays["segment_ids"][row][real].tolist()
    found = list(zip(tokens, kinds, strict=True))
    return [[token for token, kind in found if kind == one and token not in ("[CLS]", "[SEP]")] for one in (0, 1)]


def test_outputs_of_windows_are_pooled() -> None:
    """The mean, or the largest, of the rows of each text."""
    outputs, firsts = np.array([[1.0, 5], [3, 1], [2, 2], [0, 9]], np.float32), np.array([0, 2, 3])
    assert TextWindows(1, "mean").pooled(outputs, firsts).tolist() == [[2, 3], [2, 2], [0, 9]]
    assert TextWindows(1, "max").pooled(outputs, firsts).tolist() == [[3, 5], [2, 2], [0, 9]]


@given(st.integers(0, 40), st.integers(1, 40), st.integers(4, 40))
def test_kept_lengths(first: int, second: int, length: int) -> None:
    """Dropping from the longer text until both fit, from the second at a tie, keeps just as much of each."""
    a, b = first, second
    while a + b > length - 3:
        if a > b:
            a -= 1
        else:
            b -= 1
    kept = kept_lengths(np.array([first, first]), np.array([second, 0]), length, longest_first=False)
    assert (kept[0][0], kept[1][0]) == (a, b)
    assert (kept[0][1], kept[1][1]) == (min(first, length - 2), 0)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(5, 40))
def test_pairs_are_cut_as_the_library_cuts_them(first: int, second: int, length: int) -> None:
    """Where text is split by the rules of `tokenizers`, its `longest_first` says which tokens of a pair are kept."""
    rules = Rules(library=True)
    theirs = tokenizers.Tokenizer.from_str(library_json(TOKENIZER.vocab, rules))
    theirs.enable_truncation(length, strategy="longest_first")
    pair = ("a " * first, "b " * second)
    arrays, _ = convert([TextExample(*pair)], Tokenizer(TOKENIZER.vocab, rules), length, {})
    assert arrays["input_ids"][0][arrays["input_mask"][0] != 0].tolist() == theirs.encode(*pair).ids


def test_a_preset_of_keras_hub_cuts_pairs_as_google() -> None:
    """Its texts are split by the rules of the library, but by turns each text has a token, the first one first."""
    pair = [TextExample("a " * 10, "b " * 12)]
    for round_robin, kept in ((True, [7, 6]), (False, [6, 7])):
        tokenizer = Tokenizer(TOKENIZER.vocab, Rules(library=True, round_robin=round_robin))
        ids = convert(pair, tokenizer, 16, {})[0]["input_ids"][0].tolist()
        assert [ids.count(A), ids.count(A + 1)] == kept


def test_labels() -> None:
    """A name becomes its id and a number stays one; examples without label get the first class, or 0."""
    names = [TextExample("a", label="yes"), TextExample("a", label="no"), TextExample("a")]
    ids = label_ids(("no", "yes"))
    assert convert(names, TOKENIZER, 8, ids)[0]["label_ids"].tolist() == [1, 0, 0]
    numbers = convert([TextExample("a", label=2.5), TextExample("a")], TOKENIZER, 8, {})[0]["label_ids"]
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [2.5, 0.0]
    with pytest.raises(InputError, match="example `x`: unknown label `maybe`"):
        convert([*names, TextExample("a", label="maybe", id="x")], TOKENIZER, 8, ids)


@given(st.lists(st.tuples(words, st.none() | words), max_size=6), st.integers(4, 12))
def test_counts(pairs: list[tuple[str, str | None]], length: int) -> None:
    """A text is cut exactly where it has fewer tokens than with all the room there is; all tokens are counted."""
    examples = [TextExample(*pair) for pair in pairs]
    arrays, counts = convert(examples, TOKENIZER, length, {"0": 0})
    whole, _ = convert(examples, TOKENIZER, 100, {"0": 0})
    lengths, all_tokens = (each["input_mask"].sum(axis=1) for each in (arrays, whole))
    special = 2 + whole["segment_ids"].any(axis=1)
    unknown = int((whole["input_ids"] == TOKENIZER.vocab.unk).sum())
    empty = sum(not all(len(TOKENIZER.ids(text)) for text in pair if text is not None) for pair in pairs)
    assert counts == TextCounts(
        len(pairs), int((lengths < all_tokens).sum()), int((all_tokens - special).sum()), unknown, empty
    )
