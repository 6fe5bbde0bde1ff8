# SPDX-License-Identifier: Apache-2.0
"""Files of tagged words: columns, JSON lines, spans of characters, Parquet; and what is refused, with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.errors import InputError
from jaxbert.examples.tag_schemes import Scheme
from jaxbert.examples.tagged import TagColumns, TaggedFile, read_tagged
from jaxbert.text.normalize import word_places
from tests.examples.arrow_files import write_parquet

CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

-DOCSTART- -X- -X- O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


def read(
    folder: Path,
    content: str,
    *,
    name: str = "a.txt",
    token: str | None = None,
    tag: str | None = None,
    scheme: Scheme | None = None,
    with_tags: bool = True,
) -> TaggedFile:
    """What is read of a file with this content."""
    path = folder / name
    path.write_bytes(content.encode())
    return read_tagged(str(path), "train", TagColumns(token, tag), word_places, with_tags=with_tags, scheme=scheme)


def pairs(file: TaggedFile) -> list[list[tuple[str, str]]]:
    """Words with their tags."""
    return [list(zip(one.words, one.tags, strict=True)) for one in file.sentences]


def test_columns(tmp_path: Path) -> None:
    """The first and the last by default; documents are counted, their lines are no sentences."""
    file = read(tmp_path, CONLL)
    assert pairs(file) == [[("EU", "B-ORG"), ("rejects", "O")], [("Peter", "B-PER"), ("Blackburn", "I-PER")]]
    assert [one.document for one in file.sentences] == [1, 2]
    assert (file.scheme, file.has_documents) == ("iob2", True)
    assert file.place(file.sentences[1], 1) == f"`{tmp_path}/a.txt` line 9"
    assert file.sentences[1].text == "Peter Blackburn"
    assert file.sentences[1].places == ((0, 5), (6, 15))


@pytest.mark.parametrize(
    ("content", "token", "tag"),
    [
        (CONLL.replace("\n", "\r\n"), None, None),
        (CONLL.replace(" ", "\t").replace("\n\n", "\n# a comment\n\n\n"), "0", "3"),
        (f"\ufeff{CONLL}".replace("-DOCSTART- -X- -X- O\n", ""), "-4", "-1"),
    ],
)
def test_columns_as_they_are_written(content: str, token: str | None, tag: str | None, tmp_path: Path) -> None:
    """Line ends of Windows, tabs with comments, a mark of Unicode, columns by number from the end."""
    file = read(tmp_path, content, token=token, tag=tag)
    assert pairs(file) == pairs(read(tmp_path, CONLL, name="b.txt"))


def test_columns_by_name(tmp_path: Path) -> None:
    """Then the first line names them, and is no word."""
    file = read(tmp_path, "pos\tner\tword\nNNP\tB-ORG\tEU\nVBZ\tO\trejects\n", token="word", tag="ner")
    assert pairs(file) == [[("EU", "B-ORG"), ("rejects", "O")]]
    assert file.sentences[0].number == 2


def test_a_column_that_is_not_the_last(tmp_path: Path) -> None:
    """Parts of speech are plain tags."""
    file = read(tmp_path, CONLL, tag="1")
    assert file.scheme == "plain"
    assert pairs(file)[0] == [("EU", "NNP"), ("rejects", "VBZ")]


def test_tags_are_not_read_where_they_are_predicted(tmp_path: Path) -> None:
    """Words alone are enough, and tags that fit no scheme do not matter."""
    assert [one.words for one in read(tmp_path, "EU\nrejects\n", with_tags=False).sentences] == [("EU", "rejects")]
    assert read(tmp_path, "EU X-Y\nrejects B-Z\n", with_tags=False).scheme is None


@pytest.mark.parametrize("with_tags", [True, False])
def test_commas_are_refused(with_tags: bool, tmp_path: Path) -> None:
    """A .csv file would be one word a line, `EU,B-ORG`; the same with tabs, as the hint says, is read."""
    content = "EU,B-ORG\nrejects,O\n"
    with pytest.raises(InputError, match="not separated by commas") as refused:
        read(tmp_path, content, name="a.CSV", with_tags=with_tags)
    assert "tabs or blanks" in refused.value.hint
    (sentence,) = read(tmp_path, content.replace(",", "\t"), name="a.tsv", with_tags=with_tags).sentences
    assert sentence.words == ("EU", "rejects")


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("I-X I-X B-X O", "iob1"),
        ("B-X I-X B-X O", "iob2"),
        ("O O", "iob2"),
        ("I-X O", "iob1"),
        ("B-X E-X S-X", "iobes"),
        ("S-X O", "iobes"),
        ("B-X L-X U-X", "bilou"),
        ("B I O", "iob2"),
        ("NN VB I", "plain"),
        ("PER O PER", "plain"),
    ],
)
def test_tags_show_their_scheme(tags: str, scheme: str, tmp_path: Path) -> None:
    """By their letters, and IOB1 by where `B-` stands."""
    assert read(tmp_path, "".join(f"w {tag}\n" for tag in tags.split())).scheme == scheme


def test_json_lines(tmp_path: Path) -> None:
    """Lists of words and tags, by their usual names or others."""
    row = {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}
    file = read(tmp_path, json.dumps(row) + "\n\n", name="a.jsonl")
    assert pairs(file) == [[("EU", "B-ORG"), ("rejects", "O")]]
    other = {"words": row["tokens"], "ner": row["tags"], "tokens": 1}
    assert pairs(read(tmp_path, json.dumps(other), name="b.jsonl", token="words", tag="ner")) == pairs(file)
    assert file.place(file.sentences[0], 1) == f"`{tmp_path}/a.jsonl` line 1, word 1"


def span(begin: int, end: int, label: str = "PER") -> dict[str, Any]:
    """A span as it is written."""
    return {"start": begin, "end": end, "label": label}


def test_spans_of_characters(tmp_path: Path) -> None:
    """They become tags of the words that they touch, in any order; what is widened is counted."""
    text = "Ann Lee-Fox, of NewYork; sees  中文."
    spans = [span(19, 23, "LOC"), span(0, 11), span(30, 33, "LANG")]
    file = read(tmp_path, json.dumps({"text": text, "spans": spans}), name="a.jsonl")
    assert pairs(file) == [
        [
            *(("Ann", "B-PER"), ("Lee", "I-PER"), ("-", "I-PER"), ("Fox", "I-PER"), (",", "O"), ("of", "O")),
            *(("NewYork", "B-LOC"), (";", "O"), ("sees", "O"), ("中", "B-LANG"), ("文", "I-LANG"), (".", "O")),
        ]
    ]
    assert file.widened == 1  # `York`; the last one with a blank before it is not
    (sentence,) = file.sentences
    assert [text[begin:end] for begin, end in sentence.places] == list(sentence.words)
    assert pairs(
        read(tmp_path, json.dumps({"text": "Ann", "spans": [span(0, 3)]}), name="b.jsonl", scheme="iobes")
    ) == [[("Ann", "S-PER")]]


def test_parquet_names_its_classes(tmp_path: Path) -> None:
    """Numbers stand for the names that the schema has, as of conll2003 in `datasets`."""
    columns = {"id": ["0", "1"], "tokens": [["EU", "rejects"], ["Peter"]], "ner_tags": [[1, 0], [2]]}
    path = write_parquet(tmp_path / "a.parquet", columns, {"ner_tags": ["O", "B-ORG", "B-PER"]})
    file = read_tagged(path, "train", TagColumns(), word_places, with_tags=True)
    assert pairs(file) == [[("EU", "B-ORG"), ("rejects", "O")], [("Peter", "B-PER")]]
    assert file.place(file.sentences[1], 0) == f"`{path}` row 2, word 0"


@pytest.mark.parametrize(
    ("name", "content", "problem", "hint"),
    [
        ("a.txt", "EU B-ORG\nx NN O\n", "line 2 has 3 columns, the first line has 2", "blanks"),
        ("a.txt", "EU\tB-ORG\nx\n", "line 2 has 1 column, the first line has 2", "tabs"),
        ("a.txt", "EU\tB-ORG\n\tO\n", "line 2 has no word or no tag", "fill"),
        ("a.txt", "EU\nx\n", "line 1 has words and tags in the same column", "--tag_column"),
        ("a.txt", "\n\n", "holds no word", "a word a line"),
        ("a.txt", "EU O\nx I-A\ny B-B\n\nz I-A\nu B-A\n", "neither IOB2 (", "--scheme"),
        ("a.txt", "EU B-A\nx X-A\n", "line 2: the tag `X-A` is of no scheme that the others are of: B-A", "plain"),
        ("a.txt", "EU S-A\nx U-A\n", "line 2: the tag `U-A` is of no scheme", "mend"),
        ("a.txt", "EU B-A\nx E-B\n", "line 1: the tag `B-A` begins or continues an entity that", "IOBES"),
        ("a.jsonl", '{"tokens": ["EU", ""], "tags": ["O", "O"]}', "line 1: the words are `[\"EU\", \"\"]`", "none"),
        ("a.jsonl", '{"tokens": ["EU"], "tags": ["O", "O"]}', "line 1 has 1 words and 2 tags", "each word one"),
        ("a.jsonl", '{"tokens": ["EU"], "tags": [3]}', "line 1: the tags are `[3]`", "what the numbers mean"),
        ("a.jsonl", '{"tokens": ["EU"]}', "line 1 has no `tags`; it has `tokens`", "--tag_column"),
        ("a.jsonl", '{"words": ["EU"]}', "line 1 has no `text`; it has `words`", "--token_column"),
        ("a.jsonl", '{"text": "EU"}', "line 1: `spans` is `null`", '"label": "ORG"'),
        ("a.jsonl", '{"text": 3, "spans": []}', "line 1: `text` is `3`", "a text"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_with_their_place(
    name: str, content: str, problem: str, hint: str, tmp_path: Path
) -> None:
    """One message that says what is wrong where, and what to do."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, name=name)
    assert problem in caught.value.message
    assert f"{tmp_path}/{name}" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([span(0, 3), span(2, 7)], "the span `n Lee` from 2 to 7 and the one before it share a word"),
        ([span(0, 30)], "a span is"),
        ([span(3, 3)], "a span is"),
        ([span(0, True)], "a span is"),
        ([span(0, 3, " ")], "a span is"),
        (["PER"], 'a span is `"PER"`'),
        ([span(3, 4)], "the span ` ` from 3 to 4 holds no word"),
    ],
)
def test_wrong_spans_are_refused(spans: list[Any], problem: str, tmp_path: Path) -> None:
    """Outside of the text, empty, in the same words, or something else."""
    with pytest.raises(InputError, match="line 1") as caught:
        read(tmp_path, json.dumps({"text": "Ann Lee", "spans": spans}), name="a.jsonl")
    assert problem in caught.value.message


@pytest.mark.parametrize("name", ["7", "ner"])
def test_columns_that_are_not_there_are_refused(name: str, tmp_path: Path) -> None:
    """By number or by name, with those that are."""
    with pytest.raises(InputError, match=f"line 3 has no column `{name}` for `--tag_column`; it has 4: `EU`, `NNP`"):
        read(tmp_path, CONLL, tag=name)


@pytest.mark.parametrize(("scheme", "problem"), [("iobes", "`B-ORG` begins or continues"), ("iob1", "`B-ORG` is not")])
def test_a_scheme_that_is_said_is_checked(scheme: Scheme, problem: str, tmp_path: Path) -> None:
    """Against every tag."""
    with pytest.raises(InputError, match=f"line 3: the tag {problem}"):
        read(tmp_path, CONLL, scheme=scheme)
