# SPDX-License-Identifier: Apache-2.0
"""The command from flags to files: known tasks, own files, SQuAD, mistakes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from jaxbert import console
from jaxbert.cli import main
from jaxbert.commands.create_finetuning_data import run
from jaxbert.config.data import FineTuningDataFlags
from jaxbert.errors import InputError
from jaxbert.tfrecord.example import decode
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import classification_schema
from tests.examples.arrow_files import save_to_disk, write_parquet

VOCAB = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n"
HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A vocabulary and a task in the layout of MRPC."""
    (tmp_path / "vocab.txt").write_text(VOCAB)
    rows = {"train": "1\t1\t2\ta b\tc\n0\t3\t4\tb\ta\n", "dev": "1\t5\t6\tc\tc\n", "test": "0\t7\t8\tb\tb\n"}
    for name, text in rows.items():
        (tmp_path / f"{name}.tsv").write_text(HEADER + text)
    return tmp_path


def flags(folder: Path, **others: object) -> FineTuningDataFlags:
    """The flags of an MRPC run with all outputs, changed by `others`."""
    outputs = {f"{name}_data_output_path": str(folder / f"out/{name}") for name in ("train", "eval", "test")}
    values = {
        "classification_task_name": "MRPC",
        "input_data_dir": str(folder),
        "vocab_file": str(folder / "vocab.txt"),
        "meta_data_file_path": str(folder / "out/meta"),
        "max_seq_length": 8,
        "num_workers": 1,
        **outputs,
        **others,
    }
    return FineTuningDataFlags(**values)


def load(path: Path, label_type: str = "int") -> dict[str, list[object]]:
    """All arrays of a record file as lists."""
    records = TFRecords([str(path)])
    arrays = decode(records.read(np.arange(len(records))), classification_schema(8, label_type))
    return {name: array.tolist() for name, array in arrays.items()}


def test_known_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of TSV files becomes three record files and metadata, and a summary says so."""
    run(flags(folder))
    assert load(folder / "out/train")["input_ids"] == [[2, 5, 6, 3, 7, 3, 0, 0], [2, 6, 3, 5, 3, 0, 0, 0]]
    assert load(folder / "out/train")["label_ids"] == [1, 0]
    assert load(folder / "out/eval")["label_ids"] == [1]
    assert load(folder / "out/test")["label_ids"] == [0]
    assert json.loads((folder / "out/meta").read_text()) == {
        "processor_type": "MRPC",
        "train_data_size": 2,
        "max_seq_length": 8,
        "task_type": "bert_classification",
        "num_labels": 2,
        "eval_data_size": 1,
        "test_data_size": 1,
        "label_list": ["0", "1"],
    }
    assert "2 records" in capsys.readouterr().out


def test_progress_on_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the number of examples of each set is shown while they are written."""
    monkeypatch.setattr(console, "terminal", lambda: Console(stderr=True, force_terminal=True))
    run(flags(folder))
    shown = capsys.readouterr().err
    assert all(name in shown for name in ("train", "eval", "test"))
    assert "examples" in shown


def test_own_files(folder: Path) -> None:
    """A CSV with named columns, for regression, in the order of its rows."""
    (folder / "own.csv").write_text('score,text\n2.5,"a, b"\n-1,c\n')
    run(
        flags(
            folder,
            fine_tuning_task_type="regression",
            train_file=str(folder / "own.csv"),
            text_a_column="text",
            label_column="score",
            eval_data_output_path=None,
            test_data_output_path=None,
        )
    )
    found = load(folder / "out/train", "float")
    assert found["input_ids"] == [[2, 5, 1, 6, 3, 0, 0, 0], [2, 7, 3, 0, 0, 0, 0, 0]]
    assert found["label_ids"] == [2.5, -1.0]
    assert json.loads((folder / "out/meta").read_text())["task_type"] == "bert_regression"


def test_folder_of_datasets(folder: Path) -> None:
    """The same task as `save_to_disk` writes it gives the same records; those of the test set have no labels."""
    run(flags(folder))
    rows = {"train": [("a b", "c", 1), ("b", "a", 0)], "validation": [("c", "c", 1)], "test": [("b", "b", -1)]}
    for split, found in rows.items():
        columns = dict(zip(("sentence1", "sentence2", "label"), map(list, zip(*found, strict=True)), strict=True))
        save_to_disk(folder / "saved" / split, [columns], {"label": ["not_equivalent", "equivalent"]})
    (folder / "saved/dataset_dict.json").write_text(json.dumps({"splits": list(rows)}))
    names = ("train", "eval", "test")
    outputs = {f"{name}_data_output_path": str(folder / f"saved/out/{name}") for name in names}
    run(
        flags(
            folder, input_data_dir=str(folder / "saved"), meta_data_file_path=str(folder / "saved/out/meta"), **outputs
        )
    )
    for name in (*names, "meta"):
        assert (folder / "saved/out" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_a_score_in_place_of_a_class(folder: Path) -> None:
    """A hundred different numbers as classes are refused with the flag of this command, which works."""
    (folder / "own.tsv").write_text("text\tscore\n" + "".join(f"a\t{number}\n" for number in range(100)))
    own = {"train_file": str(folder / "own.tsv"), "text_a_column": "text", "label_column": "score"}
    others = {"eval_data_output_path": None, "test_data_output_path": None}
    with pytest.raises(
        InputError, match="holds 100 different numbers\nhint: give `--fine_tuning_task_type=regression`"
    ):
        run(flags(folder, **own, **others))
    run(flags(folder, **own, **others, fine_tuning_task_type="regression"))
    assert load(folder / "out/train", "float")["label_ids"] == [float(number) for number in range(100)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_data_dir": None}, "nothing to read"),
        ({"input_data_dir": "missing"}, "cannot read `missing"),
        ({"vocab_file": "missing"}, "cannot read `missing`"),
        ({"fine_tuning_task_type": "regression"}, "the labels of MRPC are known"),
        ({"train_file": "own.tsv"}, "`--text_a_column` and `--label_column` must be given"),
        ({f"{name}_data_output_path": None for name in ("train", "eval", "test")}, "nothing to make"),
        ({"train_data_output_path": "same", "eval_data_output_path": "same"}, "two outputs are the same file"),
        ({"vocab_file": "same", "meta_data_file_path": "./same"}, "`./same` is read, and would be written over"),
        ({"classification_task_name": "XNLI", "xnli_language": "xx"}, "XNLI has no language `xx`"),
        ({"classification_task_name": "XNLI"}, "a test set for each of ar, bg"),
    ],
)
def test_mistakes(folder: Path, change: dict[str, object], message: str) -> None:
    """Flags that cannot work end with a message before anything is written."""
    with pytest.raises(InputError, match=message):
        run(flags(folder, **change))
    assert not (folder / "out").exists() or not list((folder / "out").iterdir())


def test_bad_row_leaves_what_was_before(folder: Path) -> None:
    """When a row is wrong, the message has its line, and neither that record file nor metadata are written."""
    (folder / "dev.tsv").write_text(HEADER + "maybe\t1\t2\ta\tb\n")
    with pytest.raises(InputError, match="line 2: unknown label `maybe`"):
        run(flags(folder))
    assert [path.name for path in (folder / "out").iterdir()] == ["train"]


def test_command_line(folder: Path) -> None:
    """The old command line works as a program, needs no jax, and says what it made."""
    program = (
        "import sys; from jaxbert.cli import main; code = main(sys.argv[1:]);sys.exit(code or ('jax' in sys.modules))"
    )
    arguments = [
        "create_finetuning_data",
        f"--input_data_dir={folder}",
        f"--vocab_file={folder}/vocab.txt",
        f"--train_data_output_path={folder}/out/MRPC_train.tf_record",
        f"--meta_data_file_path={folder}/out/MRPC_meta_data",
        "--fine_tuning_task_type=classification",
        "--max_seq_length=8",
        "--classification_task_name=MRPC",
    ]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MRPC_train.tf_record" in done.stdout
    assert load(folder / "out/MRPC_train.tf_record")["label_ids"] == [1, 0]


@pytest.fixture
def squad_folder(tmp_path: Path) -> Path:
    """A vocabulary, a file of version 1.1 with one wrong answer, and one of version 2.0."""
    (tmp_path / "vocab.txt").write_text(VOCAB)
    good = {"id": "good", "question": "a", "answers": [{"text": "b", "answer_start": 2}]}
    wrong = {"id": "wrong", "question": "a", "answers": [{"text": "c", "answer_start": 99}]}
    impossible = {"id": "none", "question": "c", "answers": [], "is_impossible": True}
    for name, questions in {"v1": [good, wrong], "v2": [good | {"is_impossible": False}, impossible]}.items():
        article = {"paragraphs": [{"context": "a b c", "qas": questions}]}
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": [article]}))
    return tmp_path


def make_squad(squad_folder: Path, name: str, *others: str) -> int:
    """The exit code for one of the files."""
    return main(
        [
            "create_finetuning_data",
            "--fine_tuning_task_type=squad",
            f"--squad_data_file={squad_folder / name}.json",
            f"--vocab_file={squad_folder / 'vocab.txt'}",
            f"--train_data_output_path={squad_folder / 'records'}",
            f"--meta_data_file_path={squad_folder / 'meta'}",
            "--max_seq_length=10",
            "--max_query_length=3",
            "--num_workers=1",
            *others,
        ]
    )


def squad_meta(squad_folder: Path) -> dict[str, Any]:
    """The metadata that was written."""
    content: dict[str, Any] = json.loads((squad_folder / "meta").read_text())
    return content


def test_version_1(squad_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records and metadata are made; a question whose answer is not there is counted and listed."""
    assert make_squad(squad_folder, "v1") == 0
    out, err = capsys.readouterr()
    assert (
        err.partition("\n")[2]
        == "left out: question `wrong` has the answer `c` at 99, outside of its context of 5 characters\n"
    )
    assert "1 records" in out
    assert "2 questions read, 1 left out" in out
    assert squad_meta(squad_folder) == {
        "task_type": "bert_squad",
        "train_data_size": 1,
        "max_seq_length": 10,
        "max_query_length": 3,
        "doc_stride": 128,
        "version_2_with_negative": False,
    }


def test_version_2(squad_folder: Path) -> None:
    """Questions without answer are records too."""
    assert make_squad(squad_folder, "v2", "--version_2_with_negative=True") == 0
    found = squad_meta(squad_folder)
    assert (found["train_data_size"], found["version_2_with_negative"]) == (2, True)


@pytest.mark.parametrize(("name", "others"), [("v1", []), ("v2", ["--version_2_with_negative"])])
def test_parquet(name: str, others: list[str], squad_folder: Path) -> None:
    """A SQuAD file as Parquet, without the key `is_impossible`, gives the same records and metadata."""
    assert make_squad(squad_folder, name, *others) == 0
    records, meta = (squad_folder / "records").read_bytes(), squad_meta(squad_folder)
    (article,) = json.loads((squad_folder / f"{name}.json").read_text())["data"]
    (paragraph,) = article["paragraphs"]
    columns: dict[str, list[Any]] = {key: [entry[key] for entry in paragraph["qas"]] for key in ("id", "question")}
    columns["context"] = [paragraph["context"]] * len(columns["id"])
    columns["answers"] = [
        {key: [answer[key] for answer in entry["answers"]] for key in ("text", "answer_start")}
        for entry in paragraph["qas"]
    ]
    path = write_parquet(squad_folder / "train.parquet", columns, rows=1)
    assert make_squad(squad_folder, name, f"--squad_data_file={path}", *others) == 0
    assert ((squad_folder / "records").read_bytes(), squad_meta(squad_folder)) == (records, meta)


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
def test_wrong_squad_input(
    name: str, others: list[str], message: str, squad_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake has its message, code 2, and leaves no file."""
    before = sorted(squad_folder.iterdir())
    assert make_squad(squad_folder, name, *others) == 2
    assert message in capsys.readouterr().err
    assert sorted(squad_folder.iterdir()) == before
