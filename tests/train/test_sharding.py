# SPDX-License-Identifier: Apache-2.0
"""Every weight has its rule, and on any mesh of devices the same model is trained."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from jaxbert.batches.device import AXES
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.weights import Tree, classifier_table, encoder_table, flatten, pretraining_table, squad_table
from jaxbert.train.sharding import RULES, moment_shardings, rule, weight_shardings

CONFIG = BertConfig(vocab_size=30522, type_vocab_size=2)
TABLES = [
    encoder_table(CONFIG),
    classifier_table(CONFIG, 3),
    squad_table(CONFIG),
    pretraining_table(CONFIG, next_sentence=True),
]
MESHES = ["1,1", "2,2", "1,8"]  # fsdp, tensor; data is what remains of eight


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
    """30522 words are split over 2 and not over 4, 768 units over both; moments not along data 5 but along fsdp 8."""
    name = "bert/embeddings/word_embeddings"
    for tensor, words in ((2, "tensor"), (4, None)):
        places = flatten(weight_shardings(TABLES[0], mesh(1, 8, tensor)))
        assert places[name].spec == PartitionSpec(words, "fsdp")
        places[name].shard_shape(TABLES[0][name].shape)  # raises where a part is not whole
    for table in TABLES:
        for path, place in flatten(weight_shardings(table, mesh(1, 5, 7))).items():
            assert place.shard_shape(table[path].shape) == table[path].shape, path
    assert flatten(moment_shardings(TABLES[0], mesh(5, 8, 1)))[name].spec == PartitionSpec("tensor", "fsdp")


def test_weights_and_moments_are_shared_out() -> None:
    """Each of 8 devices stores an eighth of BERT-base's moments, and along fsdp of its weights, but for 0.2 %."""
    table = TABLES[0]

    def stored(places: Tree) -> float:
        parts = {path: place.shard_shape(table[path].shape) for path, place in flatten(places).items()}
        return sum(map(math.prod, parts.values())) / sum(math.prod(weight.shape) for weight in table.values())

    for shape in ((1, 8, 1), (8, 1, 1), (4, 2, 1)):
        assert 0.125 < stored(moment_shardings(table, mesh(*shape))) < 0.1275
    assert 0.125 < stored(weight_shardings(table, mesh(1, 8, 1))) < 0.1275
    assert stored(weight_shardings(table, mesh(8, 1, 1))) == 1
    assert stored(weight_shardings(table, mesh(1, 8, 1), ())) == 1


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
