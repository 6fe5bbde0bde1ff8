# SPDX-License-Identifier: Apache-2.0
"""JSON that is nested too deeply to be read is wrong input, wherever JSON is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaxbert.commands import evaluate_squad
from jaxbert.config import bert_config
from jaxbert.config.models import EvaluateSquadFlags
from jaxbert.errors import InputError
from jaxbert.examples.corpus import TextFile, read_documents, shards
from jaxbert.examples.rows import json_rows
from jaxbert.examples.squad import read_squad
from jaxbert.tfrecord.metadata import ClassificationMetaData, SquadMetaData


def _predictions(path: str) -> None:
    data = Path(path).with_name("data.json")
    data.write_text('{"data": []}')
    evaluate_squad.run(EvaluateSquadFlags(data_file=str(data), prediction_file=path))


READERS: dict[str, Callable[[str], Any]] = {
    "bert_config.json": bert_config.read,
    "meta_data": ClassificationMetaData.read,
    "squad_meta_data": SquadMetaData.read,
    "dev.json": lambda path: list(read_squad(path)),
    "train.jsonl": lambda path: list(json_rows(path)),
    "text.jsonl": lambda path: [list(read_documents(shard)[0]) for shard in shards([TextFile(path, "jsonl")], 10**6)],
    "predictions.json": _predictions,
}


@pytest.mark.parametrize("name", READERS)
def test_it_is_named(name: str, tmp_path: Path) -> None:
    """The file is named, and nothing ends in a traceback."""
    path = tmp_path / name
    path.write_text('{"a":' * 100_000)
    with pytest.raises(InputError, match=name):
        READERS[name](str(path))
