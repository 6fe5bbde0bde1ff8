# SPDX-License-Identifier: Apache-2.0
"""Vocabularies beside tables of word vectors: which fit, and how a table grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.names import MASKED_LM_BIAS, WORD_EMBEDDINGS
from jaxbert.checkpoints.vocab_fit import NewTokens, check_size, check_tokens, grown, is_padding, refuse_other_twin
from jaxbert.errors import InputError
from jaxbert.text.vocab import Vocab, make_vocab

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def vocab(size: int, path: str = "vocab.txt", **others: str) -> Vocab:
    """Tokens `t5`, `t6` and so on; `others` gives some another name: `t7="new"`."""
    return make_vocab([*SPECIAL, *(others.get(f"t{id_}", f"t{id_}") for id_ in range(5, size))], path)


def test_twins_say_the_same() -> None:
    """A token that was written over in one of two files is noticed; blank lines, and more of them, say nothing else."""
    refuse_other_twin(vocab(40), vocab(30, "tokenizer.json", t7=""))
    with pytest.raises(
        InputError, match=r"`vocab.txt` and `tokenizer.json` differ in 1 tokens, the first is 7, `t7` and"
    ):
        refuse_other_twin(vocab(40), vocab(40, "tokenizer.json", t7="new"))


@pytest.mark.parametrize(("tokens", "rows"), [(30522, 30528), (30522, 30592), (13, 16), (100, 128), (28996, 29056)])
def test_padding(tokens: int, rows: int) -> None:
    """Rows up to the next multiple of 8 to 128 are padding; other numbers, and further multiples, are none."""
    assert is_padding(tokens, rows)
    assert not is_padding(tokens, rows + 1)
    assert not is_padding(tokens, rows + 128)
    check_size(vocab(tokens), rows, None, has_flag=True)


@pytest.mark.parametrize(
    ("tokens", "rows", "has_own", "has_flag", "hint"),
    [
        (4000, 30522, False, False, '"vocab_size": 4000'),
        (4000, 30522, True, True, "belongs to the checkpoint"),
        (40, 30, True, True, "`--new_tokens=mean`"),
        (40, 30, True, False, "belongs to the checkpoint"),
    ],
)
def test_misfits(tokens: int, rows: int, has_own: bool, has_flag: bool, hint: str) -> None:
    """Other numbers are refused with both, and a hint that the command can follow."""
    with pytest.raises(InputError, match=f"has {tokens} tokens, bert_config.json says `vocab_size` {rows}") as caught:
        check_size(vocab(tokens), rows, vocab(rows) if has_own else None, has_flag)
    assert hint in caught.value.hint
    assert has_flag or "--new_tokens" not in caught.value.hint


def test_a_model_may_have_more_rows_than_its_own_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    """What its maker put together is used, and the difference said."""
    check_size(vocab(40), 100, vocab(40, "model/vocab.txt"), has_flag=True)
    assert "60 are unused" in capsys.readouterr().err


def test_common_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    """Another vocabulary is refused, a few other words are said; one that grows keeps every word but free lines."""
    own = vocab(30, "own.txt", t8="[unused1]")
    check_tokens(vocab(30, t8="new"), own, grows=False)
    check_tokens(vocab(30, t8="new", t9="other"), own, grows=False)
    assert capsys.readouterr().err.count("is not the vocabulary that comes with the model, `own.txt`") == 2
    with pytest.raises(InputError, match=r"25 of 30 tokens are others than in `own.txt`, the first is 5, `x5`"):
        check_tokens(make_vocab([*SPECIAL, *(f"x{id_}" for id_ in range(5, 31))]), vocab(30, "own.txt"), grows=False)
    check_tokens(vocab(33, t8="new"), own, grows=True)
    with pytest.raises(InputError, match="the first is 9, `other` in place of `t9`"):
        check_tokens(vocab(33, t9="other"), own, grows=True)


@given(st.integers(1, 9), st.integers(0, 6), st.none() | st.integers(1, 9), st.sampled_from(["mean", "random"]))
def test_growth_keeps_common_rows(rows: int, more: int, known: int | None, how: NewTokens) -> None:
    """Rows of known tokens stay to the bit, new ones are their mean or small and random, and the bias has as many."""
    rng = np.random.default_rng(rows)
    table, bias = rng.normal(size=(rows, 4)).astype(np.float32), rng.normal(size=rows).astype(np.float32)
    before = {WORD_EMBEDDINGS: table, MASKED_LM_BIAS: bias, "other": bias}
    found = grown(before, rows + more, known, how, 0.02, seed=0)
    kept = rows if not more else min(rows, known or rows)
    assert found[WORD_EMBEDDINGS].shape == (rows + more, 4)
    assert found[WORD_EMBEDDINGS].dtype == found[MASKED_LM_BIAS].dtype == np.float32
    assert found[MASKED_LM_BIAS].shape == (rows + more,)
    assert found["other"] is bias
    np.testing.assert_array_equal(found[WORD_EMBEDDINGS][:kept], table[:kept])
    np.testing.assert_array_equal(found[MASKED_LM_BIAS][:kept], bias[:kept])
    new, new_bias = found[WORD_EMBEDDINGS][kept:], found[MASKED_LM_BIAS][kept:]
    if how == "mean":
        np.testing.assert_allclose(new, np.tile(table[:kept].mean(axis=0), (len(new), 1)), atol=1e-6)
        np.testing.assert_allclose(new_bias, np.full(len(new), bias[:kept].mean()), atol=1e-6)
    elif more:
        assert len(np.unique(new[:, 0])) == len(new)
        assert np.abs(new).max() < 0.2
        assert not (new == grown(before, rows + more, known, how, 0.02, seed=1)[WORD_EMBEDDINGS][kept:]).any()
        assert not new_bias.any()
