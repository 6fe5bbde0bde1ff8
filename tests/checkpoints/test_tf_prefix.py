# SPDX-License-Identifier: Apache-2.0
"""From a path as users write it to the prefix of a checkpoint."""

from pathlib import Path

import pytest

from jaxbert.checkpoints.tf_bundle import find_prefix
from jaxbert.errors import InputError


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("ending", ["", ".index", ".meta", ".data-00000-of-00001", ".data-00001-of-00012"])
def test_prefix_and_every_file_of_a_checkpoint_name_it(ending: str, tmp_path: Path) -> None:
    """All spellings lead to the same prefix."""
    _touch(tmp_path, "bert_model.ckpt.index", "bert_model.ckpt-1.index")
    assert find_prefix(f"{tmp_path}/bert_model.ckpt{ending}") == f"{tmp_path}/bert_model.ckpt"


def test_a_missing_number_is_supplied_if_there_is_only_one(tmp_path: Path) -> None:
    """`bert_model.ckpt` stands for `bert_model.ckpt-1`; with two numbers the user must choose."""
    _touch(tmp_path, "bert_model.ckpt-1.index", "other-1.index")
    assert find_prefix(f"{tmp_path}/bert_model.ckpt") == f"{tmp_path}/bert_model.ckpt-1"
    _touch(tmp_path, "bert_model.ckpt-2.index")
    with pytest.raises(InputError, match=r"bert_model.ckpt.index`\nhint: give one of these: `.*ckpt-1`, `.*ckpt-2`$"):
        find_prefix(f"{tmp_path}/bert_model.ckpt")


def test_a_missing_checkpoint_is_answered_with_those_that_are_there(tmp_path: Path) -> None:
    """The hint lists the checkpoints of the folder, at most eight, or says that there is none."""
    with pytest.raises(InputError, match=r"holds no `\.index` file"):
        find_prefix(f"{tmp_path}/a[b]")
    _touch(tmp_path, *(f"c{number}.index" for number in range(10)))
    with pytest.raises(InputError, match=r"`.*/c7` \(and 2 more\)"):
        find_prefix(f"{tmp_path}/model.ckpt")


def test_a_folder_stands_for_its_only_checkpoint(tmp_path: Path) -> None:
    """Without a state file one checkpoint is taken, none or several are an error; names are no patterns."""
    tmp_path = tmp_path / "run[1]"
    tmp_path.mkdir()
    with pytest.raises(InputError, match="holds no checkpoint"):
        find_prefix(str(tmp_path))
    _touch(tmp_path, "a[1].index")
    assert find_prefix(str(tmp_path)) == f"{tmp_path}/a[1]"
    _touch(tmp_path, "b.index")
    with pytest.raises(InputError, match="holds 2 checkpoints"):
        find_prefix(str(tmp_path))


@pytest.mark.parametrize("named", ["ckpt-2", "/elsewhere/run/ckpt-2", "../../ckpt-2", r"ckpt\-2"])
def test_the_state_file_names_the_newest_always_in_its_folder(named: str, tmp_path: Path) -> None:
    """Absolute and climbing paths mean the checkpoint of that name beside the state file."""
    _touch(tmp_path, "ckpt-1.index", "ckpt-2.index")
    lines = [f'model_checkpoint_path: "{named}"', 'all_model_checkpoint_paths: "ckpt-1"']
    (tmp_path / "checkpoint").write_text("\n".join(reversed(lines)))
    assert find_prefix(str(tmp_path)) == f"{tmp_path}/ckpt-2"


@pytest.mark.parametrize(
    ("state", "problem"), [('model_checkpoint_path: "gone"', "names `gone`, but"), ("nonsense", "has no line")]
)
def test_a_stale_or_damaged_state_file_is_refused(state: str, problem: str, tmp_path: Path) -> None:
    """Another checkpoint is never taken silently in place of the newest."""
    _touch(tmp_path, "ckpt-1.index")
    (tmp_path / "checkpoint").write_text(state)
    with pytest.raises(InputError, match=rf"{problem}[^\n]*\nhint: give one of these: `.*/ckpt-1`"):
        find_prefix(str(tmp_path))
