# SPDX-License-Identifier: Apache-2.0
"""What `datasets`, pandas and polars write is read as they read it themselves."""

from pathlib import Path
from typing import Any

import pytest

from jaxbert.examples.arrow import open_arrow
from jaxbert.examples.corpus import read_documents, shards, text_files
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.squad import Answer, read_squad

pytestmark = pytest.mark.interop

TEXTS = ["Fine", "größer", "", 'a "b"\n\tc'] * 300


@pytest.fixture
def datasets() -> Any:
    """The library, without progress bars."""
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    return library


def rows(path: str, *columns: str) -> list[list[Any]]:
    """The values of all rows."""
    return [row for _, row in open_arrow(path, "train").rows(columns)]


def test_datasets(datasets: Any, tmp_path: Path) -> None:
    """A folder of `save_to_disk`, its shards, Parquet files and a choice of rows give what the library gives."""
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "several": datasets.Sequence(datasets.ClassLabel(names=["x", "y"])),
        }
    )
    content = {"text": TEXTS, "label": [-1, 0, 1] * 400, "several": [[0, 1], [], [1]] * 400}
    whole = datasets.Dataset.from_dict(content, features=features).shuffle(seed=1)

    def named(row: dict[str, Any]) -> list[Any]:
        label = None if row["label"] == -1 else features["label"].int2str(row["label"])
        return [row["text"], label, [features["several"].feature.int2str(one) for one in row["several"]]]

    expected = [named(row) for row in whole]
    whole.save_to_disk(tmp_path / "one", num_shards=3)
    datasets.DatasetDict(train=whole, test=whole.select([0])).save_to_disk(tmp_path / "both")
    (tmp_path / "hub").mkdir()
    for number in range(2):
        whole.shard(2, number, contiguous=True).to_parquet(tmp_path / f"hub/train-0000{number}-of-00002.parquet")
    for name in ("one", "both", "hub"):
        assert rows(str(tmp_path / name), "text", "label", "several") == expected


def test_a_task_of_datasets(datasets: Any, tmp_path: Path) -> None:
    """MultiNLI with its published features, whose classes have another order than ours."""
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["entailment", "neutral", "contradiction"]),
            "idx": datasets.Value("int32"),
        }
    )
    content = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, 1, 2], "idx": [0, 1, 2]}
    train = datasets.Dataset.from_dict(content, features=features)
    test = datasets.Dataset.from_dict({**content, "label": [-1] * 3}, features=features)
    splits = datasets.DatasetDict(train=train, validation_matched=train, test_matched=test)
    splits.save_to_disk(tmp_path / "mnli")
    dataset = glue_dataset(find_task("MNLI"), str(tmp_path / "mnli"))
    assert dataset.train is not None
    assert [one.label for one in dataset.train()] == ["entailment", "neutral", "contradiction"]
    assert [(one.label, one.id) for one in dataset.test[""]()] == [(None, "0"), (None, "1"), (None, "2")]


def test_squad_of_datasets(datasets: Any, tmp_path: Path) -> None:
    """Questions with the published features, as Parquet and from `save_to_disk`."""
    answers = datasets.Sequence({"text": datasets.Value("string"), "answer_start": datasets.Value("int32")})
    texts = {name: datasets.Value("string") for name in ("id", "title", "context", "question")}
    content = {name: ["1", "2"] for name in texts} | {"context": ["a b", "a b"]}
    content["answers"] = [{"text": ["a", "b"], "answer_start": [0, 2]}, {"text": [], "answer_start": []}]
    dataset = datasets.Dataset.from_dict(content, features=datasets.Features({**texts, "answers": answers}))
    dataset.to_parquet(tmp_path / "squad.parquet")
    dataset.save_to_disk(tmp_path / "squad")
    for name in ("squad.parquet", "squad"):
        (paragraph,) = read_squad(str(tmp_path / name))
        assert [question.answers for question in paragraph.questions] == [(Answer("a", 0), Answer("b", 2)), ()]
        assert [question.is_impossible for question in paragraph.questions] == [False, True]


def test_text_to_pretrain_on(datasets: Any, tmp_path: Path) -> None:
    """Wikipedia's columns from `datasets`, pandas and polars are the documents of the JSON lines `datasets` writes."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {name: [f"{name}. {text} End." for text in TEXTS] for name in ("id", "url", "title", "text")}
    whole = datasets.Dataset.from_dict(columns)
    whole.to_json(tmp_path / "lines")
    whole.to_parquet(tmp_path / "datasets.parquet", batch_size=100)
    whole.save_to_disk(tmp_path / "saved", num_shards=3)
    datasets.DatasetDict(train=whole, test=whole.select([0])).save_to_disk(tmp_path / "both")
    pandas.DataFrame(columns).to_parquet(tmp_path / "pandas.parquet")
    polars.DataFrame(columns).write_parquet(tmp_path / "polars.parquet")
    polars.DataFrame(columns).write_ipc(tmp_path / "polars.arrow", compression="zstd")
    names = ("lines", "datasets.parquet", "saved", "both", "pandas.parquet", "polars.parquet", "polars.arrow")
    for size in (1000, 1 << 40):
        found = {}
        for name in names:
            cut = shards(text_files([str(tmp_path / name)]), size)
            found[name] = [document for shard in cut for document in read_documents(shard)[0]]
        assert len(found["lines"]) == len(TEXTS)
        assert all(documents == found["lines"] for documents in found.values())


def test_pandas(tmp_path: Path) -> None:
    """Text as large_string, categories and missing numbers."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "label": pandas.Categorical(["x", "y"] * 600), "score": [2.5, None] * 600})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_feather(tmp_path / "a.arrow")
    expected = [list(row) for row in zip(TEXTS, ["x", "y"] * 600, [2.5, None] * 600, strict=True)]
    for name in ("a.parquet", "a.arrow"):
        assert rows(str(tmp_path / name), "text", "label", "score") == expected


def test_polars(tmp_path: Path) -> None:
    """Text as large_string or string_view, categories and enumerations, in Parquet, files and streams, compressed."""
    polars = pytest.importorskip("polars")
    labels = ["x", "y"] * 600
    frame = polars.DataFrame(
        {
            "text": TEXTS,
            "category": polars.Series(labels, dtype=polars.Categorical),
            "choice": polars.Series(labels, dtype=polars.Enum(["y", "x"])),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=100)
    frame.write_ipc(tmp_path / "a.arrow", compression="zstd")
    frame.write_ipc_stream(tmp_path / "b.arrow")
    expected = [list(row) for row in zip(TEXTS, labels, labels, strict=True)]
    for name in ("a.parquet", "a.arrow", "b.arrow"):
        assert rows(str(tmp_path / name), "text", "category", "choice") == expected
