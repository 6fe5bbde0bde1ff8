# SPDX-License-Identifier: Apache-2.0
"""Texts as tokens in memory: the same features as records of them, whatever is asked for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets import classification, in_memory
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.classification import Recipe, write_text_records
from jaxbert.datasets.in_memory import TextExamples
from jaxbert.errors import InputError
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import read_vocab

WORDS = [f"w{number}" for number in range(40)]
BOUNDS = Bounds(45, 2, 12)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Up to 12 tokens, three classes."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return Recipe(str(tmp_path / "vocab.txt"), Rules(), 12, ("a", "b", "c"))


@pytest.fixture
def examples() -> list[TextExample]:
    """Single texts and pairs, some too long and some without a word."""
    random = np.random.default_rng(3)

    def text() -> str:
        return " ".join(random.choice(WORDS, random.integers(0, 15)))

    return [TextExample(text(), text() if n % 3 else None, "abc"[n % 3], f"id{n}") for n in range(2300)]


@pytest.mark.parametrize("worth_workers", [10**6, 1])
def test_what_is_said_of_texts(
    worth_workers: int,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Texts that are cut and a vocabulary that does not fit are said once for a set, in memory and in records."""
    for module in (in_memory, classification):
        monkeypatch.setattr(module, "_WORTH_WORKERS", worth_workers)
    good, long, strange = TextExample(WORDS[0], None, "a"), TextExample(" ".join(WORDS * 9), None, "a"), "unheard of"
    cut = "1 of 1,201 texts are longer than 12 tokens and are cut"
    unknown = "of the tokens are [UNK]: do vocabulary and `--do_lower_case` fit the text?"
    records = str(tmp_path / "records")
    for examples, expected in (
        ([good] * 1200 + [long], [cut]),
        ([good] * 1200 + [TextExample(strange, None, "a")] * 1200, [unknown]),
        ([good] * 1200, []),
    ):
        capsys.readouterr()
        TextExamples(iter(examples), recipe, BOUNDS, workers=2)
        said = capsys.readouterr().err.splitlines()
        write_text_records(records, iter(examples), recipe, 2, lambda count: None)
        of_records = capsys.readouterr().err.splitlines()
        assert len(said) == len(of_records) == len(expected)
        assert all(text in line for lines in (said, of_records) for text, line in zip(expected, lines, strict=True))
        assert all(f"`{records}`" in line for line in of_records)


@pytest.mark.parametrize("worth_workers", [10**6, 1])
def test_features_are_those_of_records(
    recipe: Recipe, examples: list[TextExample], worth_workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any examples in any order come as `convert` makes them, but for padding; in one process and in several."""
    monkeypatch.setattr(in_memory, "_WORTH_WORKERS", worth_workers)
    found = TextExamples(iter(examples), recipe, BOUNDS, workers=2)
    expected, _ = convert(
        examples, Tokenizer(read_vocab(recipe.vocab_file), recipe.rules), 12, label_ids(recipe.labels)
    )
    assert len(found) == len(examples)
    assert list(found.ids) == [example.id for example in examples]
    np.testing.assert_array_equal(found.lengths, expected["input_mask"].sum(axis=1))
    np.testing.assert_array_equal(found.labels, expected["label_ids"])
    for numbers in (np.arange(len(examples)), np.array([2299, 0, 7, 7]), np.array([5])):
        features = found.read(numbers)
        for name, array in features.items():
            padded = expected[name][numbers]
            np.testing.assert_array_equal(
                array, padded[:, : array.shape[1]] if array.ndim > 1 else padded, err_msg=name
            )
        assert features["input_mask"].sum() == expected["input_mask"][numbers].sum()


def test_labels_of_a_regression_are_numbers(recipe: Recipe) -> None:
    """They keep their type: float32, as in records."""
    examples = [TextExample("w1", None, 0.5), TextExample("w2", None, 2.0)]
    found = TextExamples(examples, dataclasses.replace(recipe, labels=()), BOUNDS, workers=1)
    np.testing.assert_array_equal(found.labels, np.array([0.5, 2.0], np.float32))


def test_windows_know_how_long_their_text_is(recipe: Recipe) -> None:
    """Its tokens are counted once, however many windows they are in, and all of them where it is cut."""
    texts = [(WORDS[0], None), (" ".join(WORDS * 9), None), (" ".join(WORDS * 9), WORDS[0])]
    examples = [TextExample(first, second, "a") for first, second in texts]
    own = [len(WORDS[:1]) + 2, 9 * len(WORDS) + 2, 9 * len(WORDS) + 4]
    for doc_stride in (None, 3):
        found = TextExamples(examples, dataclasses.replace(recipe, doc_stride=doc_stride), BOUNDS, 1)
        assert found.whole_lengths.tolist() == own
        assert (len(found.lengths) > len(found)) == (doc_stride is not None)


def test_pairs_are_pairs_without_types(recipe: Recipe) -> None:
    """A second text counts where the tokenizer gives it no type of its own, for a model with one type, too."""
    for text_b in (None, "w2"):
        rules = dataclasses.replace(recipe.rules, segments=False)
        made = dataclasses.replace(recipe, rules=rules)
        assert TextExamples([TextExample("w1", text_b, "a")], made, Bounds(45, 1, 12), 1).pairs == (text_b is not None)


def test_an_example_that_does_not_fit_the_model_is_named(recipe: Recipe) -> None:
    """More tokens than the model has positions, a pair where it knows one type only, and no example at all."""
    short, long, pair = (
        TextExample("w1", None, "a", "x"),
        TextExample("w1 " * 9, None, "a", "y"),
        TextExample("w1", "w2", "a", "z"),
    )
    with pytest.raises(InputError, match="example `y` does not fit the model: it needs `max_position_embeddings`"):
        TextExamples([short, long], recipe, Bounds(45, 2, 8), workers=1)
    with pytest.raises(InputError, match="example `z` does not fit the model: it needs `type_vocab_size`") as refused:
        TextExamples([short, pair], recipe, Bounds(45, 1, 12), workers=1)
    assert "two types of tokens" in refused.value.hint
    with pytest.raises(InputError, match="there are no examples"):
        TextExamples([], recipe, BOUNDS, workers=1)
