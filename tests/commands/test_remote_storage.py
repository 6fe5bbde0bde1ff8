# SPDX-License-Identifier: Apache-2.0
"""Commands whose files are all in remote storages: the same results as on disk, stopped or not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from jaxbert.checkpoints.fetch import unpack
from jaxbert.checkpoints.model_folder import saved_steps
from jaxbert.checkpoints.state import RemoteStates
from jaxbert.cli import main
from jaxbert.io import files, storage
from jaxbert.io.files import read_bytes
from runs import sample_data
from tests.commands.conftest import Run
from tests.commands.tiny_pretraining import Corpus
from tests.commands.tiny_squad import SETTINGS, run_squad, write_squad
from tests.commands.tiny_task import BATCHES, Task, flags
from tests.storage_servers import running

TRAINING = ["--num_train_epochs=2", "--save_checkpoints_steps=2", "--log_steps=1", "--learning_rate=1e-3"]
WRITTEN = ("best/model.safetensors", "last/model.safetensors", "last/eval_results.json", "summaries/metrics.jsonl")


def copied(task: Task, folder: str) -> list[str]:
    """The flags of the tiny task's records and checkpoint, copied to a remote folder."""
    for path in (*task.folder.glob("*.tf_record"), task.folder / "meta_data", *task.model.iterdir()):
        copy(path, f"{folder}/{path.name}")
    return [
        *flags(input_meta_data_path=f"{folder}/meta_data", bert_config_file=f"{folder}/bert_config.json"),
        *flags(train_data_path=f"{folder}/train.tf_*", eval_data_path=f"{folder}/eval.tf_record"),
        *flags(init_checkpoint=f"{folder}/bert_model.ckpt"),
    ]


def squad_paragraphs(path: str) -> list[dict[str, Any]]:
    """All paragraphs of a SQuAD file."""
    return [paragraph for entry in json.loads(files.read_text(path))["data"] for paragraph in entry["paragraphs"]]


def copy(path: Path, target: str) -> None:
    """Copy a file from disk."""
    with files.whole_file(target) as file:
        file.write(path.read_bytes())


def test_compiled_programs_stay_on_the_machine(task: Task, classify: Run, tmp_path: Path) -> None:
    """A remote folder for them is refused."""
    code, _, err = classify(*task.records, *flags(model_dir=tmp_path, compile_cache="memory://programs"))
    assert code == 2
    assert "`--compile_cache=memory://programs` is not on this machine" in err


@pytest.fixture(scope="module")
def on_disk(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a run on disk."""
    folder = tmp_path_factory.mktemp("on_disk")
    given = [*task.records, *TRAINING, *flags(init_checkpoint=task.model / "bert_model.ckpt", model_dir=folder)]
    assert main(["run_classifier", *BATCHES, *given]) == 0
    return folder


def test_a_run_in_memory(task: Task, classify: Run, on_disk: Path) -> None:
    """Records, checkpoint and model folder are remote: a run writes and predicts what one on disk does, bit for bit."""
    training = [*copied(task, "memory://whole"), *TRAINING, "--model_dir=memory://whole/run"]
    code, _, err = classify(*training)
    assert code == 0, err
    for name in WRITTEN:
        assert read_bytes(f"memory://whole/run/{name}") == (on_disk / name).read_bytes()
    assert saved_steps("memory://whole/run/checkpoints") == saved_steps(str(on_disk / "checkpoints"))
    events = files.find("memory://whole/run/summaries/*/events*")
    assert len(events) == len(list(on_disk.glob("summaries/*/events*"))) > 0
    assert classify(*training, "--mode=predict")[0] == 0
    assert classify(*task.records, *TRAINING, *flags(model_dir=on_disk), "--mode=predict")[0] == 0
    assert read_bytes("memory://whole/run/test_results.tsv") == (on_disk / "test_results.tsv").read_bytes()
    code, _, err = classify("--flagfile=memory://whole/run/flags.txt")
    assert "training is finished" in err


def test_a_run_from_text_in_memory(task: Task, classify: Run, tmp_path: Path) -> None:
    """Records are made of remote texts by both commands, with one process where others see no files of this one."""
    for path in (*task.text.iterdir(), *task.model.iterdir()):
        copy(path, f"memory://text/{path.parent.name}/{path.name}")
    assert main([
        *("create_finetuning_data", "--classification_task_name=MRPC", "--max_seq_length=16"),
        *flags(input_data_dir="memory://text/MRPC", vocab_file="memory://text/bert/vocab.txt", num_workers=2),
        *flags(train_data_output_path="memory://text/train", meta_data_file_path="memory://text/meta"),
    ]) == 0  # fmt: skip
    assert read_bytes("memory://text/train") == (task.folder / "train.tf_record").read_bytes()
    given = flags(data_dir="memory://text/MRPC", init_checkpoint="memory://text/bert", max_seq_length=16)
    for number in range(2):
        code, _, err = classify(*given, "--mode=train", "--model_dir=memory://text/run", "--num_train_epochs=1")
        assert code == 0, err
        assert ("making records" in err) == (number == 0)
    assert files.find("memory://text/run/records/*/train.tf_record")


def test_pretraining_data_in_memory(task: Task, tmp_path: Path) -> None:
    """The same bytes as on disk, from several files cut into shards; the folder of shards is removed."""
    texts = {"a.txt": "red blue\ngreen grey\n\npink gold\nlime teal\n\n" * 40, "b.txt": "red red\nteal\n" * 60}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        files.write_text(f"memory://pretraining/{name}", text)
    copy(task.model / "vocab.txt", "memory://pretraining/vocab.txt")
    sizes = flags(max_seq_length=16, max_predictions_per_seq=3, num_workers=2)
    for folder, vocab in (
        (tmp_path, task.model / "vocab.txt"),
        ("memory://pretraining", "memory://pretraining/vocab.txt"),
    ):
        paths = flags(input_file=f"{folder}/*.txt,", output_file=f"{folder}/one,{folder}/two", vocab_file=vocab)
        paths[0] = paths[0].removesuffix(",").replace("*.txt", "a.txt") + f",{folder}/b.txt"
        assert main(["create_pretraining_data", *paths, *sizes]) == 0
    for name in ("one", "two"):
        assert read_bytes(f"memory://pretraining/{name}") == (tmp_path / name).read_bytes()
    assert not files.exists("memory://pretraining/one.shards")


def test_questions_in_memory(task: Task, tmp_path: Path) -> None:
    """`run_squad` from JSON to answers, all of it remote."""
    copied(task, "memory://squad")
    copy(write_squad(tmp_path / "train.json", 16), "memory://squad/train.json")
    copy(write_squad(tmp_path / "dev.json", 8), "memory://squad/dev.json")
    paths = flags(train_file="memory://squad/train.json", predict_file="memory://squad/dev.json")
    start = flags(init_checkpoint="memory://squad/bert_model.ckpt", model_dir="memory://squad/run", num_train_epochs=1)
    assert run_squad(*paths, *start, *SETTINGS, "--mode=train_and_predict") == 0
    answers = json.loads(files.read_text("memory://squad/run/predictions.json"))
    assert list(answers) == [f"dev-{number}" for number in range(8)]


def test_pretraining_in_memory(corpus: Corpus, pretrain: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """`run_pretraining` on remote records, with its folder remote too."""
    for path in corpus.folder.iterdir():
        copy(path, f"memory://corpus/{path.name}")
    folder = "memory://corpus"
    code, _, err = pretrain(
        *flags(input_files=f"{folder}/masked-*", vocab_file=f"{folder}/vocab.txt"),
        *flags(bert_config_file=f"{folder}/bert_config.json", model_dir=f"{folder}/run", num_train_epochs=1),
        *flags(num_steps_per_epoch=2, warmup_steps=1, train_batch_size=8),
    )
    assert code == 0, err
    assert saved_steps(f"{folder}/run/checkpoints") == [2]
    assert main(["inspect", f"{folder}/run"]) == 0
    assert "training states after steps 2" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["tf1", "tf2", "huggingface", "jaxbert"])
def test_models_are_converted_in_memory(to: str, task: Task) -> None:
    """From a remote checkpoint to a remote folder of each format, and back to the same bytes."""
    folder = f"memory://convert/{to}"
    copied(task, f"{folder}/from")
    for source, target, form in (("from", "there", to), ("there", "back", "tf1"), ("from", "straight", "tf1")):
        given = flags(init_checkpoint=f"{folder}/{source}", output_dir=f"{folder}/{target}", to=form)
        assert main(["convert_checkpoint", *given]) == 0
    data = "bert_model.ckpt.data-00000-of-00001"
    assert read_bytes(f"{folder}/back/{data}") == read_bytes(f"{folder}/straight/{data}")


@pytest.mark.parametrize("form", ["saved_model", "onnx", "huggingface"])
def test_models_are_exported_in_memory(form: str, task: Task, tmp_path: Path) -> None:
    """An export from and to a remote folder has the files and the bytes of one on disk."""
    folder = f"memory://export/{form}"
    copied(task, folder)
    assert main(["export", f"--format={form}", *flags(init_checkpoint=folder, output_dir=f"{folder}/out")]) == 0
    assert main(["export", f"--format={form}", *flags(init_checkpoint=task.model, output_dir=tmp_path)]) == 0
    on_disk = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {name: read_bytes(f"{folder}/out/{name}") for name in on_disk} == on_disk


def test_small_commands_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sample data, a vocabulary and scores are made in a remote folder as on disk."""
    for folder in ("memory://small", str(tmp_path)):
        sample_data.write(folder)
        text = flags(input_file=f"{folder}/reviews/text*", output_file=f"{folder}/vocab", vocab_size=400)
        assert main(["train_vocab", *text]) == 0
        capsys.readouterr()
        questions = f"{folder}/questions/dev.json"
        asked = [one for part in squad_paragraphs(questions) for one in part["qas"]]
        files.write_text(f"{folder}/answers.json", json.dumps({one["id"]: "" for one in asked}))
        assert main(["evaluate_squad", questions, f"{folder}/answers.json"]) == 0
        unanswerable = sum(not one["answers"] for one in asked)
        assert json.loads(capsys.readouterr().out)["exact"] == 100.0 * unanswerable / len(asked)
    assert read_bytes("memory://small/vocab") == (tmp_path / "vocab").read_bytes()
    assert read_bytes("memory://small/MRPC/train.tsv") == (tmp_path / "MRPC" / "train.tsv").read_bytes()


def test_an_archive_in_memory_is_unpacked_once(task: Task, tmp_path: Path) -> None:
    """A new archive under the same name gets a folder of its own."""
    made = shutil.make_archive(str(tmp_path / "model"), "gztar", task.model)
    copy(Path(made), "memory://archive/model.tar.gz")
    folder = unpack("memory://archive/model.tar.gz", str(tmp_path / "cache"))
    assert (Path(folder) / "vocab.txt").read_bytes() == (task.model / "vocab.txt").read_bytes()
    assert unpack("memory://archive/model.tar.gz", str(tmp_path / "cache")) == folder
    copy(Path(made), "memory://archive/model.tar.gz")
    assert unpack("memory://archive/model.tar.gz", str(tmp_path / "cache")) != folder


def test_a_run_goes_on_when_the_storage_is_back(
    task: Task, classify: Run, on_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a state could not be sent the run ends with a message; the same command ends as if nothing had been."""
    training = [*copied(task, "memory://stopped"), *TRAINING, "--model_dir=memory://stopped/run"]
    send = RemoteStates._send

    def failing(self: RemoteStates, step: int, *rest: Any) -> None:
        if step == 3:
            raise OSError("the storage is gone")
        send(self, step, *rest)

    monkeypatch.setattr(RemoteStates, "_send", failing)
    code, _, err = classify(*training)
    assert code == 1, err
    assert "error: the storage is gone" in err
    monkeypatch.undo()
    code, _, err = classify(*training)
    assert code == 0, err
    assert "going on after step 2" in err
    for name in WRITTEN:
        assert read_bytes(f"memory://stopped/run/{name}") == (on_disk / name).read_bytes()


def test_a_run_in_storages_that_fail(task: Task, classify: Run, on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records from Google's, model folder in S3, where all requests fail once: the run is that on disk, bit for bit."""
    monkeypatch.setattr(storage, "PAUSE_SECONDS", 0.01)
    with running("gs", monkeypatch) as gs, running("s3", monkeypatch) as s3:
        training = [*copied(task, f"{gs.root}/task"), *TRAINING, f"--model_dir={s3.root}/run"]
        s3.choose = lambda method, place, before: None if before else "unavailable"
        code, _, err = classify(*training)
        assert code == 0, err
        for name in WRITTEN:
            assert read_bytes(f"{s3.root}/run/{name}") == (on_disk / name).read_bytes()
        assert len(gs.requests) > len(WRITTEN)
