# SPDX-License-Identifier: Apache-2.0
"""The tiny task and the tiny corpus, made once, and ways to run trainers in the process of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jaxbert.cli import main
from tests.commands.tiny_pretraining import Corpus, make_corpus
from tests.commands.tiny_squad import run_squad
from tests.commands.tiny_task import Task, make_task, sizes

Run = Callable[..., tuple[int, str, str]]
"""Flags -> exit code, standard output, standard error."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs of the session keep compiled programs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The tiny task; nothing may be written into its folders."""
    return make_task(tmp_path_factory.mktemp("task"))


@pytest.fixture
def classify(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_classifier` in this process with batches of 8."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run_classifier", *sizes(cache), *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The tiny corpus; nothing may be written into its folder."""
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def pretrain(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_pretraining` in this process."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run_pretraining", f"--compile_cache={cache}", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def squad(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `run_squad` in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_squad(cache, *arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run
