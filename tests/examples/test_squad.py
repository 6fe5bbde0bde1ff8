# SPDX-License-Identifier: Apache-2.0
"""SQuAD files: what is read, what is left out, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.examples.squad import Answer, Paragraph, Question, check_version, read_squad
from tests.examples.arrow_files import save_to_disk, write_parquet


def squad_file(folder: Path, *paragraphs: Any, **extra: Any) -> str:
    """A file with one article of these paragraphs."""
    path = folder / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "T", "paragraphs": paragraphs}], **extra}))
    return str(path)


def asked(**keys: Any) -> dict[str, Any]:
    """One entry of `qas`."""
    return {"id": "q", "question": "Who?", **keys}


def test_version_1(tmp_path: Path) -> None:
    """Context, id, question and every answer are read; what is impossible is not said."""
    entry = asked(answers=[{"text": "Ann", "answer_start": 0}, {"text": "Bo", "answer_start": 8}])
    paragraphs = list(read_squad(squad_file(tmp_path, {"context": "Ann and Bo", "qas": [entry]})))
    assert paragraphs == [Paragraph("Ann and Bo", (Question("q", "Who?", (Answer("Ann", 0), Answer("Bo", 8))),))]


def test_version_2(tmp_path: Path) -> None:
    """Impossible questions have no answers; plausible ones and unknown keys are left out."""
    entry = asked(answers=[], is_impossible=True, plausible_answers=[{"text": "Ann", "answer_start": 0}], extra=1)
    (paragraph,) = read_squad(squad_file(tmp_path, {"context": "Ann", "qas": [entry], "document_id": 3}))
    assert paragraph.questions == (Question("q", "Who?", (), is_impossible=True),)


def test_test_set(tmp_path: Path) -> None:
    """Questions without the key `answers` are questions without answers."""
    (paragraph,) = read_squad(squad_file(tmp_path, {"context": "Ann", "qas": [asked()]}))
    assert paragraph.questions[0].answers == ()


def test_no_paragraphs(tmp_path: Path) -> None:
    """Articles without paragraphs and paragraphs without questions are fine."""
    assert list(read_squad(squad_file(tmp_path))) == []
    assert list(read_squad(squad_file(tmp_path, {"context": "", "qas": []}))) == [Paragraph("", ())]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('{"questions": 1}', "has no key `data`"),
        ('{"data": {}}', "`data` is `{}`, expected a list"),
        ('{"data": [{}]}', "article 0 has no key `paragraphs`"),
        ('{"data": [{"paragraphs": ["x"]}]}', "article 0 paragraph 0 is no JSON object"),
    ],
)
def test_not_squad(text: str, message: str, tmp_path: Path) -> None:
    """Files of another layout are refused with the place where they differ."""
    path = tmp_path / "squad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_squad(str(path)))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (1, "question 0 is no JSON object"),
        ({"question": "Who?"}, "question 0 has no key `id`"),
        ({"id": "q"}, "question 0 has no key `question`"),
        (asked(id=1.5), "question 0: `id` is `1.5`, expected text"),
        (asked(answers=None), "`answers` is `null`, expected a list"),
        (asked(answers=["Ann"]), "question 0 answer 0 is no JSON object"),
        (asked(answers=[{"text": "Ann"}]), "answer 0 has no key `answer_start`"),
        (asked(answers=[{"text": "Ann", "answer_start": "1"}]), '`answer_start` is `"1"`, expected a whole number'),
        (asked(answers=[{"text": "Ann", "answer_start": True}]), "`answer_start` is `true`, expected a whole number"),
        (asked(is_impossible=0), "`is_impossible` is `0`, expected true or false"),
    ],
)
def test_bad_question(entry: Any, message: str, tmp_path: Path) -> None:
    """A question that lacks something, or has something of another type, is refused with its place."""
    with pytest.raises(InputError, match=message):
        list(read_squad(squad_file(tmp_path, {"context": "Ann", "qas": [entry]})))


def test_number_as_id(tmp_path: Path) -> None:
    """A whole number is an id, named by its digits, which no other question may have."""
    (paragraph,) = read_squad(squad_file(tmp_path, {"context": "Ann", "qas": [asked(id=262)]}))
    assert paragraph.questions[0].id == "262"
    with pytest.raises(InputError, match="the id `262` comes twice"):
        list(read_squad(squad_file(tmp_path, {"context": "Ann", "qas": [asked(id=262), asked(id="262")]})))


def test_id_twice(tmp_path: Path) -> None:
    """An id that comes twice, in one paragraph or in two, is refused."""
    for qas in ([[asked(), asked()]], [[asked()], [asked()]]):
        with pytest.raises(InputError, match="the id `q` comes twice"):
            list(read_squad(squad_file(tmp_path, *({"context": "Ann", "qas": some} for some in qas))))


def test_the_other_version() -> None:
    """Settings of one version and data of the other are found at the first question that shows it."""

    def check(is_impossible: bool | None, version_2: bool) -> list[Paragraph]:
        paragraph = Paragraph("Ann", (Question("q", "Who?", is_impossible=is_impossible),))
        return list(check_version(iter([paragraph]), version_2, "squad.json"))

    for is_impossible, version_2 in ((None, False), (False, False), (False, True), (True, True)):
        assert len(check(is_impossible, version_2)) == 1
    with pytest.raises(InputError, match="question `q` has no answer\nhint: give `--version_2_with_negative`"):
        check(True, False)
    with pytest.raises(InputError, match="no key `is_impossible`\nhint: leave out `--version_2_with_negative`"):
        check(None, True)


def test_official_files(shared: Path) -> None:
    """The development sets have as many questions as they are known to have."""
    for version, count, impossible in (("1.1", 10570, 0), ("2.0", 11873, 5945)):
        paragraphs = read_squad(str(shared / f"data/squad/dev-v{version}.json"))
        questions = [question for paragraph in paragraphs for question in paragraph.questions]
        assert len(questions) == count
        assert sum(bool(question.is_impossible) for question in questions) == impossible


def rows(*answers: list[str] | None) -> dict[str, list[Any]]:
    """A question a row, all about one context but the last one; None stands for a test set."""
    count = len(answers)
    columns: dict[str, list[Any]] = {
        "id": [f"q{number}" for number in range(count)],
        "title": ["T"] * count,
        "context": [*["Ann and Bo"] * (count - 1), "Cy"],
        "question": ["Who?"] * count,
    }
    if None not in answers:
        columns["answers"] = [
            {"text": texts, "answer_start": ["Ann and Bo".find(text) for text in texts]}
            for texts in answers
            if texts is not None
        ]
    return columns


@pytest.mark.parametrize("form", ["structs of lists", "lists of structs", "Arrow", "folder"])
def test_files_of_datasets(form: str, tmp_path: Path) -> None:
    """Rows with the same context are a paragraph, in each way that answers are kept; of a folder by the role."""
    columns, path = rows(["Ann", "Bo"], ["Bo"], ["Cy"]), str(tmp_path / "squad.parquet")
    if form == "lists of structs":
        columns["answers"] = [
            [{"text": text, "answer_start": start} for text, start in zip(*entry.values(), strict=True)]
            for entry in columns["answers"]
        ]
    if form == "Arrow":
        path = save_to_disk(tmp_path / "saved", [columns])
    elif form == "folder":
        path = str(tmp_path)
        write_parquet(tmp_path / "plain_text/train-00000-of-00001.parquet", rows(["Ann"]))
        write_parquet(tmp_path / "plain_text/validation-00000-of-00001.parquet", columns, rows=1)
    else:
        write_parquet(Path(path), columns, rows=1)
    assert list(read_squad(path)) == [
        Paragraph(
            "Ann and Bo",
            (Question("q0", "Who?", (Answer("Ann", 0), Answer("Bo", 8))), Question("q1", "Who?", (Answer("Bo", 8),))),
        ),
        Paragraph("Cy", (Question("q2", "Who?", (Answer("Cy", -1),)),)),
    ]
    if form == "folder":
        assert sum(len(paragraph.questions) for paragraph in read_squad(path, "train")) == 1


def test_versions_of_datasets(tmp_path: Path) -> None:
    """Where only some questions have answers the others have none; where no question has, it is a test set."""
    path = tmp_path / "squad.parquet"
    for answers, impossible in (
        ((["Ann"], ["Bo"]), [None, None]),
        ((["Ann"], []), [False, True]),
        (([], []), [None, None]),
        ((None, None), [None, None]),
    ):
        write_parquet(path, rows(*answers))
        questions = [question for paragraph in read_squad(str(path)) for question in paragraph.questions]
        assert [question.is_impossible for question in questions] == impossible


def test_rows_that_are_known_to_be_of_version_2(tmp_path: Path) -> None:
    """They may all have answers: without a column that says it, impossible is what has none."""
    path = tmp_path / "squad.parquet"
    for answers, impossible in (
        ((["Ann"], ["Bo"]), [False, False]),
        (([], []), [True, True]),
        ((None, None), [None, None]),
    ):
        write_parquet(path, rows(*answers))
        questions = [one for paragraph in read_squad(str(path), "train", True) for one in paragraph.questions]
        assert [one.is_impossible for one in questions] == impossible


def test_wrong_rows_of_datasets(tmp_path: Path) -> None:
    """Columns that lack, answers without a start and an id that comes twice are refused with their place."""
    path = tmp_path / "squad.parquet"
    columns = rows(["Ann"], ["Bo"])
    for changed, message in (
        ({"question": None}, "has no column `question`; it has `id`"),
        ({"id": ["q", "q"]}, "from row 2 on: the id `q` comes twice"),
        ({"answers": [{"text": ["Ann"], "answer_start": []}] * 2}, "` row 1: 1 texts of answers and 0 starts"),
        ({"answers": ["Ann", "Bo"]}, "` row 1: `answers` is `Ann`"),
        ({"context": [None, "Cy"]}, "from row 1 on: `context` is `null`, expected text"),
    ):
        edited = {name: values for name, values in {**columns, **changed}.items() if values is not None}
        write_parquet(path, edited)
        with pytest.raises(InputError, match=message):
            list(read_squad(str(path)))
