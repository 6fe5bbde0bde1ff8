# SPDX-License-Identifier: Apache-2.0
"""Questions with choices in the layouts of SWAG, RACE and ARC and in tables, and what is wrong in a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.examples.choices import ChoiceColumns, ChoiceQuestion, read_questions
from tests.examples.arrow_files import write_parquet

HEAD = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3"
ROW = '0,v,1,"A dog. It","A dog.",It,gold,"barks, loudly.",flies.,reads.,sings.'
TEXTS = ("barks, loudly.", "flies.", "reads.", "sings.")
NUMBERS = ("0", "1", "2", "3")
LABELLED = [{"text": "x", "label": "1"}, {"text": "y", "label": "2"}, {"text": "z", "label": "3"}]
TABLE = ChoiceColumns(("a", "b", "c"), "text", "ask", "right", "key")
LIST = ChoiceColumns(("options",), "text", "", "right")


def lines(*rows: Any) -> str:
    """JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def article(**changes: Any) -> dict[str, Any]:
    """An article as of RACE with two questions."""
    whole = {
        "article": "text",
        "questions": ["p", "q"],
        "options": [["a", "b"], ["c", "d", "e"]],
        "answers": ["B", "C"],
    }
    return {**whole, "id": "high7.txt", **changes}


def exam(**changes: Any) -> dict[str, Any]:
    """A question as of ARC with three choices."""
    return {"id": "M7", "question": {"stem": "q", "choices": LABELLED}, "answerKey": "3", **changes}


def read(path: Path, columns: ChoiceColumns | None = None, role: Any = "train") -> list[ChoiceQuestion]:
    """All questions."""
    return list(read_questions(str(path), role, columns))


def test_swag(tmp_path: Path) -> None:
    """The columns of SWAG are known; its test set has no label."""
    path = tmp_path / "train.csv"
    path.write_text(f"{HEAD},label\n{ROW},0\n{ROW},2\n")
    first = ChoiceQuestion("A dog.", "It", TEXTS, NUMBERS, 0, "0")
    assert read(path) == [first, ChoiceQuestion("A dog.", "It", TEXTS, NUMBERS, 2, "1")]
    path.write_text(f"{HEAD}\n{ROW}\n")
    assert read(path, role="test") == [ChoiceQuestion("A dog.", "It", TEXTS, NUMBERS, None, "0")]


def test_race(tmp_path: Path) -> None:
    """Each question of an article is one, with its letters; a pattern reads the files of a folder."""
    for name in ("1.txt", "2.txt"):
        (tmp_path / name).write_text(json.dumps(article(id=name)))
    found = read(tmp_path / "*.txt")
    assert [one.id for one in found] == ["1.txt-0", "1.txt-1", "2.txt-0", "2.txt-1"]
    assert found[1] == ChoiceQuestion("text", "q", ("c", "d", "e"), ("A", "B", "C"), 2, "1.txt-1")


def test_arc(tmp_path: Path) -> None:
    """Choices keep the labels of the file, by which the answer is named."""
    path = tmp_path / "arc.jsonl"
    path.write_text(lines(exam()))
    assert read(path) == [ChoiceQuestion("", "q", ("x", "y", "z"), ("1", "2", "3"), 2, "M7")]


@pytest.mark.parametrize(("right", "answer"), [("1", 1), ("B", 1), ("b", 1), ("0", 0)])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_a_table_with_named_columns(ending: str, right: str, answer: int, tmp_path: Path) -> None:
    """An answer is a number, a letter or a column; the last choices may be missing."""
    path = tmp_path / f"table{ending}"
    row = {"key": "k", "text": "t", "ask": "q", "a": "x", "b": "y", "c": "", "right": right}
    mark = "," if ending == ".csv" else "\t"
    path.write_text(lines(row) if ending == ".jsonl" else f"{mark.join(row)}\n{mark.join(row.values())}\n")
    assert read(path, TABLE) == [ChoiceQuestion("t", "q", ("x", "y"), ("0", "1"), answer, "k")]


@pytest.mark.parametrize(("right", "role", "answer"), [(1, "train", 1), ("B", "eval", 1), (None, "test", None)])
def test_a_column_of_lists(right: Any, role: Any, answer: int | None, tmp_path: Path) -> None:
    """One column may hold all choices."""
    path = tmp_path / "table.json"
    path.write_text(lines({"text": "t", "options": ["x", "y"], "right": right}))
    assert read(path, LIST, role) == [ChoiceQuestion("t", "", ("x", "y"), ("0", "1"), answer, "0")]


def test_as_the_library_datasets_has_them(tmp_path: Path) -> None:
    """Parquet with the columns of SWAG, RACE or ARC needs no names of columns."""
    tables: dict[str, dict[str, list[Any]]] = {
        "swag": {
            "sent1": ["t"],
            "sent2": ["q"],
            **{f"ending{number}": [f"e{number}"] for number in range(4)},
            "label": [3],
        },
        "race": {"article": ["t"], "question": ["q"], "options": [["x", "y"]], "answer": ["B"]},
        "arc": {
            "id": ["k"],
            "question": ["q"],
            "choices": [{"text": ["x", "y"], "label": ["A", "B"]}],
            "answerKey": ["B"],
        },
    }
    found = {}
    for name, columns in tables.items():
        classes = {"label": NUMBERS} if name == "swag" else None
        found[name] = read(Path(write_parquet(tmp_path / f"{name}.parquet", columns, classes)))
    assert found == {
        "swag": [ChoiceQuestion("t", "q", ("e0", "e1", "e2", "e3"), NUMBERS, 3, "0")],
        "race": [ChoiceQuestion("t", "q", ("x", "y"), ("0", "1"), 1, "0")],
        "arc": [ChoiceQuestion("", "q", ("x", "y"), ("A", "B"), 1, "k")],
    }


NAMED_BY_NUMBERS = ChoiceColumns(("1", "2"), "text", "", "right")
WRONG: list[tuple[str, str, ChoiceColumns | None, str]] = [
    ("a.csv", "", None, "is empty"),
    ("a.csv", f"{HEAD},label\n", None, "holds no questions"),
    ("a.csv", f"{HEAD}\n{ROW}\n", None, "has no column `label`"),
    ("a.csv", f"{HEAD.replace('sent2', 'sent3')},label\n{ROW},0\n", None, "has no column `sent2`"),
    ("a.csv", f"{HEAD},label\n{ROW}\n", None, "line 2 has 11 columns, expected 12"),
    ("a.csv", f"{HEAD},label\n{ROW},4\n", None, "line 2: the answer is `4`"),
    ("a.csv", f"{HEAD},label\n{ROW},\n", None, "line 2: the answer is ``"),
    ("a.csv", f"{HEAD},label\n{ROW},2.0\n", None, "line 2: the answer is `2.0`"),
    ("a.csv", f"{HEAD},label\n{ROW.replace('flies.', ' ')},0\n", None, "line 2: the choice `1` is empty"),
    (
        "a.csv",
        f"{HEAD},label\n{ROW.replace('A dog.', '').replace('It', '')},0\n",
        None,
        "neither a context nor a question",
    ),
    ("a.csv", "text,ask,a,b,c,right\nt,q,x,y,z,a\n", TABLE, "has no column `key`"),
    ("a.csv", "text,1,2,right\nt,x,y,1\n", NAMED_BY_NUMBERS, "`1` may mean choice 0 and choice 1"),
    ("a.csv", "text,ask,a,b,c,right,key\nt,q,x,,,0,k\n", TABLE, "line 2 has 1 choice"),
    ("a.csv", "text,ask,a,b,c,right,key\nt,q,x,y,,c,k\n", TABLE, "the answer is `c`"),
    ("a.csv", "t,x,y,0\n", ChoiceColumns(("1", "2"), "0", "", "3"), "columns are given by number"),
    ("a.jsonl", "[1]\n", None, "expected a JSON object"),
    ("a.jsonl", '{"article": \n', None, "line 1 is not JSON"),
    ("a.jsonl", lines({"text": "t"}), None, "has `text`"),
    ("a.jsonl", lines({"text": "t"}), LIST, "has no `options`; it has `text`"),
    ("a.jsonl", lines({"text": "t", "options": "xy", "right": 0}), LIST, "expected a list of choices at `options`"),
    ("a.jsonl", lines({"text": "t", "options": ["x", None], "right": 0}), LIST, "expected text at `options`"),
    ("a.jsonl", lines({"text": float("nan"), "options": ["x", "y"], "right": 0}), LIST, "expected text at `text`"),
    ("a.jsonl", lines({"text": None, "options": ["x", "y"], "right": 0}), LIST, "expected text at `text`"),
    ("a.jsonl", lines({"text": "t", "options": ["x", "y"], "right": True}), LIST, "the answer is `True`"),
    ("a.jsonl", lines({"text": "t", "options": ["x"] * 27, "right": 0}), LIST, "has 27 choices"),
    ("a.json", lines(article(answers=["B"])), None, "2 `questions`, 2 `options` and 1 `answers`"),
    ("a.json", lines(article(answers=["B", "D"])), None, "the answer is `D`"),
    ("a.json", lines(article(answers=["b", "C"])), None, "the answer is `b`"),
    ("a.json", lines(article(options=[["a", "b"], "c"])), None, "expected lists at `options`"),
    ("a.json", lines(article(options=3)), None, "expected a list at `options`"),
    ("a.json", lines(article(article=None)), None, "expected text at `article`"),
    ("a.json", lines(article(), exam()), None, "line 2: expected text at `article`"),
    ("a.jsonl", lines(exam(), article()), None, "line 2: expected an object at `question`"),
    ("a.jsonl", lines(exam(answerKey="C")), None, "the answer is `C`"),
    ("a.jsonl", lines(exam(question={"choices": LABELLED})), None, "expected text at `stem`"),
    (
        "a.jsonl",
        lines(exam(question={"stem": "q", "choices": [*LABELLED, LABELLED[0]]})),
        None,
        "same label: 1, 2, 3, 1",
    ),
    ("a.jsonl", lines(exam(question={"stem": "q", "choices": ["x", "y"]})), None, "is not a list of objects"),
    (
        "a.jsonl",
        lines({"text": "t", "options": {"text": ["x"], "label": []}, "right": 0}),
        LIST,
        "1 `text` and 0 `label`",
    ),
]


@pytest.mark.parametrize(("name", "content", "columns", "problem"), WRONG, ids=[problem for *_, problem in WRONG])
def test_a_wrong_file_is_refused(
    name: str, content: str, columns: ChoiceColumns | None, problem: str, tmp_path: Path
) -> None:
    """One message that names the file, and says what is wrong."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read(path, columns)
    assert str(path) in caught.value.message
    assert problem in caught.value.message


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl", "none*.txt", "none.parquet"])
def test_no_file(name: str, tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(InputError, match=r"none"):
        read(tmp_path / name)
