# SPDX-License-Identifier: Apache-2.0
"""Text files -> documents of sentences, a shard of the corpus at a time.

A corpus is far larger than memory, so it is cut into shards by byte offsets before anything is read, where documents
end; each shard is then read by itself, in any process. Running text becomes sentences by Punkt's rules
(`nupunkt`), and by the marks that end sentences in Chinese and Japanese.
"""

import dataclasses
import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from jaxbert.errors import InputError
from jaxbert.io.files import open_input, view_input
from jaxbert.io.storage import RemoteBytes

Format = Literal["lines", "documents", "jsonl", "wikiextractor"]
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
class Part:
    """The bytes of a file from `start` to the one before `end`."""

    path: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Shard:
    """A run of the corpus that is worked on at once."""

    number: int
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def shards(paths: Sequence[str], form: Format, size: int) -> Iterator[Shard]:
    """Cut the files, taken as a row, into shards.

    A shard ends with the first document that ends `size` bytes or more after its begin, or with the file that does. A
    document that goes on for `size` bytes more is cut at a line end, so that memory stays bounded without blank lines.
    """
    number, parts, length = 0, list[Part](), 0
    for path in paths:
        for part in _parts(path, form, size, length):
            parts.append(part)
            length += len(part)
            if length >= size:
                yield Shard(number, tuple(parts))
                number, parts, length = number + 1, [], 0
    if parts:
        yield Shard(number, tuple(parts))


def _parts(path: str, form: Format, size: int, taken: int) -> Iterator[Part]:
    """The pieces of one file; `taken` bytes of the first shard are already there."""
    content = view_input(path)
    start, end = 0, len(content)
    while start < end:
        goal = start + size - taken
        cut = _cut(content, form, goal, goal + size) if goal < end else end
        yield Part(path, start, cut)
        start, taken = cut, 0


def _cut(content: memoryview | RemoteBytes, form: Format, goal: int, limit: int) -> int:
    """The offset from `goal` on where a shard ends best: a kind of end that comes before `limit`, or any line end."""
    for pattern in _ENDS[form]:
        if found := pattern.search(content[goal:limit]):
            return goal + found.end()
    found = _LINE_END.search(content[limit:])
    return limit + found.end() if found else len(content)


def read_documents(shard: Shard, form: Format, *, join_files: bool = False) -> tuple[Iterator[Document], int]:
    """The documents of a shard, and how many of its bytes are not UTF-8.

    Such bytes are left out, as in the official scripts.

    Args:
        shard: what to read.
        form: how the files are written.
        join_files: whether a document goes on in the next file where no blank line ends it, as in the official scripts;
            otherwise the end of a file is the end of a document.

    Raises:
        InputError: a file cannot be read or changed since it was cut; a line of a `jsonl` file is wrong.
    """
    texts, wrong_bytes = [], 0
    for part in shard.parts:
        raw = _read(part)
        text = raw.decode(errors="ignore")
        if len(text) != len(raw) and len(text.encode()) != len(raw):
            wrong_bytes += len(raw) - len(text.encode())
        texts.append(text if part.start else text.removeprefix("\ufeff"))
    if join_files:
        texts = ["".join(texts)]
    sources = [f"`{part.path}` from byte {part.start}" for part in shard.parts]
    read = (_documents(text, form, source) for source, text in zip(sources, texts, strict=False))
    return itertools.chain.from_iterable(read), wrong_bytes


def _read(part: Part) -> bytes:
    with open_input(part.path) as file:
        file.seek(part.start)
        raw = file.read(len(part))
    if len(raw) != len(part):
        raise InputError(f"`{part.path}` became shorter while it was read", "leave the input alone and start again")
    return raw


def _documents(text: str, form: Format, source: str) -> Iterator[Document]:
    if form == "lines":
        return _groups(text.split("\n"))
    if form == "documents":
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


# After a mark that ends a sentence, and the quotes or brackets that close with it. Such text has no blanks to go by.
_CJK_END = re.compile(
    "(?<=[\u3002\uff01\uff1f\uff61])(?![\u3002\uff01\uff1f\uff61\u201d\u2019\u300d\u300f\uff09])"
    "|(?<=[\u3002\uff01\uff1f\uff61][\u201d\u2019\u300d\u300f\uff09])"
)


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph on one line, in order; none is blank."""
    from nupunkt import sent_tokenize  # it reads its model when imported, which text in lines does not need

    pieces = (piece.strip() for piece in _CJK_END.split(paragraph))
    found = (str(sentence).strip() for piece in pieces if piece for sentence in sent_tokenize(piece))
    return [sentence for sentence in found if sentence]


def read_sentences(paths: Sequence[str], form: Format) -> Iterator[str]:
    """Every sentence of the files; a few megabytes of text are held at a time."""
    for shard in shards(paths, form, _SHARD):
        documents, _ = read_documents(shard, form)
        yield from itertools.chain.from_iterable(documents)
