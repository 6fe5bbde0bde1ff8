# SPDX-License-Identifier: Apache-2.0
"""Answers: chosen as the original does, their texts, in the order of the questions."""

import collections
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph, Question, read_squad
from jaxbert.features.squad import (
    Context,
    WindowedQuestion,
    WindowSettings,
    ask,
    best_window,
    make_context,
    split_words,
)
from jaxbert.predictions.squad import (
    AnswerSettings,
    AnswerTexts,
    Candidates,
    Found,
    Prediction,
    in_question_order,
    predict,
)
from jaxbert.text.normalize import basic_tokens
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import make_vocab, read_vocab

WORDS = ["alpha", "beta", "gamma", "delta", "##ta", "be", "##x", "(", ")", "."]
TOKENIZER = Tokenizer(make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
TEXTS = AnswerTexts(TOKENIZER)


def candidates(start_logits: np.ndarray, end_logits: np.ndarray, n_best_size: int) -> Candidates:
    """The best positions of each row of logits [N, S]."""

    def best(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(-logits, axis=1, kind="stable")[:, :n_best_size]
        return order, np.take_along_axis(logits, order, 1)

    nulls = np.stack([start_logits[:, 0], end_logits[:, 0]], axis=1)
    return Candidates(*best(start_logits), *best(end_logits), nulls)


def asked(context: str, length: int = 12, stride: int = 4) -> WindowedQuestion:
    """A question of one token about a context."""
    settings = WindowSettings(length, stride, 4)
    (one,) = ask(Paragraph(context, (Question("q", "alpha"),)), TOKENIZER, settings)
    return one


def plain(one: WindowedQuestion, starts: np.ndarray, ends: np.ndarray, settings: AnswerSettings) -> dict[str, Any]:
    """The original rules, loop by loop."""
    spans, nulls = [], []
    for number, window in enumerate(one.windows):
        nulls.append((float(starts[number, 0]), float(ends[number, 0])))
        best_starts = sorted(range(starts.shape[1]), key=lambda i: -starts[number, i])[: settings.n_best_size]
        best_ends = sorted(range(ends.shape[1]), key=lambda i: -ends[number, i])[: settings.n_best_size]
        for start in best_starts:
            for end in best_ends:
                first, last = start - one.offset + window.start, end - one.offset + window.start
                in_window = first in window and last in window and best_window(one.windows, first) == number
                if in_window and 0 <= last - first < settings.max_answer_length:
                    spans.append((first, last, float(starts[number, start]), float(ends[number, end])))
    null = min(nulls, key=sum)
    if settings.version_2_with_negative:
        spans.append((-1, -1, *null))
    n_best: list[tuple[str, float, float]] = []
    for first, last, start_logit, end_logit in sorted(spans, key=lambda span: span[2] + span[3], reverse=True):
        if len(n_best) == settings.n_best_size:
            break
        begin, end = TEXTS.span(one.context, first, last) if first >= 0 else (0, 0)
        text = one.context.text[begin:end]
        if first < 0 or text not in [other for other, *_ in n_best]:
            n_best.append((text, start_logit, end_logit))
    if settings.version_2_with_negative and not any(text == "" for text, *_ in n_best):
        n_best.append(("", *null))
    best = next((entry for entry in n_best if entry[0]), None)
    odds = sum(null) - best[1] - best[2] if best else sum(null)
    return {"n_best": n_best or [("", 0.0, 0.0)], "odds": odds, "best": best[0] if best else ""}


@given(
    st.integers(1, 25),
    st.sampled_from([1, 3, 20]),
    st.sampled_from([1, 4, 30]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_as_the_original(words: int, n_best_size: int, max_answer_length: int, version_2: bool, seed: int) -> None:
    """The same answers in the same order with the same logits and odds as loops over all pairs, ties included."""
    chance = np.random.default_rng(seed)
    one = asked(" ".join(chance.choice(["alpha", "beta", "(gamma)", "bex.", "delta"], words)))
    logits = chance.integers(-4, 4, (2, len(one.windows), 12)).astype(np.float32) / 2
    settings = AnswerSettings(n_best_size, max_answer_length, version_2, 0.5)
    found = predict(one, candidates(logits[0], logits[1], n_best_size), settings, TEXTS)
    expected = plain(one, logits[0], logits[1], settings)
    assert [(choice.text, choice.start_logit, choice.end_logit) for choice in found.n_best] == expected["n_best"]
    assert found.null_odds == (expected["odds"] if version_2 else None)
    assert found.best_text == expected["best"]
    assert found.text == ("" if version_2 and expected["odds"] > 0.5 else expected["best"])
    assert math.isclose(sum(choice.probability for choice in found.n_best), 1)


def test_every_answer_is_part_of_its_context() -> None:
    """Whatever the white space and the case, an answer stands in its context as it is."""
    context = "Alpha  (beta)\nGAMMA\u202f\t bex. "
    one = asked(context, 30)
    logits = np.random.default_rng(0).normal(size=(2, 1, 30)).astype(np.float32)
    found = predict(one, candidates(logits[0], logits[1], 20), AnswerSettings(), TEXTS)
    texts = [choice.text for choice in found.n_best]
    assert len(texts) == 20
    assert all(text in context and text == text.strip() for text in texts)


def test_chinese(shared: Path) -> None:
    """In text without spaces the answer is just what was chosen, with an unknown character in it too."""
    tokenizer = Tokenizer(read_vocab(str(shared / "data/vocab/chinese/vocab.txt")))
    context = "北京是中华人民共和国的首都,人口超过两\U00020000万。"
    (one,) = ask(Paragraph(context, (Question("q", "多少人口"),)), tokenizer, WindowSettings(48, 16, 8))
    for answer in ("中华人民共和国", "两\U00020000万"):
        begin = context.index(answer)
        starts, ends = np.zeros((2, 1, 48), np.float32)
        starts[0, one.offset + begin], ends[0, one.offset + begin + len(answer) - 1] = 9, 9
        assert predict(one, candidates(starts, ends, 20), AnswerSettings(), AnswerTexts(tokenizer)).text == answer


def test_context_without_tokens() -> None:
    """A context without windows has the answer "", and for version 2.0 odds that no threshold reaches."""
    one, none = asked(" "), candidates(np.zeros((0, 12)), np.zeros((0, 12)), 20)
    found = predict(one, none, AnswerSettings(), TEXTS)
    assert (found.text, found.null_odds, len(found.n_best)) == ("", None, 1)
    found = predict(one, none, AnswerSettings(version_2_with_negative=True), TEXTS)
    assert (found.text, found.null_odds, len(found.n_best)) == ("", 1e6, 1)


def test_threshold() -> None:
    """No answer only where its odds are above the threshold, not at it."""
    one = asked("beta")
    logits = np.full((1, 12), -9, np.float32)
    logits[0, [0, 3]] = 2, 1  # odds 4 - 2
    for threshold, text in ((1.5, ""), (2.0, "beta"), (2.5, "beta")):
        settings = AnswerSettings(version_2_with_negative=True, null_score_diff_threshold=threshold)
        found = predict(one, candidates(logits, logits, 20), settings, TEXTS)
        assert (found.text, found.best_text, found.null_odds) == (text, "beta", 2.0)


def test_output_that_is_no_number() -> None:
    """A model that computes NaN is refused, with the question."""
    logits = np.full((1, 12), np.nan, np.float32)
    with pytest.raises(InputError, match="output for question `q` is not a number"):
        predict(asked("beta"), candidates(logits, logits, 20), AnswerSettings(), TEXTS)


def official_predictions(shared: Path, version: str, is_version_2: bool) -> list[tuple[str, Prediction]]:
    """Context and our prediction of each question, from given logits."""
    tokenizer = Tokenizer(read_vocab(str(shared / "official/inputs/vocab.txt")))
    logits = np.load(shared / f"official/golden_text/squad_{version}_raw_logits.npz")
    settings, texts = AnswerSettings(version_2_with_negative=is_version_2), AnswerTexts(tokenizer)
    predictions, row = [], 0
    for paragraph in read_squad(str(shared / f"official/inputs/squad/dev-{version}.json")):
        for one in ask(paragraph, tokenizer, WindowSettings(64, 32, 24)):
            rows = slice(row, row + len(one.windows))
            best = candidates(logits["start_logits"][rows], logits["end_logits"][rows], 20)
            predictions.append((paragraph.context, predict(one, best, settings, texts)))
            row += len(one.windows)
    return predictions


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_official_outputs(shared: Path, version: str) -> None:
    """From the same logits, the official answers, n-best lists, probabilities and odds, to the last digit."""
    expected = json.loads((shared / f"official/golden_text/squad_{version}_postprocessed_2.3.json").read_text())
    elsewhere = []
    # The last question is left out: the copies of its last window that filled the batch got logits of their own.
    predictions = official_predictions(shared, version, version == "v2.0")[:-1]
    assert len(predictions) == len(expected["predictions"]) - 1
    for context, found in predictions:
        texts = [expected["predictions"][found.id], *(choice["text"] for choice in expected["nbest"][found.id])]
        elsewhere += [text for text in texts if text not in context]
        assert found.text == texts[0]
        assert [choice.text for choice in found.n_best] == texts[1:]
        for choice, other in zip(found.n_best, expected["nbest"][found.id], strict=True):
            numbers = (choice.probability, choice.start_logit, choice.end_logit)
            assert numbers == (other["probability"], other["start_logit"], other["end_logit"])
        if version == "v2.0":
            assert found.null_odds == expected["null_odds"][found.id]
    assert elsewhere == []  # white space in these contexts is single blanks


LETTERS = "abcdefghijklmnopqrstuvwxyz"
LETTER_TOKENIZER = Tokenizer(
    make_vocab(
        [
            *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
            *(f"{mark}{letter}" for letter in LETTERS for mark in ("", "##")),
            *("steve", "smith", "##s", "(", ")", ",", "'", "1895", "-", "1943", ".", "中", "国", "。", "人"),
        ]
    )
)
LETTER_TEXTS = AnswerTexts(LETTER_TOKENIZER)


def answer_text(context: str, first: str, last: str) -> str:
    """The answer from the first piece `first` to the next piece `last`."""
    made = make_context(context, LETTER_TOKENIZER)
    pieces = [LETTER_TOKENIZER.vocab.tokens[id_] for id_ in made.ids]
    begin = pieces.index(first)
    start, end = LETTER_TEXTS.span(made, begin, pieces.index(last, begin))
    return context[start:end]


@pytest.mark.parametrize(
    ("context", "first", "last", "text"),
    [
        ("Mr Steve Smith's hat", "steve", "smith", "Steve Smith"),  # punctuation that was not predicted is cut off
        ("was (1895-1943).", "1895", "1895", "1895"),
        ("was (1895-1943).", "-", ")", "-1943)"),
        ("by Steve  Smith, who", "steve", "smith", "Steve  Smith"),  # the original has one blank
        ("by Steve\nSmith", "steve", "smith", "Steve\nSmith"),
        ("(Sté,", "s", "##e", "Sté"),  # one letter for one: aligned
        ("(Ste\u0301,", "s", "##e", "(Ste\u0301,"),  # an accent of its own went: the words as they are
        ("(ə-a)", "a", "a", "a"),
        ("(ə-a)", "[UNK]", "a", "(ə-a)"),  # an unknown word cannot be aligned
        ("中国ə人。中", "国", "人", "国ə人"),  # text without spaces: between the pieces, not the whole "word"
        ("中 国", "中", "国", "中 国"),
    ],
)
def test_texts(context: str, first: str, last: str, text: str) -> None:
    """Answers inside words are aligned by their letters; where that fails, whole words, or pieces without spaces."""
    assert answer_text(context, first, last) == text


def original_text(words: list[str], pieces: list[str]) -> str:
    """The alignment of the original, letter by letter."""
    text = " ".join(words)
    wanted = " ".join(pieces).replace(" ##", "").replace("##", "")
    letters = " ".join(basic_tokens(text, True))
    start = letters.find(wanted)
    letters_at = [[index for index, char in enumerate(one) if char != " "] for one in (text, letters)]
    if start < 0 or len(letters_at[0]) != len(letters_at[1]):
        return text
    to_text = dict(zip(letters_at[1], letters_at[0], strict=True))
    return text[to_text[start] : to_text[start + len(wanted) - 1] + 1]


@given(st.text(st.sampled_from("abAB(.'é\u0301ə \n\u00a0"), min_size=1, max_size=25), st.data())
def test_texts_as_the_original(context: str, data: st.DataObject) -> None:
    """Without Chinese characters, every answer is the original's but for the white space between its words."""
    made = make_context(context, LETTER_TOKENIZER)
    if not len(made.ids):
        return
    first = data.draw(st.integers(0, len(made.ids) - 1))
    last = data.draw(st.integers(first, len(made.ids) - 1))
    start, end = LETTER_TEXTS.span(made, first, last)
    pieces = [LETTER_TOKENIZER.vocab.tokens[id_] for id_ in made.ids[first : last + 1]]
    expected = original_text(made.words[made.word_of(first) : made.word_of(last) + 1], pieces)
    assert " ".join(split_words(context[start:end])) == expected


@given(st.text(st.sampled_from("ab中国。人A ə\u0301\n\u00a0("), min_size=1, max_size=25), st.data())
def test_always_a_part_of_the_context(context: str, data: st.DataObject) -> None:
    """Whatever the script, an answer is a part of its context that neither begins nor ends with white space."""
    made = make_context(context, LETTER_TOKENIZER)
    if not len(made.ids):
        return
    first = data.draw(st.integers(0, len(made.ids) - 1))
    last = data.draw(st.integers(first, len(made.ids) - 1))
    start, end = LETTER_TEXTS.span(made, first, last)
    assert 0 <= start < end <= len(context)
    assert split_words(context[start:end])[0][0] == context[start]
    assert split_words(context[start:end])[-1][-1] == context[end - 1]


def waiting_questions(windows: list[int]) -> "collections.deque[WindowedQuestion]":
    """One question for each number of windows."""
    context = Context("", [], [], [0], np.zeros(0, np.int64))
    return collections.deque(
        WindowedQuestion(Question(str(number), ""), context, np.zeros(0, np.int64), [range(1)] * count)
        for number, count in enumerate(windows)
    )


def found(numbers: np.ndarray) -> Found:
    """Candidates that tell from which window they are."""
    column = numbers[:, None].astype(np.float64)
    values = {"starts": column, "start_logits": column, "ends": column, "end_logits": column}
    return numbers, {**values, "null_logits": np.repeat(column, 2, axis=1)}


def predict_windows(asked: WindowedQuestion, candidates: Candidates) -> Prediction:
    """Which windows the candidates are from, as the text of the answer."""
    return Prediction(asked.question.id, str(candidates.starts[:, 0].astype(int).tolist()), "", [], None)


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5), st.integers(0, 10**6))
def test_each_question_gets_its_own_windows_in_order(windows: list[int], size: int, seed: int) -> None:
    """For windows in any order and batches of any size, each question gets its own, and questions stay in order."""
    numbers = np.random.default_rng(seed).permutation(sum(windows))
    batches = (found(numbers[first : first + size]) for first in range(0, len(numbers), size))
    predictions = list(in_question_order(waiting_questions(windows), batches, predict_windows))
    ends = np.cumsum([0, *windows]).tolist()
    expected = [str(list(range(first, end))) for first, end in itertools.pairwise(ends)]
    assert [prediction.id for prediction in predictions] == [str(number) for number in range(len(windows))]
    assert [prediction.text for prediction in predictions] == expected


def test_answers_do_not_wait_for_later_questions() -> None:
    """A question is answered before windows of later ones are asked for, so few are ever kept."""
    taken: list[int] = []

    def one_by_one() -> Iterator[Found]:
        for number in range(6):
            taken.append(number)
            yield found(np.array([number]))

    answers = in_question_order(waiting_questions([1, 2, 3]), one_by_one(), predict_windows)
    assert [next(answers).text, taken[-1]] == ["[0]", 0]
    assert [next(answers).text, taken[-1]] == ["[1, 2]", 2]
    assert [next(answers).text, taken[-1]] == ["[3, 4, 5]", 5]
