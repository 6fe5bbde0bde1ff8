# SPDX-License-Identifier: Apache-2.0
"""The page about Python: its code runs from top to bottom."""

import re
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxbert
from jaxbert.features.squad import WindowSettings
from jaxbert.tfrecord.metadata import SquadMetaData
from tests.commands.test_library import model_folder
from tests.commands.tiny_task import Task

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


CACHE_OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own for compiled programs; the next tests find those of the session again."""
    before = {name: getattr(jax.config, name) for name in CACHE_OPTIONS}
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("own_cache")
def test_the_code_of_the_page_runs(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder with the models that it names; it prints what the text around it says."""
    monkeypatch.chdir(tmp_path)
    model_folder(tmp_path / "bert", task, "pretraining")
    settings = WindowSettings(32, 8, 8)
    model_folder(tmp_path / "answers", task, "squad", SquadMetaData(0, settings, version_2_with_negative=False))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    features, encoder = names["features"], names["encoder"]
    assert isinstance(features, list)
    assert isinstance(encoder, jaxbert.Model)
    (vectors,) = encoder.embed(["red and blue"], pooling="tokens", layers=[-2, -1])
    tokens = encoder.tokens(["red and blue"])[0]
    places = [tokens.index("red"), 2, tokens.index("blue")]  # the pieces of `and` follow those of `red`
    np.testing.assert_allclose(features[0], vectors[places].reshape(3, -1), atol=1e-6)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "('color', 'number')"
    assert out[-1].startswith("the files of `bert` do not say which classes the model was trained for")
