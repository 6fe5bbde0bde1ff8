# SPDX-License-Identifier: Apache-2.0
"""Questions to windows: against a plain reading of the rules, and against what official scripts made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.squad import Answer, Paragraph, Question, read_squad
from jaxbert.features.squad import (
    Skipped,
    WindowedQuestion,
    WindowSettings,
    answer_pieces,
    ask,
    best_window,
    label_arrays,
    make_context,
    make_windows,
    split_words,
    teach,
    window_arrays,
)
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import make_vocab, read_vocab

TOKENIZER = Tokenizer(
    make_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abc", "##a", "##b", "##c", "(", ")", ".", "中", "国"])
)
CLS, SEP, A, B, C = 2, 3, 5, 6, 7
SETTINGS = WindowSettings(max_seq_length=10, doc_stride=3, max_query_length=2)


def taught(context: str, answer: Answer | None, text: str = "a", settings: WindowSettings = SETTINGS) -> Any:
    """What becomes of one training question."""
    answers = () if answer is None else (answer,)
    (one,) = teach(Paragraph(context, (Question("q", text, answers),)), TOKENIZER, settings)
    return one


def labels(one: WindowedQuestion) -> list[tuple[int, int]]:
    """Start and end position in each window."""
    arrays = label_arrays([one])
    return list(zip(arrays["start_positions"].tolist(), arrays["end_positions"].tolist(), strict=True))


def test_arrays() -> None:
    """[CLS] question [SEP] window [SEP], segment 1 after the question, zeros to the end; questions are cut."""
    (one,) = ask(Paragraph("b c", (Question("q", "a a a"),)), TOKENIZER, SETTINGS)
    arrays = window_arrays([one], TOKENIZER, 10)
    assert arrays["input_ids"].tolist() == [[CLS, A, A, SEP, B, C, SEP, 0, 0, 0]]
    assert arrays["input_mask"].tolist() == [[1] * 7 + [0] * 3]
    assert arrays["segment_ids"].tolist() == [[0] * 4 + [1] * 3 + [0] * 3]
    without_types = Tokenizer(TOKENIZER.vocab, Rules(segments=False))
    assert not window_arrays([one], without_types, 10)["segment_ids"].any()


def test_labels_in_windows() -> None:
    """Windows that do not hold the whole answer point at [CLS] and are kept."""
    one = taught("a b c a b c a b", Answer("c a", 4))
    assert one.windows == [range(0, 6), range(3, 8)]
    assert labels(one) == [(5, 6), (0, 0)]
    assert labels(taught("a b c a b c a b", Answer("c a", 10))) == [(0, 0), (5, 6)]  # one piece beyond the first window


def test_impossible_question() -> None:
    """A question without answer points at [CLS] in every window and is marked."""
    (one,) = teach(Paragraph("a b c a b c a b", (Question("q", "a", is_impossible=True),)), TOKENIZER, SETTINGS)
    assert isinstance(one, WindowedQuestion)
    assert labels(one) == [(0, 0), (0, 0)]
    assert label_arrays([one])["is_impossible"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("context", "answer", "pieces"),
    [
        ("a (b.) c", Answer("b", 3), (2, 2)),  # tightened to the pieces that are the answer
        ("a bcb c", Answer("c", 3), (1, 3)),  # "##c" is not the piece "c": the whole word
        ("a b.b c", Answer("b", 4), (1, 1)),  # the first of equal pieces in the word, as in the official script
        ("a  b\u202fc", Answer("b\u202fc", 3), (1, 2)),
        ("a  b\u00a0c", Answer("b\u00a0c", 3), None),  # U+00A0 parts the words of the answer, not of the context
        ("a b c a", Answer("b  c", 2), (1, 2)),  # white space need not be the same
        (" ab c", Answer(" ab", 0), (0, 1)),  # white space before the first word
        ("ab c ", Answer("c ", 3), (2, 2)),
        ("中国", Answer("国", 1), (1, 1)),
    ],
)
def test_answer_pieces(context: str, answer: Answer, pieces: tuple[int, int] | None) -> None:
    """First and last piece of an answer, by its characters and then by its text."""
    one = taught(context, answer)
    assert (None if isinstance(one, Skipped) else one.answer) == pieces


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "has no answer"),
        (Answer("", 0), "has an empty answer"),
        (Answer(" \n", 1), "has an empty answer"),
        (Answer("b", -1), "has the answer `b` at -1, outside of its context of 5 characters"),
        (Answer("c c", 4), "has the answer `c c` at 4, outside of its context of 5 characters"),
        (Answer("c", 0), "has the answer `c` at 0, where the context says `a`"),
    ],
)
def test_skipped(answer: Answer | None, reason: str) -> None:
    """An answer that cannot be learnt leaves its question out, with the reason."""
    assert taught("a b c", answer) == Skipped("q", reason)


def test_first_of_several_answers() -> None:
    """Of several answers the first one is learnt."""
    question = Question("q", "a", (Answer("c", 4), Answer("a", 0)))
    (one,) = teach(Paragraph("a b c", (question,)), TOKENIZER, SETTINGS)
    assert isinstance(one, WindowedQuestion)
    assert one.answer == (2, 2)


def test_empty_texts() -> None:
    """A question without tokens has windows; a context without tokens has none, and gives no rows."""
    (one,) = ask(Paragraph("a", (Question("q", " \u200b"),)), TOKENIZER, SETTINGS)
    assert window_arrays([one], TOKENIZER, 10)["input_ids"].tolist() == [[CLS, SEP, A, SEP, *[0] * 6]]
    for context in ("", " \n", "\u200b"):
        (one,) = ask(Paragraph(context, (Question("q", "a"),)), TOKENIZER, SETTINGS)
        assert one.windows == []
        assert window_arrays([one], TOKENIZER, 10)["input_ids"].shape == (0, 10)
        assert label_arrays([one])["start_positions"].shape == (0,)


def test_question_without_room() -> None:
    """A question that fills the sequence is refused with its id."""
    with pytest.raises(InputError, match="question `q` has 7 tokens: 10 leave no room"):
        list(ask(Paragraph("a", (Question("q", "a " * 9),)), TOKENIZER, WindowSettings(10, 3, 7)))


@given(st.text(st.sampled_from("ab. \t\r\n\u202f\u00a0\u2003"), max_size=30))
def test_words(text: str) -> None:
    """Words are what is between the five white-space characters of the official script, and no others."""
    plain: list[str] = []
    fresh = True
    for char in text:
        if char in " \t\r\n\u202f":
            fresh = True
        elif fresh:
            plain.append(char)
            fresh = False
        else:
            plain[-1] += char
    assert split_words(text) == plain
    context = make_context(text, TOKENIZER)
    assert context.words == plain
    assert [text[start:].startswith(word) for word, start in zip(plain, context.word_starts, strict=True)] == [
        True
    ] * len(plain)
    assert context.first_pieces[-1] == len(context.ids)
    assert [TOKENIZER.ids(word) for word in plain] == [
        context.ids[start:stop].tolist()
        for start, stop in zip(context.first_pieces, context.first_pieces[1:], strict=False)
    ]


@given(st.integers(0, 80), st.integers(1, 30), st.integers(1, 40))
@example(pieces=450, room=320, stride=128)  # the last window is so short that its length decides
def test_windows(pieces: int, room: int, stride: int) -> None:
    """Windows and the best one of each piece, against the loops of the official script."""
    plain: list[range] = []
    start = 0
    while start < pieces:
        length = min(pieces - start, room)
        plain.append(range(start, start + length))
        if start + length == pieces:
            break
        start += min(length, stride)
    windows = make_windows(pieces, room, stride)
    assert windows == plain
    for piece in range(pieces):
        best, best_score = None, None
        for number, window in enumerate(plain):
            if piece in window:
                score = min(piece - window.start, window.stop - 1 - piece) + 0.01 * len(window)
                if best_score is None or score > best_score:
                    best, best_score = number, score
        assert best_window(windows, piece) == best


@given(st.text(st.sampled_from("abc(). "), min_size=1, max_size=20), st.data())
def test_tightening(text: str, data: st.DataObject) -> None:
    """The narrower span is the one that the official double loop finds first."""
    start = data.draw(st.integers(0, len(text) - 1))
    answer = Answer(text[start : data.draw(st.integers(start + 1, len(text)))], start)
    context = make_context(text, TOKENIZER)
    if not answer.text.strip() or text[0] == " ":
        return
    wanted = TOKENIZER.ids(answer.text)
    first = context.first_pieces[context.word_at(start)]
    last = context.first_pieces[context.word_at(start + len(answer.text) - 1) + 1] - 1
    plain = next(
        (
            (begin, end)
            for begin in range(first, last + 1)
            for end in range(last, begin - 1, -1)
            if context.ids[begin : end + 1].tolist() == wanted
        ),
        (first, last),
    )
    assert answer_pieces(context, answer, TOKENIZER) == plain


def test_long_context() -> None:
    """Twenty thousand words: every piece is in a window, and the best windows move on from the first to the last."""
    (one,) = ask(Paragraph("ab c " * 10_000, (Question("q", "b"),)), TOKENIZER, WindowSettings(384, 128, 64))
    assert len(one.context.ids) == 30_000
    assert one.windows[-1].stop == 30_000
    best = [best_window(one.windows, piece) for piece in range(0, 30_000, 97)]
    assert best == sorted(best)
    assert set(best) == set(range(len(one.windows)))


def windows_of(path: Path, tokenizer: Tokenizer, settings: WindowSettings) -> list[tuple[WindowedQuestion, int]]:
    """Every window of a file: its question and number."""
    asked = [one for paragraph in read_squad(str(path)) for one in ask(paragraph, tokenizer, settings)]
    return [(one, number) for one in asked for number in range(len(one.windows))]


def maps(one: WindowedQuestion, number: int) -> tuple[dict[int, int], dict[int, bool]]:
    """Position -> word, and position -> whether this window is the best one, as the official features have it."""
    window = one.windows[number]
    shift = one.offset - window.start
    words = {piece + shift: one.context.word_of(piece) for piece in window}
    return words, {piece + shift: best_window(one.windows, piece) == number for piece in window}


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_official_tiny_features(shared: Path, version: str) -> None:
    """Ids, masks, segments, word maps and best windows of the TensorFlow 2 script on its own small data."""
    tokenizer = Tokenizer(read_vocab(str(shared / "official/inputs/vocab.txt")))
    expected = json.loads((shared / f"official/golden_text/squad_{version}_eval_features_2.3.json").read_text())
    found = windows_of(shared / f"official/inputs/squad/dev-{version}.json", tokenizer, WindowSettings(64, 32, 24))
    padding = expected[len(found) :]  # up to a multiple of the batch size, by repeating the last one
    assert len(padding) < 8
    assert all(feature["input_ids"] == expected[len(found) - 1]["input_ids"] for feature in padding)
    questions = list(dict.fromkeys(id(one) for one, _ in found))
    unique = {id(one): one for one, _ in found}
    arrays = window_arrays(list(unique.values()), tokenizer, 64)
    for row, ((one, number), feature) in enumerate(zip(found, expected, strict=False)):
        words, best = maps(one, number)
        assert (questions.index(id(one)), number) == (feature["example_index"], feature["doc_span_index"])
        assert {str(position): word for position, word in words.items()} == feature["token_to_orig_map"]
        assert {str(position): flag for position, flag in best.items()} == feature["token_is_max_context"]
        for name in ("input_ids", "input_mask", "segment_ids"):
            assert arrays[name][row].tolist() == feature[name]


def test_google_research_dev_features(shared: Path) -> None:
    """Ids, segments, word maps and best windows of the original script on dev-v1.1."""
    expected = json.loads((shared / "data/golden/run_squad_features/features.json").read_text())["dev"]
    tokenizer = Tokenizer(read_vocab(str(shared / "data/vocab/uncased_en/vocab.txt")))
    paragraph = next(read_squad(str(shared / "data/squad/dev-v1.1.json")))
    asked = list(ask(paragraph, tokenizer, WindowSettings(384, 128, 64)))[: len(expected)]
    arrays = window_arrays(asked, tokenizer, 384)
    for row, (one, feature) in enumerate(zip(asked, expected, strict=False)):
        words, best = maps(one, feature["doc_span_index"])
        assert [list(pair) for pair in words.items()] == feature["token_to_orig_map"]
        assert [list(pair) for pair in best.items()] == feature["token_is_max_context"]
        length = feature["n_nonpad"]
        assert arrays["input_mask"][row].sum() == length
        assert arrays["input_ids"][row, :length].tolist() == feature["input_ids"][:length]
        assert arrays["segment_ids"][row, :length].tolist() == feature["segment_ids"][:length]


@pytest.mark.parametrize(("version", "count"), [("1.1", 10_833), ("2.0", 12_232)])
def test_number_of_windows(shared: Path, version: str, count: int) -> None:
    """The development sets have as many windows as the original script makes of them."""
    tokenizer = Tokenizer(read_vocab(str(shared / "data/vocab/uncased_en/vocab.txt")))
    settings = WindowSettings(384, 128, 64)
    paragraphs = read_squad(str(shared / f"data/squad/dev-v{version}.json"))
    assert sum(len(one.windows) for paragraph in paragraphs for one in ask(paragraph, tokenizer, settings)) == count


def test_chinese(shared: Path) -> None:
    """Text without spaces is one word of many pieces; an answer in it is found to the character."""
    tokenizer = Tokenizer(read_vocab(str(shared / "data/vocab/chinese/vocab.txt")))
    context = "北京是中华人民共和国的首都，人口超过两千万。"
    start = context.index("两千万")
    question = Question("q", "北京有多少人口？", (Answer("两千万", start),))
    (one,) = teach(Paragraph(context, (question,)), tokenizer, WindowSettings(24, 8, 16))
    assert isinstance(one, WindowedQuestion)
    assert one.answer == (start, start + 2)
    assert len(one.context.words) == 1
    arrays, positions = window_arrays([one], tokenizer, 24), label_arrays([one])
    for row in np.flatnonzero(positions["start_positions"]):
        ids = arrays["input_ids"][row, positions["start_positions"][row] : positions["end_positions"][row] + 1]
        assert ids.tolist() == tokenizer.ids("两千万")
