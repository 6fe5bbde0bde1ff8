# SPDX-License-Identifier: Apache-2.0
"""The made-up reviews: what the text and the labelled sentences tell, and what they do not."""

import re

from runs.sample_reviews import BAD, GOOD, REVIEWS, SIZES, corpus, make_sets, to_tsv


def opinions(text: str) -> set[str]:
    """The words of praise and blame in a text."""
    return set(re.findall(r"\w+", text.lower())) & {*GOOD, *BAD}


def test_a_review_praises_or_blames() -> None:
    """All opinions of a review are of one kind, and both kinds and all words are in the text."""
    reviews = corpus(3).strip().split("\n\n")
    assert len(reviews) == REVIEWS
    kinds = [opinions(review) <= {*GOOD} for review in reviews]
    assert all(opinions(review) <= {*(GOOD if kind else BAD)} for review, kind in zip(reviews, kinds, strict=True))
    assert 0.4 < sum(kinds) / len(kinds) < 0.6
    assert opinions(" ".join(reviews)) == {*GOOD, *BAD}


def test_labelled_words_are_not_in_the_sentences_to_judge() -> None:
    """Counting the words of labelled sentences says nothing of the others; labels are balanced and right."""
    sets = make_sets(3)
    words = {name: opinions(" ".join(sentence for sentence, _ in examples)) for name, examples in sets.items()}
    assert not words["train"] & (words["dev"] | words["test"])
    for name, examples in sets.items():
        assert len(examples) == SIZES[name] == 2 * sum(label for _, label in examples)
        assert all(opinions(sentence) <= {*(GOOD if label else BAD)} for sentence, label in examples)


def test_files() -> None:
    """A header and a line for each sentence; labels only where they may be seen."""
    examples = [("The room was calm .", 1), ("The bed was cold .", 0)]
    assert to_tsv(examples) == "sentence\tlabel\nThe room was calm .\t1\nThe bed was cold .\t0\n"
    assert to_tsv(examples, with_labels=False) == "index\tsentence\n0\tThe room was calm .\n1\tThe bed was cold .\n"
