# SPDX-License-Identifier: Apache-2.0
"""The page about Python: its code runs from top to bottom."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxbert
from jaxbert.checkpoints.model_folder import write_model
from jaxbert.config import bert_config
from tests.checkpoints.random_models import random_weights
from tests.commands.tiny_task import CONFIG, Task

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


# Layers enough for the last four outputs (the embeddings are one), and positions for the windows that `run_squad` makes
# by default.
SIZES = {**CONFIG, "num_hidden_layers": 3, "max_position_embeddings": 512}
CACHE_OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own for compiled programs; the next tests find those of the session again."""
    before = {name: getattr(jax.config, name) for name in CACHE_OPTIONS}
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def write_small_bert(folder: Path, task: Task) -> None:
    """A random model with the heads of pretraining, in a folder as our trainers write it."""
    weights = random_weights(bert_config.from_dict(SIZES), "pretraining")
    folder.mkdir(parents=True)
    write_model(str(folder), {name: array * np.float32(0.3) for name, array in weights.items()}, {}, {})
    (folder / "bert_config.json").write_text(json.dumps(SIZES))
    shutil.copy(task.model / "vocab.txt", folder)


@pytest.mark.usefixtures("own_cache")
def test_the_code_of_the_page_runs(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a small model under the name of the released one; it prints what the text around it says."""
    monkeypatch.chdir(tmp_path)
    write_small_bert(tmp_path / ".cache/jaxbert/models/bert-base-uncased", task)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    features, encoder = names["features"], names["encoder"]
    assert isinstance(features, list)
    assert isinstance(encoder, jaxbert.Model)
    (vectors,) = encoder.embed(["red and blue"], pooling="tokens", layers=[-4, -3, -2, -1])
    tokens = encoder.tokens(["red and blue"])[0]
    places = [tokens.index("red"), 2, tokens.index("blue")]  # the pieces of `and` follow those of `red`
    np.testing.assert_allclose(features[0], vectors[places].reshape(3, -1), atol=1e-6)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "('color', 'number')"
    assert "bert-base-uncased` has no classifier" in out[-1]
