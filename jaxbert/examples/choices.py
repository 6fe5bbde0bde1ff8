# SPDX-License-Identifier: Apache-2.0
"""Questions with choices in files: the CSV of SWAG, JSON as of RACE and ARC, and tables whose columns are named."""

import dataclasses
import itertools
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.examples.arrow import Role, is_arrow, open_arrow
from jaxbert.examples.rows import is_json, json_rows
from jaxbert.examples.table import ColumnNames, open_table
from jaxbert.io.files import expand, is_file, open_input

_LETTERS = string.ascii_uppercase
_SHOWN = 60  # characters of a value in a message


@dataclasses.dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """A question and the choices that answer it.

    Attributes:
        context: what is read first: a text about which is asked, or the sentence before.
        question: what stands in front of each choice; "" where there is nothing.
        choices: at least two texts.
        names: what the file calls each choice.
        answer: which choice is right, from 0; None where the file does not say (test sets).
        id: what tells the question apart in its file.
    """

    context: str
    question: str
    choices: tuple[str, ...]
    names: tuple[str, ...]
    answer: int | None
    id: str


@dataclasses.dataclass(frozen=True)
class ChoiceColumns:
    """Which column of a table is what; "" for one that does not exist.

    Attributes:
        choices: a column for each choice, the last ones empty where a question has fewer; or one column with a list of
            texts, or with an object of the lists `text` and `label`.
        label: the right choice: its number from 0, its letter from A, or the name of its column or `label`.
    """

    choices: tuple[str, ...]
    context: str = ""
    question: str = ""
    label: str = ""
    id: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that must be there in any file."""
        return tuple(filter(None, (self.context, self.question, *self.choices)))


SWAG = ChoiceColumns(("ending0", "ending1", "ending2", "ending3"), "sent1", "sent2", "label")
# Tables whose columns need not be named: SWAG, and RACE and ARC as the library `datasets` has them.
_KNOWN = (
    SWAG,
    ChoiceColumns(("options",), "article", "question", "answer"),
    ChoiceColumns(("choices",), "", "question", "answerKey", "id"),
)
_EXPECTED = "columns as of SWAG, or objects as of RACE or ARC; or name columns with `--choice_columns` and its like"


def read_questions(path: str, role: Role, columns: ChoiceColumns | None = None) -> Iterator[ChoiceQuestion]:
    """The questions of a file, of those that a pattern means, or of a folder of the library `datasets`, in their order.

    Args:
        path: ends in .csv or .tsv for tables; Parquet, Arrow and JSON lines are known by their content.
        role: what the questions are for; those to predict ("test") need no answer.
        columns: of a table; None: those of SWAG, or of RACE or ARC.

    Raises:
        InputError: no such file, column or key; a question without text, with fewer than two choices or an empty one;
            an answer that is missing or is none of the choices.
    """
    count = 0
    for one in files_of(path):
        for question in _questions(one, role, columns):
            yield question if question.id else dataclasses.replace(question, id=str(count))
            count += 1
    if not count:
        raise InputError(f"`{path}` holds no questions", "expected at least one")


def files_of(path: str) -> Sequence[str]:
    """The files that a pattern means, which are read one after the other; or the one file, or folder."""
    return expand(path) if "*" in path and not is_arrow(path) else [path]


def _questions(path: str, role: Role, columns: ChoiceColumns | None) -> Iterator[ChoiceQuestion]:
    if is_arrow(path):
        table = open_arrow(path, role)
        columns = columns or _known(path, table.columns)
        _refuse_missing(path, columns, table.columns, role)
        wanted = [name for name in (*columns.texts, columns.label, columns.id) if name in table.columns]
        rows = ((f"row {number}", dict(zip(wanted, values, strict=True))) for number, values in table.rows(wanted))
        yield from _of_rows(path, rows, role, columns)
    elif _holds_json(path):
        yield from _of_json(path, role, columns)
    else:
        columns = columns or SWAG
        yield from _of_rows(path, _text_rows(path, role, columns), role, columns)


def _holds_json(path: str) -> bool:
    if not is_file(path):
        return is_json(path)  # which is then refused as one
    with open_input(path) as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _of_json(path: str, role: Role, columns: ChoiceColumns | None) -> Iterator[ChoiceQuestion]:
    """Each line is as the first one: an article of RACE, a question of ARC, or a row of a table."""
    numbered = ((f"line {number}", row) for number, row in json_rows(path))
    head = list(itertools.islice(numbered, 1))
    rows = itertools.chain(head, numbered)
    first = head[0][1] if head else {}
    read: Callable[[str, Mapping[str, Any], Role], Iterable[ChoiceQuestion]]
    if columns is None and "questions" in first:
        read = _of_article
    elif columns is None and isinstance(first.get("question"), dict):
        read = _of_exam
    else:
        columns = columns or _known(path, first)
        _refuse_missing(path, columns, first, role)
        yield from _of_rows(path, rows, role, columns)
        return
    for place, row in rows:
        yield from read(f"`{path}` {place}", row, role)


def _known(path: str, names: Iterable[str]) -> ChoiceColumns:
    """The columns of a known layout that a table has."""
    here = set(names)
    for known in _KNOWN:
        if here.issuperset(known.texts):
            return dataclasses.replace(known, id=known.id if known.id in here else "")
    raise InputError(f"`{path}` has {', '.join(f'`{name}`' for name in names)}", f"expected {_EXPECTED}")


def _refuse_missing(path: str, columns: ChoiceColumns, names: Iterable[str], role: Role) -> None:
    here = list(names)
    needed = [*columns.texts, *filter(None, [columns.id, columns.label if role != "test" else ""])]
    if missing := next((name for name in needed if name not in here), None):
        listed = ", ".join(f"`{name}`" for name in here)
        raise InputError(f"`{path}` has no `{missing}`; it has {listed}", "name what is there")


def _text_rows(path: str, role: Role, columns: ChoiceColumns) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV or TSV file, whose first line names its columns."""
    names = ColumnNames(
        columns.context or columns.question, columns.question, columns.label, columns.id, columns.choices
    )
    table = open_table(path, names, role)
    if role == "test" and columns.label and not table.has(columns.label):
        names = dataclasses.replace(names, label="")
    if missing := next((name for name in names.given if not table.has(name)), None):
        raise InputError(f"the first line of `{path}` has no column `{missing}`", "name columns as that line does")
    rows, index_of, has_header = table.choose(names, several=False)
    if not has_header:
        raise InputError(f"`{path}`: columns are given by number", "name them in a first line, and give these names")
    width = 0
    for line, fields in rows:
        if not width:
            width = len(fields)
            continue
        if len(fields) != width:
            raise InputError(
                f"`{path}` line {line} has {counted(len(fields), 'column')}, expected {width} as in the first line",
                "check for commas, tabs or line breaks inside a text",
            )
        yield f"line {line}", {name: fields[index_of(name)] for name in names.given}


def _of_rows(
    path: str, rows: Iterable[tuple[str, Mapping[str, Any]]], role: Role, columns: ChoiceColumns
) -> Iterator[ChoiceQuestion]:
    """A question in each row of a table."""
    for place, row in rows:
        where = f"`{path}` {place}"
        texts = [_text(where, name, row.get(name)) if name else "" for name in (columns.context, columns.question)]
        choices, names, spellings = _choices(where, row, columns)
        id_ = _text(where, columns.id, row.get(columns.id)) if columns.id else ""
        yield _question(where, texts, choices, names, _answer(where, row.get(columns.label), spellings, role), id_)


Spellings = Sequence[Sequence[str]]
"""Ways to say which choice is right, each a name for each choice."""


def _choices(where: str, row: Mapping[str, Any], columns: ChoiceColumns) -> tuple[list[str], Sequence[str], Spellings]:
    """The choices of a row, what they are called in predictions, and how an answer may name them."""
    if len(columns.choices) > 1:
        values = [row.get(name) for name in columns.choices]
        while values and _is_missing(values[-1]):
            values.pop()
        numbers = list(map(str, range(len(values))))
        named = columns.choices[: len(values)]
        texts = [_text(where, name, value) for name, value in zip(columns.choices, values, strict=False)]
        return texts, numbers, (numbers, _LETTERS[: len(values)], named)
    (name,) = columns.choices
    value = row.get(name)
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(one, Mapping) for one in value)):
        texts, labels = _labelled(where, name, value)
        return texts, labels, (labels,)
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list of choices at `{name}`, found `{str(value)[:_SHOWN]}`", "")
    texts = [_text(where, name, one) for one in value]
    numbers = list(map(str, range(len(texts))))
    return texts, numbers, (numbers, _LETTERS[: len(texts)])


def _labelled(where: str, name: str, value: Any) -> tuple[list[str], list[str]]:
    """Texts and labels of choices that are objects of `text` and `label`, or one object of lists of them."""
    if isinstance(value, Mapping):
        lists = [_list(where, value, key) for key in ("text", "label")]
        if len(lists[0]) != len(lists[1]):
            raise InputError(f"{where}: `{name}` has {len(lists[0])} `text` and {len(lists[1])} `label`", "")
        pairs = list(zip(*lists, strict=True))
    else:
        if not all(isinstance(one, Mapping) for one in value):
            raise InputError(f"{where}: `{name}` is not a list of objects with `text` and `label`", "")
        pairs = [(one.get("text"), one.get("label")) for one in value]
    texts, labels = [_text(where, "text", text) for text, _ in pairs], [_text(where, "label", one) for _, one in pairs]
    if len(set(labels)) < len(labels):
        raise InputError(f"{where}: two choices have the same label: {', '.join(labels)}", "name them apart")
    return texts, labels


def _of_article(where: str, row: Mapping[str, Any], role: Role) -> Iterator[ChoiceQuestion]:
    """The questions about an article, as of RACE; answers are letters."""
    article = _text(where, "article", row.get("article"))
    questions, options, answers = (_list(where, row, name) for name in ("questions", "options", "answers"))
    if role == "test" and not answers:
        answers = [None] * len(questions)
    if not len(questions) == len(options) == len(answers):
        raise InputError(
            f"{where} has {len(questions)} `questions`, {len(options)} `options` and {len(answers)} `answers`",
            "expected one of each for a question",
        )
    for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True)):
        if not isinstance(choices, list):
            raise InputError(f"{where}: expected lists at `options`, found `{str(choices)[:_SHOWN]}`", "")
        texts = [_text(where, "options", choice) for choice in choices]
        letters = _LETTERS[: len(texts)]
        id_ = f"{row['id']}-{number}" if "id" in row else ""
        right = _answer(where, answer, [letters], role)
        yield _question(where, [article, _text(where, "questions", question)], texts, letters, right, id_)


def _of_exam(where: str, row: Mapping[str, Any], role: Role) -> Iterator[ChoiceQuestion]:
    """A question as of ARC: its stem, and choices with labels."""
    question = row.get("question")
    if not isinstance(question, Mapping):
        raise InputError(f"{where}: expected an object at `question`, found `{str(question)[:_SHOWN]}`", "")
    texts, labels = _labelled(where, "choices", _list(where, question, "choices"))
    stem = _text(where, "stem", question.get("stem"))
    right = _answer(where, row.get("answerKey"), [labels], role)
    yield _question(where, ["", stem], texts, labels, right, str(row.get("id", "")))


def _question(
    where: str, texts: Sequence[str], choices: Sequence[str], names: Sequence[str], answer: int | None, id_: str
) -> ChoiceQuestion:
    context, question = texts
    if len(choices) < 2:
        raise InputError(f"{where} has {counted(len(choices), 'choice')}", "expected two or more")
    if len(choices) > len(_LETTERS):
        raise InputError(f"{where} has {len(choices)} choices", f"expected at most {len(_LETTERS)}")
    if empty := next((name for name, choice in zip(names, choices, strict=True) if not choice.strip()), None):
        raise InputError(f"{where}: the choice `{empty}` is empty", "only the last ones may be missing in a table")
    if not context.strip() and not question.strip():
        raise InputError(f"{where} has neither a context nor a question", "give one of them")
    return ChoiceQuestion(context, question, tuple(choices), tuple(names), answer, id_)


def _answer(where: str, value: Any, spellings: Spellings, role: Role) -> int | None:
    """Which choice a value names."""
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    if role == "test" and text in ("", "-1"):
        return None
    places = {names.index(text) for names in map(list, spellings) if text in names}
    if len(places) > 1:
        named = " and ".join(f"choice {place}" for place in sorted(places))
        raise InputError(
            f"{where}: the answer `{text}` may mean {named}, counted from 0",
            "rename the columns of the choices so that no name is a number",
        )
    if not places:
        listed = "; or ".join(", ".join(f"`{name}`" for name in names) for names in spellings)
        raise InputError(f"{where}: the answer is `{str(value)[:_SHOWN]}`", f"expected {listed}")
    return places.pop()


def _is_missing(value: Any) -> bool:
    """None, an empty text, or the NaN of a table of pandas."""
    return value is None or value != value or not str(value).strip()


def _text(where: str, name: str, value: Any) -> str:
    if value != value or isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where}: expected text at `{name}`, found `{str(value)[:_SHOWN]}`", "")
    return str(value)


def _list(where: str, row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name, [])
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list at `{name}`, found `{str(value)[:_SHOWN]}`", "")
    return value
