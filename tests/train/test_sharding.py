# SPDX-License-Identifier: Apache-2.0
"""Every weight has its rule, and on any mesh of devices the same model is trained."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from jaxbert.batches.devices import AXES
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.weights import classifier_table, encoder_table, flatten, pretraining_table, squad_table
from jaxbert.train.sharding import RULES, rule, training_shardings, weight_shardings

CONFIG = BertConfig(vocab_size=30522, type_vocab_size=2)
TABLES = [
    encoder_table(CONFIG),
    classifier_table(CONFIG, 3),
    squad_table(CONFIG),
    pretraining_table(CONFIG, next_sentence=True),
]
MESHES = ["2,2", "1,8", "1,1"]  # fsdp, tensor; data is what remains of eight


def mesh(data: int, fsdp: int, tensor: int) -> AbstractMesh:
    """A mesh without devices."""
    return AbstractMesh((data, fsdp, tensor), AXES)


def test_each_weight_has_one_rule_and_each_rule_a_weight() -> None:
    """All weights of all models match exactly one pattern, which has no more axes than they; no pattern is idle."""
    used = set()
    for table in TABLES:
        for path, weight in table.items():
            matching = [pattern for pattern, _ in RULES if re.fullmatch(pattern, path)]
            assert len(matching) == 1, (path, matching)
            assert len(rule(path)) <= len(weight.shape), path
            used.update(matching)
    assert used == {pattern for pattern, _ in RULES}


def test_sizes_that_do_not_divide_stay_whole() -> None:
    """30522 words are split over 2 and not over 4; 768 units over both; a mesh of one splits nothing that matters."""
    name = "bert/embeddings/word_embeddings"
    for tensor, words in ((2, "tensor"), (4, None)):
        places = flatten(weight_shardings(TABLES[0], mesh(1, 8, tensor)))
        assert places[name].spec == PartitionSpec(words, "fsdp")
        places[name].shard_shape(TABLES[0][name].shape)  # raises where a part is not whole
    for table in TABLES:
        for path, place in flatten(weight_shardings(table, mesh(1, 5, 7))).items():
            assert place.shard_shape(table[path].shape) == table[path].shape, path


def test_weights_and_moments_are_shared_out() -> None:
    """Over fsdp 8, each device stores an eighth of BERT-base but for vectors and heads, 0.2 % of it."""
    places, table = flatten(weight_shardings(TABLES[0], mesh(1, 8, 1))), TABLES[0]
    whole, stored = 0, 0
    for path, weight in table.items():
        part = places[path].shard_shape(weight.shape)
        whole += _product(weight.shape)
        stored += _product(part)
    assert 0.125 < stored / whole < 0.1275
    gathered = flatten(weight_shardings(table, mesh(1, 8, 1), gathered=True))
    assert all(place.shard_shape(table[path].shape) == table[path].shape for path, place in gathered.items())


def test_training_is_shared_out() -> None:
    """On eight devices each keeps an eighth of BERT-base in training, along whatever axes, of what it has otherwise."""
    table = TABLES[0]
    for sizes in ((8, 1, 1), (4, 2, 1), (2, 2, 2)):
        places, stored = (flatten(of(table, mesh(*sizes))) for of in (training_shardings, weight_shardings))
        parts = {path: _product(places[path].shard_shape(weight.shape)) for path, weight in table.items()}
        whole = sum(_product(weight.shape) for weight in table.values())
        assert 0.125 < sum(parts.values()) / whole < 0.1275
        for path, weight in table.items():
            within = stored[path].shard_shape(weight.shape)
            assert all(a <= b for a, b in zip(places[path].shard_shape(weight.shape), within, strict=True)), path


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


@pytest.fixture(scope="module")
def differences() -> dict[str, dict[str, float]]:
    """What `eight_devices` found, for each mesh."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.eight_devices", *MESHES],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", MESHES)
def test_any_mesh_trains_the_same_model(name: str, differences: dict[str, dict[str, float]]) -> None:
    """Data, fsdp and tensor parallel steps with dropout are one device's but for the order of float32 sums.

    Eight devices are more than the two heads, and do not divide the 50 words.
    """
    found = differences[name]
    assert found["losses"] < 1e-5
    assert found["moments"] < 1e-5
    assert found["logits"] < 1e-3  # Adam divides by the gradient's size, however small it is
