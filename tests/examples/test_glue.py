# SPDX-License-Identifier: Apache-2.0
"""The table of tasks: files, columns and labels of each, and what is wrong with files that do not fit."""

import logging
from pathlib import Path

import pytest

from jaxbert.config import data
from jaxbert.errors import InputError
from jaxbert.examples.glue import TASK_NAMES, TASKS, Task, find_task, glue_dataset
from jaxbert.examples.text_examples import Split, TextExample


def write(path: Path, *lines: str) -> str:
    """A file of these lines, with spaces for tabs where `|` stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line.replace("|", "\t") for line in lines), encoding="utf-8")
    return str(path)


def read(split: Split | None) -> list[TextExample]:
    """All examples of a set."""
    assert split is not None
    return list(split())


def row(columns: int, **fields: str) -> str:
    """A line with the fields `c0`, `c1`, ..., the others filled with their number."""
    return "|".join(fields.get(f"c{column}", f"#{column}") for column in range(columns))


# Task, columns in train.tsv, those of text a, text b and label; columns in test.tsv, those of the texts; a label.
LAYOUTS = [
    ("SST-2", 2, (0, None, 1), 2, (1, None), "1"),
    ("MRPC", 5, (3, 4, 0), 5, (3, 4), "0"),
    ("QQP", 6, (3, 4, 5), 3, (1, 2), "1"),
    ("QNLI", 4, (1, 2, 3), 3, (1, 2), "not_entailment"),
    ("RTE", 4, (1, 2, 3), 3, (1, 2), "entailment"),
    ("WNLI", 4, (1, 2, 3), 3, (1, 2), "0"),
    ("AX", 12, (8, 9, 11), 4, (1, 2), "neutral"),
]


@pytest.mark.parametrize(("name", "width", "train", "test_width", "test", "label"), LAYOUTS)
def test_layouts(
    tmp_path: Path,
    name: str,
    width: int,
    train: tuple[int, int | None, int],
    test_width: int,
    test: tuple[int, int | None],
    label: str,
) -> None:
    """Texts and labels come from the columns of the official readers; test rows have an id and no label."""
    labelled = row(width, **{f"c{train[0]}": "A", f"c{train[1]}": "B", f"c{train[2]}": label})
    for file in ("train.tsv", "dev.tsv"):
        write(tmp_path / file, row(width), labelled)
    write(
        tmp_path / "test.tsv", row(test_width), row(test_width, **{"c0": "7", f"c{test[0]}": "C", f"c{test[1]}": "D"})
    )
    dataset = glue_dataset(find_task(name.lower()), str(tmp_path))
    second = None if train[1] is None else "B"
    assert read(dataset.train) == read(dataset.dev) == [TextExample("A", second, label, "0")]
    assert read(dataset.test[""]) == [TextExample("C", None if test[1] is None else "D", None, "7")]


def test_cola_has_no_header(tmp_path: Path) -> None:
    """The first line of CoLA's training file is an example, that of its test file is not."""
    write(tmp_path / "train.tsv", "gj04|1||First .", "gj04|0|*|Second .")
    write(tmp_path / "test.tsv", "index|sentence", "0|Third .")
    dataset = glue_dataset(find_task("CoLA"), str(tmp_path))
    assert read(dataset.train) == [TextExample("First .", None, "1", "0"), TextExample("Second .", None, "0", "1")]
    assert read(dataset.test[""]) == [TextExample("Third .", None, None, "0")]


def test_stsb_labels_are_numbers(tmp_path: Path) -> None:
    """STS-B is regression: its labels are floats."""
    write(tmp_path / "train.tsv", row(10), row(10, c7="A", c8="B", c9="3.800"))
    dataset = glue_dataset(find_task("STS-B"), str(tmp_path))
    assert dataset.is_regression
    assert read(dataset.train) == [TextExample("A", "B", 3.8, "0")]


@pytest.mark.parametrize("variant", ["matched", "mismatched"])
def test_mnli_variants(tmp_path: Path, variant: str) -> None:
    """`mnli_type` chooses the evaluation and the test file; the label is the last column of either width."""
    write(tmp_path / "train.tsv", row(12), row(12, c8="A", c9="B", c11="neutral"))
    write(tmp_path / f"dev_{variant}.tsv", row(16), row(16, c8="C", c9="D", c15="entailment"))
    write(tmp_path / f"test_{variant}.tsv", row(10), row(10, c0="5", c8="E", c9="F"))
    dataset = glue_dataset(find_task("MNLI", variant), str(tmp_path))
    assert dataset.labels == ("contradiction", "entailment", "neutral")
    assert read(dataset.train) == [TextExample("A", "B", "neutral", "0")]
    assert read(dataset.dev) == [TextExample("C", "D", "entailment", "0")]
    assert read(dataset.test[""]) == [TextExample("E", "F", None, "5")]


def test_xnli_languages(tmp_path: Path) -> None:
    """Training is on the chosen languages, evaluation on the whole file, and each language has a test set."""
    header = row(8)
    for language in ("en", "zh"):
        write(tmp_path / f"multinli/multinli.train.{language}.tsv", "a|b|c", f"{language} A|B|contradictory")
    rows = [row(8, c0="en", c1="neutral", c6="A", c7="B"), row(8, c0="zh", c1="entailment", c6="C", c7="D")]
    for file in ("xnli.dev.tsv", "xnli.test.tsv"):
        write(tmp_path / file, header, *rows)
    dataset = glue_dataset(find_task("XNLI"), str(tmp_path), "zh")
    assert read(dataset.train) == [TextExample("zh A", "B", "contradiction", "0")]
    assert [example.text_a for example in read(dataset.dev)] == ["A", "C"]
    assert read(dataset.test["zh"]) == [TextExample("C", "D", "entailment", "1")]
    assert list(dataset.test) == list(find_task("XNLI").languages)
    with pytest.raises(InputError, match="no language `xx`"):
        glue_dataset(find_task("XNLI"), str(tmp_path), "xx")


def test_pawsx_languages(tmp_path: Path) -> None:
    """English trains on the original file, the others on translations; evaluation joins all seven languages."""
    languages = find_task("PAWS-X").languages
    for language in languages:
        for file in ("train.tsv", "translated_train.tsv", "dev_2k.tsv", "test_2k.tsv"):
            write(tmp_path / language / file, "id|a|b|label", f"1|{language} {file}|B|1")
    everything = glue_dataset(find_task("PAWS-X"), str(tmp_path), "all")
    expected = [f"{language} {'train' if language == 'en' else 'translated_train'}.tsv" for language in languages]
    assert [example.text_a for example in read(everything.train)] == expected
    assert [example.text_a for example in read(everything.dev)] == [f"{language} dev_2k.tsv" for language in languages]
    assert [example.text_a for example in read(everything.test["ko"])] == ["ko test_2k.tsv"]


def test_qqp_short_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """QQP's broken rows are left out and counted."""
    write(tmp_path / "train.tsv", row(6), row(6, c5="1"), "1|2|3", row(6, c5="0"))
    with caplog.at_level(logging.WARNING):
        examples = read(glue_dataset(find_task("QQP"), str(tmp_path)).train)
    assert [example.label for example in examples] == ["1", "0"]
    assert "1 rows with fewer than 6 columns" in caplog.text


def test_pairs_without_agreement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pairs labelled `-`, on which the annotators did not agree, are left out and counted."""
    write(tmp_path / "train.tsv", row(12), row(12, c11="-"), row(12, c11="neutral"))
    with caplog.at_level(logging.WARNING):
        examples = read(glue_dataset(find_task("MNLI"), str(tmp_path)).train)
    assert [example.label for example in examples] == ["neutral"]
    assert "1 rows with the label `-`" in caplog.text


def mrpc(folder: Path, *rows: str) -> list[TextExample]:
    """The training examples of an MRPC file with these rows under a header."""
    write(folder / "train.tsv", row(5), *rows)
    return read(glue_dataset(find_task("MRPC"), str(folder)).train)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((row(5, c0="1"), row(4, c0="1")), "line 3 has 4 columns, expected 5"),
        ((row(6, c0="1"),), "line 2 has 6 columns, expected 5"),
        ((row(5, c0="1"), row(5, c0="2")), "line 3: unknown label `2`, expected one of `0`, `1`"),
        ((), "holds no examples"),
    ],
)
def test_wrong_rows(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    """Rows that do not fit are errors with file and line."""
    with pytest.raises(InputError, match=message) as caught:
        mrpc(tmp_path, *rows)
    assert str(tmp_path / "train.tsv") in caught.value.message


def test_wrong_file(tmp_path: Path) -> None:
    """A file with too few columns for the task is an error at its first line."""
    write(tmp_path / "train.tsv", "a|b", "1|2")
    with pytest.raises(InputError, match="line 1 has 2 columns, expected at least 5"):
        read(glue_dataset(find_task("MRPC"), str(tmp_path)).train)


@pytest.mark.parametrize("label", ["high", "", "nan", "inf"])
def test_regression_labels_must_be_numbers(tmp_path: Path, label: str) -> None:
    """What is not a finite number is no label of regression."""
    write(tmp_path / "train.tsv", row(10), row(10, c9=label))
    with pytest.raises(InputError, match=r"line 2: the label `.*` is not a number"):
        read(glue_dataset(find_task("STS-B"), str(tmp_path)).train)


def test_unknown_task() -> None:
    """A task that is not in the table is an error that lists those that are."""
    with pytest.raises(InputError, match="MRPC"):
        find_task("MRCP")


def test_flags_know_every_task() -> None:
    """The flags offer just the tasks of the table."""
    assert sorted(TASK_NAMES) == sorted(data.TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}{task.variant}")
def test_table_is_sound(task: Task) -> None:
    """Every row can be found by its name, and its training and evaluation files have labels."""
    assert find_task(task.name, task.variant or "matched") is task
    assert task.train.label is not None
    assert (task.dev or task.train).label is not None


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("MRPC", (3668, 408, 1725)),
        ("CoLA", (8551, 1043, 1063)),
        ("RTE", (2490, 277, 3000)),
        ("STS-B", (5749, 1500, 1379)),
    ],
)
def test_real_files(shared: Path, name: str, sizes: tuple[int, int, int]) -> None:
    """Every row of the real files is read."""
    dataset = glue_dataset(find_task(name), str(shared / "data/glue" / name))
    assert (len(read(dataset.train)), len(read(dataset.dev)), len(read(dataset.test[""]))) == sizes
