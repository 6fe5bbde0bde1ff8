# SPDX-License-Identifier: Apache-2.0
"""Text files, Parquet and Arrow -> documents of sentences, a shard of the corpus at a time.

A corpus is far larger than memory, so it is cut into shards where documents end, text by byte offsets and tables by
rows, before anything is made of it; each shard is then read by itself, in any process. How a file is written is seen at
its beginning, unless it is said. Running text becomes sentences by Punkt's rules (`nupunkt`), by the marks that end
sentences in other scripts, and not at numbers such as "2." of a list.
"""

import codecs
import dataclasses
import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal, cast

from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.examples.arrow import find_splits, kind_of, open_arrow, read_texts
from jaxbert.io.files import is_folder, open_input, refuse_no_text, view_input
from jaxbert.io.storage import RemoteBytes

Format = Literal["lines", "documents", "jsonl", "wikiextractor", "table"]
FORMATS = ("lines", "documents", "jsonl", "wikiextractor", "table")
_COLUMN = "text"  # of a table
_LOOK = 1 << 16  # bytes at the beginning of a file that show how it is written
_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")
_OBJECT_OVER_LINES = re.compile(r'\{\s*\n\s*"[^"\n]*"\s*:')
_SHARD = 8_000_000  # bytes of text in memory at a time, where the cut decides nothing
Document = list[str]
"""Sentences, none of them blank."""

_BLANK_LINE = re.compile(rb"\n[ \t\r\f\v]*\n")
_LINE_END = re.compile(rb"\n")
# What a shard may end with inside a file, the best first; no line is ever cut.
_ENDS: dict[Format, tuple[re.Pattern[bytes], ...]] = {
    "lines": (_BLANK_LINE, _LINE_END),
    "documents": (_BLANK_LINE, _LINE_END),
    "jsonl": (_LINE_END,),
    "wikiextractor": (re.compile(rb"</doc>[ \t\r]*\n"), _BLANK_LINE, _LINE_END),
}


@dataclasses.dataclass(frozen=True)
class TextFile:
    """A file of the corpus, and how it is written."""

    path: str
    form: Format


@dataclasses.dataclass(frozen=True)
class Part:
    """The bytes of a file from `start` to the one before `end`, and how the file is written."""

    path: str
    start: int
    end: int
    form: Format

    def __len__(self) -> int:
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a table from `start` to the one before `end`, each a document, and the bytes of their texts."""

    path: str
    start: int
    end: int
    text_bytes: int
    form: ClassVar[Format] = "table"

    def __len__(self) -> int:
        return self.text_bytes


@dataclasses.dataclass(frozen=True)
class Shard:
    """A run of the corpus that is worked on at once."""

    number: int
    parts: tuple[Part | Rows, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def text_files(paths: Sequence[str], choice: str = "auto") -> list[TextFile]:
    """The files, each with its format: `choice`, or with "auto" what its beginning shows.

    `<doc ...>` begins what WikiExtractor writes, an object with a `text` JSON lines; all else is a sentence a line, as
    nothing in running text tells it apart. Parquet and Arrow are tables whatever the choice, which is of text. A folder
    of `datasets` stands for the files of its split to train on.

    Raises:
        InputError: a file cannot be read, is compressed or not UTF-8; a table without texts in `text`; a folder without
            tables; with "auto" a file of JSON objects without `text`, or over several lines.
    """
    found = []
    for path in itertools.chain.from_iterable(map(_files_of, paths)):
        seen = _look(path, choice)
        if choice == "auto":
            found.append(TextFile(path, seen))
        elif seen == "table":
            found.append(TextFile(path, seen))
            say(f"note: `{path}` is a table and read as one; `--input_format={choice}` is about text")
        else:
            found.append(TextFile(path, cast(Format, choice)))
            if seen not in ("lines", choice):
                say(f"note: `{path}` looks like {seen}; it is read as {choice}, as `--input_format` says")
    if choice == "auto":
        counts = {form: sum(file.form == form for file in found) for form in FORMATS}
        parts = [f"{count} as {form}" for form, count in counts.items() if count]
        say(f"read by their beginnings: {', '.join(parts)} (`--input_format` says otherwise)")
    return found


def _files_of(path: str) -> tuple[str, ...]:
    """The file itself, or those of the data set in a folder."""
    if not is_folder(path):
        return (path,)
    if not find_splits(path):
        raise InputError(f"`{path}` is a folder without a data set in Parquet or Arrow", f"give its files: `{path}/*`")
    return open_arrow(path, "train").paths


def _look(path: str, choice: str) -> Format:
    """How a file is written, by its beginning."""
    if kind_of(path):
        next(read_texts(path, _COLUMN), None)
        return "table"
    with open_input(path) as file:
        beginning = file.read(_LOOK)
    if beginning.startswith(_MARKS_16):
        raise InputError(f"`{path}` is UTF-16, expected text in UTF-8", "convert it: `iconv -f utf-16 -t utf-8`")
    refuse_no_text(path, beginning[:16])
    text = beginning.decode(errors="ignore").removeprefix("\ufeff").lstrip()
    if re.match(r"<doc\s[^\n]*>", text):
        return "wikiextractor"
    if _OBJECT_OVER_LINES.match(text) and choice in ("auto", "jsonl"):
        raise InputError(
            f"`{path}` begins with a JSON object over several lines",
            'write {"text": "..."} on each line, give the folder if this is a file of a data set, or give'
            " `--input_format=lines` to take it as plain text",
        )
    first = text.partition("\n")[0]
    return "jsonl" if first.startswith("{") and _begins_json(first, path, choice) else "lines"


def _begins_json(line: str, path: str, choice: str) -> bool:
    """Whether a first line, which may be cut, is an object with a `text`; one without is no text unless a flag says."""
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return len(line) > _LOOK // 4 and '"text"' in line
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return True
    if choice not in ("auto", "jsonl"):
        return False
    keys = ", ".join(f"`{key}`" for key in list(content)[:10])
    raise InputError(
        f"`{path}` begins with a JSON object without a `text`: it has {keys or 'nothing'}",
        'write {"text": "..."} on each line, or give `--input_format=lines` to take it as plain text',
    )


def shards(files: Sequence[TextFile], size: int) -> Iterator[Shard]:
    """Cut the files, taken as a row, into shards; of tables the texts are read once for it.

    A shard ends with the first document that ends `size` bytes or more after its begin, or with the file that does. A
    document that goes on for `size` bytes more is cut at a line end, so that memory stays bounded without blank lines.
    No line of JSON and no row is cut.

    Raises:
        InputError: a file cannot be read; a row has no text.
    """
    number, parts, length = 0, list[Part | Rows](), 0
    for file in files:
        for part in _rows(file.path, size, length) if file.form == "table" else _parts(file, size, length):
            parts.append(part)
            length += len(part)
            if length >= size:
                yield Shard(number, tuple(parts))
                number, parts, length = number + 1, [], 0
    if parts:
        yield Shard(number, tuple(parts))


def _parts(file: TextFile, size: int, taken: int) -> Iterator[Part]:
    """The pieces of one file; `taken` bytes of the first shard are already there."""
    content = view_input(file.path)
    start, end = 0, len(content)
    while start < end:
        goal = start + size - taken
        cut = _cut(content, file.form, goal, goal + size) if goal < end else end
        yield Part(file.path, start, cut, file.form)
        start, taken = cut, 0


def _rows(path: str, size: int, taken: int) -> Iterator[Rows]:
    """The pieces of one table; `taken` bytes of the first shard are already there."""
    start, end, length = 0, 0, 0
    for text in itertools.chain.from_iterable(read_texts(path, _COLUMN)):
        end += 1
        if text is None:
            raise InputError(f"`{path}` row {end} has no `{_COLUMN}`", "write the file without such rows")
        length += len(text)
        if taken + length >= size:
            yield Rows(path, start, end, length)
            start, length, taken = end, 0, 0
    if start < end:
        yield Rows(path, start, end, length)


def _cut(content: memoryview | RemoteBytes, form: Format, goal: int, limit: int) -> int:
    """The offset from `goal` on where a shard ends best: a kind of end that comes before `limit`, or any line end."""
    for pattern in _ENDS[form]:
        if found := pattern.search(content[goal:limit]):
            return goal + found.end()
    found = _LINE_END.search(content[limit:])
    return limit + found.end() if found else len(content)


def read_documents(shard: Shard, *, join_files: bool = False) -> tuple[Iterator[Document], int]:
    """The documents of a shard, and how many of its bytes are not UTF-8.

    Such bytes are left out, as in the official scripts.

    Args:
        shard: what to read.
        join_files: whether a document of sentences in lines goes on in the next file of its format where no blank line
            ends it, as in the official scripts; otherwise, and in all other formats, the end of a file is the end of a
            document. The end of a file is the end of a line in any case.

    Raises:
        InputError: a file cannot be read or changed since it was cut; a line of a `jsonl` file is wrong.
    """
    texts, wrong_bytes = list[tuple[Part | Rows, str]](), 0
    for part in shard.parts:
        for raw in [_read(part)] if isinstance(part, Part) else _read_rows(part):
            text = raw.decode(errors="ignore")
            if len(text) != len(raw) and len(text.encode()) != len(raw):
                wrong_bytes += len(raw) - len(text.encode())
            if join_files and texts and texts[-1][0].form == part.form == "lines":
                texts[-1] = (texts[-1][0], texts[-1][1].removesuffix("\n") + "\n" + text)
            else:
                texts.append((part, text))
    read = (_documents(text, part.form, f"`{part.path}` from byte {part.start}") for part, text in texts)
    return itertools.chain.from_iterable(read), wrong_bytes


def _read(part: Part) -> bytes:
    with open_input(part.path) as file:
        file.seek(part.start)
        raw = file.read(len(part))
    if len(raw) != len(part):
        raise InputError(f"`{part.path}` became shorter while it was read", "leave the input alone and start again")
    return raw if part.start else raw.removeprefix(codecs.BOM_UTF8)


def _read_rows(part: Rows) -> list[bytes]:
    rows = itertools.chain.from_iterable(read_texts(part.path, _COLUMN, part.start))
    texts = [text for text in itertools.islice(rows, part.end - part.start) if text is not None]
    if len(texts) != part.end - part.start or sum(map(len, texts)) != len(part):
        raise InputError(f"`{part.path}` changed while it was read", "leave the input alone and start again")
    return texts


def _documents(text: str, form: Format, source: str) -> Iterator[Document]:
    if form == "lines":
        return _groups(text.split("\n"))
    if form in ("documents", "table"):
        return iter([_sentences(text)])
    if form == "jsonl":
        return (_sentences(_json_text(line, source)) for line in text.split("\n") if line.strip())
    return (_sentences(article) for article in _articles(text))


def _groups(lines: Iterable[str]) -> Iterator[Document]:
    """Lines up to a blank one, over and over."""
    document: Document = []
    for line in map(str.strip, lines):
        if line:
            document.append(line)
        elif document:
            yield document
            document = []
    if document:
        yield document


def _json_text(line: str, source: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise InputError(
            f"{source}: `{line[:60]}` is not a JSON object with a `text`", 'write {"text": "..."} on each line'
        )
    return text


def _articles(text: str) -> Iterator[str]:
    """The text between <doc ...> and </doc>, without the title that WikiExtractor repeats as the first line."""
    for article in re.split(r"^</doc>[ \t\r]*$", text, flags=re.MULTILINE):
        opening = re.search(r'^<doc [^>\n]*?(?:title="([^"\n]*)")?>[ \t\r]*\n', article, flags=re.MULTILINE)
        if opening:
            title, body = html.unescape(opening[1] or ""), html.unescape(article[opening.end() :]).lstrip()
            first, _, rest = body.partition("\n")
            yield rest if first.strip() == title.strip() else body
        elif article.strip():
            yield article


def _sentences(text: str) -> Document:
    """The sentences of running text, whose lines may be broken anywhere within a paragraph."""
    return [sentence for lines in _groups(text.split("\n")) for sentence in split_sentences(" ".join(lines))]


# Marks that end a sentence wherever they stand: of Chinese and Japanese, whose text has no blanks to go by, and those
# that Punkt's rules do not know: of Hindi and its neighbours (danda), Urdu, Arabic and Persian, Armenian, Ethiopic,
# Burmese and Khmer. Quotes and brackets that close with the sentence, and marks in a row, stay with it.
_MARKS = "\u3002\uff01\uff1f\uff61\u0964\u0965\u06d4\u061f\u0589\u1362\u1367\u104b\u17d4\u17d5"
_MARK = re.compile(f"[{_MARKS}][{_MARKS}!?.\u2026]*(?:[\u201d\u2019\u300d\u300f\uff09\u00bb]|[\"')\\]](?=\\s|$))*")
# A number with a dot, at the end of what Punkt takes for a sentence: alone (of a list, perhaps in a bracket or after a
# dash), or a German ordinal, which the word before it or behind it shows.
_LIST_NUMBER = re.compile(r"[-*\u2013\u2022(\[\s]*\d{1,3}\.")
_NUMBER_AT_END = re.compile(r"(?:.*\s)?(?P<before>\S+)\s+\(?\d{1,2}\.", re.DOTALL)
_BEFORE_ORDINAL = frozenset(("am", "vom", "zum", "zur", "beim", "im", "ins", "der", "die", "das", "den", "dem", "des"))
_AFTER_ORDINAL = re.compile(
    "(?:Januar|J\u00e4nner|Februar|M\u00e4rz|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert)\\b"
)


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph on one line, in order; none is blank."""
    from nupunkt import sent_tokenize  # it reads its model when imported, which text in lines does not need

    cuts = [0, *(mark.end() for mark in _MARK.finditer(paragraph)), len(paragraph)]
    pieces = (paragraph[start:end].strip() for start, end in itertools.pairwise(cuts))
    return [sentence for piece in pieces if piece for sentence in _joined(map(str, sent_tokenize(piece)))]


def _joined(sentences: Iterable[str]) -> list[str]:
    """The sentences, put together again where only a number stands before the cut."""
    found: list[str] = []
    for sentence in filter(None, map(str.strip, sentences)):
        if found and _goes_on(found[-1], sentence):
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found.append(sentence)
    return found


def _goes_on(sentence: str, following: str) -> bool:
    """Whether the dot at the end of `sentence` is that of a number, and `following` the rest."""
    if not sentence[-2:-1].isdecimal():
        return False
    if _LIST_NUMBER.fullmatch(sentence):
        return True
    number = _NUMBER_AT_END.fullmatch(sentence)
    return bool(number and (number["before"].lower() in _BEFORE_ORDINAL or _AFTER_ORDINAL.match(following)))


def read_sentences(files: Sequence[TextFile]) -> Iterator[str]:
    """Every sentence of the files; a few megabytes of text are held at a time."""
    for shard in shards(files, _SHARD):
        documents, _ = read_documents(shard)
        yield from itertools.chain.from_iterable(documents)
