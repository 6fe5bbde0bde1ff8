# SPDX-License-Identifier: Apache-2.0
"""The tasks of the demo: deterministic, right, hidden from whoever only counts words; and their files can be used."""

import collections
import hashlib
import itertools
import json
import re
from pathlib import Path

from jaxbert.config import bert_config, trainers
from jaxbert.config.flags import parse
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.squad import check_version, read_squad
from runs.sample_data import (
    ANIMALS,
    BAD,
    GOOD,
    PAIRS,
    REVIEW_SENTENCES,
    REVIEWS,
    TEXTS,
    WHEN,
    WHERE,
    Pair,
    make_pairs,
    make_questions,
    make_review_sentences,
    pairs_config,
    pairs_to_tsv,
    review_text,
    reviews_to_tsv,
    vocabulary,
    write,
)


def label_of(pair: Pair) -> int:
    """The label by reading the sentences: who underwent it, and is that one of the two the smaller?"""
    words = pair.first.lower().split()
    one, other = (word for word in words if word in ANIMALS)
    undergoer = one if "was" in words else other
    smaller = min(one, other, key=ANIMALS.index)
    return int((undergoer == smaller) == ("smaller" in pair.second))


def test_labels_follow_from_the_sentences() -> None:
    """An independent reader of the sentences finds every label."""
    for pairs in make_pairs(3).values():
        assert all(label_of(pair) == pair.label for pair in pairs)


def test_counting_words_tells_nothing() -> None:
    """In each set, any two bags of words (one for each sentence) stand as often beside label 1 as beside label 0.

    So no classifier on word counts is right more often than half of the time, on training data or elsewhere.
    """
    for name, pairs in make_pairs(4).items():
        balance: collections.Counter[tuple[str, ...]] = collections.Counter()
        for pair in pairs:
            bags = *sorted(pair.first.lower().split()), "|", *sorted(pair.second.lower().split())
            balance[bags] += 1 if pair.label else -1
        assert set(balance.values()) == {0}
        assert len(pairs) == PAIRS[name]


def test_no_event_is_in_two_sets() -> None:
    """Who took part, what was done and where or when: no combination of the training set is in another one."""
    events = {
        name: {(frozenset(re.findall(r"\w+", pair.first.lower())) - {"was", "by"}) for pair in pairs}
        for name, pairs in make_pairs(5).items()
    }
    for one, other in itertools.combinations(events.values(), 2):
        assert not one & other


def test_same_seed_same_files_on_any_machine() -> None:
    """The files depend on the seed alone; the digest was taken on Python 3.11 and tells when the task changed."""
    text = "".join(pairs_to_tsv(pairs) for pairs in make_pairs(0).values())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "030142be9975610b"
    assert make_pairs(0) != make_pairs(1)


def test_layout_is_that_of_mrpc() -> None:
    """Label first, sentences in the last two columns; a test file has the index in place of the label."""
    pairs = [Pair(1, "a .", "b ."), Pair(0, "c .", "d .")]
    assert pairs_to_tsv(pairs) == (
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta .\tb .\n0\t3\t4\tc .\td .\n"
    )
    assert pairs_to_tsv(pairs, with_labels=False).splitlines()[2] == "1\t3\t4\tc .\td ."


def test_vocabulary_spells_every_sentence() -> None:
    """Every word is in the vocabulary, whole or as stem and `##ed`; no entry comes twice; the model has its size."""
    pieces = vocabulary()
    assert len(set(pieces)) == len(pieces) == pairs_config().vocab_size
    assert pieces[0] == "[PAD]"
    for pair in itertools.chain(*make_pairs(0).values()):
        for word in f"{pair.first} {pair.second}".lower().split():
            assert word in pieces or (word.endswith("ed") and word[:-2] in pieces), word


def answer_to(context: str, question: str) -> str:
    """The answer by reading the text."""
    words = context.lower().split()
    first, second = (word for word in words if word in ANIMALS)
    doer, undergoer = (second, first) if "was" in words else (first, second)
    if question.startswith("Who"):
        return undergoer if question.startswith("Who was ") else doer
    phrases = WHERE if question.startswith("Where") else WHEN
    return next((phrase for phrase in phrases if phrase in context.lower()), "")


def test_answers_follow_from_the_texts(tmp_path: Path) -> None:
    """An independent reader finds every answer, where the file says it is; half of where and when have none."""
    for name, text in make_questions(3).items():
        path = tmp_path / name
        path.write_text(text)
        paragraphs = list(check_version(read_squad(str(path)), True, name))
        assert len(paragraphs) == TEXTS[name]
        for paragraph in paragraphs:
            for question in paragraph.questions:
                answer = question.answers[0] if question.answers else None
                assert answer_to(paragraph.context, question.text) == (answer.text.lower() if answer else "")
                assert question.is_impossible == (answer is None)
                if answer:
                    assert paragraph.context[answer.start :].startswith(answer.text)
            assert sum(question.is_impossible or False for question in paragraph.questions) == 1


def test_sets_share_no_text() -> None:
    """No text stands in two sets; the same seed makes the same files."""
    files = make_questions(4)
    texts = [{entry["context"] for entry in json.loads(file)["data"][0]["paragraphs"]} for file in files.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert make_questions(4) == files != make_questions(5)


def test_every_word_of_a_question_is_in_the_vocabulary() -> None:
    """No question needs a piece of one letter."""
    content = json.loads(make_questions(0)["train"])
    known = {word.removesuffix("ed") for word in vocabulary()}
    for paragraph in content["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            assert {word.removesuffix("ed") for word in re.findall(r"\w+", question["question"].lower())} <= known


def opinions(text: str) -> set[str]:
    """The words of praise and blame in a text."""
    return set(re.findall(r"\w+", text.lower())) & {*GOOD, *BAD}


def test_a_review_praises_or_blames() -> None:
    """All opinions of a review are of one kind, and both kinds and all words are in the text."""
    reviews = review_text(3).strip().split("\n\n")
    assert len(reviews) == REVIEWS
    kinds = [opinions(review) <= {*GOOD} for review in reviews]
    assert all(opinions(review) <= {*(GOOD if kind else BAD)} for review, kind in zip(reviews, kinds, strict=True))
    assert 0.4 < sum(kinds) / len(kinds) < 0.6
    assert opinions(" ".join(reviews)) == {*GOOD, *BAD}


def test_labelled_words_are_not_in_the_sentences_to_judge() -> None:
    """Counting the words of labelled sentences says nothing of the others; labels are balanced and right."""
    sets = make_review_sentences(3)
    words = {name: opinions(" ".join(sentence for sentence, _ in examples)) for name, examples in sets.items()}
    assert not words["train"] & (words["dev"] | words["test"])
    for name, examples in sets.items():
        assert len(examples) == REVIEW_SENTENCES[name] == 2 * sum(label for _, label in examples)
        assert all(opinions(sentence) <= {*(GOOD if label else BAD)} for sentence, label in examples)


def test_files_of_sentences() -> None:
    """A header and a line for each sentence; labels only where they may be seen."""
    examples = [("The room was calm .", 1), ("The bed was cold .", 0)]
    assert reviews_to_tsv(examples) == "sentence\tlabel\nThe room was calm .\t1\nThe bed was cold .\t0\n"
    assert (
        reviews_to_tsv(examples, with_labels=False)
        == "index\tsentence\n0\tThe room was calm .\n1\tThe bed was cold .\n"
    )


def test_what_is_written_can_be_trained_on(tmp_path: Path) -> None:
    """The flag file parses, its paths exist, the task's reader finds all examples, the vocabulary fits the model."""
    write(str(tmp_path))
    flags = parse(trainers.ClassifierFlags, [f"--flagfile={tmp_path / 'flags.txt'}"]).options
    assert flags.data_dir is not None
    assert flags.vocab_file is not None
    assert flags.bert_config_file is not None
    dataset = glue_dataset(find_task(Path(flags.data_dir).name), flags.data_dir)
    for split, size in zip((dataset.train, dataset.dev, dataset.test[""]), PAIRS.values(), strict=True):
        assert split is not None
        assert sum(1 for _ in split()) == size
    assert bert_config.read(flags.bert_config_file).vocab_size == len(Path(flags.vocab_file).read_text().splitlines())


def test_answers_stand_beside_the_test_file(tmp_path: Path) -> None:
    """There is one answer for each line of the test file, with its index."""
    write(str(tmp_path), 7)
    test, answers = (
        (tmp_path / "MRPC" / name).read_text().splitlines()[1:] for name in ("test.tsv", "test_answers.tsv")
    )
    assert [line.split("\t")[0] for line in test] == [line.split("\t")[0] for line in answers]
    assert [line.split("\t")[1] for line in answers].count("1") == PAIRS["test"] // 2


def test_text_to_pretrain_on_and_what_needs_it(tmp_path: Path) -> None:
    """Both flag files parse, the task's reader finds all sentences, the answers have a line for each to judge."""
    write(str(tmp_path))
    reviews = tmp_path / "reviews"
    pretraining = parse(trainers.PretrainingFlags, [f"--flagfile={reviews / 'pretrain.flags'}"]).options
    assert bert_config.read(str(pretraining.bert_config_file), tokens=99).num_hidden_layers == 2
    judging = [f"--flagfile={reviews / 'judge.flags'}", f"--model_dir={tmp_path / 'model'}"]
    flags = parse(trainers.ClassifierFlags, judging).options
    dataset = glue_dataset(find_task("SST-2"), str(flags.data_dir))
    splits = (dataset.train, dataset.dev, dataset.test[""])
    sizes = [sum(1 for _ in split()) for split in splits if split is not None]
    assert sizes == list(REVIEW_SENTENCES.values())
    assert len((reviews / "SST-2" / "test_answers.tsv").read_text().splitlines()) == sizes[-1] + 1
    assert (reviews / "text.txt").read_text().count("\n\n") == REVIEWS - 1
