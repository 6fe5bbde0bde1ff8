# SPDX-License-Identifier: Apache-2.0
"""SQuAD files, versions 1.1 and 2.0, in JSON, Parquet or Arrow, as typed paragraphs with their questions."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from jaxbert.errors import InputError
from jaxbert.examples.arrow import ArrowTable, Role, is_arrow, open_arrow
from jaxbert.io.files import read_json_object

T = TypeVar("T")

_V1_HINT = (
    "leave out `--version_2_with_negative` for SQuAD 1.1, where every question has an answer; what is trained on and"
    " what is scored are of one version"
)
_V2_HINT = "give `--version_2_with_negative` for SQuAD 2.0, where some questions have no answer"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the annotator marked it: `context[start : start + len(text)]` should be `text`."""

    text: str
    start: int


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique in its file.
        text: the question.
        answers: all that were given; none for questions without answer, and in test sets.
        is_impossible: whether the context holds no answer; None where the file does not say (version 1.1).
    """

    id: str
    text: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Paragraph:
    """A context and all questions about it."""

    context: str
    questions: tuple[Question, ...]


def read_squad(path: str, role: Role = "eval", version_2_with_negative: bool = False) -> Iterator[Paragraph]:
    """The paragraphs of a file in order; titles, plausible answers and unknown keys are left out.

    A JSON text is one value and is read as such, but each paragraph is let go once the next one is asked for. Parquet
    and Arrow files, as the library `datasets` has SQuAD, are read as a stream; of a folder with several splits the one
    for `role`. A question a row, with `answers`: those that follow each other with the same context are a paragraph.
    Rows that do not say what is impossible show their version by their answers, unless it is known to be 2.0.

    Raises:
        InputError: not JSON, not the layout of SQuAD, a key is missing or of the wrong type, an id comes twice.
    """
    seen: set[str] = set()
    if is_arrow(path):
        yield from _rows_as_paragraphs(open_arrow(path, role), seen, version_2_with_negative)
        return
    for number, article in enumerate(_articles(path)):
        location = f"`{path}` article {number}"
        for index, paragraph in enumerate(_get(article, "paragraphs", list[Any], location)):
            yield _paragraph(paragraph, f"{location} paragraph {index}", seen)


def check_version(
    paragraphs: Iterator[Paragraph], version_2_with_negative: bool, path: str, hint: str = _V2_HINT
) -> Iterator[Paragraph]:
    """The same paragraphs, stopping at the first question that belongs to the other version of SQuAD.

    `hint` is for a question without answer among those of version 1.1.

    Raises:
        InputError: an unanswerable question and version 1.1 settings, or a question that does not say whether it has
            an answer and version 2.0 settings.
    """
    for paragraph in paragraphs:
        for question in paragraph.questions:
            if question.is_impossible and not version_2_with_negative:
                raise InputError(f"`{path}` question `{question.id}` has no answer", hint)
            if question.is_impossible is None and version_2_with_negative:
                raise InputError(f"`{path}` question `{question.id}` has no key `is_impossible`", _V1_HINT)
        yield paragraph


def _articles(path: str) -> Iterator[Any]:
    """The entries of `data`, each forgotten as soon as it is given out."""
    content = read_json_object(path, "a SQuAD file, such as train-v1.1.json")
    articles = _get(content, "data", list[Any], f"`{path}`")
    content.clear()
    articles.reverse()
    while articles:
        yield articles.pop()


def _rows_as_paragraphs(table: ArrowTable, seen: set[str], version_2_with_negative: bool) -> Iterator[Paragraph]:
    """Each row is an entry of `qas`. In version 2.0, or where only some have answers, the others have none."""
    columns = ["context", "id", "question", *(name for name in ("answers", "is_impossible") if name in table.columns)]
    lacking = set[bool]()
    if "answers" in columns:
        for number, (answers,) in table.rows(["answers"]):
            lacking.add(not _entries(answers, f"`{table.path}` row {number}"))
    is_version_2 = len(lacking) == 2 or (version_2_with_negative and bool(lacking))
    for context, group in itertools.groupby(table.rows(columns), lambda row: row[1][0]):
        rows = list(group)
        location = f"`{table.path}` from row {rows[0][0]} on"
        entries = [dict(zip(columns, values, strict=True)) for _, values in rows]
        for entry in entries:
            if "answers" in entry:
                entry["answers"] = _entries(entry["answers"], location)
            if is_version_2:
                entry.setdefault("is_impossible", not entry["answers"])
        yield _paragraph({"context": context, "qas": entries}, location, seen)


def _entries(answers: Any, location: str) -> list[Any]:
    """Answers one by one, from a list of them or from lists of their texts and starts."""
    if not isinstance(answers, dict | list | None):
        raise InputError(
            f"{location}: `answers` is `{str(answers)[:60]}`", "expected a list of objects, or lists in one"
        )
    if not isinstance(answers, dict):
        return answers or []
    texts, starts = (answers.get(key) or [] for key in ("text", "answer_start"))
    if len(texts) != len(starts):
        raise InputError(f"{location}: {len(texts)} texts of answers and {len(starts)} starts", "mend the row")
    return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]


def _paragraph(content: Any, location: str, seen: set[str]) -> Paragraph:
    context = _get(content, "context", str, location)
    entries = _get(content, "qas", list[Any], location)
    questions = tuple([_question(entry, f"{location} question {index}") for index, entry in enumerate(entries)])
    for question in questions:
        if question.id in seen:
            raise InputError(
                f"{location}: the id `{question.id}` comes twice", "predictions are told apart by their ids"
            )
        seen.add(question.id)
    return Paragraph(context, questions)


def _question(content: Any, location: str) -> Question:
    """One entry of `qas`; answers may be missing, as in test sets."""
    id_, text = _id(content, location), _get(content, "question", str, location)
    answers = _get(content, "answers", list[Any], location) if "answers" in content else []
    return Question(
        id_,
        text,
        tuple([_answer(entry, f"{location} answer {index}") for index, entry in enumerate(answers)]),
        _get(content, "is_impossible", bool, location) if "is_impossible" in content else None,
    )


def _id(content: Any, location: str) -> str:
    """A whole number is an id too, as in COVID-QA; predictions are named by its digits."""
    if isinstance(content, dict) and type(content.get("id")) is int:
        return str(content["id"])
    return _get(content, "id", str, location)


def _answer(content: Any, location: str) -> Answer:
    return Answer(_get(content, "text", str, location), _get(content, "answer_start", int, location))


def _get(content: Any, key: str, kind: type[T], location: str) -> T:
    """The checked value of a key; true and false are no numbers."""
    expected = getattr(kind, "__origin__", kind)
    if not isinstance(content, dict):
        raise InputError(f"{location} is no JSON object", "expected the layout of SQuAD: data, paragraphs, qas")
    if key not in content:
        raise InputError(
            f"{location} has no key `{key}`", f"it has {', '.join(content) or 'none'}; is this a SQuAD file?"
        )
    value = content[key]
    if type(value) is not expected:
        raise InputError(
            f"{location}: `{key}` is `{json.dumps(value)[:100]}`, expected {_KINDS[expected]}",
            "mend or leave out the entry",
        )
    found: T = value
    return found


_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}
