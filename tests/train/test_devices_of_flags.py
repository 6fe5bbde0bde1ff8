# SPDX-License-Identifier: Apache-2.0
"""Which hosts and devices the flags name."""

import json
import os

import jax
import jax.numpy as jnp
import pytest

from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import TrainingFlags
from jaxbert.errors import InputError
from jaxbert.train import devices, hosts, run
from jaxbert.train.hosts import Cluster

CONFIG = BertConfig(vocab_size=30522, type_vocab_size=2)  # 12 heads, 3072 intermediate units


def flags(**values: object) -> TrainingFlags:
    """The flags of a trainer."""
    return TrainingFlags(model_dir="none", **values)  # type: ignore[arg-type]


def tf_config(task: dict[str, object], **cluster: list[str]) -> str:
    """The variable as TensorFlow reads it."""
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (tf_config({"type": "worker", "index": 1}, worker=["a:1", "b:2"]), Cluster("a:1", 2, 1)),
        (tf_config({"type": "worker", "index": 0}, chief=["c:3"], worker=["a:1", "b:2"]), Cluster("c:3", 3, 1)),
        (tf_config({"type": "chief", "index": 0}, chief=["c:3"], worker=["a:1"]), Cluster("c:3", 2, 0)),
    ],
)
def test_tf_config_is_read(config: str, expected: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chief counts first, then the workers; TF_CONFIG wins over `--worker_hosts`, as in the official trainers."""
    monkeypatch.setenv("TF_CONFIG", config)
    assert devices.named_cluster(flags(worker_hosts="x:1,y:2", task_index=1), os.environ) == expected


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "{}",
        tf_config({"type": "ps", "index": 0}, worker=["a:1"], ps=["b:1"]),
        tf_config({"type": "worker", "index": 2}, worker=["a:1", "b:2"]),
    ],
)
def test_wrong_tf_config_is_refused(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no JSON, lacks a key, or names another kind of task ends with a message."""
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match="TF_CONFIG"):
        devices.named_cluster(flags(), os.environ)


def test_worker_hosts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host is where all meet; a single one needs no index; none means that jax looks for them."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.named_cluster(flags(worker_hosts="a:1,b:2", task_index=1), os.environ) == Cluster("a:1", 2, 1)
    assert devices.named_cluster(flags(worker_hosts="a:1"), os.environ) == Cluster("a:1", 1, 0)
    assert devices.named_cluster(flags(), os.environ) is None


@pytest.mark.parametrize("mesh", ["", "data:1", "fsdp:1,data:1,tensor:1"])
def test_meshes_for_one_device(mesh: str) -> None:
    """An axis that is not named has size 1."""
    found = devices.mesh_of(flags(mesh=mesh, num_gpus=1), CONFIG)
    assert dict(found.shape) == {"data": 1, "fsdp": 1, "tensor": 1}


@pytest.mark.parametrize("mesh", ["data", "data:0", "data:x", "rows:2", "data:1,data:1", "fsdp:7", "data:3,fsdp:5"])
def test_wrong_meshes_are_refused(mesh: str) -> None:
    """Unknown axes, sizes that are none, and other numbers of devices than there are."""
    with pytest.raises(InputError, match="--mesh"):
        devices.mesh_of(flags(mesh=mesh, num_gpus=1), CONFIG)


def test_devices_that_are_not_there_are_refused() -> None:
    """More devices than the machine has, more than one for a strategy of one, a TPU that is none."""
    with pytest.raises(InputError, match="this machine has"):
        devices.mesh_of(flags(num_gpus=len(jax.devices()) + 1), CONFIG)
    with pytest.raises(InputError, match="uses one device"):
        devices.mesh_of(flags(num_gpus=2, distribution_strategy="one_device"), CONFIG)
    for address, words in (
        ("", "no TPU"),
        ("local", "no TPU"),
        ("grpc://10.0.0.1:8470", "not reached over the network"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            devices.mesh_of(flags(distribution_strategy="tpu", tpu=address), CONFIG)
        assert "--worker=all" in refused.value.hint


@pytest.mark.parametrize(
    ("tensor", "told"),
    [(1, []), (4, []), (8, ["num_attention_heads` 12"]), (5, ["heads` 12", "intermediate_size` 3072"])],
)
def test_a_mesh_that_cuts_heads_is_told(
    tensor: int, told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A `tensor` that does not divide the heads or the intermediate units is used, and named."""
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1] * tensor)
    assert devices.mesh_of(flags(mesh=f"tensor:{tensor}"), CONFIG).shape["tensor"] == tensor
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == len(told)
    for note, words in zip(notes, told, strict=True):
        assert f"`tensor:{tensor}`" in note
        assert words in note


def test_all_hosts_train_in_one_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--dtype=auto` is what the first host says, even if others are slower in it; one that is named is taken."""
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: False)
    assert run.training_dtype(flags()) == jnp.float32
    assert run.training_dtype(flags(dtype="bf16")) == jnp.bfloat16
    monkeypatch.setattr(hosts, "of_first", lambda text: {"fp32": "bf16"}[text])
    assert run.training_dtype(flags()) == jnp.bfloat16
