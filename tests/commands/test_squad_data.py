# SPDX-License-Identifier: Apache-2.0
"""create_finetuning_data for SQuAD, from flags to files."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxbert.cli import main

VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A vocabulary, a file of version 1.1 with one wrong answer, and one of version 2.0."""
    (tmp_path / "vocab.txt").write_text(VOCAB)
    good = {"id": "good", "question": "a", "answers": [{"text": "b", "answer_start": 2}]}
    wrong = {"id": "wrong", "question": "a", "answers": [{"text": "c", "answer_start": 99}]}
    impossible = {"id": "none", "question": "c", "answers": [], "is_impossible": True}
    for name, questions in {"v1": [good, wrong], "v2": [good | {"is_impossible": False}, impossible]}.items():
        article = {"paragraphs": [{"context": "a b c", "qas": questions}]}
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": [article]}))
    return tmp_path


def run(folder: Path, name: str, *others: str) -> int:
    """The exit code for one of the files."""
    return main(
        [
            "create_finetuning_data",
            "--fine_tuning_task_type=squad",
            f"--squad_data_file={folder / name}.json",
            f"--vocab_file={folder / 'vocab.txt'}",
            f"--train_data_output_path={folder / 'records'}",
            f"--meta_data_file_path={folder / 'meta'}",
            "--max_seq_length=10",
            "--max_query_length=3",
            "--num_workers=1",
            *others,
        ]
    )


def meta(folder: Path) -> dict[str, Any]:
    """The metadata that was written."""
    content: dict[str, Any] = json.loads((folder / "meta").read_text())
    return content


def test_version_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records and metadata are made; a question whose answer is not there is counted and listed."""
    assert run(folder, "v1") == 0
    out, err = capsys.readouterr()
    assert err == "left out: question `wrong` has the answer `c` at 99, outside of its context of 5 characters\n"
    assert "1 records" in out
    assert "2 questions read, 1 left out" in out
    assert meta(folder) == {
        "task_type": "bert_squad",
        "train_data_size": 1,
        "max_seq_length": 10,
        "max_query_length": 3,
        "doc_stride": 128,
        "version_2_with_negative": False,
    }


def test_version_2(folder: Path) -> None:
    """Questions without answer are records too."""
    assert run(folder, "v2", "--version_2_with_negative=True") == 0
    assert (meta(folder)["train_data_size"], meta(folder)["version_2_with_negative"]) == (2, True)


@pytest.mark.parametrize(
    ("name", "others", "message"),
    [
        ("v1", ["--strict"], "question `wrong` has the answer `c`"),
        (
            "v1",
            ["--version_2_with_negative"],
            "has no key `is_impossible`\nhint: leave out `--version_2_with_negative`",
        ),
        ("v2", [], "question `none` has no answer\nhint: give `--version_2_with_negative`"),
        ("v1", ["--squad_data_file="], "`--squad_data_file` and `--train_data_output_path` must be given"),
        ("v1", ["--eval_data_output_path=x"], "only training records are made"),
        ("v3", [], "cannot read"),
    ],
)
def test_wrong_input(
    name: str, others: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake has its message, code 2, and leaves no file."""
    before = sorted(folder.iterdir())
    assert run(folder, name, *others) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
