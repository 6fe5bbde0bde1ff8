# SPDX-License-Identifier: Apache-2.0
"""A corpus to record files: workers, interruption, turns, compression, names, wrong input."""

import gzip
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from jaxbert.datasets import pretraining_build
from jaxbert.datasets.pretraining_build import (
    Counts,
    Recipe,
    build,
    prepare,
)
from jaxbert.errors import InputError, Interrupted
from jaxbert.examples.corpus import Format, TextFile
from jaxbert.features.masking import Masking
from jaxbert.features.pretraining import PairRecipe
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.example import decode, parse_example
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import pretraining_schema
from tests.examples.arrow_files import write_parquet

LENGTH = 24


def ignore(*_: object) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Short records of a vocabulary of letters."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]))
    return Recipe(str(tmp_path / "vocab.txt"), Rules(), PairRecipe(LENGTH, 2, 0.1, 5), Masking(0.15, 4))


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """Two files of 40 documents each, about 6 kB together."""
    random = np.random.default_rng(0)
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        documents = []
        for _ in range(40):
            lengths = random.integers(1, 9, random.integers(1, 15)).tolist()
            documents.append("\n".join(" ".join(random.choice(list("abcdefgh"), length)) for length in lengths))
        path.write_text("\n\n".join(documents))
    return [str(path) for path in paths]


def files(corpus: list[str]) -> list[TextFile]:
    """The corpus, a sentence a line."""
    return [TextFile(path, "lines") for path in corpus]


def made(corpus: list[str], recipe: Recipe, outputs: list[Path], shard_bytes: int = 1000, workers: int = 1) -> Counts:
    """Make the records from begin to end."""
    work = prepare(files(corpus), recipe, [str(path) for path in outputs], shard_bytes)
    return build(work, workers, ignore)


def load(path: Path, predictions: int | None = 4) -> dict[str, np.ndarray]:
    """All arrays of a record file."""
    records = TFRecords([str(path)])
    return decode(records.read(np.arange(len(records))), pretraining_schema(LENGTH, predictions), records.locate)


def test_workers_do_not_change_bytes(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Two workers write what one process writes, byte for byte, and leave no folder behind."""
    counts = [made(corpus, recipe, [tmp_path / str(workers)], workers=workers) for workers in (1, 2)]
    assert counts[0] == counts[1]
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert not list(tmp_path.glob("*.shards"))


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_of_tables(tmp_path: Path, recipe: Recipe, workers: int) -> None:
    """Rows that are cut into the documents that lines are cut into make their records, on any number of workers."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abcdefgh"), 30)) for _ in range(90)]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "lines").write_text(lines)
    write_parquet(tmp_path / "table", {"title": texts, "text": texts}, rows=7)
    forms: list[tuple[str, Format, int]]
    forms = [("lines", "jsonl", len(lines) // 9 - 1), ("table", "table", 10 * len(texts[0]))]
    for name, form, size in forms:
        work = prepare([TextFile(str(tmp_path / name), form)], recipe, [f"{tmp_path}/of-{name}"], size)
        assert len(work.shards) == 9
        build(work, workers, ignore)
    assert (tmp_path / "of-table").read_bytes() == (tmp_path / "of-lines").read_bytes()


def test_counts(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """The counts are those of the text and of the records."""
    counts = made(corpus, recipe, [tmp_path / "records"])
    arrays = load(tmp_path / "records")
    text = [Path(path).read_text() for path in corpus]
    assert counts.documents == sum(len(part.split("\n\n")) for part in text) == 80
    assert counts.sentences == sum(len(part.replace("\n\n", "\n").split("\n")) for part in text)
    assert counts.tokens == sum(len(part.split()) for part in text)
    assert counts.text_bytes == sum(map(len, text))
    assert counts.instances == len(arrays["input_ids"])
    assert counts.instance_tokens == arrays["input_mask"].sum()
    assert counts.random_next == arrays["next_sentence_labels"].sum()
    assert counts.masked == arrays["masked_lm_weights"].sum()
    assert (counts.unknown, counts.wrong_bytes) == (0, 0)
    assert 0 < counts.short < counts.instances


def test_outputs_take_turns(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Record i of the single output is record i // 3 of output i % 3, over all shards."""
    made(corpus, recipe, [tmp_path / "single"])
    outputs = [tmp_path / name for name in "abc"]
    from_three = Recipe(**{**vars(recipe), "outputs": 3})
    made(corpus, from_three, outputs)
    single = load(tmp_path / "single")
    for number, path in enumerate(outputs):
        for name, values in load(path).items():
            assert np.array_equal(values, single[name][number::3])


@pytest.mark.parametrize("workers", [1, 2])
def test_interruption(
    tmp_path: Path, corpus: list[str], recipe: Recipe, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Stopped after two shards, the second run makes only the others, and the bytes are those of a straight run."""
    made(corpus, recipe, [tmp_path / "straight"], 300)

    def stop(done: int, total: int) -> None:
        if done >= 600:
            raise KeyboardInterrupt

    work = prepare(files(corpus), recipe, [str(tmp_path / "again")], 300)
    with pytest.raises(Interrupted, match=r"[2-9] of \d+ shards are made") as stopped:
        build(work, workers, stop)
    assert stopped.value.signal_number == signal.SIGINT
    there = {shard.number for shard in work.shards} - {shard.number for shard in work.missing()}
    assert {0, 1} <= there
    assert work.missing()
    assert not (tmp_path / "again").exists()
    numbers: list[int] = []
    write_shard = pretraining_build.write_shard
    monkeypatch.setattr(
        pretraining_build,
        "write_shard",
        lambda shard, recipe, folder: (numbers.append(shard.number), write_shard(shard, recipe, folder))[1],
    )
    made(corpus, recipe, [tmp_path / "again"], 300)
    assert sorted(numbers) == sorted({shard.number for shard in work.shards} - there)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "straight").read_bytes()


@pytest.mark.parametrize("content", ["[]", "{}", '{"number": 0, "sizes": [1], "counts": {"unheard": 1}}'])
def test_a_damaged_report(content: str, tmp_path: Path) -> None:
    """It is named, with the folder to remove."""
    (tmp_path / "000000.json").write_text(content)
    with pytest.raises(InputError, match=r"000000.json") as caught:
        pretraining_build.finished_shard(str(tmp_path), 0)
    assert f"remove `{tmp_path}`" in str(caught.value)


def test_other_settings(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Shards of a run with other flags or other text are not mixed in."""
    for _ in range(2):
        work = prepare(files(corpus), recipe, [str(tmp_path / "records")], 1000)
        pretraining_build.write_shard(work.shards[0], recipe, work.folder)
    other = Recipe(**{**vars(recipe), "masking": Masking(0.2, 4)})
    with pytest.raises(InputError, match="other flags"):
        prepare(files(corpus), other, [str(tmp_path / "records")], 1000)
    Path(corpus[0]).write_text("a\nb\n")
    with pytest.raises(InputError, match="other text"):
        prepare(files(corpus), recipe, [str(tmp_path / "records")], 1000)


def test_gzip(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Unpacked, the compressed outputs are the others; the bytes do not depend on the clock."""
    outputs = [tmp_path / name for name in ("a", "b")]
    plain = Recipe(**{**vars(recipe), "outputs": 2})
    made(corpus, plain, outputs)
    packed = [tmp_path / name for name in ("a.gz", "b.gz")]
    made(corpus, Recipe(**{**vars(plain), "gzip_compress": True}), packed)
    for path, other in zip(outputs, packed, strict=True):
        assert gzip.decompress(other.read_bytes()) == path.read_bytes()
        assert other.stat().st_size < path.stat().st_size / 2
        assert other.read_bytes()[4:8] == bytes(4)  # the time of writing


def test_v2_names(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Ids and segments have the newer names, and both are read alike."""
    made(corpus, recipe, [tmp_path / "v1"])
    made(corpus, Recipe(**{**vars(recipe), "v2_names": True}), [tmp_path / "v2"])
    first = parse_example(TFRecords([str(tmp_path / "v2")]).read(np.arange(1))[0])
    assert {"input_word_ids", "input_type_ids"} < first.keys()
    assert not {"input_ids", "segment_ids"} & first.keys()
    old, new = load(tmp_path / "v1"), load(tmp_path / "v2")
    assert all(np.array_equal(old[name], new[name]) for name in old)


def test_whole_pairs(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """Records for dynamic masking hold the pairs of the static ones, restored, and no masks."""
    made(corpus, recipe, [tmp_path / "static"])
    counts = made(corpus, Recipe(**{**vars(recipe), "masking": None}), [tmp_path / "dynamic"])
    static, dynamic = load(tmp_path / "static"), load(tmp_path / "dynamic", None)
    kept = static["masked_lm_weights"] > 0
    static["input_ids"][np.nonzero(kept)[0], static["masked_lm_positions"][kept]] = static["masked_lm_ids"][kept]
    assert all(np.array_equal(dynamic[name], static[name]) for name in dynamic)
    assert counts.masked == 0
    assert len(parse_example(TFRecords([str(tmp_path / "dynamic")]).read(np.arange(1))[0])) == 4


@pytest.mark.parametrize("content", ["", "\n\n\n", "\u200b\n"])
def test_nothing_to_read(tmp_path: Path, recipe: Recipe, content: str) -> None:
    """A corpus without words is an error, and neither records nor a folder are left."""
    (tmp_path / "text").write_text(content)
    with pytest.raises(InputError, match=r"no text in|no words in"):
        made([str(tmp_path / "text")], recipe, [tmp_path / "records"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text", "vocab.txt"]


@pytest.mark.parametrize("content", ["a", "a b c\nd e f\n", "a\n\nb\n"])
def test_very_little(tmp_path: Path, recipe: Recipe, content: str) -> None:
    """A single sentence, a single document and two sentences give valid records."""
    (tmp_path / "text").write_text(content)
    counts = made([str(tmp_path / "text")], recipe, [tmp_path / "records"])
    arrays = load(tmp_path / "records")
    assert counts.instances == len(arrays["input_ids"]) >= 2
    assert (arrays["masked_lm_weights"].sum(axis=1) >= 1).all()


def test_long_line(tmp_path: Path, recipe: Recipe) -> None:
    """A line of 5 MB is one sentence, cut to what fits."""
    (tmp_path / "text").write_text("a b c d " * 650_000 + "\n\nb c\n")
    counts = made([str(tmp_path / "text")], recipe, [tmp_path / "records"], 1 << 20)
    assert counts.tokens == 2_600_002
    assert counts.instances == 4


def test_outputs_in_a_new_folder(tmp_path: Path, corpus: list[str], recipe: Recipe) -> None:
    """A folder that does not exist is made."""
    made(corpus, recipe, [tmp_path / "new/folder/records"])
    assert load(tmp_path / "new/folder/records")["input_ids"].any()
