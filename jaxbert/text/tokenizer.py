# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: exactly Google's `FullTokenizer`, or that of a Hugging Face folder; fast because words repeat.

What a piece of text between white space becomes depends on that piece alone, so it is remembered: tokenizing natural
text is mostly a dictionary look-up.
"""

import array
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from jaxbert.errors import InputError
from jaxbert.text.normalize import basic_tokens, chunks, words
from jaxbert.text.vocab import CLS, SEP, UNK, Vocab, read_vocab

MAX_CHARS_PER_WORD = 200  # google-research/bert and tf-models-official 2.2; later official versions have 400
_MOST_REMEMBERED = 1 << 18  # about 50 MB; then the memory is emptied and fills again with what is frequent
_LONGEST_REMEMBERED = 64  # characters; longer chunks hardly come back
# White space at which the `tokenizers` library always splits; other white space (U+000B, U+0085, ...) it may remove.
_LIBRARY_SPACE = dict.fromkeys(
    (*b"\t\n\r", 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
    " ",
)
# Halves of characters, as JSON can spell them.
_HALF = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token that is found in the text before it is split into words, as the `tokenizers` library does.

    Attributes:
        id: its id; behind the vocabulary, or that of a token in it.
        content: its text.
        single_word: not within a word.
        lstrip: takes white space before it along.
        rstrip: takes white space after it along.
        normalized: is looked for in lower-cased text, where text is lower-cased.
        special: is one of `[CLS]` and the like.
    """

    id: int
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a model says about its tokenizer, its vocabulary aside.

    Attributes:
        lower_case: whether text is lower-cased.
        max_chars_per_word: a longer word is one `[UNK]`.
        library: text is split as by BertNormalizer and BertPreTokenizer of the `tokenizers` library, else as by
            Google's BasicTokenizer. They differ in rare characters, and in special tokens written in a text: for
            Google's code "[SEP]" is "[", "sep", "]". The attributes that follow are for the library alone.
        strip_accents: whether accents are dropped; None: where text is lower-cased.
        split_chinese: whether each Chinese character is a word.
        clean_text: whether control characters are removed.
        added: tokens that are found before text is split, in the order of their ids.
        segments: whether the tokens of a second text have type 1; else all types are 0.
        round_robin: whether pairs that are too long are cut as by Google's code all the same, as keras-hub does it.
    """

    lower_case: bool = True
    max_chars_per_word: int = MAX_CHARS_PER_WORD
    library: bool = False
    strip_accents: bool | None = None
    split_chinese: bool = True
    clean_text: bool = True
    added: tuple[AddedToken, ...] = ()
    segments: bool = True
    round_robin: bool = False


class Tokenizer:
    """Text to WordPiece ids; `vocab` holds added tokens as well."""

    def __init__(self, vocab: Vocab, rules: Rules = Rules()) -> None:
        self.vocab = vocab.with_tokens({token.id: token.content for token in rules.added})
        self.rules = rules
        self._library = _library_tokenizer(vocab, rules) if rules.library else None
        self._chunks = chunks if self._library is None else _library_chunks(self._library, rules)
        self._remembered = _Memory(self._new)

    def ids(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without `[CLS]` and `[SEP]`."""
        return memoryview(self._packed(text)).cast("i").tolist()

    def batch_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`ids` of many texts: all of them one after the other (int32 [T]), and how many each text has (int64 [n])."""
        return _joined(list(map(self._packed, texts)))

    def batch_word_ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """As `batch_ids`, faster for texts that come back, such as words: each is remembered as a whole."""
        return _joined(list(map(self._remembered.__getitem__, texts)))

    def tokens(self, text: str) -> list[str]:
        """The pieces of `text` as strings; those inside a word begin with "##"."""
        return [self.vocab.tokens[index] for index in self.ids(text)]

    def words(self, text: str) -> list[str]:
        """The words of `text` as they are before WordPiece: cleaned, lower-cased, cut at punctuation."""
        if self._library is None:
            return basic_tokens(text, self.rules.lower_case)
        normalized = self._library.normalizer.normalize_str(_whole(text))
        return [word for word, _ in self._library.pre_tokenizer.pre_tokenize_str(normalized)]

    def chunk_ids(self, chunk: str) -> list[int]:
        """Ids of the pieces of one chunk, which is split nowhere by white space (see `chunks`)."""
        if self._library is not None:
            ids: list[int] = self._library.encode(_whole(chunk), add_special_tokens=False).ids
            return ids
        word = chunk.lower() if self.rules.lower_case else chunk
        if word.isascii() and word.isalnum():  # then the chunk is one word
            return self.word_ids(word)
        return [index for word in words(chunk, self.rules.lower_case) for index in self.word_ids(word)]

    def word_ids(self, word: str) -> list[int]:
        """Ids of the pieces of one word (see `normalize.words`): the longest known piece first, then so on.

        A word longer than `max_chars_per_word`, or with a rest that no piece begins, is one `[UNK]`.
        """
        if len(word) > self.rules.max_chars_per_word:
            return [self.vocab.unk]
        known = self.vocab.ids
        ids: list[int] = []
        rest, mark = word, 0  # the rest of the word with its mark "##", and the length of the mark
        while len(rest) > mark:
            for end in range(len(rest), mark, -1):
                if rest[:end] in known:
                    break
            else:
                return [self.vocab.unk]
            ids.append(known[rest[:end]])
            rest, mark = "##" + rest[end:], 2
        return ids

    def piece_spans(self, text: str) -> list[tuple[int, int]]:
        """First character, and the one after the last, of each piece of `text`, as many as `ids(text)`.

        Accents that were dropped belong to no piece. A character that becomes several letters (a Hangul syllable) can
        belong to several pieces.
        """
        if self._library is not None:
            offsets: list[tuple[int, int]] = self._library.encode(_whole(text), add_special_tokens=False).offsets
            return offsets
        return list(self._google_spans(text))

    def _google_spans(self, text: str) -> Iterator[tuple[int, int]]:
        lower_case = self.rules.lower_case
        for token, origin in zip(basic_tokens(text, lower_case), word_origins(text, lower_case), strict=True):
            ids = self.word_ids(token)
            begin = 0
            for number, id_ in enumerate(ids):
                piece = self.vocab.tokens[id_]
                end = begin + len(piece) - (2 if number else 0) if len(ids) > 1 else len(origin)
                yield origin[begin], origin[end - 1] + 1
                begin = end

    def _packed(self, text: str) -> bytes:
        """The ids of `text` as int32 in memory: joining bytes is faster than joining lists."""
        return b"".join(map(self._remembered.__getitem__, self._chunks(text)))

    def _new(self, text: str) -> bytes:
        """As `_packed`, for a text that is not remembered: one chunk, or a word of several."""
        is_chunk = self._chunks(text) == [text]
        return array.array("i", self.chunk_ids(text)).tobytes() if is_chunk else self._packed(text)


def open_tokenizer(vocab_file: str, rules: Rules) -> Tokenizer:
    """The tokenizer of the vocabulary in a file, see `read_vocab`."""
    return Tokenizer(read_vocab(vocab_file), rules)


def _library_tokenizer(vocab: Vocab, rules: Rules) -> tokenizers.Tokenizer:
    """What transformers 5 builds for `BertTokenizer`: the words of the vocabulary, then the added tokens."""
    limit = rules.max_chars_per_word
    model = models.WordPiece(dict(vocab.ids), unk_token=UNK, max_input_chars_per_word=limit)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=rules.clean_text,
        handle_chinese_chars=rules.split_chinese,
        strip_accents=rules.strip_accents,
        lowercase=rules.lower_case,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for token in rules.added:
        flags = {name: getattr(token, name) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        tokenizer.add_tokens([tokenizers.AddedToken(token.content, **flags)])
        if tokenizer.token_to_id(token.content) != token.id:
            gap = next((id_ for id_, known in enumerate(vocab.tokens) if vocab.ids.get(known) != id_), None)
            if gap is not None:
                raise InputError(
                    f"`{vocab.path}`: the id {gap} has no token of its own, and the library counts tokens: the added"
                    f" token `{token.content}` with id {token.id} gets {tokenizer.token_to_id(token.content)}",
                    "put a token there that is nowhere else, such as `[unused1]`",
                )
            raise InputError(
                f"`{vocab.path}`: the added token `{token.content}` has id {token.id}, behind the vocabulary it gets"
                f" {tokenizer.token_to_id(token.content)}",
                "are the files of the tokenizer from one model?",
            )
    return tokenizer


def library_json(vocab: Vocab, rules: Rules) -> str:
    """The text of a `tokenizer.json` of the `tokenizers` library that follows these rules of the library."""
    tokenizer = _library_tokenizer(vocab, rules)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, vocab.cls), (SEP, vocab.sep)],
    )
    tokenizer.decoder = decoders.WordPiece()
    text: str = tokenizer.to_str(pretty=True)
    return text


def _whole(text: str) -> str:
    """The text with U+FFFD for each half of a character, which the library cannot take."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def _library_chunks(library: tokenizers.Tokenizer, rules: Rules) -> Callable[[str], list[str]]:
    """Cuts a text where the library always cuts it, so that the ids of its parts are those of the text.

    An added token may hold white space (as normalized text does around each Chinese character) and reach over a cut:
    then texts are not cut.
    """
    normalized = (library.normalizer.normalize_str(token.content) for token in rules.added)
    if any(char.isspace() for content in normalized for char in content):
        return lambda text: [text]
    return lambda text: text.translate(_LIBRARY_SPACE).split(" ")


def _joined(packed: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """All ids, and how many each of the texts has."""
    lengths = np.fromiter(map(len, packed), np.int64, len(packed)) // np.int32().itemsize
    return np.frombuffer(b"".join(packed), np.int32), lengths


class _Memory(dict[str, bytes]):
    """Text -> its ids as int32 in memory, for the short texts seen before; a new one is tokenized on look-up."""

    def __init__(self, compute: Callable[[str], bytes]) -> None:
        self.compute = compute

    def __missing__(self, text: str) -> bytes:
        ids = self.compute(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = ids
        return ids


_FRAME = "a"  # a letter that no rule changes, to see what a character becomes between others


def word_origins(text: str, do_lower_case: bool) -> list[list[int]]:
    """For each of the `basic_tokens` of `text`, the character of `text` that each of its characters comes from.

    Of "É.b" lower-cased, whose words are "e", "." and "b": [[0], [1], [2]]. Each character is looked at alone, between
    two letters: what is left of them shows whether it is a letter, a word of its own, or nothing.
    """
    words: list[list[int]] = [[]]
    for index, char in enumerate(text):
        first, *others = basic_tokens(f"{_FRAME}{char}{_FRAME}", do_lower_case)
        parts = [first.removeprefix(_FRAME), *others]
        parts[-1] = parts[-1].removesuffix(_FRAME)
        words[-1] += [index] * len(parts[0])
        words += [[index] * len(part) for part in parts[1:]]
    return [word for word in words if word]
