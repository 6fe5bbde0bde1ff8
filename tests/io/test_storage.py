# SPDX-License-Identifier: Apache-2.0
"""Files in remote storages: the same as files on disk, and whole or not there when the storage fails."""

import asyncio
import contextlib
import os
import random
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxbert.errors import InputError
from jaxbert.io import files, storage
from jaxbert.io.storage import Range, RemoteBytes
from jaxbert.tfrecord.files import TFRecords, stream, write_records
from tests.storage_servers import Fault, Storage, running


@pytest.fixture(scope="module", params=["memory", "s3", "gs"])
def remote(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """Each storage in turn, those with a server behind the proxy."""
    if request.param == "memory":
        yield Storage("memory://bucket")
        return
    with pytest.MonkeyPatch.context() as patch, running(request.param, patch) as server:
        yield server


@pytest.fixture(scope="module", params=["s3", "gs"])
def server(request: pytest.FixtureRequest) -> Iterator[Storage]:
    """Each storage with a server; clients try again at once."""
    with pytest.MonkeyPatch.context() as patch, running(request.param, patch) as server:
        patch.setattr(storage, "PAUSE_SECONDS", 0.01)
        if request.param == "gs":
            at_once = types.SimpleNamespace(**{**vars(asyncio), "sleep": lambda _: asyncio.sleep(0.01)})
            patch.setattr("gcsfs.retry.asyncio", at_once)
        yield server


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins and ends with a storage that works."""
    yield
    for name in {"remote", "server"} & set(request.fixturenames):
        request.getfixturevalue(name).choose = lambda method, path, before: None


def test_files_are_written_listed_and_removed(remote: Storage) -> None:
    """What is written is read, found by globs, in lists of names and by its kind, and gone when it is removed."""
    root = f"{remote.root}/files"
    files.write_text(f"{root}/a.txt", "one\n")
    files.write_text(f"{root}/sub/b.txt", "two")
    assert files.read_text(f"{root}/a.txt") == "one\n"
    assert files.names(root) == ["a.txt", "sub"]
    assert files.names(f"{root}/none") == []
    assert files.expand(f"{root}/*.txt,{root}/sub/b*") == [f"{root}/a.txt", f"{root}/sub/b.txt"]
    assert files.find(f"{root}/**/*.txt", recursive=True) == [f"{root}/a.txt", f"{root}/sub/b.txt"]
    kinds = [(files.exists(path), files.is_file(path), files.is_folder(path)) for path in (f"{root}/a.txt", root)]
    assert kinds == [(True, True, False), (True, False, True)]
    assert not files.exists(f"{root}/a")
    files.remove(root)
    assert not files.exists(root)


def test_a_version_changes_with_the_content(remote: Storage) -> None:
    """Size and mark stay while nobody writes, and change when somebody does."""
    path = f"{remote.root}/version"
    assert files.version(path) is None
    files.write_text(path, "one")
    first = files.version(path)
    assert files.version(path) == first
    files.write_text(path, "two")
    assert files.version(path) != first


def test_any_slice_and_seek_gives_the_bytes(remote: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices, streams and ranges of a file of many pieces are those of the bytes that were written."""
    monkeypatch.setattr(storage, "_FIRST_PIECE", 100)
    monkeypatch.setattr(storage, "_PIECE", 1000)
    monkeypatch.setattr(storage, "_GAP", 50)
    chance = random.Random(0)
    content, path = chance.randbytes(10_500), f"{remote.root}/slices"
    with files.whole_file(path) as file:
        file.write(content)
    ends = [sorted(chance.sample(range(len(content) + 1), 2)) for _ in range(20)]
    view = RemoteBytes(path)
    assert [view[start:end] for start, end in ends] == [content[start:end] for start, end in ends]
    assert view[-7:] == content[-7:]
    ends += [(0, 900), (100, 200), (100, 100), (150, 250), (0, 900)]  # inside of one another, empty, overlapping, twice
    assert storage.read_ranges([Range(path, start, end) for start, end in ends]) == [content[s:e] for s, e in ends]
    assert files.read_bytes(path) == content == bytes(files.map_input(path))
    with files.open_input(path) as file:
        assert file.read(3) == content[:3]
        file.seek(-4, os.SEEK_END)
        assert file.read() == content[-4:]
    with files.local_copy(path) as copy:
        assert Path(copy).read_bytes() == content
    assert not os.path.exists(copy)


@pytest.mark.parametrize("read", ["slices", "all", "copy"])
def test_a_file_that_is_replaced_while_it_is_read_is_noticed(
    read: str, remote: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is read: parts of two files of one size are not put together."""
    monkeypatch.setattr(storage, "_FIRST_PIECE", 100)
    monkeypatch.setattr(storage, "_PIECE", 1000)
    path = f"{remote.root}/replaced-{read}"
    with files.whole_file(path) as file:
        file.write(b"1" * 10_000)
    view, fetch, fetched = RemoteBytes(path), storage._fetch, 0

    def replace_after_the_first(ranges: list[Range]) -> list[bytes]:
        nonlocal fetched
        pieces, fetched = fetch(ranges), fetched + 1
        if fetched == 1:
            with files.whole_file(path) as file:
                file.write(b"2" * 10_000)
        return pieces

    monkeypatch.setattr(storage, "_fetch", replace_after_the_first)
    ways = {
        "slices": lambda: [view[start : start + 50] for start in range(0, 10_000, 50)],
        "all": view.read_all,
        "copy": lambda: files.local_copy(path).__enter__(),
    }
    with pytest.raises(InputError, match=f"`{path}` was replaced while it was read"):
        ways[read]()


def test_records_are_read_by_number(remote: Storage, tmp_path: Path) -> None:
    """Records of a remote and of a local file, in any order and twice, and in order."""
    payloads = [bytes([number]) * (number * 37 % 300) for number in range(100)]
    write_records(f"{remote.root}/records", payloads[:60])
    write_records(str(tmp_path / "rest"), payloads[60:])
    records = TFRecords([f"{remote.root}/records", str(tmp_path / "rest")])
    numbers = np.random.default_rng(0).integers(0, 100, 250)
    if remote.root.startswith("memory"):
        assert len(records) == 100
        assert list(stream(f"{remote.root}/records")) == payloads[:60]
    assert records.read(numbers) == [payloads[number] for number in numbers.tolist()]


def test_a_folder_is_whole_or_not_there(remote: Storage) -> None:
    """Files of a folder arrive together with their paths in it; nothing arrives where writing them failed."""
    root = f"{remote.root}/folder"
    with contextlib.suppress(ValueError), files.whole_folder(root) as folder:
        (Path(folder) / "weights").write_text("half")
        raise ValueError("half")
    assert not files.exists(root)
    with files.whole_folder(root) as folder:
        os.makedirs(f"{folder}/variables")
        Path(folder, "variables", "index").write_text("1")
        Path(folder, "model").write_text("2")
    assert files.names(root) == ["model", "variables"]
    assert files.read_text(f"{root}/variables/index") == "1"
    with pytest.raises(InputError, match="is not empty: it holds `model`"), files.whole_folder(root):
        pass


def test_a_file_that_was_not_finished_is_not_sent(remote: Storage) -> None:
    """What stood there before stays."""
    path = f"{remote.root}/unfinished"
    files.write_text(path, "before")
    with contextlib.suppress(KeyboardInterrupt), files.whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert files.read_text(path) == "before"


def test_what_is_not_there_is_said(remote: Storage) -> None:
    """A missing file, a pattern without files and a file instead of a folder end in a message with the path."""
    root = remote.root
    files.write_text(f"{root}/one", "1")
    with pytest.raises(InputError, match=f"cannot read `{root}/none`: no such file"):
        files.read_text(f"{root}/none")
    with pytest.raises(InputError, match=f"no file matches `{root}/n\\*`"):
        files.expand(f"{root}/n*")
    with pytest.raises(InputError, match=f"cannot write to `{root}/one`: it is a file"):
        files.check_folder(f"{root}/one")
    files.check_folder(f"{root}/new")
    assert not files.exists(f"{root}/new")


@pytest.mark.filterwarnings("ignore:Sending a large body")  # of Google's client
def test_a_file_in_order_comes_in_growing_pieces(server: Storage) -> None:
    """One look at the beginning costs little; all of a file of 4 MB in small steps costs few requests."""
    path = f"{server.root}/order"
    with files.whole_file(path) as file:
        file.write(bytes(1 << 22))
    server.requests.clear()
    with files.open_input(path) as file:
        assert file.read(8) == bytes(8)
    assert all("bytes=" not in path or path.endswith(f"-{(1 << 20) - 1}") for _, path in server.requests)
    view = RemoteBytes(path)
    server.requests.clear()
    assert sum(len(view[start : start + 1000]) for start in range(0, 1 << 22, 1000)) == 1 << 22
    assert 3 < sum("bytes=" in path for _, path in server.requests) < 12


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to install it."""

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.filesystem", missing)
    with pytest.raises(InputError, match="`s3://bucket/a` needs a library: Install s3fs") as caught:
        files.read_text("s3://bucket/a")
    assert caught.value.hint == "`pip install gcsfs s3fs`"


@pytest.mark.parametrize("fault", ["unavailable", "dropped"])
def test_what_fails_once_is_tried_again(fault: Fault, server: Storage) -> None:
    """Every request fails the first time it is made: nothing of that is seen."""
    server.choose = lambda method, path, before: None if before else fault
    root, content = f"{server.root}/{fault}", random.Random(1).randbytes(30_000)
    with files.whole_file(f"{root}/file") as file:
        file.write(content)
    assert files.read_bytes(f"{root}/file") == content
    assert files.names(root) == ["file"]
    files.remove(root)
    assert not files.exists(root)


def test_an_answer_that_does_not_come_is_asked_for_again(server: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that takes longer than the timeout is given up and made again."""
    monkeypatch.setattr(storage, "TIMEOUT_SECONDS", 2)
    monkeypatch.setattr(storage, "ATTEMPTS", {"s3": 30, "gs": 30})  # on a busy machine others may take that long too
    files.write_text(f"{server.root}/silent", "content")
    server.choose = lambda method, path, before: None if before or "bytes=" not in path else "silent"
    server.requests.clear()
    assert files.read_text(f"{server.root}/silent") == "content"
    assert sum("bytes=" in path for _, path in server.requests) >= 2


@pytest.mark.parametrize("fault", ["unavailable", "dropped"])
def test_a_storage_that_stays_away_ends_in_one_message(fault: Fault, server: Storage) -> None:
    """After a bounded number of attempts; what stood there before stays, and nothing new is there."""
    root = f"{server.root}/away{fault}"
    files.write_text(f"{root}/old", "before")
    server.choose = lambda method, path, before: fault
    server.requests.clear()
    for path in (f"{root}/old", f"{root}/new"):
        with pytest.raises(OSError, match=f"cannot write `{path}`: "):
            files.write_text(path, "after")
    with pytest.raises(OSError, match=f"cannot read `{root}/old`: "):
        files.read_text(f"{root}/old")
    assert len(server.requests) < 50
    server.choose = lambda method, path, before: None
    assert files.names(root) == ["old"]
    assert files.read_text(f"{root}/old") == "before"


def test_what_is_forbidden_is_not_tried_again(server: Storage) -> None:
    """One request, one message that says to log in."""
    server.choose = lambda method, path, before: "forbidden"
    server.requests.clear()
    with pytest.raises(InputError, match=f"cannot write `{server.root}/closed`: permission denied"):
        files.write_text(f"{server.root}/closed", "1")
    assert len(server.requests) == 1


def test_neighbouring_ranges_come_in_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges up to the gap apart are fetched as one, in whatever order, and each gets its own bytes."""
    content, path = bytes(range(200)), "memory://bucket/neighbours"
    with files.whole_file(path) as file:
        file.write(content)
    fetched: list[Range] = []
    fetch = storage._fetch
    monkeypatch.setattr(storage, "_GAP", 5)
    monkeypatch.setattr(storage, "_fetch", lambda ranges: (fetched.extend(ranges), fetch(ranges))[1])
    ranges = [Range(path, 90, 100), Range(path, 0, 10), Range(path, 15, 30), Range(path, 16, 20), Range(path, 36, 40)]
    assert storage.read_ranges(ranges) == [content[start:end] for _, start, end in ranges]
    assert fetched == [Range(path, 0, 30), Range(path, 36, 40), Range(path, 90, 100)]
    assert storage.read_ranges([]) == []
