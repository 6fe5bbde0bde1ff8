# SPDX-License-Identifier: Apache-2.0
"""The tiny data and a model trained on each, made once, and ways to run trainers in the process of the tests."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jaxbert.cli import main
from tests.commands.tiny_pretraining import Corpus, make_corpus, training
from tests.commands.tiny_squad import run_squad, squad_training, write_squad
from tests.commands.tiny_task import BATCHES, PLAIN, Task, flags, make_task

Run = Callable[..., tuple[int, str, str]]
"""Flags -> exit code, standard output, standard error."""


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """A folder that tests share; after the last of them it fails where one wrote into it."""
    before = _content(folder)
    yield folder
    now = _content(folder)
    changed = {path for path in before | now if before.get(path) != now.get(path)}
    assert not changed, f"a test wrote into the folder that others read: {sorted(changed)}"


def _content(folder: Path) -> dict[Path, bytes]:
    """The content of each file."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task]:
    """The tiny task; nothing may be written into its folders."""
    made = make_task(tmp_path_factory.mktemp("task"))
    with kept(made.folder):
        yield made


@pytest.fixture(scope="session")
def plain(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `PLAIN` training on one device; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("plain")
    where = flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)
    assert main(["run_classifier", *BATCHES, *task.records, *PLAIN, *where]) == 0
    with kept(folder):
        yield folder


@pytest.fixture
def classify(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_classifier` in this process with batches of 8."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run_classifier", *BATCHES, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """The tiny corpus; nothing may be written into its folder."""
    made = make_corpus(tmp_path_factory.mktemp("corpus"))
    with kept(made.folder):
        yield made


@pytest.fixture(scope="session")
def pretrained(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a pretraining with fresh masks that nothing stops; an epoch of the records ends in the middle.

    Nothing may be written into it.
    """
    folder = tmp_path_factory.mktemp("pretrained")
    assert main(["run_pretraining", "--compile_cache=", *training(corpus, corpus.whole, folder)]) == 0
    with kept(folder):
        yield folder


@pytest.fixture
def pretrain(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_pretraining` in this process."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run_pretraining", "--compile_cache=", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def squad_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of training and development questions of both versions of SQuAD; nothing may be written into it."""
    folder = tmp_path_factory.mktemp("questions")
    for version in (1, 2):
        write_squad(folder / f"train-v{version}.json", 24, version_2=version == 2)
        write_squad(folder / f"dev-v{version}.json", 11, version_2=version == 2, seed=1, words=40)
    with kept(folder):
        yield folder


@pytest.fixture(scope="session")
def answering(squad_files: Path, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Path]]:
    """The folder after a training on the questions of version 1, and of 2; nothing may be written into them."""
    folders = {version: tmp_path_factory.mktemp(f"answering-v{version}") for version in (1, 2)}
    for version, folder in folders.items():
        assert run_squad(*squad_training(squad_files, task, version, folder)) == 0
    with kept(folders[1]), kept(folders[2]):
        yield folders


@pytest.fixture
def squad(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_squad` in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_squad(*arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run
