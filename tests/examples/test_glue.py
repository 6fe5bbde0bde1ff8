# SPDX-License-Identifier: Apache-2.0
"""The table of tasks: files, columns and labels of each, and what is wrong with files that do not fit."""

import json
import logging
from pathlib import Path

import pytest

from jaxbert.config import data
from jaxbert.errors import InputError
from jaxbert.examples.glue import TASK_NAMES, TASKS, Task, find_task, glue_dataset
from jaxbert.examples.text_examples import Split, TextExample
from tests.examples.arrow_files import save_to_disk, write_parquet


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
    assert "1 row with fewer than 6 columns" in caplog.text


def test_pairs_without_agreement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pairs labelled `-`, on which the annotators did not agree, are left out and counted."""
    write(tmp_path / "train.tsv", row(12), row(12, c11="-"), row(12, c11="neutral"))
    with caplog.at_level(logging.WARNING):
        examples = read(glue_dataset(find_task("MNLI"), str(tmp_path)).train)
    assert [example.label for example in examples] == ["neutral"]
    assert "1 row with the label `-`" in caplog.text


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


@pytest.mark.parametrize(
    ("name", "file", "header", "data"),
    [
        ("MRPC", "train.tsv", row(5), row(5, c0="1")),
        ("MRPC", "test.tsv", row(5), row(5, c0="0")),
        ("STS-B", "train.tsv", row(10), row(10, c9="3.800")),
        ("MNLI", "train.tsv", row(12), row(12, c11="-")),
        ("XNLI", "xnli.test.tsv", row(8), row(8, c0="en", c1="neutral")),
        ("COLA", "test.tsv", "index|sentence", "17|Fine ."),
    ],
)
def test_an_example_in_place_of_the_header(name: str, file: str, header: str, data: str, tmp_path: Path) -> None:
    """A file without the line of names does not lose its first example: it is refused, and the hint works."""
    task = find_task(name)

    def read_file() -> list[TextExample]:
        dataset = glue_dataset(task, str(tmp_path))
        return read(dataset.train if "train" in file else dataset.test["en" if task.languages else ""])

    write(tmp_path / file, data, data)
    with pytest.raises(InputError, match=f"line 1 is an example, where {name} has the names") as caught:
        read_file()
    assert f"a line of {data.count('|') + 1} names" in caught.value.hint
    if data != row(12, c11="-"):
        write(tmp_path / file, header, data, data)
        assert len(read_file()) == 2


def test_a_header_in_place_of_an_example(tmp_path: Path) -> None:
    """CoLA's file has none: a line of names is refused, and taken away the rest is read."""
    write(tmp_path / "train.tsv", "source|label|mark|sentence", "gj04|1||First .")
    with pytest.raises(InputError, match="line 1: `label` is no label of COLA") as caught:
        read(glue_dataset(find_task("CoLA"), str(tmp_path)).train)
    assert "take it away" in caught.value.hint
    write(tmp_path / "train.tsv", "gj04|1||First .")
    assert len(read(glue_dataset(find_task("CoLA"), str(tmp_path)).train)) == 1


# Task -> columns of the texts, names of the classes in the order of their numbers, as `datasets` has them.
PUBLISHED = {
    "COLA": (["sentence"], ["unacceptable", "acceptable"]),
    "SST-2": (["sentence"], ["negative", "positive"]),
    "MRPC": (["sentence1", "sentence2"], ["not_equivalent", "equivalent"]),
    "QQP": (["question1", "question2"], ["not_duplicate", "duplicate"]),
    "STS-B": (["sentence1", "sentence2"], []),
    "MNLI": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "QNLI": (["question", "sentence"], ["entailment", "not_entailment"]),
    "RTE": (["sentence1", "sentence2"], ["entailment", "not_entailment"]),
    "WNLI": (["sentence1", "sentence2"], ["not_entailment", "entailment"]),
    "AX": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "XNLI": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "PAWS-X": (["sentence1", "sentence2"], ["0", "1"]),
}


def published(task: str, labels: list[float], **others: list[int]) -> dict[str, list[object]]:
    """The columns of a split with one row for each label."""
    texts = {name: [f"{name} {index}" for index in range(len(labels))] for name in PUBLISHED[task][0]}
    return {**texts, "label": labels, **others}


def test_every_task_is_published() -> None:
    """The table above has the tasks that there are."""
    assert set(PUBLISHED) == set(TASK_NAMES)


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - {"XNLI", "PAWS-X", "AX", "STS-B"}))
@pytest.mark.parametrize("layout", ["hub", "saved", "beside others"])
def test_published_tasks(name: str, layout: str, tmp_path: Path) -> None:
    """Each split has texts, classes by their names and no labels in the test set, whose ids are those of the file."""
    task = find_task(name)
    texts, names = PUBLISHED[name]
    validation = "validation_matched" if name == "MNLI" else "validation"
    splits = {
        "train": published(name, [*range(len(names))], idx=[*range(len(names))]),
        validation: published(name, [0], idx=[0]),
        "test_matched" if name == "MNLI" else "test": published(name, [-1, -1], idx=[7, 8]),
    }
    for split, columns in splits.items():
        if layout == "saved":
            save_to_disk(tmp_path / split, [columns], {"label": names})
        else:
            folder = tmp_path / task.published.folder if layout == "beside others" else tmp_path
            write_parquet(folder / f"{split}-00000-of-00001.parquet", columns, {"label": names})
    if layout == "saved":
        (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": [*splits]}))
    elif layout == "beside others":
        write_parquet(tmp_path / "other/train.parquet", {"x": [1]})
    dataset = glue_dataset(task, str(tmp_path))
    second = len(texts) == 2
    expected = names if "entailment" in task.labels.names else ["0", "1"]
    assert read(dataset.train) == [
        TextExample(f"{texts[0]} {index}", f"{texts[1]} {index}" if second else None, label, str(index))
        for index, label in enumerate(expected)
    ]
    assert [example.label for example in read(dataset.dev)] == expected[:1]
    assert [(example.label, example.id) for example in read(dataset.test[""])] == [(None, "7"), (None, "8")]
    assert dataset.labels == task.labels.names


def test_published_numbers_and_test_sets(tmp_path: Path) -> None:
    """STS-B has numbers; the diagnostic set has a test set only."""
    write_parquet(tmp_path / "stsb/train.parquet", published("STS-B", [3.8, 5.0]))
    write_parquet(tmp_path / "stsb/test.parquet", published("STS-B", [-1.0], idx=[0]))
    numbers = glue_dataset(find_task("STS-B"), str(tmp_path / "stsb"))
    assert [example.label for example in read(numbers.train)] == [3.8, 5.0]
    assert [example.label for example in read(numbers.test[""])] == [None]
    write_parquet(tmp_path / "ax/test.parquet", published("AX", [-1], idx=[0]), {"label": PUBLISHED["AX"][1]})
    diagnostic = glue_dataset(find_task("AX"), str(tmp_path / "ax"))
    assert (diagnostic.train, diagnostic.dev, len(read(diagnostic.test[""]))) == (None, None, 1)


def test_published_languages(tmp_path: Path) -> None:
    """Tasks in several languages have a folder for each; test sets have labels; a language that lacks is refused."""
    task = find_task("PAWS-X")
    for language in task.languages:
        for split in ("train", "validation", "test"):
            columns = {"sentence1": [f"{language} {split}"], "sentence2": ["B"], "label": [1]}
            write_parquet(tmp_path / f"{language}/{split}-00000-of-00001.parquet", columns, {"label": ["0", "1"]})
    dataset = glue_dataset(task, str(tmp_path), "de")
    assert read(dataset.train) == [TextExample("de train", "B", "1", "0")]
    assert [example.text_a for example in read(dataset.dev)] == [f"{one} validation" for one in task.languages]
    assert read(dataset.test["ko"]) == [TextExample("ko test", "B", "1", "0")]
    (tmp_path / "ko/validation-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="PAWS-X has no files of the language `ko`"):
        read(glue_dataset(task, str(tmp_path), "de").dev)


def test_published_classes_are_known_by_name_only(tmp_path: Path) -> None:
    """Numbers without names are no classes of inference; names in another order are mapped; no class is refused."""
    task, path = find_task("MNLI"), tmp_path / "train.parquet"
    write_parquet(path, published("MNLI", [0]))
    with pytest.raises(InputError, match="has classes by number and does not name them"):
        read(glue_dataset(task, str(tmp_path)).train)
    write_parquet(path, published("MNLI", [0, -1]), {"label": ["neutral", "entailment", "contradiction"]})
    split = glue_dataset(task, str(tmp_path)).train
    assert split is not None
    examples = split()
    assert next(examples).label == "neutral"
    with pytest.raises(InputError, match=r"train.parquet` row 2: the label is empty"):
        next(examples)


def test_original_files_come_first(tmp_path: Path) -> None:
    """Where there are files of both kinds those that were always read are read."""
    write(tmp_path / "train.tsv", row(5), row(5, c0="1", c3="A", c4="B"))
    write_parquet(tmp_path / "train.parquet", published("MRPC", [0]), {"label": PUBLISHED["MRPC"][1]})
    assert read(glue_dataset(find_task("MRPC"), str(tmp_path)).train) == [TextExample("A", "B", "1", "0")]
