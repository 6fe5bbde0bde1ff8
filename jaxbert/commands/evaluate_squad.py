# SPDX-License-Identifier: Apache-2.0
"""Score SQuAD predictions: the JSON that evaluate-v1.1.py or evaluate-v2.0.py prints, on standard output."""

import json
from collections.abc import Mapping, Sequence

from jaxbert.config.models import EvaluateSquadFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.examples.squad import Question, is_version_2, read_squad
from jaxbert.metrics.squad import score_v1, score_v2
from jaxbert.predictions.squad_files import read_answers, read_odds

_NAMED = 5  # ids in a message


def run(flags: EvaluateSquadFlags) -> None:
    """Read, score, print; the layout is that of the script of the data's version."""
    questions = [question for paragraph in read_squad(flags.data_file) for question in paragraph.questions]
    answers = read_answers(flags.prediction_file)
    if is_version_2(questions, flags.data_file):
        _refuse_missing(questions, answers, flags.prediction_file)
        odds = None if flags.null_odds is None else read_odds(flags.null_odds)
        if odds is not None:
            _refuse_missing(questions, odds, str(flags.null_odds))
        print(json.dumps(score_v2(questions, answers, odds, flags.na_prob_thresh), indent=2))
        return
    if flags.null_odds is not None:
        raise InputError(f"`{flags.data_file}` is SQuAD 1.1: every question has an answer", "leave out `--null_odds`")
    if missing := _missing(questions, answers):
        say(f"note: {missing} of {len(questions)} questions have no prediction and score 0")
    print(json.dumps(score_v1(questions, answers)))


def _refuse_missing(questions: Sequence[Question], values: Mapping[str, object], path: str) -> None:
    """The official script for version 2.0 cannot score with predictions missing."""
    if missing := _missing(questions, values):
        raise InputError(
            f"`{path}` lacks {missing} of {len(questions)} questions",
            "version 2.0 needs all of them; are these predictions for another file?",
        )


def _missing(questions: Sequence[Question], values: Mapping[str, object]) -> str:
    """How many questions have no value, and the first of them; empty where all have one."""
    ids = [question.id for question in questions if question.id not in values]
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} ({', '.join(ids[:_NAMED])}{more})" if ids else ""
