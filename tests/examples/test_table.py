# SPDX-License-Identifier: Apache-2.0
"""Data of one's own."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.examples.table import ColumnNames, table_dataset
from jaxbert.examples.text_examples import LabelKind, Split, TextExample
from tests.examples.arrow_files import write_parquet

NAMES = ColumnNames("review", label="stars", id="key")


def read(split: Split | None) -> list[TextExample]:
    """All examples of a set."""
    assert split is not None
    return list(split())


FILES = {
    "tsv": 'key\tstars\treview\nx\tgood\tI "like it\ny\tbad\tNo\n',
    "csv": 'key,stars,review\nx,good,"I ""like it"\ny,bad,No\n',
    "jsonl": '{"review": "I \\"like it", "stars": "good", "key": "x"}\n{"key": "y", "stars": "bad", "review": "No"}\n',
}


@pytest.mark.parametrize("ending", FILES)
def test_formats(tmp_path: Path, ending: str) -> None:
    """The same table in three formats gives the same examples and the same labels, sorted."""
    path = tmp_path / f"reviews.{ending}"
    path.write_text(FILES[ending])
    dataset = table_dataset(str(path), "", "", NAMES)
    assert dataset.name == f"reviews.{ending}"
    assert dataset.labels == ("bad", "good")
    assert read(dataset.train) == [TextExample('I "like it', None, "good", "x"), TextExample("No", None, "bad", "y")]
    assert dataset.dev is None
    assert not dataset.test


def test_columns_by_number(tmp_path: Path) -> None:
    """Columns given by number mean a file without header; -1 is the last column."""
    path = tmp_path / "pairs.tsv"
    path.write_text("one\ttwo\t1\nthree\tfour\t0\n")
    dataset = table_dataset(str(path), str(path), "", ColumnNames("0", "1", "-1"))
    assert read(dataset.dev) == [TextExample("one", "two", "1", "0"), TextExample("three", "four", "0", "1")]


def test_given_labels_keep_their_order(tmp_path: Path) -> None:
    """Labels named by the user keep their order, and others are errors."""
    path = tmp_path / "reviews.tsv"
    path.write_text(FILES["tsv"])
    assert table_dataset(str(path), "", "", NAMES, ("good", "bad")).labels == ("good", "bad")
    with pytest.raises(InputError, match="line 3: unknown label `bad`"):
        read(table_dataset(str(path), "", "", NAMES, ("good", "worse")).train)


def test_numbers_as_labels(tmp_path: Path) -> None:
    """JSON numbers are class names as written, and numbers for regression."""
    path = tmp_path / "reviews.jsonl"
    path.write_text('{"review": "a", "stars": 10}\n{"review": "b", "stars": 2.5}\n')
    names = ColumnNames("review", label="stars")
    assert table_dataset(str(path), "", "", names).labels == ("10", "2.5")
    regression = table_dataset(str(path), "", "", names, kind="regression")
    assert regression.is_regression
    assert [example.label for example in read(regression.train)] == [10.0, 2.5]


def test_test_file_needs_no_label(tmp_path: Path) -> None:
    """A test file without the label column is read; with it, labels are kept."""
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    train.write_text(FILES["tsv"])
    test.write_text("review\tkey\nHm\tz\n")
    assert read(table_dataset(str(train), "", str(test), NAMES).test[""]) == [TextExample("Hm", None, None, "z")]
    test.write_text(FILES["tsv"])
    assert read(table_dataset(str(train), "", str(test), NAMES).test[""])[0].label == "good"


def test_unknown_column(tmp_path: Path) -> None:
    """A column that does not exist is an error that lists those that do."""
    path = tmp_path / "reviews.csv"
    path.write_text(FILES["csv"])
    dataset = table_dataset(str(path), "", "", ColumnNames("text", label="stars"))
    with pytest.raises(InputError, match=r"no column `text`.*`key`, `stars`, `review`"):
        read(dataset.train)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"stars": "1"}', "line 2 has no key `review`; it has `stars`"),
        ('{"stars": "1", "review": ["a"]}', "line 2: expected text or a number at `review`"),
    ],
)
def test_json_without_text(tmp_path: Path, row: str, problem: str) -> None:
    """A JSON row that lacks a field, or has no text there, is an error with its line."""
    path = tmp_path / "reviews.jsonl"
    path.write_text('{"stars": "1", "review": "a"}\n' + row)
    with pytest.raises(InputError, match=problem):
        read(table_dataset(str(path), "", "", ColumnNames("review", label="stars")).train)


def test_a_text_that_is_missing_is_empty_in_every_format(tmp_path: Path) -> None:
    """As an empty field of CSV is; null in JSON lines and in Parquet are the same example."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.csv").write_text("stars,review\n1,a\n2,\n")
    (tmp_path / "a.jsonl").write_text('{"stars": "1", "review": "a"}\n{"stars": "2", "review": null}\n')
    parquet.write_table(pyarrow.table({"stars": ["1", "2"], "review": ["a", None]}), tmp_path / "a.parquet")
    names = ColumnNames("review", label="stars")
    found = [
        read(table_dataset(str(tmp_path / f"a.{end}"), "", "", names).train) for end in ("csv", "jsonl", "parquet")
    ]
    assert [example.text_a for example in found[0]] == ["a", ""]
    assert found[0] == found[1] == found[2]


def test_labels_must_be_known(tmp_path: Path) -> None:
    """Without a training file the class names must be given."""
    path = tmp_path / "reviews.tsv"
    path.write_text(FILES["tsv"])
    with pytest.raises(InputError, match="class names are not known"):
        table_dataset("", str(path), "", NAMES)


def test_a_parquet_file_is_a_table_like_any_other(tmp_path: Path) -> None:
    """The same table as Parquet gives the same examples; labels may be numbers, and lists where there are several."""
    path = tmp_path / "reviews.parquet"
    columns = {"key": ["x", "y"], "stars": ["good", "bad"], "review": ['I "like it', "No"]}
    write_parquet(path, columns)
    (tmp_path / "reviews.tsv").write_text(FILES["tsv"])
    dataset = table_dataset(str(path), "", str(path), NAMES)
    text = table_dataset(str(tmp_path / "reviews.tsv"), "", "", NAMES)
    assert (dataset.labels, read(dataset.train)) == (text.labels, read(text.train))
    unlabelled = write_parquet(tmp_path / "test.parquet", {"review": ["Hm"], "key": ["z"]})
    assert read(table_dataset(str(path), "", unlabelled, NAMES).test[""]) == [TextExample("Hm", None, None, "z")]
    write_parquet(path, {"stars": [2.5, 1], "review": ["a", "b"]})
    names = ColumnNames("review", label="stars")
    assert [example.label for example in read(table_dataset(str(path), "", "", names, kind="regression").train)] == [
        2.5,
        1,
    ]
    write_parquet(path, {"stars": [["x", "y"], []], "review": ["a", "b"]})
    several = table_dataset(str(path), "", "", names, kind="multi_label")
    assert (several.labels, [example.label for example in read(several.train)]) == (("x", "y"), [("x", "y"), ()])


def test_classes_that_the_file_names_keep_their_order(tmp_path: Path) -> None:
    """A Parquet file that names its classes decides their order, also of those that it does not hold."""
    path = tmp_path / "a.parquet"
    write_parquet(path, {"review": ["a", "b"], "stars": [2, 0]}, {"stars": ["good", "fair", "bad"]})
    dataset = table_dataset(str(path), "", "", ColumnNames("review", label="stars"))
    assert dataset.labels == ("good", "fair", "bad")
    assert [example.label for example in read(dataset.train)] == ["bad", "good"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_a_label_that_is_missing(name: str, tmp_path: Path) -> None:
    """An empty label is none in a test file, and refused with its place elsewhere."""
    path = str(tmp_path / name)
    Path(path).write_text(
        '{"review": "a", "stars": "x"}\n{"review": "b", "stars": null}\n'
        if name.endswith("jsonl")
        else "review,stars\na,x\nb,\n".replace(",", "," if name.endswith("csv") else "\t")
    )
    if name.endswith("parquet"):
        write_parquet(Path(path), {"review": ["a", "b"], "stars": [0, -1]}, {"stars": ["x"]})
    dataset = table_dataset(path, path, path, ColumnNames("review", label="stars"))
    assert [example.label for example in read(dataset.test[""])] == ["x", None]
    for split in (dataset.train, dataset.dev):
        with pytest.raises(InputError, match=r"(line 3|line 2|row 2): the label is empty"):
            read(split)


def labelled(folder: Path, labels: list[str], header: str = "text\tlabel") -> str:
    """A file with these labels."""
    path = folder / "labelled.tsv"
    path.write_text("\n".join([header] * bool(header) + [f"words\t{label}" for label in labels]) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("labels", "message", "hint"),
    [
        (
            ["yes", "no", "Yes", "no"],
            r"labels `yes` \(1 times\) and `Yes` \(1 times\) differ only in",
            "--labels=Yes,no,yes",
        ),
        (["yes", "no", "no "], r"labels `no` \(1 times\) and `no ` \(1 times\)", "alike"),
        (
            [*["yes", "no"] * 10, "<br>"],
            "`<br>` is seen once as a label, all others at least 10 times",
            "--labels=<br>,no,yes",
        ),
        (["stars", *["yes", "no"] * 10], "`stars` is seen once as a label", "remove the row"),
        ([str(number) for number in range(100)], "holds 100 different numbers", "give `--regression`"),
        ([f"{number}.5" for number in range(20)], "holds 20 different numbers", "give `--regression`"),
        ([f"class {number}" for number in range(10_001)], "holds more than 10,000 different labels", "another column"),
        ([""] * 3, "the label column `label` is empty", "another column"),
        (["a", "b", "b|a"], r"has labels such as `b\|a`, which looks like several", "give `--multi_label`"),
    ],
)
def test_labels_that_look_like_something_else(labels: list[str], message: str, hint: str, tmp_path: Path) -> None:
    """What are hardly classes is asked back, with what to do."""
    names = ColumnNames("text", label="label")
    with pytest.raises(InputError, match=message) as caught:
        table_dataset(labelled(tmp_path, labels), "", "", names)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "labels",
    [
        ["yes", "no", "maybe"],
        [*["yes", "no"] * 10, "rare", *["few"] * 3],
        [str(number) for number in range(99)],
        ["0.5", "1.0", "1.5"],
        ["un", "deux", "-", "_"],
        ["a", "b|c", "d|e", "|"],
    ],
)
def test_labels_of_small_and_odd_sets(labels: list[str], tmp_path: Path) -> None:
    """Classes with one example in a small set, or where others are rare too, ranks and marks are classes."""
    dataset = table_dataset(labelled(tmp_path, labels), "", "", ColumnNames("text", label="label"))
    assert dataset.labels == tuple(sorted(set(labels)))


@given(labels=st.lists(st.sampled_from(["yes", "Yes", "no", "1", "2.5", "rare"]), min_size=1, max_size=30))
def test_what_labels_says_is_taken(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    """Whatever the labels are, all of them given are the classes, and the hint of a refusal works."""
    path = labelled(tmp_path_factory.getbasetemp(), labels)
    names = ColumnNames("text", label="label")
    try:
        given_labels = table_dataset(path, "", "", names).labels
    except InputError as error:
        given_labels = tuple(error.hint.partition("`--labels=")[2].rstrip("`").split(","))
    assert sorted(given_labels) == sorted(set(labels))
    assert [example.label for example in read(table_dataset(path, "", "", names, given_labels).train)] == labels


def test_the_hint_is_for_the_command(tmp_path: Path) -> None:
    """The flag for regression is that of the command that runs."""
    path = labelled(tmp_path, [str(number) for number in range(100)])
    flag = "--fine_tuning_task_type={}"
    with pytest.raises(InputError) as caught:
        table_dataset(path, "", "", ColumnNames("text", label="label"), kind_flag=flag)
    assert "`--fine_tuning_task_type=regression`" in caught.value.hint


@pytest.mark.parametrize("kind", ["classification", "multi_label"])
def test_a_label_nearly_known(kind: LabelKind, tmp_path: Path) -> None:
    """A label that differs from a known one in blanks or case says so."""
    path = labelled(tmp_path, ["yes", "Yes" if kind == "multi_label" else "Yes "])
    dataset = table_dataset(path, "", "", ColumnNames("text", label="label"), ("no", "yes"), kind)
    with pytest.raises(InputError, match=r"line 3: the label `Yes ?` differs from `yes` only in blanks or case"):
        read(dataset.train)


def test_classes_of_a_model_in_another_spelling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels to evaluate on get the names that the model has for them; those of a test file are not read."""
    path = labelled(tmp_path, ["2", "0", "2"])
    names = ColumnNames("text", label="label")
    dataset = table_dataset("", path, path, names, classes=("LABEL_0", "LABEL_1", "LABEL_2"))
    assert [example.label for example in read(dataset.dev)] == ["LABEL_2", "LABEL_0", "LABEL_2"]
    assert [example.label for example in read(dataset.test[""])] == [None] * 3
    assert "by their numbers: LABEL_0, LABEL_2 of the model are 0, 2 of the data" in capsys.readouterr().err
    dataset = table_dataset("", path, "", names, classes=("bad", "fair", "good"))
    with pytest.raises(InputError, match="line 2: unknown label `2`, expected one of `bad`"):
        read(dataset.dev)


def test_classes_of_a_model_are_counted_as_in_training(tmp_path: Path) -> None:
    """By number the order counts that training would take: that of a file which names its classes, or else sorted."""
    path = tmp_path / "a.parquet"
    write_parquet(path, {"text": ["a", "b"], "label": [0, 1]}, {"label": ["yes", "no"]})
    (tmp_path / "a.csv").write_text("text,label\na,yes\nb,no\n")
    names = ColumnNames("text", label="label")
    for file, found in ((path, ["LABEL_0", "LABEL_1"]), (tmp_path / "a.csv", ["LABEL_1", "LABEL_0"])):
        dataset = table_dataset("", str(file), "", names, classes=("LABEL_0", "LABEL_1"))
        assert [example.label for example in read(dataset.dev)] == found


def test_columns_of_a_model_in_another_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that is called as a class is that of the class, whatever the order; of other names it is the order."""
    path = tmp_path / "a.csv"
    path.write_text("text,Red,blue\nx,1,0\ny,1,1\n")
    for flags, classes, found in (
        (("blue", "Red"), ("red", "blue"), [("red",), ("red", "blue")]),
        (("blue", "Red"), ("a", "b"), [("b",), ("a", "b")]),
    ):
        dataset = table_dataset("", str(path), "", ColumnNames("text", flags=flags), (), "multi_label", "", classes)
        assert [example.label for example in read(dataset.dev)] == found
    assert "the columns blue, Red are, in this order, the classes a, b of the model" in capsys.readouterr().err
    names = ColumnNames("text", flags=("Red", "blue"))
    with pytest.raises(InputError, match=r"has the classes red, green, the columns of labels are Red, blue"):
        table_dataset("", str(path), "", names, (), "multi_label", "", ("red", "green"))


def test_labels_that_no_flag_can_give(tmp_path: Path) -> None:
    """A label with a comma, which `--labels` cannot give, may be rare."""
    path = labelled(tmp_path, ["New York, NY", *["Paris", "Rome"] * 10])
    names = ColumnNames("text", label="label")
    assert table_dataset(path, "", "", names).labels == ("New York, NY", "Paris", "Rome")
    with pytest.raises(InputError, match="differ only in") as caught:
        table_dataset(labelled(tmp_path, ["New York, NY", "new york, NY"]), "", "", names)
    assert caught.value.hint == "write them alike in the file"


def test_a_header_where_there_should_be_none(tmp_path: Path) -> None:
    """A first line of names is not read as an example, with a label or without."""
    path = labelled(tmp_path, ["yes", "no"])
    with pytest.raises(InputError, match="the first line is no example, it names the columns `text`, `label`"):
        table_dataset(path, "", "", ColumnNames("0", label="1"))
    with pytest.raises(InputError, match="the first line is no example"):
        read(table_dataset("", "", path, ColumnNames("0"), ("x",)).test[""])
    for labels in (["Quality", "1", "0"], ["Quality", "yes", "no", "yes", "no"]):
        path = labelled(tmp_path, labels, header="")
        with pytest.raises(
            InputError, match="the first line has the label `Quality`, which no other line has"
        ) as caught:
            table_dataset(path, "", "", ColumnNames("0", label="1"))
        assert f"`--labels={','.join(sorted(set(labels)))}`" in caught.value.hint
    path = labelled(tmp_path, ["yes", "no"], header="")
    assert table_dataset(path, "", "", ColumnNames("0", label="1")).labels == ("no", "yes")


def test_a_name_that_two_columns_have(tmp_path: Path) -> None:
    """Which of two columns is meant is not guessed."""
    path = tmp_path / "a.csv"
    path.write_text("text,label,text\na,x,b\n")
    dataset = table_dataset(str(path), "", "", ColumnNames("text", label="label"), ("x",))
    with pytest.raises(InputError, match="has several columns `text`"):
        read(dataset.train)


def test_separators_and_quotes_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV file with semicolons, one with tabs, and a TSV file of a spreadsheet give their cells, and say so once."""
    names = ColumnNames("text", label="label")
    for name, text, said in (
        ("a.csv", 'text;label\n"1,5 ""m""";x\nb;y\n', "is separated by semicolons"),
        ("b.csv", 'text\tlabel\n"1,5 ""m"""\tx\nb\ty\n', "is separated by tabs"),
        ("c.tsv", 'text\tlabel\n"1,5 ""m"""\tx\nb\ty\n', "has quotes as spreadsheets write them"),
    ):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-16"))
        dataset = table_dataset(str(path), str(path), "", names)
        assert dataset.labels == ("x", "y")
        assert [example.text_a for example in read(dataset.train)] == ['1,5 "m"', "b"]
        err = capsys.readouterr().err
        assert err.count(said) == err.count("UTF-16") == 1
