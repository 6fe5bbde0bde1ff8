# SPDX-License-Identifier: Apache-2.0
"""Whether a vocabulary fits the table of word vectors, and how that table grows with a vocabulary."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxbert.checkpoints.names import MASKED_LM_BIAS, WORD_EMBEDDINGS
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.text.vocab import Vocab

NewTokens = Literal["refuse", "mean", "random"]
"""How word vectors start that a model has no tokens for."""

_MULTIPLES = (8, 16, 32, 64, 128)  # to which tables are made larger, for the sake of accelerators


def is_padding(tokens: int, rows: int) -> bool:
    """Whether the rows behind the tokens only fill the table up to a round number."""
    return any(rows == -(-tokens // multiple) * multiple for multiple in _MULTIPLES)


def check_size(vocab: Vocab, rows: int, own: Vocab | None, has_flag: bool) -> None:
    """Raise InputError where a vocabulary has other tokens than there are word vectors.

    Args:
        vocab: of the run, added tokens included.
        rows: word vectors, V.
        own: the vocabulary that comes with the weights; it may be smaller, which is said.
        has_flag: whether the command has `--new_tokens`.
    """
    size = len(vocab)
    if size == rows or (size < rows and is_padding(size, rows)):
        return
    if own is not None and size < rows and own.tokens == vocab.tokens:
        say(f"note: `{vocab.path}` has {size} tokens, the model {rows} word vectors: {rows - size} are unused")
        return
    hint = "give the vocabulary that belongs to the checkpoint"
    if own is None:
        hint = f'give the vocabulary of the model; for a new model write `"vocab_size": {size}` in bert_config.json'
    if has_flag and size > rows:
        hint += ", or let new tokens start with `--new_tokens=mean`"
    raise InputError(f"`{vocab.path}` has {size} tokens, bert_config.json says `vocab_size` {rows}", hint)


def check_tokens(vocab: Vocab, own: Vocab, grows: bool) -> None:
    """Compare the common tokens of a vocabulary with that of the model; free ones such as `[unused1]` may be filled.

    A few other tokens are said. Raises InputError where most are others, or, where the vocabulary grows, any.
    """
    pairs = zip(own.tokens, vocab.tokens, strict=False)
    others = [id_ for id_, (old, new) in enumerate(pairs) if old != new and not old.startswith("[unused")]
    common = min(len(own), len(vocab))
    if others and (grows or 2 * len(others) > common):
        first = others[0]
        raise InputError(
            f"`{vocab.path}` is not the model's vocabulary: {len(others)} of {common} tokens are others than in"
            f" `{own.path}`, the first is {first}, `{vocab.tokens[first]}` in place of `{own.tokens[first]}`",
            "put new tokens behind the model's own" if grows else "leave `--vocab_file` out, or give the model's own",
        )
    if own.tokens != vocab.tokens:
        say(f"note: `{vocab.path}` is not the vocabulary that comes with the model, `{own.path}`")


def refuse_other_twin(vocab: Vocab, twin: Vocab) -> None:
    """Raise InputError where two vocabularies that lie beside the weights have different tokens with the same id."""
    pairs = enumerate(zip(vocab.tokens, (token.strip() for token in twin.tokens), strict=False))
    others = [id_ for id_, (one, other) in pairs if one and other and one != other]
    if others:
        first = others[0]
        raise InputError(
            f"`{vocab.path}` and `{twin.path}` differ in {len(others)} tokens, the first is {first},"
            f" `{vocab.tokens[first]}` and `{twin.tokens[first]}`",
            "remove the one that is not of these weights; transformers reads the second",
        )


def grown(
    weights: Mapping[str, np.ndarray], tokens: int, known: int | None, how: NewTokens, stddev: float, seed: int
) -> dict[str, np.ndarray]:
    """The weights with a row for each of V tokens, where the table of word vectors has fewer.

    Args:
        weights: TF1 name -> array; `bert/embeddings/word_embeddings` [rows, H], and with a masked language model
            `cls/predictions/output_bias` [rows].
        tokens: V.
        known: the tokens that the rows stand for, where fewer than there are rows; None: all.
        how: "mean" starts each new row as the mean of the others, and so its bias; "random" draws the row from a
            normal distribution, and its bias is 0.
        stddev: of that distribution.
        seed: of its draws.
    """
    table = weights[WORD_EMBEDDINGS]
    kept = min(len(table), known or len(table))
    if tokens <= len(table):
        return dict(weights)
    table, new = table[:kept], tokens - kept
    if how == "mean":
        rows = np.tile(table.mean(axis=0, dtype=np.float64), (new, 1))
    else:
        rows = np.random.default_rng(seed).normal(0.0, stddev, (new, table.shape[1]))
    found = {**weights, WORD_EMBEDDINGS: np.concatenate([table, rows.astype(np.float32)])}
    if MASKED_LM_BIAS in weights:
        bias = weights[MASKED_LM_BIAS][:kept]
        start = bias.mean(dtype=np.float64) if how == "mean" else 0.0
        found[MASKED_LM_BIAS] = np.concatenate([bias, np.full(new, start, np.float32)])
    are = "new one is" if new == 1 else "new ones are"
    say(f"{kept} word vectors are kept, {new} {are} {'the mean of these' if how == 'mean' else 'random'}")
    return found
