# SPDX-License-Identifier: Apache-2.0
"""The vocabulary: `vocab.txt` as Google's `tokenization.load_vocab` reads it, one token a line, id = line number."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.files import read_json_object, read_text
from jaxbert.text.normalize import lowered

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
# Of the words that lower-casing could change; cased vocabularies have 20 to 30 %, an uncased one whose 994 free lines
# were filled with names 4 %.
_CASED_SHARE = 0.05


@dataclasses.dataclass(frozen=True)
class Vocab:
    """Tokens and their ids.

    Attributes:
        tokens: the token of each id; a token on several lines stands at each of their ids.
        ids: token -> id; of a token on several lines the last one counts, as in Google's dictionary.
        path: the file they came from, for messages.
    """

    tokens: tuple[str, ...]
    ids: Mapping[str, int]
    path: str

    def __len__(self) -> int:
        return len(self.tokens)

    def with_tokens(self, added: Mapping[int, str]) -> "Vocab":
        """This vocabulary with tokens (id -> text) behind it; ids between that no token has are ""."""
        if all(self.tokens[id_ : id_ + 1] == (token,) for id_, token in added.items()):
            return self
        size = max(len(self), max(added) + 1)
        tokens = [added.get(id_, self.tokens[id_] if id_ < len(self) else "") for id_ in range(size)]
        return Vocab(tuple(tokens), {**self.ids, **{token: id_ for id_, token in added.items()}}, self.path)

    @property
    def is_cased(self) -> bool:
        """Whether text keeps its case, by the share of `cased` words: a few that somebody added decide nothing."""
        return self.cased_share >= _CASED_SHARE

    @functools.cached_property
    def cased_share(self) -> float:
        """Of the words that show case at all, the share of those that lower-cased text does not have."""
        shown = [has_case(token) for token in self.tokens]
        return shown.count(True) / max(1, len(shown) - shown.count(None))

    @property
    def unk(self) -> int:
        """Id of `[UNK]`, which stands for a word that no pieces cover."""
        return self.ids[UNK]

    @property
    def cls(self) -> int:
        """Id of `[CLS]`, the first token of every sequence."""
        return self.ids[CLS]

    @property
    def sep(self) -> int:
        """Id of `[SEP]`, which ends each text of a sequence."""
        return self.ids[SEP]

    @property
    def mask(self) -> int:
        """Id of `[MASK]`, which hides a token in pretraining."""
        return self.ids[MASK]


def has_case(token: str) -> bool | None:
    """Whether text with this token has kept its case; None where the token does not show it.

    It shows in letters that have two forms; where a script has one, in accents, which go with case: the vowel signs of
    Hindi, the marks of Japanese. Markers such as `[CLS]` and `<S>` show nothing.
    """
    if not token or token[0] in "[<":
        return None
    if token.lower() != token.upper():
        return token != token.lower()
    return True if not token.isascii() and token != lowered(token) else None


def lower_cases(choice: bool | None, vocab: Vocab) -> bool:
    """The user's `choice`; without one the vocabulary decides, which is said."""
    if choice is not None:
        return choice
    say(
        f"text {'keeps its case' if vocab.is_cased else 'is lower-cased'}: {vocab.cased_share:.1%} of the words in"
        f" `{vocab.path}` have capitals or accents (`--do_lower_case` decides otherwise)"
    )
    return not vocab.is_cased


def read_vocab(path: str) -> Vocab:
    """Read `vocab.txt`; white space around a token is dropped and a blank line is the token "".

    A name that ends in `.json` is that of a `tokenizer.json`, of which the vocabulary of its model is read.

    `[PAD]` is not asked for: padding is id 0 whatever the token there is called, in Google's scripts too.

    Raises:
        InputError: the file cannot be read, is not UTF-8, is empty, or lacks `[UNK]`, `[CLS]`, `[SEP]` or `[MASK]`.
    """
    if path.endswith(".json"):
        return _read_tokenizer_json(path)
    lines = read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    return make_vocab([line.strip() for line in lines], path)


def make_vocab(tokens: Sequence[str], path: str = "vocab.txt") -> Vocab:
    """The vocabulary whose id i is `tokens[i]`.

    Raises:
        InputError: a special token is missing.
    """
    ids = {token: index for index, token in enumerate(tokens)}
    missing = [f"`{token}`" for token in (UNK, CLS, SEP, MASK) if token not in ids]
    if missing:
        raise InputError(
            f"`{path}` ({len(tokens)} lines) has no {', '.join(missing)}: expected a BERT vocabulary, one token a line",
            "give the `vocab.txt` that lies beside the checkpoint",
        )
    return Vocab(tuple(tokens), ids, path)


def _read_tokenizer_json(path: str) -> Vocab:
    content = read_json_object(path, "a tokenizer.json")
    model = content.get("model")
    kind = model.get("type", "WordPiece") if isinstance(model, dict) else None
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if kind != "WordPiece" or not isinstance(vocab, dict):
        raise InputError(f"`{path}` has a model of type `{kind}`", "only WordPiece is BERT's")
    most = 2 * len(vocab) + 1000  # some ids may have no token
    if any(type(id_) is not int or not 0 <= id_ < most for id_ in vocab.values()):
        raise InputError(f"`{path}`: the ids of its vocabulary are no numbers from 0 on", "write the tokenizer again")
    tokens = [""] * (1 + max(vocab.values(), default=-1))
    for token, id_ in vocab.items():
        tokens[id_] = token
    if twice := next((token for token, id_ in vocab.items() if tokens[id_] != token), None):
        raise InputError(
            f"`{path}`: `{twice}` and `{tokens[vocab[twice]]}` have the same id {vocab[twice]}",
            "give each token an id of its own",
        )
    return dataclasses.replace(make_vocab(tokens, path), ids=vocab)
