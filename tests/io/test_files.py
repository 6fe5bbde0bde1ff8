# SPDX-License-Identifier: Apache-2.0
"""Folders that are written whole or not at all, and files that hold one JSON object."""

import contextlib
import os
import re
from pathlib import Path

import pytest

from jaxbert.errors import InputError
from jaxbert.io.files import open_input, read_bytes, read_json_object, refuse_overwriting, whole_folder


@pytest.mark.parametrize("exists", [False, True])
def test_a_whole_folder_gets_its_files_at_the_end(exists: bool, tmp_path: Path) -> None:
    """Until then `path` has none of them; folders on the way are made."""
    path = tmp_path / "a" / "b"
    if exists:
        path.mkdir(parents=True)
    with whole_folder(str(path)) as folder:
        (Path(folder) / "weights").write_text("all")
        assert not (path / "weights").exists()
    assert [(file.name, file.read_text()) for file in path.iterdir()] == [("weights", "all")]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("reason", [KeyboardInterrupt, ValueError])
def test_a_folder_that_was_not_finished_leaves_no_trace(
    exists: bool, reason: type[BaseException], tmp_path: Path
) -> None:
    """Neither files nor, where it is new, the folder."""
    path = tmp_path / "out"
    if exists:
        path.mkdir()
    with contextlib.suppress(reason), whole_folder(str(path)) as folder:
        (Path(folder) / "weights").write_text("half")
        raise reason
    assert path.exists() == exists
    assert not exists or list(path.iterdir()) == []


@pytest.mark.parametrize("exists", [False, True])
def test_what_others_put_there_meanwhile_stays(exists: bool, tmp_path: Path) -> None:
    """Only what was to be written is removed where it cannot be finished."""
    path = tmp_path / "out"
    if exists:
        path.mkdir()
    with contextlib.suppress(ValueError), whole_folder(str(path)) as folder:
        (Path(folder) / "weights").write_text("half")
        (path / "theirs").write_text("mine")
        raise ValueError
    assert [file.read_text() for file in path.rglob("*")] == ["mine"]


def test_a_file_that_is_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its path is spelled like, and by a link, too; a file that is not there yet may be written."""
    monkeypatch.chdir(tmp_path)
    Path("texts").write_text("mine")
    Path("link").symlink_to("texts")
    for one, other in (("texts", "./texts"), ("texts", str(tmp_path / "texts")), ("link", "texts"), ("texts", "link")):
        with pytest.raises(InputError, match=f"`{other}` is read, and would be written over"):
            refuse_overwriting(["new", other], [None, one])
    with pytest.raises(InputError, match="`memory://a/b` is read"):
        refuse_overwriting(["memory://a/b"], ["memory://a/b"])
    refuse_overwriting(["new", None], ["texts", "memory://new"])


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    """Whatever is there belongs to somebody."""
    (tmp_path / "old").write_text("mine")
    with pytest.raises(InputError, match="is not empty: it holds `old`"), whole_folder(str(tmp_path)):
        pass
    assert (tmp_path / "old").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a": 1,\nb}', "line 2 is not JSON: "),
        ("", "line 1 is not JSON: "),
        ("[" * 100_000, "is not JSON: it is nested too deeply"),
        (f'{{"a": {"9" * 5000}}}', "is not JSON: Exceeds the limit"),
        ("[1]", "holds no JSON object"),
        ("null", "holds no JSON object"),
    ],
)
def test_what_is_no_json_object_is_named(content: str, problem: str, tmp_path: Path) -> None:
    """With its path, the line where JSON ends, and what the file should be."""
    path = tmp_path / "settings.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"`{re.escape(str(path))}` {problem}") as caught:
        read_json_object(str(path), "a table of prices")
    assert caught.value.hint == "expected a table of prices"


def test_a_json_object_is_read(tmp_path: Path) -> None:
    """With or without a byte order mark."""
    path = tmp_path / "settings.json"
    for mark in ("", "\ufeff"):
        path.write_text(f'{mark}{{"a": [1, "ä"]}}', encoding="utf-8")
        assert read_json_object(str(path), "anything") == {"a": [1, "ä"]}


def test_a_pipe_is_read_once_or_refused() -> None:
    """What is read again and again would be empty the second time; a small file may be one."""
    reading, writing = os.pipe()
    os.write(writing, b"--seed=1")
    os.close(writing)
    path = f"/dev/fd/{reading}"
    with pytest.raises(InputError, match=f"`{path}` is a pipe"):
        open_input(path)
    assert read_bytes(path) == b"--seed=1"
    os.close(reading)
