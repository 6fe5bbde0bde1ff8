# SPDX-License-Identifier: Apache-2.0
"""What is written of predicted tags: the input with one column more, and spans with their places."""

import json
from pathlib import Path

import pytest

from jaxbert.examples.tagged import Sentence, TagColumns, read_tagged
from jaxbert.predictions.tagging import Span, spans_of, write_spans, write_tags
from jaxbert.text.normalize import word_places


def written(folder: Path, name: str, content: str, token: str | None = None) -> str:
    """What becomes of a file whose words are all predicted to be `B-X`."""
    (folder / name).write_bytes(content.encode())
    columns = TagColumns(token)
    file = read_tagged(str(folder / name), "test", columns, word_places, with_tags=False)
    tags = [["B-X"] * len(one.words) for one in file.sentences]
    spans = [spans_of(one, own, [0.5] * len(own), "iob2") for one, own in zip(file.sentences, tags, strict=True)]
    write_tags(str(folder / "out"), file, columns, tags, spans)
    return (folder / "out").read_bytes().decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects  VBZ O \n\n\nx y z",
            "-DOCSTART- -X- O O\n\nEU NNP B-ORG B-X\nrejects  VBZ O B-X\n\n\nx y z B-X\n",
        ),
        ("# id\nEU\tNNP\n\n", "# id\nEU\tNNP\tB-X\n\n"),
        ("EU\r\nrejects\r\n", "EU B-X\nrejects B-X\n"),
    ],
)
def test_a_column_is_added_and_all_else_stays(content: str, expected: str, tmp_path: Path) -> None:
    """Blank lines, documents, comments and the columns that are there."""
    assert written(tmp_path, "a.txt", content) == expected


def test_the_line_of_names_gets_one(tmp_path: Path) -> None:
    """Where columns are given by name."""
    assert written(tmp_path, "a.txt", "word\tpos\nEU\tN\n", "word") == "word\tpos\tprediction\nEU\tN\tB-X\n"


def test_json_lines_get_a_key(tmp_path: Path) -> None:
    """Tags for words, spans for texts; what else a row has stays."""
    row = {"id": 7, "tokens": ["EU", "x"]}
    assert json.loads(written(tmp_path, "a.jsonl", json.dumps(row))) == row | {"prediction": ["B-X", "B-X"]}
    found = json.loads(written(tmp_path, "b.jsonl", json.dumps({"text": "EU", "spans": []})))
    span = {"text": "EU", "start": 0, "end": 2, "label": "X", "probability": 0.5}
    assert found == {"text": "EU", "spans": [], "prediction": [span]}
    row = {"tokens": ["EU", "x"], "text": "EU x"}
    assert json.loads(written(tmp_path, "c.jsonl", json.dumps(row)))["prediction"] == ["B-X", "B-X"]


def test_spans_are_parts_of_the_text(tmp_path: Path) -> None:
    """Their characters stand where they say; the probability is the mean over their words."""
    sentence = Sentence.of_text("Ann Lee-Fox met  Bob.", word_places)
    tags = ["B-PER", "I-PER", "I-PER", "I-PER", "O", "I-PER", "O"]
    spans = spans_of(sentence, tags, [0.5, 1.0, 1.0, 0.5, 0.9, 0.25, 0.9], "iob2")
    assert spans == [Span("Ann Lee-Fox", 0, 11, "PER", 0.75), Span("Bob", 17, 20, "PER", 0.25)]
    assert all(sentence.text[span.start : span.end] == span.text for span in spans)
    write_spans(str(tmp_path / "spans.jsonl"), [sentence, Sentence.of_words(["a", "b"])], [spans, []])
    lines = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    assert lines[0]["spans"][1] == {"text": "Bob", "start": 17, "end": 20, "label": "PER", "probability": 0.25}
    assert lines[1] == {"text": "a b", "spans": []}
