# SPDX-License-Identifier: Apache-2.0
"""Corpora: where they are cut, and the documents of each format."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.corpus import (
    Format,
    Part,
    Shard,
    TextFile,
    read_documents,
    read_sentences,
    shards,
    split_sentences,
    text_files,
)


def documents(content: bytes, folder: Path, form: Format = "lines") -> list[list[str]]:
    """The documents of a file with this content."""
    path = folder / "text"
    path.write_bytes(content)
    return list(read_documents(Shard(0, (Part(str(path), 0, len(content), form),)))[0])


def cut(paths: list[str], size: int, form: Format = "lines") -> list[Shard]:
    """The shards of files of one format."""
    return list(shards([TextFile(path, form) for path in paths], size))


def read_all(paths: list[str], form: Format, size: int) -> list[list[str]]:
    """The documents of all shards."""
    return [document for shard in cut(paths, size, form) for document in read_documents(shard)[0]]


def test_lines(tmp_path: Path) -> None:
    """Blank lines of any kind part documents; blanks, CRLF, a byte order mark and no last newline are fine."""
    content = "\ufeffa b\r\n  c \r\n\r\n \t\nd\n\u3000\ne".encode()
    assert documents(content, tmp_path) == [["a b", "c"], ["d"], ["e"]]
    assert documents(b"\n\n \n", tmp_path) == []


def test_documents(tmp_path: Path) -> None:
    """A file is a document; lines are joined within a paragraph, and a paragraph ends a sentence."""
    content = b"One is\nhere. Two is\nthere.\n\nA heading\n\nThree."
    assert documents(content, tmp_path, "documents") == [["One is here.", "Two is there.", "A heading", "Three."]]


def test_jsonl(tmp_path: Path) -> None:
    """A line is a document; blank lines are skipped."""
    content = b'{"text": "One. Two.", "id": 1}\n\n{"text": "Three.\\n\\nFour"}\n'
    assert documents(content, tmp_path, "jsonl") == [["One.", "Two."], ["Three.", "Four"]]


@pytest.mark.parametrize("line", [b"plain text", b'{"body": "a"}', b'{"text": 3}', b"[1]"])
def test_wrong_json(tmp_path: Path, line: bytes) -> None:
    """What is no object with a text is named with its file."""
    with pytest.raises(InputError, match=r"text` from byte 0: .* is not a JSON object"):
        documents(b'{"text": "a"}\n' + line, tmp_path, "jsonl")


def test_wikiextractor(tmp_path: Path) -> None:
    """The title line is left out, entities are characters, an article without text is no sentence."""
    content = (
        b'<doc id="1" title="Tom &amp; Jerry">\nTom &amp; Jerry\n\nA cat &lt;and&gt; a mouse. They run.\n</doc>\n'
        b'<doc id="2" url="u" title="B">\nNot the title.\n</doc>\n<doc id="3" url="u" title="C">\nC\n\n</doc>\n'
    )
    expected = [["A cat <and> a mouse.", "They run."], ["Not the title."], []]
    assert documents(content, tmp_path, "wikiextractor") == expected


def test_real_wikipedia(shared: Path) -> None:
    """Every article of a WikiExtractor file is found, and no markup is left."""
    path = shared / "data/text/wikipedia/wiki_00"
    found = read_all([str(path)], "wikiextractor", 100_000)
    assert len(found) == path.read_text().count("<doc ")
    assert not any("<doc" in sentence or "</doc" in sentence for document in found for sentence in document)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """They are left out and counted; characters that are there are not."""
    content = b"caf\xc3\xa9 \xff\xfe\xc3 \xef\xbf\xbd b"
    path = tmp_path / "text"
    path.write_bytes(content)
    found, wrong = read_documents(Shard(0, (Part(str(path), 0, len(content), "lines"),)))
    assert list(found) == [["caf\u00e9  \ufffd b"]]
    assert wrong == 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=5), max_size=6), min_size=1),
    st.integers(1, 60),
)
def test_cuts_change_nothing(tmp_path: Path, files: list[list[list[str]]], size: int) -> None:
    """Shards cover every byte once, in order, and hold the documents of the files as long as these are short."""
    paths = []
    for number, texts in enumerate(files):
        paths.append(str(tmp_path / f"{number}.txt"))
        Path(paths[-1]).write_text("".join("\n".join(document) + "\n\n" for document in texts))
    expected = [document for texts in files for document in texts]
    found = cut(paths, size)
    assert [shard.number for shard in found] == list(range(len(found)))
    content = b"".join(Path(p.path).read_bytes()[p.start : p.end] for shard in found for p in shard.parts)
    assert content == b"".join(Path(path).read_bytes() for path in paths)
    if size > 50:  # no document is longer than 5 x 10 bytes
        assert read_all(paths, "lines", size) == expected
    assert [line for document in read_all(paths, "lines", size) for line in document] == [
        line for document in expected for line in document
    ]


def test_text_without_blank_lines_is_cut(tmp_path: Path) -> None:
    """Without ends of documents, shards end at lines before they are twice as large."""
    path = tmp_path / "text"
    path.write_text("a line of text\n" * 1000)
    found = cut([str(path)], 1000)
    assert all(1000 <= len(shard) <= 2015 for shard in found[:-1])
    assert all(shard.parts[0].end % 15 == 0 for shard in found)


def test_shards_go_on_in_the_next_file(tmp_path: Path) -> None:
    """What a shard has of one file counts towards its size in the next."""
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("a\n\n" * 200)
    paths[1].write_text("b\n\n" * 600)
    assert [len(shard) for shard in cut([str(path) for path in paths], 900)] == [903, 903, 594]


def test_file_ends(tmp_path: Path) -> None:
    """The end of a file ends a document, unless files are to be read as one."""
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("one\ntwo\n")
    paths[1].write_text("three\n\nfour")
    (shard,) = cut([str(path) for path in paths], 1 << 30)
    assert list(read_documents(shard)[0]) == [["one", "two"], ["three"], ["four"]]
    assert list(read_documents(shard, join_files=True)[0]) == [["one", "two", "three"], ["four"]]


@pytest.mark.parametrize("newline", ["", "\n"])
def test_the_end_of_a_file_ends_a_line(newline: str, tmp_path: Path) -> None:
    """Also where files are joined as Google reads them, by `readline`, which never goes on in the next file."""
    contents = {"a": f"one\ntwo{newline}", "b": f"three\n\nfour\n{newline}", "c": "five"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (shard,) = cut([str(tmp_path / name) for name in contents], 1 << 30)
    joined = [["one", "two", "three"], ["four"], ["five"]] if newline else [["one", "two", "three"], ["four", "five"]]
    assert list(read_documents(shard, join_files=True)[0]) == joined
    assert list(read_documents(shard)[0]) == [["one", "two"], ["three"], ["four"], ["five"]]


@pytest.mark.parametrize(("form", "text"), [("jsonl", '{"text": "One."}'), ("documents", "One.")])
def test_only_sentences_in_lines_go_on_in_the_next_file(form: Format, text: str, tmp_path: Path) -> None:
    """An object of JSON lines without a newline behind it, and a file that is a document, end where the file does."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(text)
    (shard,) = cut([str(path) for path in paths], 1 << 30, form)
    assert list(read_documents(shard, join_files=True)[0]) == [["One."], ["One."]]


def test_file_that_shrinks(tmp_path: Path) -> None:
    """A file that is shorter than when it was cut is named."""
    path = tmp_path / "text"
    path.write_text("short")
    with pytest.raises(InputError, match="became shorter"):
        read_documents(Shard(0, (Part(str(path), 0, 100, "lines"),)))


@pytest.mark.parametrize(
    "sentences",
    [
        ["Mr. Smith went to Washington, D.C. on Jan. 5th.", "He paid $3.50 for it!", "Why?"],
        ["今天天气很好。", "我们去公园吧！", "你说呢？"],
        ["他说：「走吧。」", "然后他走了。"],
        ["没有句号"],
    ],
)
def test_split_sentences(sentences: list[str]) -> None:
    """Abbreviations and numbers end no sentence; Chinese marks do without a blank, closing quotes stay with them."""
    blank = " " if sentences[0].isascii() else ""
    assert split_sentences(blank.join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["\u092f\u0939 \u090f\u0915 \u0939\u0948\u0964", "\u092f\u0939 \u0926\u094b \u0939\u0948\u0965"],
        [
            "\u06cc\u06c1 \u0627\u06cc\u06a9 \u06c1\u06d2\u06d4",
            "\u06cc\u06c1 \u062f\u0648 \u06c1\u06d2\u06d4",
            "\u06a9\u06cc\u0627\u061f",
        ],
        [
            "\u0647\u0644 \u0631\u0623\u064a\u062a\u0647\u061f",
            "\u0642\u0627\u0644: \u00ab\u0647\u0644\u061f\u00bb",
            "\u0646\u0639\u0645.",
        ],
        [
            "\u054d\u0561 \u0574\u0565\u056f\u0568\u0589",
            "\u054d\u0561 \u0565\u0580\u056f\u0578\u0582\u057d\u0568\u0589",
        ],
        ["\u12ed\u1205 \u12a0\u1295\u12f5 \u1290\u12cd\u1362", "\u12ed\u1205 \u1201\u1208\u1275 \u1290\u12cd\u1367"],
        ["\u1012\u102b\u1000 \u1015\u1011\u1019\u104b", "\u1012\u102b\u1000 \u1012\u102f\u1010\u102d\u101a\u104b"],
        ["\u1793\u17c1\u17c7\u1798\u17bd\u1799\u17d4", "\u1793\u17c1\u17c7\u1796\u17b8\u179a\u17d5"],
    ],
    ids=["Hindi", "Urdu", "Arabic", "Armenian", "Ethiopic", "Burmese", "Khmer"],
)
def test_marks_of_other_scripts(sentences: list[str]) -> None:
    """The marks that end sentences in other scripts do so with a blank after them and without."""
    assert split_sentences(" ".join(sentences)) == sentences
    assert split_sentences("".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["1. First item.", "2. Second item.", "10. Tenth item."],
        [
            "Er kam am 3. Mai zur Schule.",
            "Der 2. Weltkrieg war im 20. Jahrhundert schlimm.",
            "Am 3. und 4. Mai war Ruhe.",
        ],
        ["He was 3.", "Then he left Room 4.", "It was late."],
    ],
)
def test_numbers_of_lists_and_ordinals(sentences: list[str]) -> None:
    """A number of a list, or of a German date, is no end of a sentence; a number that ends one is."""
    assert split_sentences(" ".join(sentences)) == sentences


BEGINNINGS: list[tuple[bytes, Format]] = [
    (b'\n<doc id="1" title="A">\nA\n\nOne.\n</doc>\n', "wikiextractor"),
    (b'\xef\xbb\xbf{"id": 1, "text": "One. Two."}\n', "jsonl"),
    (b'{"text": "' + b"long " * 20_000 + b'"}\n', "jsonl"),
    (b"One.\nTwo.\n\nThree.\n", "lines"),
    (b"{curly} but no JSON\n", "lines"),
    (b"<document>\n", "lines"),
    (b"", "lines"),
]


def test_formats_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file's format is that of its beginning, and a line says how many have which; a given one counts."""
    paths = []
    for number, (content, _) in enumerate(BEGINNINGS):
        paths.append(str(tmp_path / str(number)))
        Path(paths[-1]).write_bytes(content)
    assert [file.form for file in text_files(paths)] == [form for _, form in BEGINNINGS]
    assert "4 as lines, 2 as jsonl, 1 as wikiextractor" in capsys.readouterr().err
    assert {file.form for file in text_files(paths, "documents")} == {"documents"}
    assert capsys.readouterr().err.count("looks like") == 3


def test_several_formats_are_one_corpus(tmp_path: Path) -> None:
    """A shard may hold files of several formats, each read as its own; only those of one format go on in the next."""
    contents = {"a": b'<doc id="1">\nOne. Two.\n</doc>\n', "b": b'{"text": "Three."}\n', "c": b"Four\n", "d": b"Five\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (shard,) = shards(text_files([str(tmp_path / name) for name in contents]), 1 << 30)
    assert list(read_documents(shard)[0]) == [["One.", "Two."], ["Three."], ["Four"], ["Five"]]
    assert list(read_documents(shard, join_files=True)[0]) == [["One.", "Two."], ["Three."], ["Four", "Five"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "is compressed by gzip"),
        (b"\x12" + bytes(7) + b"\x98\x01", "is binary, as TFRecords are"),
        ("a".encode("utf-16"), "is UTF-16"),
        (b'{"body": "a"}\n', "without a `text`: it has `body`"),
        (b'{\n  "text": "a"\n}\n', "a JSON object over several lines"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    """A compressed file, another encoding and objects without a text are named."""
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(InputError, match=message):
        text_files([str(tmp_path / "text")])


def test_nothing_has_no_sentences() -> None:
    """Nothing, and blanks, hold no sentence."""
    assert split_sentences("") == split_sentences("  ") == []


def test_read_sentences(tmp_path: Path) -> None:
    """Every sentence of every document of every file, in order."""
    for name, content in {"one": "a\n\nb\nc", "two": "d\n"}.items():
        (tmp_path / name).write_text(content)
    assert list(read_sentences([TextFile(str(tmp_path / name), "lines") for name in ("one", "two")])) == [
        "a",
        "b",
        "c",
        "d",
    ]
