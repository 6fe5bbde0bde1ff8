# SPDX-License-Identifier: Apache-2.0
"""What each kind of model says about itself: the table of docs/models.md, cell by cell."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from jaxbert.checkpoints.huggingface import write_huggingface
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.checkpoints.resolve import Source, find_model, find_source
from jaxbert.checkpoints.sentence_transformers import Pooling, pooling_texts
from jaxbert.checkpoints.tokenizer_files import write_tokenizer
from jaxbert.cli import main
from jaxbert.config import bert_config
from jaxbert.errors import InputError
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.metadata import ClassificationMetaData
from tests.checkpoints import test_keras_hub
from tests.checkpoints.random_models import random_weights
from tests.checkpoints.test_keras_hub import _CONFIG as CONFIG
from tests.checkpoints.test_keras_hub import _VOCAB as VOCAB

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TABLE = re.compile(r"(?m)^\| source \|.*\n\|[-|]+\n((?:\|.*\n)+)")
LENGTH = 7  # fewer than the positions, so that it shows where it is read
META = ClassificationMetaData("", 0, LENGTH, 3, label_list=("a", "b", "c"), pairs=True)
POOLING = Pooling(("mean",), normalize=True)


def _ours(folder: Path, head: str = "classifier") -> None:
    texts = {"bert_config.json": bert_config.to_json(CONFIG), "vocab.txt": "".join(f"{token}\n" for token in VOCAB)}
    texts |= {"tokenizer_config.json": '{"do_lower_case": true}', "meta_data": META.to_json()}
    write_model(str(folder), random_weights(CONFIG, head, classes=3), texts, {})


def _jaxbert(folder: Path) -> None:
    _ours(folder)
    for name, text in pooling_texts(POOLING, CONFIG.hidden_size, None).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def _tensorflow(to: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        _ours(folder / "ours")
        given = [f"--init_checkpoint={folder}/ours", f"--output_dir={folder}/there", f"--to={to}"]
        assert main(["convert_checkpoint", *given]) == 0
        for name in ("meta_data", "tokenizer_config.json"):  # which Google's releases do not have
            (folder / "there" / name).unlink()
        _moved(folder)

    return write


def _hub_module(folder: Path) -> None:
    _ours(folder / "ours", "none")
    given = [f"--init_checkpoint={folder}/ours", f"--output_dir={folder}/there", "--format=saved_model"]
    assert main(["export", *given]) == 0
    (folder / "there" / "bert_config.json").unlink()
    _moved(folder)


def _moved(folder: Path) -> None:
    """What is in `there` to the folder itself."""
    for path in (folder / "there").iterdir():
        path.rename(folder / path.name)


def _transformers(version: int, head: str = "classifier") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_huggingface(
            str(folder), random_weights(CONFIG, head, classes=3), CONFIG, META if head != "none" else None
        )
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCAB))
        write_tokenizer(str(folder), Rules(lower_case=False), LENGTH)  # not what is assumed where nothing is said
        if version == 5:
            vocab = {token: number for number, token in enumerate(VOCAB)}
            Tokenizer(models.WordPiece(vocab, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
            (folder / "vocab.txt").unlink()
            return
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        del settings["added_tokens_decoder"]
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        (folder / "special_tokens_map.json").write_text('{"unk_token": "[UNK]"}')
        (folder / "added_tokens.json").write_text(json.dumps({"red": VOCAB.index("red")}))

    return write


def _sentence_transformers(folder: Path) -> None:
    _transformers(5, "none")(folder)
    for name, text in pooling_texts(POOLING, CONFIG.hidden_size, LENGTH).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def _keras_hub(folder: Path) -> None:
    test_keras_hub._write(folder, random_weights(CONFIG, "classifier", classes=3), head="classifier")
    test_keras_hub._change(folder / "preprocessor.json", sequence_length=LENGTH)


SOURCES: dict[str, Callable[[Path], None]] = {
    "checkpoint of TensorFlow 1": _tensorflow("tf1"),
    "checkpoint of TensorFlow 2": _tensorflow("tf2"),
    "hub module (SavedModel)": _hub_module,
    "folder of transformers 5": _transformers(5),
    "folder of transformers 4": _transformers(4),
    "folder of sentence-transformers": _sentence_transformers,
    "preset of keras-hub": _keras_hub,
    "folder of jaxbert": _jaxbert,
}


def said(source: Source) -> list[object]:
    """What the files say of the columns of the table; None for nothing."""
    task = source.task if isinstance(source.task, ClassificationMetaData) else None
    longest = task.max_seq_length if task else source.max_seq_length
    return [
        source.config,
        source.vocab_file,
        source.rules,
        task.label_list if task else None,
        longest if longest == LENGTH else None,
        task.pairs if task else None,
        source.pooling,
    ]


def table() -> dict[str, list[str]]:
    """Source -> the cells of its row."""
    found = TABLE.search(PAGE.read_text())
    assert found
    lines = ([cell.strip() for cell in line.strip("| \n").split("|")] for line in found[1].splitlines())
    return {source: cells for source, *cells in lines}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_what_the_table_says(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each cell is `no`, or names where it is read, and then it is; `inspect` prints what was found."""
    rows = table()
    assert set(rows) == set(SOURCES)
    SOURCES[name](tmp_path)
    source = find_source(str(tmp_path))
    expected = [cell != "no" for cell in rows[name]]
    if name == "preset of keras-hub":
        expected[-1] = False  # of an embedder, which tests/checkpoints/test_keras_hub.py makes
    assert [value is not None for value in said(source)] == expected
    capsys.readouterr()
    assert main(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for column, line in ((3, "trained for "), (6, "vector of text")):
        assert (line in out) == expected[column], out


@pytest.mark.parametrize("name", SOURCES)
def test_a_cell_names_the_files_that_say_it(name: str, tmp_path: Path) -> None:
    """Without the files of a cell its column says nothing, or what it says by default, or there is no model."""
    whole = tmp_path / "whole"
    whole.mkdir()
    SOURCES[name](whole)
    before = said(find_source(str(whole)))
    for column, cell in enumerate(table()[name]):
        named = re.findall("`([^`]+)`", cell)
        if not named or before[column] is None:
            continue
        without = tmp_path / str(column)
        shutil.copytree(whole, without)
        for file in named:
            remove = shutil.rmtree if (without / file).is_dir() else Path.unlink
            if (without / file).exists():
                remove(without / file)
        try:
            assert said(find_source(str(without)))[column] != before[column], cell
        except InputError:
            assert "config.json" in named, cell


def test_two_vocabularies_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A `vocab.txt` with a token written over, beside the `tokenizer.json` that transformers reads: which is meant?"""
    _transformers(5)(tmp_path)
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCAB))
    assert find_model(str(tmp_path)).vocab_file == f"{tmp_path}/vocab.txt"
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in (*VOCAB[:-1], "other")))
    with pytest.raises(InputError, match=f"tokenizer.json` differ in 1 tokens, the first is {len(VOCAB) - 1}, `other`"):
        find_model(str(tmp_path))
    assert find_model(str(tmp_path), vocab_file=f"{tmp_path}/tokenizer.json").vocab.tokens[-1] == VOCAB[-1]
    capsys.readouterr()
    assert main(["inspect", str(tmp_path)]) == 0
    assert "vocabulary      unclear: " in capsys.readouterr().out
