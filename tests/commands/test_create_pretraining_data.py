# SPDX-License-Identifier: Apache-2.0
"""The command from text to pretraining records: its output, notes and messages, and Beam beside the local way."""

import json
import sys
from pathlib import Path

import pytest

from jaxbert.cli import main
from tests.examples.arrow_files import save_to_disk, write_parquet


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A small corpus, a vocabulary, and where to write."""
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n")
    (tmp_path / "text.txt").write_text("a b c\nd a x\n\nb b\nc d a\na\n\n" * 50)
    return [
        "create_pretraining_data",
        f"--input_file={tmp_path}/t*.txt",
        f"--output_file={tmp_path}/one,{tmp_path}/two",
        f"--vocab_file={tmp_path}/vocab.txt",
        "--max_seq_length=16",
        "--max_predictions_per_seq=3",
        "--num_workers=1",
    ]


def test_summary(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the text and the records are printed, and the files are there."""
    assert main(flags) == 0
    printed = capsys.readouterr()
    assert "documents   100 with 250 sentences" in printed.out
    assert "tokens      600, 8.333% [UNK]" in printed.out
    assert "random next" in printed.out
    assert "MB/s" in printed.out
    assert printed.err.splitlines() == [
        f"text is lower-cased: 0.0% of the words in `{tmp_path}/vocab.txt` have capitals or accents"
        " (`--do_lower_case` decides otherwise)",
        "read by their beginnings: 1 as lines (`--input_format` says otherwise)",
        "note: 8.3% of the tokens are [UNK]: do vocabulary and `--do_lower_case` fit the text?",
    ]
    assert (tmp_path / "one").stat().st_size > (tmp_path / "two").stat().st_size * 0.9 > 0


def test_notes(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few predictions, bytes that are no UTF-8 and missing blank lines are said; the records are made."""
    (tmp_path / "text.txt").write_bytes(b"a b c \xff\nd a x\n" * 10_000)
    assert main([*flags, "--max_predictions_per_seq=1", "--dupe_factor=1"]) == 0
    notes = capsys.readouterr().err
    assert "is less than 0.15 x 16 = 2" in notes
    assert "10,000 bytes were not UTF-8" in notes
    assert "put a blank line between documents" in notes


@pytest.mark.parametrize(
    ("words", "files", "flag", "unknown"),
    [
        ("a b c d", {}, [], 0),
        ("a b c d A B", {}, [], 0),
        ("a b c d A B", {}, ["--do_lower_case"], 0),
        ("a b c d", {"tokenizer_config.json": '{"do_lower_case": false}'}, [], 200),
        ("a b c d", {}, ["--nodo_lower_case"], 200),
    ],
)
def test_case(
    words: str,
    files: dict[str, str],
    flag: list[str],
    unknown: int,
    flags: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Text keeps its case where a flag, the files beside the vocabulary, or else the vocabulary says so."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words.split()]))
    (tmp_path / "text.txt").write_text("A b c\nd B\n\nc d\nb c\n\n" * 100)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert main([*flags, *flag]) == 0
    out, err = capsys.readouterr()
    assert f"tokens      900, {unknown / 900:.3%} [UNK]" in out
    assert ("of the tokens are [UNK]" in err) == (unknown > 9)


def test_the_files_beside_the_vocabulary_are_not_contradicted(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag that says another case than the model to which the vocabulary belongs is refused."""
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert main([*flags, "--do_lower_case"]) == 2
    assert "`--do_lower_case=true`, but the files beside" in capsys.readouterr().err


def test_one_sentence_a_document(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank lines between all lines are said, as nothing is then a next sentence."""
    (tmp_path / "text.txt").write_text("a b c\n\nd a. b c d.\n\n" * 50)
    assert main(flags) == 0
    assert "about one sentence a document (100 in 100)" in (err := capsys.readouterr().err)
    assert "`--input_format=documents`" in err
    assert main([*flags, "--input_format=documents"]) == 0
    assert "about one sentence a document" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "is_said"), [("\u4e2d\u6587\u4e2d\n\u6587\u4e2d\n\n", True), ("ab a\nab c\n\n", False)]
)
def test_whole_words_of_chinese(
    text: str, is_said: bool, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no word has several pieces, masking whole ones changes nothing, which is said."""
    with (tmp_path / "vocab.txt").open("a") as file:
        file.write("##b\n\u4e2d\n\u6587\n")
    (tmp_path / "text.txt").write_text(text * 50)
    assert main([*flags, "--do_whole_word_mask"]) == 0
    assert ("`--do_whole_word_mask` changes nothing" in capsys.readouterr().err) == is_said


DYNAMIC = "--masking=dynamic --max_predictions_per_seq=20"  # the default: such records have none


@pytest.mark.parametrize("flag", ["", DYNAMIC, "--same_draws_as_google"])
def test_tables_make_the_records_of_json_lines(flags: list[str], tmp_path: Path, flag: str) -> None:
    """Parquet, Arrow and a folder of `datasets` give the records that the same documents give as JSON lines."""
    texts = ["A b c. D a x!", "B b\n\nc d a", "", "D. C. B. A."] * 30
    half = {"title": ["a"] * 60, "text": texts[:60]}
    (tmp_path / "lines").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    write_parquet(tmp_path / "wiki/train-00000-of-00002.parquet", half, rows=7)
    write_parquet(tmp_path / "wiki/train-00001-of-00002.parquet", half)
    save_to_disk(tmp_path / "saved", [half, half])
    contents = []
    for source in ("lines", "wiki/*.parquet", "wiki", "saved"):
        assert main([*flags, f"--input_file={tmp_path}/{source}", *flag.split()]) == 0
        contents.append([(tmp_path / name).read_bytes() for name in ("one", "two")])
    assert contents[0] == contents[1] == contents[2] == contents[3] != [b"", b""]


def test_a_table_without_text(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The columns that are there are named; nothing is written."""
    write_parquet(tmp_path / "a.parquet", {"id": [1], "body": ["a"]})
    assert main([*flags, f"--input_file={tmp_path}/a.parquet"]) == 2
    err = capsys.readouterr().err
    assert f"error: `{tmp_path}/a.parquet` has no column `text`; it has `id`, `body`" in err
    assert "hint: rename the column of the texts to `text`" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "text.txt", "vocab.txt"]


@pytest.mark.parametrize("text", ['{"body": "a b c"}\n{"body": "d"}\n', '{\n "a": "b"\n}\n'])
def test_json_that_is_taken_as_text(
    text: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hint about JSON that is no document a line works: as lines it is read."""
    (tmp_path / "text.txt").write_text(text * 9)
    assert main(flags) == 2
    assert "`--input_format=lines` to take it as plain text" in capsys.readouterr().err
    assert main([*flags, "--input_format=lines"]) == 0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--output_file=a,b,a", "names a file twice"),
        ("--output_file=a,./a", "names a file twice"),
        ("--masking=dynamic", "`--max_predictions_per_seq` with `--masking=dynamic`"),
        ("--beam_options=--project=a --region=b", "`--beam_options=--project=a --region=b` without a runner"),
        ("--max_ngram_size=2", "runs of whole words"),
        ("--max_seq_length=4", "--max_seq_length=4"),
        ("--input_file=nowhere*", "no file matches `nowhere*`"),
        ("--tokenization=SentencePiece", "expected one of WordPiece"),
        ("--masked_lm_prob=1.5", "--masked_lm_prob=1.5"),
    ],
)
def test_wrong_flags(flags: list[str], capsys: pytest.CaptureFixture[str], flag: str, message: str) -> None:
    """Wrong flags end with a message, code 2 and no files."""
    assert main([*flags, flag]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["text.txt", "vocab.txt"])
def test_what_is_read_is_not_written_over(
    name: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the text, which a glob names, nor the vocabulary."""
    before = (tmp_path / name).read_bytes()
    assert main([*flags, f"--output_file={tmp_path}/one,{tmp_path}/./{name}"]) == 2
    assert f"`{tmp_path}/./{name}` is read, and would be written over" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("flag", ["--do_whole_word_mask", DYNAMIC, "--same_draws_as_google", "--gzip_compress"])
def test_kinds(flags: list[str], tmp_path: Path, flag: str) -> None:
    """Every kind of records is made, and twice the same; other than the usual ones."""
    assert main(flags) == 0
    usual = (tmp_path / "one").read_bytes()
    contents = []
    for _ in range(2):
        assert main([*flags, *flag.split()]) == 0
        contents.append((tmp_path / "one").read_bytes())
    assert contents[0] == contents[1] != usual or flag == "--do_whole_word_mask"


def test_ngrams(flags: list[str], tmp_path: Path) -> None:
    """Masks of runs of words come from the seed too."""
    contents = []
    for _ in range(2):
        assert main([*flags, "--do_whole_word_mask", "--max_ngram_size=3"]) == 0
        contents.append((tmp_path / "one").read_bytes())
    assert contents[0] == contents[1]


def test_text_that_is_cut_is_said(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of lines longer than a record the ends are in none; running text has sentences, and loses nothing."""
    # Three lines of 20 tokens, with periods, of which 13 fit; 20 documents of 6.
    (tmp_path / "text.txt").write_text(("Words are here now. " * 4 + "\n") * 3 + "\n" + "a b.\nc d.\n\n" * 20)
    assert main(flags) == 0
    err = capsys.readouterr().err
    assert "12% of the tokens are in no record: their sentences are longer than the 13 tokens" in err
    assert "`--input_format=documents`" in err
    assert main([*flags, "--input_format=documents"]) == 0
    assert "in no record" not in capsys.readouterr().err


def test_a_folder_in_the_place_of_records(flags: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Is refused before anything is made."""
    (tmp_path / "one").mkdir()
    assert main(flags) == 2
    assert f"`{tmp_path}/one` is a folder, expected the name of a file" in capsys.readouterr().err
    assert not (tmp_path / "one.shards").exists()


def test_input_that_is_mended_is_read(flags: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same command works after the text is, as nothing was made of it."""
    for content, code in (('{"text": "A b. C d."}\n{"text": 5}\n', 2), ('{"text": "A b. C d."}\n', 0)):
        (tmp_path / "text.txt").write_text(content)
        assert main(flags) == code, capsys.readouterr().err


def test_no_beam(flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A runner without the library ends with what to install."""
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert main([*flags, "--runner=DirectRunner"]) == 2
    assert "`--runner` needs Apache Beam" in (err := capsys.readouterr().err)
    assert "hint: pip install apache-beam" in err


@pytest.mark.interop
@pytest.mark.filterwarnings("default")
def test_beam(flags: list[str], tmp_path: Path) -> None:
    """On Beam's local runner, with several shards, the outputs are those of the local way, byte for byte."""
    pytest.importorskip("apache_beam")
    (tmp_path / "text.txt").write_text(("a b c d " * 40 + "\n\n") * 8000)
    assert main([*flags, "--dupe_factor=1", "--shard_mb=1"]) == 0
    local = [(tmp_path / name).read_bytes() for name in ("one", "two")]
    assert main([*flags, "--dupe_factor=1", "--shard_mb=1", "--runner=DirectRunner"]) == 0
    assert [(tmp_path / name).read_bytes() for name in ("one", "two")] == local
