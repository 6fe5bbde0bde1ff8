# SPDX-License-Identifier: Apache-2.0
"""The files of SQuAD predictions, byte for byte as the official scripts write them: written one by one, and read."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from jaxbert.errors import InputError
from jaxbert.examples.squad import Question
from jaxbert.io.files import is_file, read_bytes, read_json_object, whole_file
from jaxbert.predictions.squad import Choice, Prediction

PREDICTIONS_FILE, N_BEST_FILE, NULL_ODDS_FILE = "predictions.json", "nbest_predictions.json", "null_odds.json"
ANSWER_FILES = (PREDICTIONS_FILE, N_BEST_FILE, NULL_ODDS_FILE)
_NAMED = 5  # ids in a message


def write_answers(
    folder: str, predictions: Iterable[Prediction], *, version_2_with_negative: bool, prefix: str = ""
) -> int:
    """Write `predictions.json`, `nbest_predictions.json` and for version 2.0 `null_odds.json`.

    Args:
        folder: where the files go.
        predictions: taken one by one; none is kept.
        version_2_with_negative: whether predictions have null odds.
        prefix: of the three names; the official scripts use one where there are several prediction files.

    Returns:
        The number of predictions.
    """
    count = 0
    with contextlib.ExitStack() as stack:

        def entries(name: str) -> "_Entries":
            return stack.enter_context(_Entries(stack.enter_context(whole_file(os.path.join(folder, prefix + name)))))

        answers, n_best = entries(PREDICTIONS_FILE), entries(N_BEST_FILE)
        odds = entries(NULL_ODDS_FILE) if version_2_with_negative else None
        for prediction in predictions:
            answers.add(prediction.id, json.dumps(prediction.text))
            choices = ",\n".join(map(_choice, prediction.n_best))
            n_best.add(prediction.id, f"[\n{choices}\n    ]")
            if odds is not None:
                odds.add(prediction.id, json.dumps(prediction.null_odds))
            count += 1
    return count


def write_texts(folder: str, texts: Iterable[tuple[str, str]]) -> None:
    """Write `predictions.json` anew, from question ids and answers."""
    with whole_file(os.path.join(folder, PREDICTIONS_FILE)) as file, _Entries(file) as answers:
        for id_, text in texts:
            answers.add(id_, json.dumps(text))


def copy_answers(source: str, target: str) -> None:
    """Copy those of the three files that are in the folder `source`."""
    for name in ANSWER_FILES:
        path = os.path.join(source, name)
        if is_file(path):
            with whole_file(os.path.join(target, name)) as file:
                file.write(read_bytes(path))


def read_answers(path: str) -> dict[str, str]:
    """Question id -> answer, from a `predictions.json`.

    Raises:
        InputError: not a JSON object of texts.
    """
    return _read_values(path, str, "text")


def read_null_odds(path: str) -> dict[str, float]:
    """Question id -> score of no answer minus score of the best answer, from a `null_odds.json`.

    Raises:
        InputError: not a JSON object of numbers.
    """
    return _read_values(path, (int, float), "a number")


def read_probabilities(path: str) -> dict[str, dict[str, float]]:
    """Question id -> answer -> its probability, from a `nbest_predictions.json` of this program."""
    content = read_json_object(path, "an object of question id and answers")
    return {id_: {one["text"]: one["probability"] for one in choices} for id_, choices in content.items()}


def _read_values(path: str, kind: type | tuple[type, ...], expected: str) -> dict[str, Any]:
    """A JSON object whose values are all of one kind."""
    content = read_json_object(path, f"an object of question id and {expected}")
    for id_, value in content.items():
        if not isinstance(value, kind) or isinstance(value, bool) or value != value:  # NaN has no rank in an order
            raise InputError(
                f"`{path}`: the value of `{id_}` is `{json.dumps(value)[:100]}`, expected {expected}",
                "give the files that `run_squad` wrote",
            )
    return content


def lacking(values: Mapping[str, object], questions: Sequence[Question]) -> str:
    """How many of the questions have no value, and the first of them; "" where all have one."""
    ids = [question.id for question in questions if question.id not in values]
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} ({', '.join(ids[:_NAMED])}{more})" if ids else ""


class _Entries(contextlib.AbstractContextManager["_Entries"]):
    """A JSON object written entry by entry, laid out as `json.dumps(..., indent=4)` does and a line end after it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._mark = "{"

    def add(self, key: str, value: str) -> None:
        """Write a key and the JSON text of its value."""
        self._file.write(f"{self._mark}\n    {json.dumps(key)}: {value}".encode())
        self._mark = ","

    def __exit__(self, *error: object) -> None:
        self._file.write(b"{}\n" if self._mark == "{" else b"\n}\n")


def _choice(choice: Choice) -> str:
    """One entry of an n-best list; `json` is slow at indenting, so the layout is spelled out."""
    return (
        f'        {{\n            "text": {json.dumps(choice.text)},\n'
        f'            "probability": {choice.probability!r},\n'
        f'            "start_logit": {choice.start_logit!r},\n'
        f'            "end_logit": {choice.end_logit!r}\n        }}'
    )
