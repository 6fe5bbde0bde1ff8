# SPDX-License-Identifier: Apache-2.0
"""SQuAD's records: made from paragraphs, and checked before the first is used."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets import squad
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.squad import SquadRecipe, WindowRecords, write_squad_records
from jaxbert.errors import InputError
from jaxbert.examples.squad import Answer, Paragraph, Question, read_squad
from jaxbert.features.counts import TextCounts
from jaxbert.features.squad import Skipped, WindowSettings
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.example import decode, encode
from jaxbert.tfrecord.files import TFRecords, write_records
from jaxbert.tfrecord.metadata import SquadMetaData
from jaxbert.tfrecord.schema import squad_schema


@pytest.fixture
def recipe(tmp_path: Path) -> SquadRecipe:
    """A vocabulary of three words, 10 tokens a record."""
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n")
    return SquadRecipe(str(tmp_path / "vocab.txt"), Rules(), WindowSettings(10, 3, 2))


def ignore(count: int) -> None:
    """Progress that nobody watches."""


def paragraphs(count: int) -> Iterator[Paragraph]:
    """Paragraphs of different lengths, two questions each; every fifth has an answer that is not there."""
    for number in range(count):
        context = " ".join("abc"[number // k % 3] for k in range(1, 3 + number % 11))
        wrong = Answer("zzz" if number % 5 == 0 else context[2], 2)
        yield Paragraph(
            context, (Question(f"{number}a", "a b c", (Answer(context[0], 0),)), Question(f"{number}b", "c", (wrong,)))
        )


def load(path: Path, length: int, *, has_answers: bool = True) -> dict[str, np.ndarray]:
    """All arrays of a record file."""
    records = TFRecords([str(path)])
    schema = squad_schema(length)[: None if has_answers else 4]
    return decode(records.read(np.arange(len(records))), schema, records.locate)


def test_counts(tmp_path: Path, recipe: SquadRecipe) -> None:
    """Questions that are cut are counted, and tokens of questions as cut and of each context once, in any process."""
    asked = (Question("0", "a b c", (Answer("x", 2),)), Question("1", "c", (Answer("a", 0),)))
    texts = [Paragraph("a x c a", asked), Paragraph("b", (Question("2", "x y z", (Answer("b", 0),)),))]
    written = write_squad_records(str(tmp_path / "records"), iter(texts), recipe, 1, ignore)
    assert written.texts == TextCounts(texts=3, cut=2, tokens=4 + 1 + 2 + 1 + 2, unknown=1 + 2)
    assert [line.partition(": ")[2] for line in written.texts.notes("dev.json", 2, "questions")] == [
        "`dev.json`: 2 of 3 questions are longer than 2 tokens and are cut",
        "`dev.json`: 30.0% of the tokens are [UNK]: do vocabulary and `--do_lower_case` fit the text?",
    ]


def test_record(tmp_path: Path, recipe: SquadRecipe) -> None:
    """Two windows of one question: ids, mask, segments, answer, and numbers that count on."""
    question = Question("q", "c", (Answer("b", 2),))
    one = Paragraph("a b c a b c a b", (question,))
    told: list[int] = []
    written = write_squad_records(str(tmp_path / "records"), iter([one]), recipe, 1, told.append)
    assert (written.questions, written.records, written.skipped, told) == (1, 2, (), [1])
    assert {name: array.tolist() for name, array in load(tmp_path / "records", 10).items()} == {
        "unique_ids": [1_000_000_000, 1_000_000_001],
        "input_ids": [[2, 7, 3, 5, 6, 7, 5, 6, 7, 3], [2, 7, 3, 5, 6, 7, 5, 6, 3, 0]],
        "input_mask": [[1] * 10, [1] * 9 + [0]],
        "segment_ids": [[0] * 3 + [1] * 7, [0] * 3 + [1] * 6 + [0]],
        "start_positions": [4, 0],
        "end_positions": [4, 0],
        "is_impossible": [0, 0],
    }


def test_workers_do_not_change_bytes(tmp_path: Path, recipe: SquadRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers write the file that one process writes, and leave out the same questions."""
    monkeypatch.setattr(squad, "_CHUNK", 7)
    monkeypatch.setattr(squad, "_WORTH_WORKERS", 20)
    one, two = (
        write_squad_records(str(tmp_path / f"{workers}"), paragraphs(60), recipe, workers, ignore) for workers in (1, 2)
    )
    assert one == two
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert one.questions == 120
    assert [skipped.id for skipped in one.skipped] == [f"{number}b" for number in range(0, 60, 5)]
    ids = load(tmp_path / "2", 10)["unique_ids"]
    assert ids.tolist() == list(range(1_000_000_000, 1_000_000_000 + one.records))


def test_strict(tmp_path: Path, recipe: SquadRecipe) -> None:
    """An answer that is not there ends the work when asked for, and leaves no file."""
    with pytest.raises(InputError, match="question `0b` has the answer `zzz`"):
        write_squad_records(str(tmp_path / "records"), paragraphs(2), recipe, 1, ignore, strict=True)
    assert not (tmp_path / "records").exists()


def test_nothing_to_write(tmp_path: Path, recipe: SquadRecipe) -> None:
    """A test set has no answers to learn: said with a message, and no file."""
    sets = iter([Paragraph("a", (Question("q", "a"),))])
    with pytest.raises(InputError, match=r"of 1 questions none has an answer .*: question `q` has no answer"):
        write_squad_records(str(tmp_path / "records"), sets, recipe, 1, ignore)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
def test_official_records(shared: Path, tmp_path: Path, version: str) -> None:
    """Values and number of records of the official scripts; 2.20 marks windows without the answer too."""
    meta = SquadMetaData.read(str(shared / f"official/data/official-2.3/squad_{version}_meta_data"))
    recipe = SquadRecipe(str(shared / "official/inputs/vocab.txt"), Rules(), meta.settings)
    source = read_squad(str(shared / f"official/inputs/squad/train-{version}.json"))
    written = write_squad_records(str(tmp_path / "records"), source, recipe, 1, ignore)
    assert written.records == meta.train_data_size
    assert not [skipped for skipped in written.skipped if not isinstance(skipped, Skipped)]
    ours = load(tmp_path / "records", 64)
    for release in ("2.3", "2.20"):
        theirs = load(shared / f"official/data/official-{release}/squad_{version}_train.tf_record", 64)
        if release == "2.20":
            assert (theirs.pop("is_impossible") >= ours["is_impossible"]).all()
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours[name], values)


def test_official_prediction_records(shared: Path) -> None:
    """The records that an official prediction leaves in its folder are read, without answers."""
    path = shared / "official/runs/squadv1.1-2.3-mirrored/eval.tf_record"
    assert load(path, 64, has_answers=False)["unique_ids"][0] == 1_000_000_000


BOUNDS = Bounds(10, 2, 8)


def features() -> dict[str, np.ndarray]:
    """Three good windows of 8 positions, the last of them with 5 tokens."""
    mask = np.ones((3, 8), np.int64)
    mask[2, 5:] = 0
    return {
        "unique_ids": np.arange(3),
        "input_ids": np.full((3, 8), 7),
        "input_mask": mask,
        "segment_ids": np.ones((3, 8), np.int64),
        "start_positions": np.array([0, 3, 4]),
        "end_positions": np.array([0, 7, 4]),
        "is_impossible": np.array([1, 0, 0]),
    }


def written(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """The path of a record file with these features."""
    write_records(str(path), encode(arrays, squad_schema(8)))
    return str(path)


def test_reading(tmp_path: Path) -> None:
    """Records come by number, from all files as one list; lengths are counts of real tokens."""
    paths = [written(tmp_path / name, features()) for name in ("a", "b")]
    records = WindowRecords(paths, 8, BOUNDS)
    assert records.lengths.tolist() == [8, 8, 5] * 2
    np.testing.assert_array_equal(records.read(np.array([5, 1]))["start_positions"], [4, 3])


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("start_positions", 8, "has `start_positions` outside of its window"),
        ("end_positions", -1, "has `end_positions` outside of its window"),
        ("end_positions", 5, "has `end_positions` outside of its window"),
        ("end_positions", 2, "has an answer that ends before it starts"),
        ("input_ids", 10, "it needs `vocab_size` above 10"),
    ],
)
def test_wrong_records_are_named(name: str, value: int, problem: str, tmp_path: Path) -> None:
    """A position outside of the window, an answer backwards, an id the model does not have: file, record, reason."""
    arrays = features()
    arrays[name][2] = value
    path = written(tmp_path / "records", arrays)
    with pytest.raises(InputError, match="record 2") as error:
        WindowRecords([path], 8, BOUNDS)
    assert path in error.value.message
    assert problem in error.value.message


def test_no_records(tmp_path: Path) -> None:
    """An empty file is an error."""
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="holds no records"):
        WindowRecords([str(tmp_path / "empty")], 8, BOUNDS)


@pytest.mark.parametrize("era", ["official-2.3", "official-2.20"])
@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_official_records_fit(era: str, version: str, shared: Path) -> None:
    """Records of official versions before and after 2.5, which added features, are read and pass every check."""
    data = shared / "official" / "data" / era
    meta = SquadMetaData.read(str(data / f"squad_v{version}_meta_data"))
    paths = [str(data / f"squad_v{version}_train.tf_record")]
    records = WindowRecords(paths, meta.settings.max_seq_length, Bounds(525, 2, 128))
    assert len(records) == meta.train_data_size
