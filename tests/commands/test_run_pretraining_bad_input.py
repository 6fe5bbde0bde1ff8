# SPDX-License-Identifier: Apache-2.0
"""Wrong input to `run_pretraining` ends with one message and code 2."""

import shutil
from pathlib import Path

import pytest

from jaxbert.tasks import pretraining
from tests.commands.conftest import Run
from tests.commands.damage import Damage, assert_refused, cut, edit, flip, write
from tests.commands.tiny_pretraining import Corpus, P, S, make_corpus, make_records, training


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus from which copies are made."""
    return make_corpus(tmp_path_factory.mktemp("original"))


@pytest.fixture
def copy(original: Corpus, tmp_path: Path) -> Corpus:
    """A copy of the corpus that may be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(original.folder, folder)
    return Corpus(folder, f"{folder}/masked-*", f"{folder}/whole")


DAMAGE = [
    ("masked-1", cut, "`{}` ends inside record", "copy the file again"),
    ("masked-1", write("x" * 50), "`{}` record 0 (byte 0) has a wrong length checksum", "is this a TFRecord"),
    ("bert_config.json", Path.unlink, "cannot read `{}`", "check the path"),
    ("bert_config.json", edit(vocab_size=9), "has 13 tokens, bert_config.json says `vocab_size` 9", '"vocab_size": 13'),
    ("bert_config.json", edit(vocab_size=500), "has 13 tokens, bert_config.json says", '"vocab_size": 13'),
    (
        "bert_config.json",
        edit(max_position_embeddings=8),
        "it needs `max_position_embeddings` above",
        "make the records again with `--max_seq_length=8`",
    ),
]


@pytest.mark.parametrize(("file", "damage", "problem", "hint"), DAMAGE)
def test_damaged_files(
    file: str, damage: Damage, problem: str, hint: str, copy: Corpus, pretrain: Run, tmp_path: Path
) -> None:
    """Each kind of damage is named with its place; no folder is made."""
    damage(copy.folder / file)
    result = pretrain(*training(copy, copy.masked, tmp_path / "model"))
    assert_refused(result, problem.format(copy.folder / file), hint)
    assert not (tmp_path / "model").exists()


FLAGS = [
    (["--input_files={folder}/nothing*"], "no file matches `{folder}/nothing*`", "check the path"),
    (
        ["--max_seq_length=16"],
        f"`--max_seq_length=16`, but the records in `{{folder}}/masked-0` have {S} positions",
        "",
    ),
    (["--max_predictions_per_seq=3"], f"have {P} masked positions", "leave the flag out"),
    (["--masked_lm_prob=0.3"], "are masked already", "--masking=dynamic"),
    (["--num_train_epochs=0"], "leaves no step", "raise it"),
    (["--optimizer_type=lamb", "--noadam_bias_correction"], "`--noadam_bias_correction`", "LAMB"),
    (["--input_files={folder}/masked-0,{folder}/whole"], "records differ", "the same flags"),
    (["--init_checkpoint={folder}/text.txt"], "text.txt", ""),
    (["--warmup_proportion=-0.5"], "expected 0.0 to 1.0", ""),
]


@pytest.mark.parametrize(("given", "problem", "hint"), FLAGS)
def test_flags_that_do_not_fit(
    given: list[str], problem: str, hint: str, corpus: Corpus, pretrain: Run, tmp_path: Path
) -> None:
    """Flags that contradict the records, or each other, are refused before anything is made."""
    given = [flag.format(folder=corpus.folder) for flag in given]
    result = pretrain(*training(corpus, corpus.masked, tmp_path / "model"), *given)
    assert_refused(result, problem.format(folder=corpus.folder), hint)
    assert not (tmp_path / "model").exists()


def test_records_without_masks_need_the_vocabulary(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Fresh masks cannot be drawn without knowing which id is [MASK]."""
    given = [flag for flag in training(corpus, corpus.whole, tmp_path / "model") if "vocab_file" not in flag]
    assert_refused(pretrain(*given), "the vocabulary is not known", "--vocab_file")


def test_records_of_several_lengths(copy: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Files that were made with different flags do not go together."""
    make_records(copy.folder, "static", f"{copy.folder}/masked-2", max_seq_length=16)
    result = pretrain(*training(copy, copy.masked, tmp_path / "model"))
    assert_refused(result, f"record 0 has 16 positions, {P} masked positions", "the same flags")


def test_unreadable_in_the_middle_of_an_epoch(
    copy: Corpus, pretrain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is damaged is named when training comes to it; mended, the same command goes on."""
    monkeypatch.setattr(pretraining, "_SAMPLE", 4)
    flip(copy.folder / "masked-1")
    given = training(copy, copy.masked, tmp_path / "model", eval_files=f"{copy.folder}/masked-0", seed=1)
    result = pretrain(*given, "--save_checkpoints_steps=1")
    assert_refused(result, "masked-1` record", "copy the file again")
    assert "\nstep 4/12" in result[2]
    flip(copy.folder / "masked-1")
    code, _, err = pretrain(*given)
    assert code == 0, err
    assert "going on after step" in err


def test_a_warm_up_that_never_ends_is_said(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """The official default of 10,000 steps is more than a short training has."""
    code, _, err = pretrain(*training(corpus, corpus.masked, tmp_path, warmup_steps=10000, num_train_epochs=0.5))
    assert code == 0, err
    assert "note: the rate rises for 10000 steps and training ends after 3" in err
