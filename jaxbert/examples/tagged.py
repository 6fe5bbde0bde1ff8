# SPDX-License-Identifier: Apache-2.0
"""Files of words with tags -> sentences: columns (CoNLL), JSON lines, Parquet and Arrow.

-DOCSTART- -X- O O          a document begins

EU NNP B-NP B-ORG           a word a line, in columns that are separated by blanks or tabs
rejects VBZ B-VP O
                            a blank line ends a sentence

{"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}
{"text": "EU rejects", "spans": [{"start": 0, "end": 2, "label": "ORG"}]}
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from jaxbert.console import counted
from jaxbert.errors import InputError
from jaxbert.examples import tag_schemes
from jaxbert.examples.arrow import Role, is_arrow, open_arrow
from jaxbert.examples.rows import is_json, is_number, json_rows, text_lines
from jaxbert.examples.tag_schemes import OUTSIDE, Entity, Scheme

DOCUMENT = "-DOCSTART-"
_TOKENS, _TEXT, _SPANS = "tokens", "text", "spans"
_TAGS = ("tags", "ner_tags")
_LOOKED_AT = 20  # lines that show what separates columns

Places = Callable[[str], list[tuple[int, int]]]
"""Where each word of a text begins and ends."""


@dataclasses.dataclass(frozen=True)
class TagColumns:
    """Which column is what, by name or by number from 0 (-1 is the last); None: as is usual in the format.

    Attributes:
        token: the words; in files of columns 0.
        tag: their tags; in files of columns the last one.
    """

    token: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Sentence:
    """Words and their tags.

    Attributes:
        words: one at least, but for an empty text.
        tags: as many, or none where they are not asked for.
        number: the line of its first word, or the number of its row.
        document: which document of the file it is in, from 1; 0 before the first one.
        text: as in the file, or the words with blanks between.
        places: where each word begins and ends in the text.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    number: int
    document: int
    text: str
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of_words(cls, words: Sequence[str], tags: Sequence[str] = (), number: int = 0, document: int = 0) -> "Sentence":
        """Words without a text of their own."""
        ends = itertools.accumulate(len(word) + 1 for word in words)
        places = tuple((end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True))
        return cls(tuple(words), tuple(tags), number, document, " ".join(words), places)

    @classmethod
    def of_text(cls, text: str, places: Places) -> "Sentence":
        """A text, of which nothing else is known."""
        found = tuple(places(text))
        return cls(tuple(text[begin:end] for begin, end in found), (), 0, 0, text, found)


@dataclasses.dataclass(frozen=True)
class TaggedFile:
    """A file that was read.

    Attributes:
        path: as the user gave it.
        sentences: in their order; one at least has words.
        scheme: of the tags; None where they are not asked for.
        has_columns: whether it is a file of columns, whose lines are words.
        widened: entities that began or ended within a word, and were taken as whole words.
    """

    path: str
    sentences: list[Sentence]
    scheme: Scheme | None
    has_columns: bool
    widened: int = 0

    @property
    def has_documents(self) -> bool:
        """Whether it says where documents begin."""
        return any(sentence.document for sentence in self.sentences)

    def place(self, sentence: Sentence, word: int) -> str:
        """Where a word of a sentence is, for messages."""
        if self.has_columns:
            return f"`{self.path}` line {sentence.number + word}"
        return f"`{self.path}` {'line' if is_json(self.path) else 'row'} {sentence.number}, word {word}"


def read_tagged(
    path: str, role: Role, columns: TagColumns, places: Places, *, with_tags: bool, scheme: Scheme | None = None
) -> TaggedFile:
    """All sentences of a file.

    Args:
        path: the file.
        role: which split of a folder of `datasets` is meant.
        columns: where words and tags are.
        places: cuts a text into words.
        with_tags: whether tags are read.
        scheme: of the tags; None: what they show.

    Raises:
        InputError: the file cannot be read, is none of these, or holds no sentence; a line has other columns than the
            first one, or no word; tags that fit no scheme, or not the one that is given.
    """
    has_columns = not is_json(path) and not is_arrow(path)
    widened = 0
    if has_columns:
        sentences = list(_of_columns(path, columns, with_tags))
    else:
        found = list(_of_rows(path, role, columns, places, with_tags, scheme or "iob2"))
        sentences, widened = [sentence for sentence, _ in found], sum(count for _, count in found)
    if not any(sentence.words for sentence in sentences):
        raise InputError(f"`{path}` holds no word", "expected a word a line, with a blank line between sentences")
    file = TaggedFile(path, sentences, scheme, has_columns, widened)
    return dataclasses.replace(file, scheme=_checked_scheme(file)) if with_tags else file


def has_column(path: str, role: Role, column: str) -> bool:
    """Whether a file has a column, by its name or, in files of columns, by its number."""
    if is_arrow(path):
        return column in open_arrow(path, role).columns
    if is_json(path):
        return any(column in row for _, row in itertools.islice(json_rows(path), 1))
    first = next((line for line in column_lines(path, TagColumns()) if line.kind == "word"), None)
    width = len(first.fields) if first else 0
    return -width <= int(column) < width if is_number(column) else first is not None and column in first.fields


def rows_of(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, values by column) of each row of JSON lines, Parquet or Arrow."""
    if is_json(path):
        yield from json_rows(path)
        return
    table = open_arrow(path, "test")
    names = [*table.columns]
    for number, values in table.rows(names):
        yield number, dict(zip(names, values, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnLine:
    """A line of a file of columns.

    Attributes:
        number: from 1.
        text: the line without its end.
        kind: what it is.
        fields: its columns.
    """

    number: int
    text: str
    kind: Literal["word", "blank", "document", "comment", "header"]
    fields: Sequence[str] = ()


def column_lines(path: str, columns: TagColumns) -> Iterator[ColumnLine]:
    """All lines of a file of columns. The first one names the columns where `columns` are given by name.

    Where tabs separate columns, a line without any that begins with `#` is a comment.

    Raises:
        InputError: the file cannot be read, or is called one with commas; a line of a word has not as many columns as
            the first one.
    """
    if path.lower().endswith(".csv"):
        raise InputError(
            f"`{path}` is a .csv file, and columns of words and tags are not separated by commas",
            "write it with tabs or blanks between columns and a blank line between sentences, under a name that ends in"
            " .tsv or .txt",
        )
    lines = text_lines(path)
    head = list(itertools.islice(lines, _LOOKED_AT))
    has_tabs = any("\t" in text for _, text in head)
    width, named = 0, any(name is not None and not is_number(name) for name in (columns.token, columns.tag))
    for number, line in itertools.chain(head, lines):
        text = line.rstrip("\r\n")
        if not text.strip(" \t"):
            yield ColumnLine(number, text, "blank")
        elif re.match(rf"{DOCUMENT}(\s|$)", text):
            yield ColumnLine(number, text, "document")
        elif has_tabs and text.startswith("#") and "\t" not in text:
            yield ColumnLine(number, text, "comment")
        else:
            fields = text.split("\t") if has_tabs else re.split(" +", text.strip(" "))
            if width and len(fields) != width:
                raise InputError(
                    f"`{path}` line {number} has {counted(len(fields), 'column')}, the first line has {width}",
                    f"columns are separated by {'tabs' if has_tabs else 'blanks'}, sentences by blank lines",
                )
            yield ColumnLine(number, text, "header" if named and not width else "word", fields)
            width = len(fields)


def _of_columns(path: str, columns: TagColumns, with_tags: bool) -> Iterator[Sentence]:
    words, tags = list[str](), list[str]()
    first, document = 0, 0
    token_at, tag_at = 0, -1
    is_first = True
    for line in column_lines(path, columns):
        if line.kind in ("word", "header"):
            if is_first:
                token_at, tag_at = _columns_at(path, columns, line, with_tags)
                is_first = False
            if line.kind == "header":
                continue
            if not line.fields[token_at].strip() or (with_tags and not line.fields[tag_at].strip()):
                raise InputError(f"`{path}` line {line.number} has no word or no tag", "fill its columns")
            first = line.number if not words else first
            words.append(line.fields[token_at])
            tags += [line.fields[tag_at].strip()] if with_tags else []
        elif line.kind == "document":
            document += 1
        if line.kind in ("blank", "document") and words:
            yield Sentence.of_words(words, tags, first, document - (line.kind == "document"))
            words, tags = [], []
    if words:
        yield Sentence.of_words(words, tags, first, document)


def _columns_at(path: str, columns: TagColumns, first: ColumnLine, with_tags: bool) -> tuple[int, int]:
    """The numbers of the columns of words and tags; raises InputError where one does not exist, or both are one."""

    def at(flag: str, name: str | None, default: int) -> int:
        found = default if name is None else int(name) if is_number(name) else -width - 1
        if first.kind == "header" and name in first.fields:
            found = first.fields.index(name)
        if not -width <= found < width:
            raise InputError(
                f"`{path}` line {first.number} has no column `{name}` for `--{flag}`; it has {width}:"
                f" {', '.join(f'`{field}`' for field in first.fields)}",
                "give a number from 0 on, or the name in the first line",
            )
        return found % width

    width = len(first.fields)
    token = at("token_column", columns.token, 0)
    if not with_tags:
        return token, token
    tag = at("tag_column", columns.tag, -1)
    if tag == token:
        raise InputError(f"`{path}` line {first.number} has words and tags in the same column", "give `--tag_column`")
    return token, tag


def _of_rows(
    path: str, role: Role, columns: TagColumns, places: Places, with_tags: bool, scheme: Scheme
) -> Iterator[tuple[Sentence, int]]:
    """Sentences, and how many of the entities of each were widened to whole words."""
    if is_json(path):
        for number, row in json_rows(path):
            where = f"`{path}` line {number}"
            token, tag = _names({**row}, columns, with_tags, where)
            if is_text(path, row, columns):
                yield _of_spans(row, number, places, with_tags, scheme, where)
            else:
                yield _of_lists(row.get(token), row.get(tag) if with_tags else None, number, with_tags, where), 0
        return
    table = open_arrow(path, role)
    token, tag = _names(table.columns, columns, with_tags, f"`{path}`")
    for number, values in table.rows([token, tag] if with_tags else [token]):
        where = f"`{path}` row {number}"
        yield _of_lists(values[0], values[1] if with_tags else None, number, with_tags, where), 0


def is_text(path: str, row: Mapping[str, Any], columns: TagColumns) -> bool:
    """Whether a row of a file is a text with spans, which JSON lines alone have, and not words with tags."""
    return is_json(path) and columns.token is None and _TOKENS not in row and _TEXT in row


def _names(row: Mapping[str, Any], columns: TagColumns, with_tags: bool, where: str) -> tuple[str, str]:
    """The names of words and tags in a row or table. Raises InputError where they are not there."""
    listed = f"it has {', '.join(f'`{name}`' for name in row)}"
    default = _TOKENS if _TOKENS in row else _TEXT
    token = columns.token or default
    if token not in row:
        raise InputError(f"{where} has no `{token}`; {listed}", "name the words with `--token_column`")
    if not with_tags or (token == _TEXT and columns.token is None):
        return token, ""
    tag = columns.tag or next((name for name in _TAGS if name in row), _TAGS[0])
    if tag not in row:
        raise InputError(f"{where} has no `{tag}`; {listed}", "name the tags with `--tag_column`")
    return token, tag


def _of_lists(words: Any, tags: Any, number: int, with_tags: bool, where: str) -> Sentence:
    """Raises InputError where these are no lists of words and tags."""
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise InputError(f"{where}: the words are `{_short(words)}`", "expected a list of words, none of them empty")
    if not with_tags:
        return Sentence.of_words(words, (), number)
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        are_numbers = isinstance(tags, list) and any(isinstance(tag, int) for tag in tags)
        raise InputError(
            f"{where}: the tags are `{_short(tags)}`",
            "expected a list of names" + (": nothing says what the numbers mean" if are_numbers else ""),
        )
    if len(tags) != len(words):
        raise InputError(f"{where} has {len(words)} words and {len(tags)} tags", "give each word one")
    return Sentence.of_words(words, [tag.strip() for tag in tags], number)


def _of_spans(
    row: Mapping[str, Any], number: int, places: Places, with_tags: bool, scheme: Scheme, where: str
) -> tuple[Sentence, int]:
    """A text whose entities are told by their characters. Raises InputError where they are not as they should be."""
    text = row[_TEXT]
    if not isinstance(text, str):
        raise InputError(f"{where}: `{_TEXT}` is `{_short(text)}`", "expected a text")
    sentence = dataclasses.replace(Sentence.of_text(text, places), number=number)
    if not with_tags:
        return sentence, 0
    spans = row.get(_SPANS)
    if not isinstance(spans, list):
        raise InputError(
            f"{where}: `{_SPANS}` is `{_short(spans)}`", 'expected a list of {"start": 0, "end": 2, "label": "ORG"}'
        )
    found, widened = list[Entity](), 0
    for begin, end, label in sorted(_span(span, text, where) for span in spans):
        inside = [at for at, (first, last) in enumerate(sentence.places) if first < end and last > begin]
        told = f"{where}: the span `{text[begin:end]}` from {begin} to {end}"
        if not inside:
            raise InputError(f"{told} holds no word", "remove it")
        one = Entity(inside[0], inside[-1] + 1, label)
        if found and found[-1].end > one.begin:
            raise InputError(f"{told} and the one before it share a word", "a word has one tag: remove one of them")
        edges = text[begin:end]
        begins = begin + len(edges) - len(edges.lstrip()), end - len(edges) + len(edges.rstrip())
        widened += begins != (sentence.places[one.begin][0], sentence.places[one.end - 1][1])
        found.append(one)
    tags = tag_schemes.tags_of(found, len(sentence.words), scheme)
    return dataclasses.replace(sentence, tags=tuple(tags)), widened


def _span(span: Any, text: str, where: str) -> tuple[int, int, str]:
    known = span if isinstance(span, dict) else {}
    begin, end, label = (known.get(key) for key in ("start", "end", "label"))
    is_label = isinstance(label, str) and bool(label.strip())
    if is_label and type(begin) is int and type(end) is int and 0 <= begin < end <= len(text):
        return begin, end, str(label).strip()
    raise InputError(
        f"{where}: a span is `{_short(span)}`",
        f"expected `start`, `end` and `label`, characters from 0 to {len(text)} and a name",
    )


def _checked_scheme(file: TaggedFile) -> Scheme:
    """The scheme of a file's tags; raises InputError with the place of a tag that does not fit it."""
    scheme = file.scheme or _shown_scheme(file)
    for sentence in file.sentences:
        if wrong := tag_schemes.problem(sentence.tags, scheme):
            number, why = wrong
            raise InputError(
                f"{file.place(sentence, number)}: the tag `{sentence.tags[number]}` {why}",
                f"mend it; the tags are {'taken' if file.scheme else 'found'} to be {scheme.upper()}, `--scheme` says"
                " another",
            )
    return scheme


def _shown_scheme(file: TaggedFile) -> Scheme:
    """The scheme that the tags are in, by their letters, and where `B-` and `I-` stand."""
    tags = {tag for sentence in file.sentences for tag in sentence.tags} - {OUTSIDE}
    others = {tag for tag in tags if not tag_schemes.is_entity_tag(tag)}
    if others and not any("-" in tag for tag in tags - others):
        return "plain"
    letters = tag_schemes.letters(tags)
    if others or (letters & set("LU") and letters & set("ES")):
        odd = others or {tag for tag in tags if tag[0] in "LU"}
        sentence, number = next((one, at) for one in file.sentences for at, tag in enumerate(one.tags) if tag in odd)
        raise InputError(
            f"{file.place(sentence, number)}: the tag `{sentence.tags[number]}` is of no scheme that the others are of:"
            f" {', '.join(sorted(tags - odd)[:8])}",
            "mend it, or give `--scheme=plain` for tags that stand for themselves",
        )
    if letters - set("BI"):
        return "bilou" if letters & set("LU") else "iobes"
    breaks = {scheme: _first_break(file, scheme) for scheme in ("iob2", "iob1")}
    if breaks["iob2"] is None:
        return "iob2"
    if breaks["iob1"] is None:
        return "iob1"
    raise InputError(
        f"the tags are neither IOB2 ({breaks['iob2']}) nor IOB1 ({breaks['iob1']})",
        "mend those lines, or say with `--scheme` what is meant, to see all that are wrong one by one",
    )


def _first_break(file: TaggedFile, scheme: Scheme) -> str | None:
    for sentence in file.sentences:
        if wrong := tag_schemes.problem(sentence.tags, scheme):
            return f"{file.place(sentence, wrong[0])}: `{sentence.tags[wrong[0]]}` {wrong[1]}"
    return None


def _short(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)[:100]
