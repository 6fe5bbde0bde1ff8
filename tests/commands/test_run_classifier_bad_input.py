# SPDX-License-Identifier: Apache-2.0
"""Wrong input to `run_classifier` ends with one message and code 2, before anything is made of it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from jaxbert.cli import main
from jaxbert.tfrecord.files import stream, write_records
from tests.commands.conftest import Run
from tests.commands.damage import Damage, assert_refused, cut, cut_tensor, edit, flip, replace, write
from tests.commands.tiny_task import BATCHES, Task, flags, start


def nothing_real(path: Path) -> None:
    """A record file whose first record has another number of ids."""
    first, *rest = stream(str(path))
    write_records(str(path), [first.replace(b"input_ids", b"other_ids"), *rest])


@pytest.fixture
def copy(task: Task, tmp_path: Path) -> Task:
    """A copy of the task that may be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(task.folder, folder)
    records = [flag.replace(str(task.folder), str(folder)) for flag in task.records]
    return Task(folder, folder / "MRPC", folder / "bert", records)


RECORD_DAMAGE = [
    ("train.tf_record", Path.unlink, "no file matches `{}`", "check the path"),
    ("train.tf_record", write(""), "`{}` holds no records", ""),
    ("train.tf_record", cut, "`{}` ends inside record 23", "copy the file again"),
    ("train.tf_record", flip, "wrong checksum", "copy the file again"),
    ("train.tf_record", write("x" * 50), "`{}` record 0 (byte 0) has a wrong length checksum", "is this a TFRecord"),
    ("train.tf_record", nothing_real, "`{}` record 0", ""),
    ("eval.tf_record", cut, "`{}` ends inside record 11", "copy the file again"),
    ("meta_data", Path.unlink, "cannot read `{}`", "check the path"),
    ("meta_data", write("{"), "`{}` line 1 is not JSON", ""),
    ("meta_data", write("[]"), "`{}` holds no JSON object", ""),
    ("meta_data", edit(max_seq_length=None), "`{}` has no key `max_seq_length`", "create_finetuning_data"),
    ("meta_data", edit(num_labels=None), "`{}` has no key `num_labels`", "create_finetuning_data"),
    ("meta_data", edit(num_labels="2"), "`{}`: `num_labels` is `2`", ""),
    ("meta_data", edit(num_labels=0, label_list=None), "`num_labels`", ""),
    (
        "meta_data",
        edit(num_labels=1, label_list=None),
        "has label `1`, the metadata says `num_labels` 1",
        "the metadata",
    ),
    ("meta_data", edit(task_type="bert_squad"), "`{}`: the task is `bert_squad`", "bert_classification"),
    (
        "meta_data",
        edit(task_type="bert_regression", num_labels=None, label_list=None, label_type="float"),
        "`label_ids`",
        "",
    ),
    ("meta_data", edit(max_seq_length=8), "16", ""),
    ("bert/bert_config.json", Path.unlink, "cannot read `{}`", "check the path"),
    ("bert/bert_config.json", write(""), "`{}` line 1 is not JSON", "bert_config.json"),
    ("bert/bert_config.json", write(b"\xff"), "`{}` line 1 is not UTF-8", "iconv"),
    ("bert/bert_config.json", edit(hidden_size="16"), '`{}`: `hidden_size` is `"16"`: expected a whole number', ""),
    ("bert/bert_config.json", edit(hidden_size=17), "`{}`: `hidden_size` is `17`", ""),
    ("bert/bert_config.json", edit(embedding_size=8), "`{}`: `embedding_size` is `8`", ""),
    ("bert/bert_config.json", edit(vocab_size=9), "does not fit the model: it needs `vocab_size` above", "vocabulary"),
    ("bert/bert_config.json", edit(max_position_embeddings=8), "it needs `max_position_embeddings` above", ""),
]


@pytest.mark.parametrize(("file", "damage", "problem", "hint"), RECORD_DAMAGE)
def test_damaged_records(
    file: str, damage: Damage, problem: str, hint: str, copy: Task, classify: Run, tmp_path: Path
) -> None:
    """Each kind of damage to records, meta data and configuration is named with its place; no folder is made."""
    damage(copy.folder / file)
    result = classify(*copy.records, *flags(model_dir=tmp_path / "model"))
    assert_refused(result, problem.format(copy.folder / file), hint)
    assert not (tmp_path / "model").exists()


TEXT_DAMAGE = [
    ("MRPC/train.tsv", Path.unlink, "cannot read `{}`", "check the path"),
    ("MRPC/train.tsv", write(""), "`{}`", ""),
    ("MRPC/train.tsv", replace("\t4\t4\t", "\t4\t"), "`{}` line 6", ""),
    ("MRPC/train.tsv", replace("\n1\t", "\nyes\t"), "`yes`", ""),
    ("MRPC/dev.tsv", write(b"a\tb\tc\td\te\n1\t1\t2\tred\t\xff\n"), "`{}` line 2", ""),
    ("bert/vocab.txt", Path.unlink, "the vocabulary is not known", "--vocab_file"),
    ("bert/vocab.txt", write(""), "has no `[UNK]`", "vocab.txt"),
    ("bert/vocab.txt", write(b"[PAD]\n\xff\n"), "`{}` line 2 is not UTF-8", "iconv"),
    (
        "bert/vocab.txt",
        replace("red", "red\nmore"),
        "has 14 tokens, bert_config.json says `vocab_size` 13",
        "vocabulary",
    ),
    ("bert/bert_model.ckpt.index", Path.unlink, "there is no checkpoint", "`.index`"),
    ("bert/bert_model.ckpt.index", cut, "bert_model.ckpt", ""),
    ("bert/bert_model.ckpt.index", cut_tensor, "bert_model.ckpt", ""),
    ("bert/bert_config.json", edit(hidden_size=32), "the encoder in `", "hidden_size differs: file 16"),
    ("bert/bert_config.json", edit(num_hidden_layers=2), "the encoder in `", "num_hidden_layers differs: file 1"),
    ("bert/bert_config.json", edit(vocab_size=20), "the encoder in `", "vocab_size differs: file 13"),
]


@pytest.mark.parametrize(("file", "damage", "problem", "hint"), TEXT_DAMAGE)
def test_damaged_text(
    file: str, damage: Damage, problem: str, hint: str, copy: Task, classify: Run, tmp_path: Path
) -> None:
    """Each kind of damage to tables, vocabulary and checkpoint is named with its place; no model is written."""
    damage(copy.folder / file)
    two = flags(data_dir=copy.text, init_checkpoint=copy.model / "bert_model.ckpt", max_seq_length=16)
    assert_refused(classify(*two, *flags(model_dir=tmp_path / "model")), problem.format(copy.folder / file), hint)
    assert not list(tmp_path.glob("model/**/*.safetensors"))
    assert not list(tmp_path.glob("model/**/*.tmp"))


def test_records_of_another_vocabulary(copy: Task, classify: Run, tmp_path: Path) -> None:
    """The model's own has as many tokens, but by it pieces of words stand behind punctuation."""
    replace("red\nblue\n", ",\n##blue\n")(copy.model / "vocab.txt")
    given = [*copy.records, *flags(init_checkpoint=copy.model / "bert_model.ckpt", model_dir=tmp_path / "model")]
    assert_refused(classify(*given), f"was made with another vocabulary than `{copy.model}/vocab.txt`", "vocabulary")
    assert not (tmp_path / "model" / "last").exists()


def test_records_with_types_of_a_tokenizer_without(copy: Task, classify: Run, tmp_path: Path) -> None:
    """Trained on such records a model would predict with types that it never saw."""
    settings = {"tokenizer_class": "DistilBertTokenizer"}
    (copy.model / "tokenizer_config.json").write_text(json.dumps(settings))
    given = [*copy.records, *flags(init_checkpoint=copy.model / "bert_model.ckpt", model_dir=tmp_path / "model")]
    assert_refused(
        classify(*given), "have types of tokens, of which the model's tokenizer gives none", "make them again"
    )


@pytest.mark.parametrize(
    ("more", "problem", "hint"),
    [
        (["--train_batch_size=32"], "`--train_batch_size=32` is more than the 24 examples", "give at most 24"),
        (["--num_eval_per_epoch=4"], "`--train_batch_size=8` is more than the 6 examples", "num_eval_per_epoch"),
        (["--gradient_accumulation_steps=3"], "`--gradient_accumulation_steps=3` does not divide", ""),
        (["--num_train_epochs=0"], "`--num_train_epochs=0.0` leaves no step", "raise it"),
        (["--num_train_epochs=0.1"], "`--num_train_epochs=0.1` leaves no step", "raise it"),
        (["--data_dir=MRPC"], "records and text data are both given", "`--data_dir`"),
        (["--num_gpus=3"], "`--num_gpus=3`: this machine has 1 device ", ""),
        (["--init_checkpoint=nowhere/bert_model.ckpt"], "there is no checkpoint `nowhere/bert_model.ckpt`", "`.index`"),
        (["--optimizer_type=adagrad"], "`--optimizer_type=adagrad`", ""),
        (["--keep_checkpoints=0"], "`--keep_checkpoints=0`: expected at least 1", ""),
        (["--learning_rate=nan"], "`--learning_rate=nan`: expected a finite number", ""),
        (
            ["--learning_rate=1e30", "--num_train_epochs=4", "--warmup_proportion=0"],
            "the loss of step",
            "learning_rate",
        ),
        (["--mode=predict"], "there is no trained model in", "--predict_checkpoint_path"),
    ],
)
def test_flags_that_cannot_work(
    more: list[str], problem: str, hint: str, task: Task, classify: Run, tmp_path: Path
) -> None:
    """Flags that contradict each other, the data or the machine are named, with what to do."""
    assert_refused(classify(*task.records, *flags(model_dir=tmp_path / "model"), *more), problem, hint)
    assert not list(tmp_path.glob("model/*/model.safetensors"))


def test_no_data_at_all(classify: Run, tmp_path: Path) -> None:
    """Without any data the two ways to give it are named."""
    assert_refused(classify(f"--model_dir={tmp_path}"), "there is no data", "`--data_dir`")


def test_model_dir_in_place_of_a_file(task: Task, classify: Run, tmp_path: Path) -> None:
    """A file in the way is found before the data are looked at."""
    (tmp_path / "file").write_text("")
    result = classify("--data_dir=missing", *flags(model_dir=tmp_path / "file" / "model"))
    assert_refused(result, f"`{tmp_path / 'file'}` is a file", "another folder")


def test_partial_encoder_when_asked_for(copy: Task, classify: Run, tmp_path: Path) -> None:
    """`--allow_partial_init` takes what fits, and says what stays at random."""
    edit(num_hidden_layers=2)(copy.model / "bert_config.json")
    start_from = flags(init_checkpoint=copy.model / "bert_model.ckpt", model_dir=tmp_path / "model")
    code, _, err = classify(*copy.records, *start_from, "--allow_partial_init", "--num_train_epochs=1")
    assert code == 0, err
    assert "loaded 23 of 41 expected tensors" in err
    assert "stay at their initial value: bert/encoder/layer_1/" in err


def test_predicting_with_an_encoder(task: Task, classify: Run, tmp_path: Path) -> None:
    """An encoder without a classifier is refused: its answers would be random."""
    checkpoint = flags(predict_checkpoint_path=task.model / "bert_model.ckpt", model_dir=tmp_path)
    result = classify("--mode=predict", *task.records, *checkpoint)
    assert_refused(result, "holds no classifier for these labels: output_bias, output_weights", "fine-tuned")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run_before(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model was trained."""
    folder = tmp_path_factory.mktemp("before")
    training = [*BATCHES, *task.records, *flags(model_dir=folder, num_train_epochs=1)]
    assert main(["run_classifier", *training]) == 0
    return folder


def test_folder_of_another_run(run_before: Path, task: Task, classify: Run) -> None:
    """Other flags in a folder that holds a run are refused, with what differs."""
    same = [*task.records, *flags(model_dir=run_before, num_train_epochs=1)]
    result = classify(*same, "--learning_rate=1e-3")
    assert_refused(result, "holds another run: --learning_rate was `5e-05`, is `0.001`", "flags.txt")
    code, _, err = classify(*same, "--log_steps=7")
    assert code == 0, err


def test_predicting_text_in_another_case(run_before: Path, task: Task, classify: Run, tmp_path: Path) -> None:
    """Text is not predicted in another case than the model was trained with."""
    shutil.copytree(run_before / "best", tmp_path / "best")
    (tmp_path / "best/tokenizer_config.json").write_text('{"do_lower_case": true}')
    result = classify("--mode=predict", *flags(model_dir=tmp_path, data_dir=task.text), "--nodo_lower_case")
    assert_refused(result, "`--do_lower_case=false`, but the model in", "leave the flag out")


def test_damaged_state(run_before: Path, task: Task, tmp_path: Path) -> None:
    """A training state that cannot be read is named; the hint says what to delete.

    In a process of its own, as what tensorstore was still reading complains later, in whatever test runs then.
    """
    shutil.copytree(run_before, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "last")
    for path in (tmp_path / "checkpoints" / "3").rglob("*"):
        if path.is_file() and path.parent.name == "d":
            cut(path)
    process = start(*task.records, *flags(model_dir=tmp_path, num_train_epochs=1))
    _, err = process.communicate()
    assert process.returncode == 2, err
    assert f"error: the training state in `{tmp_path}/checkpoints/3` cannot be restored: " in err
    assert "\nhint: delete that folder to go on from an earlier save" in err


def test_full_disk(task: Task, classify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up ends the run with code 1 and the name of the file; no part of it is left."""
    code, _, err = classify(*task.records, *flags(model_dir=tmp_path, num_train_epochs=1, mode="train"))
    assert code == 0, err

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    shutil.rmtree(tmp_path / "last")
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = classify(*task.records, *flags(model_dir=tmp_path, num_train_epochs=1, mode="train"))
    assert code == 1
    assert "No space left on device" in err
    assert str(tmp_path) in err
    assert not list(tmp_path.rglob("*.tmp"))
