# SPDX-License-Identifier: Apache-2.0
"""How the text of pretraining records was lower-cased, and whose vocabulary it was: what `pretrained/` says of it."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxbert.cli import main
from tests.commands.conftest import Run
from tests.commands.damage import assert_refused
from tests.commands.tiny_pretraining import Corpus, training
from tests.commands.tiny_task import CONFIG, SPECIAL, WORDS, flags

CAPITALS = [word.capitalize() for word in WORDS]


@pytest.fixture(scope="module")
def cased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text with capitals, and a vocabulary that has them."""
    folder = tmp_path_factory.mktemp("cased")
    chance = random.Random(0)
    lines = [" ".join(chance.choices([*WORDS, *CAPITALS], k=7)) for _ in range(200)]
    (folder / "text.txt").write_text(
        "\n".join(f"{line}\n" if number % 4 == 3 else line for number, line in enumerate(lines))
    )
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS, *CAPITALS]) + "\n")
    (folder / "bert_config.json").write_text(json.dumps(CONFIG | {"vocab_size": len([*SPECIAL, *WORDS, *CAPITALS])}))
    static = ["--masking=static", "--max_predictions_per_seq=4"]
    kinds = {"kept": ["--masking=dynamic"], "lowered": ["--masking=dynamic", "--do_lower_case"], "masked": static}
    for name, kind in kinds.items():
        given = flags(input_file=folder / "text.txt", vocab_file=folder / "vocab.txt", output_file=folder / name)
        sizes = flags(max_seq_length=24, num_workers=1, dupe_factor=2)
        assert main(["create_pretraining_data", *given, *sizes, *kind]) == 0
    return folder


def run(cased: Path, records: str, model_dir: Path, **other: object) -> list[str]:
    """The flags of a training of a step or two on some of these records."""
    corpus = Corpus(cased, "", "")
    return training(corpus, f"{cased}/{records}", model_dir, num_train_epochs=0.2, **other)


@pytest.mark.parametrize(("records", "lower_case"), [("kept", False), ("masked", False), ("lowered", True)])
def test_the_model_says_how_its_text_was(
    records: str, lower_case: bool, cased: Path, pretrain: Run, tmp_path: Path
) -> None:
    """What the records show is said and kept with the model, also where the vocabulary alone would say otherwise."""
    code, _, err = pretrain(*run(cased, records, tmp_path))
    assert code == 0, err
    assert ("their text was lower-cased" if lower_case else "their text kept its case") in err
    kept = json.loads((tmp_path / "pretrained" / "tokenizer_config.json").read_text())
    assert kept["do_lower_case"] == lower_case


def test_a_vocabulary_without_capitals(pretrained: Path) -> None:
    """Where records show nothing, the vocabulary decides, and the model says it."""
    assert json.loads((pretrained / "pretrained" / "tokenizer_config.json").read_text())["do_lower_case"] is True


@pytest.mark.parametrize(
    ("records", "flag", "problem", "hint"),
    [
        ("kept", "--do_lower_case", "their text kept its case, but the flag says", "leave `--do_lower_case` out"),
        (
            "lowered",
            "--nodo_lower_case",
            "their text was lower-cased, but the flag says",
            "leave `--nodo_lower_case` out",
        ),
    ],
)
def test_a_flag_against_the_records_is_refused(
    records: str, flag: str, problem: str, hint: str, cased: Path, pretrain: Run, tmp_path: Path
) -> None:
    """A flag cannot say that text with capitals was lower-cased, or the other way round."""
    assert_refused(pretrain(*run(cased, records, tmp_path / "model"), flag), problem, hint)
    assert not (tmp_path / "model").exists()


def test_kept_case_against_lower_case_of_a_vocabulary_without_capitals(
    corpus: Corpus, pretrain: Run, tmp_path: Path
) -> None:
    """The model would know no word with a capital, so the flag is refused where the records were lower-cased."""
    given = [*training(corpus, corpus.whole, tmp_path / "model", num_train_epochs=0.2), "--nodo_lower_case"]
    assert_refused(pretrain(*given), "their text was lower-cased, but the flag says", "leave `--nodo_lower_case` out")


@pytest.mark.parametrize(("records", "held_out"), [("kept", "lowered"), ("lowered", "kept")])
def test_evaluation_on_text_of_the_other_case_is_refused(
    records: str, held_out: str, cased: Path, pretrain: Run, tmp_path: Path
) -> None:
    """By the name of the files that are evaluated, before anything is trained."""
    given = run(cased, records, tmp_path / "model", eval_files=cased / held_out)
    assert_refused(pretrain(*given), f"`{cased}/{held_out}`: ", "make the records again")
    assert not (tmp_path / "model").exists()


def test_a_start_against_the_records_is_refused(cased: Path, pretrain: Run, tmp_path: Path) -> None:
    """A model goes on with text of its own case; lower-cased records go on where the user says that they are meant."""
    for name, records in (("cased", "kept"), ("uncased", "lowered")):
        assert pretrain(*run(cased, records, tmp_path / name))[0] == 0
    models = {name: tmp_path / name / "pretrained" for name in ("cased", "uncased")}
    for name, records in (("cased", "lowered"), ("uncased", "kept")):
        given = run(cased, records, tmp_path / "model", init_checkpoint=models[name])
        assert_refused(pretrain(*given), "but the model says", "make the records again")
    code, _, err = pretrain(
        *run(cased, "lowered", tmp_path / "model", init_checkpoint=models["cased"]), "--nodo_lower_case"
    )
    assert code == 0, err


@pytest.mark.parametrize("how", ["mean", "random"])
def test_a_vocabulary_that_grew(
    how: str, cased: Path, corpus: Corpus, pretrained: Path, pretrain: Run, tmp_path: Path
) -> None:
    """New tokens are refused, or start as the flag says behind all old rows; the configuration says the new size."""
    (tmp_path / "bert_config.json").write_text((corpus.folder / "bert_config.json").read_text())
    start = {"init_checkpoint": pretrained / "pretrained", "bert_config_file": corpus.folder / "bert_config.json"}
    lowered = {"vocab_file": cased / "vocab.txt", "learning_rate": 0}
    given = [*run(cased, "lowered", tmp_path / "model", **start, **lowered), "--do_lower_case"]
    assert_refused(pretrain(*given), "has 21 tokens, bert_config.json says `vocab_size` 13", "`--new_tokens=mean`")
    code, _, err = pretrain(*given, f"--new_tokens={how}")
    assert code == 0, err
    assert "13 word vectors are kept, 8 new ones are" in err
    folder = tmp_path / "model" / "pretrained"
    assert json.loads((folder / "bert_config.json").read_text())["vocab_size"] == 21
    old, new = (load_file(path / "model.safetensors") for path in (pretrained / "pretrained", folder))
    for name in ("bert/embeddings/word_embeddings", "cls/predictions/output_bias"):
        assert len(new[name]) == 21
        np.testing.assert_array_equal(new[name][:13], old[name])
    again = run(cased, "lowered", tmp_path / "again", init_checkpoint=folder, vocab_file=folder / "vocab.txt")
    code, _, err = pretrain(*[flag for flag in again if "bert_config_file" not in flag])
    assert code == 0, err


def test_records_of_another_vocabulary(cased: Path, corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Records with tokens that the vocabulary does not have are refused, though there are rows for them."""
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG | {"vocab_size": 16}))
    others = {"vocab_file": corpus.folder / "vocab.txt", "bert_config_file": tmp_path / "bert_config.json"}
    result = pretrain(*run(cased, "kept", tmp_path / "model", **others))
    assert_refused(result, "does not fit the model: it needs `vocab_size` above", "with which the records were made")


def test_whole_words_that_change_nothing(corpus: Corpus, pretrain: Run, tmp_path: Path) -> None:
    """Whole words without pieces, as in Chinese, are said when records are masked in training, too."""
    code, _, err = pretrain(*training(corpus, corpus.whole, tmp_path, num_train_epochs=0.2), "--do_whole_word_mask")
    assert code == 0, err
    assert "note: `--do_whole_word_mask` changes nothing" in err
