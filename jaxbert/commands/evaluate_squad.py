# SPDX-License-Identifier: Apache-2.0
"""Score SQuAD predictions: the JSON that evaluate-v1.1.py or evaluate-v2.0.py prints, on standard output."""

import json

from jaxbert.config.models import EvaluateSquadFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.examples.squad import read_squad
from jaxbert.metrics.squad import is_version_2, score_v1, score_v2
from jaxbert.predictions.squad_files import lacking, read_answers, read_null_odds


def run(flags: EvaluateSquadFlags) -> None:
    """Read, score, print; the layout is that of the script of the data's version."""
    questions = [question for paragraph in read_squad(flags.data_file) for question in paragraph.questions]
    answers = read_answers(flags.prediction_file)
    odds = None if flags.null_odds is None else read_null_odds(flags.null_odds)
    if is_version_2(questions, flags.data_file):
        for path, values in ((flags.prediction_file, answers), (flags.null_odds, odds)):
            if values is not None and (missing := lacking(values, questions)):
                raise InputError(
                    f"`{path}` lacks {missing} of {len(questions)} questions",
                    "version 2.0 needs all of them; are these predictions for another file?",
                )
        if odds is None and flags.na_prob_thresh is not None:
            _say_without_odds(flags.na_prob_thresh)
        threshold = 1.0 if flags.na_prob_thresh is None else flags.na_prob_thresh
        print(json.dumps(score_v2(questions, answers, odds, threshold), indent=2))
        return
    if given := [f"`--{name}`" for name in ("null_odds", "na_prob_thresh") if getattr(flags, name) is not None]:
        raise InputError(
            f"`{flags.data_file}` is SQuAD 1.1: every question has an answer", f"leave out {' and '.join(given)}"
        )
    if not any(question.id in answers for question in questions):
        raise InputError(
            f"`{flags.prediction_file}` answers none of the {len(questions)} questions of `{flags.data_file}`",
            "are these predictions for another file? Those of an evaluation in training are in `best/predictions.json`",
        )
    if missing := lacking(answers, questions):
        say(f"note: {missing} of {len(questions)} questions have no prediction and score 0")
    print(json.dumps(score_v1(questions, answers)))


def _say_without_odds(threshold: float) -> None:
    """The official script takes the threshold without odds, too: what that does is not what its user expects."""
    does = "no question counts as answered" if threshold < 0.0 else "it changes nothing"
    say(
        f"note: `--na_prob_thresh={threshold:g}` without `--null_odds`: all odds are 0, as in evaluate-v2.0.py,"
        f" so {does}"
    )
