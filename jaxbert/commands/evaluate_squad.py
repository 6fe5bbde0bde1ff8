# SPDX-License-Identifier: Apache-2.0
"""Score SQuAD predictions: the JSON that evaluate-v1.1.py or evaluate-v2.0.py prints, on standard output."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from jaxbert.config.models import EvaluateSquadFlags
from jaxbert.errors import InputError
from jaxbert.examples.squad import Question, read_squad
from jaxbert.io.files import read_text
from jaxbert.metrics.squad import score_v1, score_v2

_NAMED = 5  # ids in a message


def run(flags: EvaluateSquadFlags) -> None:
    """Read, score, print; the layout is that of the script of the data's version."""
    questions = [question for paragraph in read_squad(flags.data_file) for question in paragraph.questions]
    predictions = _read_object(flags.prediction_file, str, "text")
    if is_version_2(questions, flags.data_file):
        _refuse_missing(questions, predictions, flags.prediction_file)
        odds = None if flags.null_odds is None else _read_odds(flags.null_odds, questions)
        print(json.dumps(score_v2(questions, predictions, odds, flags.na_prob_thresh), indent=2))
        return
    if flags.null_odds is not None:
        raise InputError(f"`{flags.data_file}` is SQuAD 1.1: every question has an answer", "leave out `--null_odds`")
    missing = _missing(questions, predictions)
    if missing:
        print(f"note: {_listed(missing)} of {len(questions)} questions have no prediction and score 0", file=sys.stderr)
    print(json.dumps(score_v1(questions, predictions)))


def is_version_2(questions: Sequence[Question], path: str) -> bool:
    """Whether some question says if it can be answered, or has no answer.

    Raises:
        InputError: there is nothing to score.
    """
    if not any(question.answers or question.is_impossible for question in questions):
        raise InputError(f"`{path}` holds no gold answers", "a test set cannot be scored")
    return any(question.is_impossible is not None or not question.answers for question in questions)


def _read_object(path: str, kind: type | tuple[type, ...], expected: str) -> dict[str, Any]:
    """A JSON object whose values are all of one kind."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"`{path}` is not JSON: {error}", f"expected an object of question id and {expected}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"`{path}` is no JSON object", f"expected an object of question id and {expected}")
    for id_, value in content.items():
        if not isinstance(value, kind) or isinstance(value, bool) or value != value:  # NaN has no place in an order
            raise InputError(
                f"`{path}`: the value of `{id_}` is `{json.dumps(value)[:100]}`, expected {expected}",
                "give the files that `run_squad` wrote",
            )
    return content


def _read_odds(path: str, questions: Sequence[Question]) -> dict[str, float]:
    odds = _read_object(path, (int, float), "a number")
    _refuse_missing(questions, odds, path)
    return odds


def _refuse_missing(questions: Sequence[Question], values: dict[str, Any], path: str) -> None:
    """The official script for version 2.0 cannot score with predictions missing."""
    missing = _missing(questions, values)
    if missing:
        raise InputError(
            f"`{path}` lacks {_listed(missing)} of {len(questions)} questions",
            "version 2.0 needs all of them; are these predictions for another file?",
        )


def _missing(questions: Sequence[Question], values: dict[str, Any]) -> list[str]:
    return [question.id for question in questions if question.id not in values]


def _listed(ids: Sequence[str]) -> str:
    """How many there are, and the first of them."""
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} ({', '.join(ids[:_NAMED])}{more})"
