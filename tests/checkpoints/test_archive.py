# SPDX-License-Identifier: Apache-2.0
"""Unpacking archives: what is inside, and nothing outside."""

import contextlib
import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbert.checkpoints.resolve import unpack
from jaxbert.errors import InputError


def _pack(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _files(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_files_come_out_once(tmp_path: Path) -> None:
    """Files and folders come out; the second time nothing is unpacked; another archive gets another folder."""
    members = [(_member("./assets", tarfile.DIRTYPE), b""), (_member("./assets/vocab.txt"), b"a"), (_member("b"), b"")]
    path = _pack(tmp_path / "m.tar.gz", members)
    folder = unpack(path, str(tmp_path / "cache"))
    assert _files(folder) == {"assets/vocab.txt": b"a", "b": b""}
    (Path(folder) / "b").write_bytes(b"kept")
    assert unpack(path, str(tmp_path / "cache")) == folder
    assert _files(folder)["b"] == b"kept"
    assert unpack(_pack(tmp_path / "n.tar.gz", members), str(tmp_path / "cache")) != folder


def test_a_folder_alone_is_gone_into(tmp_path: Path) -> None:
    """Released checkpoints come in a folder, hub modules without one."""
    path = _pack(tmp_path / "m.tgz", [(_member("uncased/bert_config.json"), b"{}")])
    assert _files(unpack(path, str(tmp_path / "cache"))) == {"bert_config.json": b"{}"}


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (_member("../evil"), "lies outside"),
        (_member("a/../../evil"), "lies outside"),
        (_member("/evil"), "lies outside"),
        (_member("a\\..\\evil"), "lies outside"),
        (_member("C:/evil"), "lies outside"),
        (_member("link", tarfile.SYMTYPE, "/etc"), "neither a file nor a folder"),
        (_member("link", tarfile.LNKTYPE, "vocab.txt"), "neither a file nor a folder"),
        (_member("pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (_member("vocab.txt"), "exists"),
    ],
)
def test_members_cannot_leave(member: tarfile.TarInfo, problem: str, tmp_path: Path) -> None:
    """Places outside, links, devices and second files of one name are refused, and nothing stays behind."""
    path = _pack(tmp_path / "m.tar.gz", [(_member("vocab.txt"), b"a"), (member, b"")])
    with pytest.raises(InputError, match=rf"m\.tar\.gz` cannot be unpacked: .*{problem}"):
        unpack(path, str(tmp_path / "cache"))
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["cache", "m.tar.gz"]


def test_somebody_else_may_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process has put the folder there meanwhile, it is used, and nothing else stays behind."""
    path, cache = _pack(tmp_path / "m.tar.gz", [(_member("vocab.txt"), b"a")]), tmp_path / "cache"
    replace = os.replace

    def replace_twice(source: str, target: str) -> None:
        shutil.copytree(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_twice)
    assert _files(unpack(path, str(cache))) == {"vocab.txt": b"a"}
    assert len(list(cache.iterdir())) == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A member that says it is larger than the disk is refused before anything is written."""
    with gzip.open(tmp_path / "m.tar.gz", "wb") as file:
        info = _member("model")
        info.size = 1 << 60
        file.write(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(InputError, match="`model` has 1152921504606846976 bytes, the disk has"):
        unpack(str(tmp_path / "m.tar.gz"), str(tmp_path / "cache"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    """A changed byte or a lost end gives an InputError; what comes out all the same is what was packed."""
    whole = tmp_path / "whole.tar.gz"
    if not whole.exists():
        _pack(whole, [(_member("vocab.txt"), b"abc" * 99), (_member("a/b"), b"x")])
    content = whole.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:place]
    if data.draw(st.booleans()):
        damaged += bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    (tmp_path / "m.tar.gz").write_bytes(damaged)
    with contextlib.suppress(InputError):
        folder = unpack(str(tmp_path / "m.tar.gz"), str(tmp_path / "cache"))
        assert _files(folder) == {"vocab.txt": b"abc" * 99, "a/b": b"x"}
