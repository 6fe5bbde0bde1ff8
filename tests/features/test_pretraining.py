# SPDX-License-Identifier: Apache-2.0
"""Documents to records: pairs, the official records from the same text, what records by key must hold."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.examples.corpus import Part, Shard, read_documents
from jaxbert.features.masking import Masking, MaskVocab, mask_vocab
from jaxbert.features.pretraining import PairRecipe, TokenizedText, document_pairs, features, make_instances, tokenize
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import make_vocab, read_vocab
from jaxbert.tfrecord.example import decode
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import pretraining_schema
from tests.features.plain_pretraining import plain_pairs

LENGTH = 32


def read_text(path: Path, vocab: Path) -> tuple[TokenizedText, MaskVocab]:
    """A text of one sentence a line."""
    tokenizer = Tokenizer(read_vocab(str(vocab)))
    documents, _ = read_documents(Shard(0, (Part(str(path), 0, path.stat().st_size, "lines"),)))
    return tokenize(documents, tokenizer), mask_vocab(tokenizer.vocab)


def assert_records(text: Path, vocab: Path, records: list[Path], recipe: PairRecipe, masking: Masking) -> None:
    """The records made from `text` are those in the files, in turn, value by value."""
    tokenized, facts = read_text(text, vocab)
    instances = make_instances(tokenized, recipe, 0, masking, facts)
    ours = features(instances, tokenized, recipe.max_seq_length, masking, facts)
    for number, path in enumerate(records):
        theirs = TFRecords([str(path)])
        schema = pretraining_schema(recipe.max_seq_length, masking.max_predictions)
        for name, values in decode(theirs.read(np.arange(len(theirs))), schema).items():
            np.testing.assert_array_equal(ours[name][number :: len(records)], values, name)


def test_google_research_records(shared: Path) -> None:
    """With the draws of google-research's script: its 60 records of its sample text, in their order."""
    folder = shared / "data/golden/create_pretraining_data"
    recipe = PairRecipe(128, 5, 0.1, 12345, google_order=True)
    vocab = shared / "data/vocab/uncased_en/vocab.txt"
    assert_records(folder / "sample_text.txt", vocab, [folder / "tf_examples.tfrecord"], recipe, Masking())


@pytest.mark.parametrize(("version", "max_ngram"), [("2.3", 0), ("2.20", 1)])
@pytest.mark.parametrize(
    ("names", "whole_words"), [(("pretrain",), False), (("pretrain_wwm_a", "pretrain_wwm_b"), True)]
)
def test_tensorflow_records(
    shared: Path, version: str, max_ngram: int, names: tuple[str, ...], whole_words: bool
) -> None:
    """The same with tf-models-official before and after it masked by runs of words, in one file and in two in turn."""
    inputs, folder = shared / "official/inputs", shared / f"official/data/official-{version}"
    records = [folder / f"{name}.tfrecord" for name in names]
    masking = Masking(0.15, 10, whole_words, max_ngram)
    recipe = PairRecipe(64, 2, 0.1, 12345, google_order=True)
    assert_records(inputs / "pretrain_input.txt", inputs / "vocab.txt", records, recipe, masking)


@pytest.fixture
def numbered() -> tuple[TokenizedText, MaskVocab]:
    """Six documents of 30 sentences of 1 to 9 tokens; every token is there once, so its id tells its place."""
    lengths = np.random.default_rng(3).integers(1, 10, 180)
    count = int(lengths.sum())
    vocab = mask_vocab(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(count))]))
    starts = np.concatenate([[0], lengths.cumsum()]).tolist()
    documents = [(first, first + 30) for first in range(0, 180, 30)]
    return TokenizedText(np.arange(5, 5 + count, dtype=np.int32), starts, documents), vocab


def test_every_record(numbered: tuple[TokenizedText, MaskVocab]) -> None:
    """Restored ids are two runs of the text; mask, segments and label agree with where they lie."""
    text, vocab = numbered
    document_of = np.repeat(
        np.arange(6), [text.sentences[end] - text.sentences[first] for first, end in text.documents]
    )
    instances = make_instances(text, PairRecipe(LENGTH, 4, 0.2, 7), 0, Masking(), vocab)
    arrays = features(instances, text, LENGTH, Masking(), vocab)
    ids = arrays["input_ids"].copy()
    rows = np.nonzero(arrays["masked_lm_weights"])[0]
    masked = arrays["masked_lm_weights"] > 0
    ids[rows, arrays["masked_lm_positions"][masked]] = arrays["masked_lm_ids"][masked]
    assert len(ids) > 100
    for row, label in zip(range(len(ids)), arrays["next_sentence_labels"].tolist(), strict=True):
        separators = np.flatnonzero(ids[row] == 3).tolist()
        a, b = (ids[row][start:end] - 5 for start, end in ((1, separators[0]), (separators[0] + 1, separators[1])))
        end = separators[1] + 1
        assert ids[row, 0] == 2
        assert len(separators) == 2
        assert (np.diff(a) == 1).all()
        assert (np.diff(b) == 1).all()
        assert document_of[a[0]] == document_of[a[-1]]
        assert document_of[b[0]] == document_of[b[-1]]
        assert (document_of[a[0]] != document_of[b[0]]) == bool(label)
        assert label or 0 < b[0] - a[-1] <= LENGTH
        assert arrays["input_mask"][row].tolist() == [1] * end + [0] * (LENGTH - end)
        assert arrays["segment_ids"][row].tolist() == [0] * (separators[0] + 1) + [1] * (end - separators[0] - 1) + [
            0
        ] * (LENGTH - end)


def test_whole_pairs(numbered: tuple[TokenizedText, MaskVocab]) -> None:
    """Without masking the records are the same pairs, with their own tokens and no features of masks."""
    text, vocab = numbered
    recipe = PairRecipe(LENGTH, 1, 0.1, 7)
    unmasked = features(make_instances(text, recipe, 0, None, vocab), text, LENGTH, None, vocab)
    static = features(make_instances(text, recipe, 0, Masking(), vocab), text, LENGTH, Masking(), vocab)
    assert set(unmasked) == {"input_ids", "input_mask", "segment_ids", "next_sentence_labels"}
    for name in ("input_mask", "segment_ids", "next_sentence_labels"):
        assert np.array_equal(unmasked[name], static[name])
    assert not (unmasked["input_ids"] == vocab.mask).any()


def test_same_statistics_as_the_original_draws(numbered: tuple[TokenizedText, MaskVocab]) -> None:
    """Number, lengths, labels and masks of records agree on average over seeds with those of the original's draws.

    Seeds are independent, so the difference of two means is within four of its standard errors.
    """
    text, vocab = numbered

    def statistics(seed: int, google_order: bool) -> list[float]:
        recipe = PairRecipe(LENGTH, 2, 0.3, seed, google_order)
        arrays = features(make_instances(text, recipe, 0, Masking(), vocab), text, LENGTH, Masking(), vocab)
        lengths, kept = arrays["input_mask"].sum(1), arrays["masked_lm_weights"] > 0
        fates = arrays["input_ids"][np.nonzero(kept)[0], arrays["masked_lm_positions"][kept]]
        share = np.bincount(lengths // 4, minlength=LENGTH // 4 + 1)[2:] / len(lengths)
        b_share = (arrays["segment_ids"].sum(1) / lengths).mean()
        masked = (fates == vocab.mask).mean(), (fates == arrays["masked_lm_ids"][kept]).mean()
        place = arrays["masked_lm_positions"][kept].mean()
        return [
            len(lengths),
            *share,
            b_share,
            arrays["next_sentence_labels"].mean(),
            kept.sum(1).mean(),
            *masked,
            place,
        ]

    samples = [np.array([statistics(seed, google_order) for seed in range(60)]) for google_order in (False, True)]
    error = np.sqrt(sum(sample.var(axis=0, ddof=1) / len(sample) for sample in samples))
    assert (np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0)) < 4 * error).all()


def test_pure_function_of_seed_and_shard(numbered: tuple[TokenizedText, MaskVocab]) -> None:
    """The same seed and shard give the same instances; another seed or another shard, others."""
    text, vocab = numbered

    def pairs(seed: int, shard: int) -> list[list[int]]:
        return make_instances(text, PairRecipe(LENGTH, 1, 0.1, seed), shard, Masking(), vocab).pairs.tolist()

    assert pairs(1, 0) == pairs(1, 0)
    assert pairs(1, 0) != pairs(2, 0)
    assert pairs(1, 0) != pairs(1, 1)


def test_what_has_no_tokens_vanishes() -> None:
    """Sentences of control characters and documents of such sentences leave nothing behind."""
    tokenizer = Tokenizer(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
    text = tokenize([["a b", "\u200b"], ["\u200b"], ["\u200b", "b"], []], tokenizer)
    assert text.ids.tolist() == [5, 6, 6]
    assert text.sentences == [0, 2, 3]
    assert text.documents == [(0, 1), (1, 2)]
    nothing = tokenize([], tokenizer)
    assert (nothing.ids.tolist(), nothing.sentences, nothing.documents) == ([], [0], [])


Lengths = list[list[int]]
corpora = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=1, max_size=4)


def numbered_tokens(lengths: Lengths) -> tuple[TokenizedText, list[list[list[int]]]]:
    """A text whose tokens are their own places, flat and as lists."""
    flat = [length for document in lengths for length in document]
    starts = np.cumsum([0, *flat]).tolist()
    ends = np.cumsum([len(document) for document in lengths]).tolist()
    documents = list(zip([0, *ends], ends, strict=False))
    text = TokenizedText(np.arange(starts[-1], dtype=np.int32), starts, documents)
    sentences = [list(range(start, end)) for start, end in itertools.pairwise(starts)]
    return text, [sentences[first:end] for first, end in documents]


@settings(max_examples=200, deadline=None)
@given(corpora, st.integers(2, 40), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 1 << 32))
def test_same_draws_as_the_plain_procedure(lengths: Lengths, most: int, short: float, seed: int) -> None:
    """Every pair is that of the procedure on lists, and the generator is left in the same state."""
    text, documents = numbered_tokens(lengths)
    ours, plain = random.Random(seed), random.Random(seed)
    for number in range(len(lengths)):
        pairs = list(document_pairs(text, number, most, short, ours))
        expected = plain_pairs(documents, number, most, short, plain)
        spans = [(list(range(*pair[:2])), list(range(*pair[2:4])), pair.is_random) for pair in pairs]
        assert spans == expected
    assert ours.getstate() == plain.getstate()


@settings(max_examples=100, deadline=None)
@given(corpora, st.integers(2, 40), st.integers(0, 1 << 32))
def test_places_of_pairs(lengths: Lengths, most: int, seed: int) -> None:
    """A and B are never empty, fit, lie inside one document each, and B follows A or comes from another document."""
    text, _ = numbered_tokens(lengths)
    bounds = [(text.sentences[first], text.sentences[end]) for first, end in text.documents]
    for number, (start, end) in enumerate(bounds):
        for pair in document_pairs(text, number, most, 0.3, random.Random(seed)):
            assert pair.a_start < pair.a_end
            assert pair.b_start < pair.b_end
            assert pair.a_end - pair.a_start + pair.b_end - pair.b_start <= most
            assert start <= pair.a_start
            assert pair.a_end <= end
            b_document = next(n for n, (first, last) in enumerate(bounds) if first <= pair.b_start < last)
            assert pair.b_end <= bounds[b_document][1]
            if not pair.is_random:
                assert b_document == number
                assert pair.a_end <= pair.b_start


def test_all_sentences_are_used() -> None:
    """Where nothing has to be cut, A and a following B of one pass cover each sentence once, in order."""
    text, _ = numbered_tokens([[5] * 40, [5] * 40])
    pairs = list(document_pairs(text, 0, 1000, 0.0, random.Random(1)))
    covered = []
    for pair in pairs:
        covered += range(pair.a_start, pair.a_end if pair.is_random else pair.b_end)
    assert covered == list(range(200))


def test_very_long_sentence() -> None:
    """A sentence of a million tokens is cut at both ends to what fits."""
    text, _ = numbered_tokens([[1_000_000], [3]])
    (pair,) = document_pairs(text, 0, 125, 0.0, random.Random(0))
    assert (pair.a_end - pair.a_start, pair.b_end - pair.b_start) == (122, 3)
    assert 480_000 < pair.a_start < 520_000
